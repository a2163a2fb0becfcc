//! The CI platform of the fleet: one job model, and one module for each platform that shows it as that vendor's API does.
//!
//! All of it is pure: requests and time go in, answers come out. Runners of GitLab speak GitLab's own API; those of the
//! others take their jobs through [`runner_api`], behind which the vendor's rules hold.

mod buildkite;
mod circleci;
mod etag;
mod github;
mod gitlab;
pub(crate) mod jobs;
mod kind;
mod runner_api;
mod spacelift;
mod stackguardian;
mod webhook;
mod workers;

use std::{collections::BTreeMap, time::Duration};

use self::{
    buildkite::Buildkite, circleci::CircleCi, github::GitHub, gitlab::GitLab, spacelift::Spacelift,
    stackguardian::StackGuardian,
};
pub use self::{
    buildkite::BuildkiteOptions,
    circleci::{CircleCiOptions, ResourceClass},
    github::GitHubOptions,
    gitlab::{GitLabOptions, Repository, system_id},
    kind::PlatformKind,
    spacelift::SpaceliftOptions,
    stackguardian::StackGuardianOptions,
    webhook::{Webhook, WebhookAuth},
};
pub(crate) use self::{
    runner_api::Connect,
    webhook::WebhookDelivery,
    workers::{DrainState, JobFilter, Worker, Workers},
};
use crate::{
    ci::jobs::{Cause, Job, JobEvent, JobLoss, JobOutcome, Jobs},
    fleet::NewJobs,
    http::{Request, Response},
    server::{LocalCloudOptions, Refusal},
    time::Timestamp,
};

/// One vendor's API and rules over the common jobs and runners.
trait Platform: Send {
    /// The route of a request as the vendor's documentation writes it, for counters and faults.
    fn route(&self, request: &Request) -> &'static str;

    /// Answers a request.
    fn handle(&mut self, request: &Request, state: &mut CiState, now: Timestamp) -> Response;

    /// What a fault makes of a request, in the vendor's error shape.
    fn refuse(&self, why: Refusal, now: Timestamp) -> Response;

    /// What the machine goes by that makes this request, when it can be told.
    fn machine_of(&self, _: &Request, _: &CiState) -> Option<String> {
        None
    }

    /// Lets a runner in and names its number, or refuses as the vendor would.
    fn connect(&mut self, connect: &Connect, state: &mut CiState, now: Timestamp) -> Result<u64, RunnerApiError>;

    /// The tags by which the platform finds a runner for this job.
    fn tags_of(&self, job: &Job) -> Vec<String>;

    /// What the vendor's runner puts into a job's environment, as far as jobs may want it.
    fn environment(&self, job: &Job, worker: &Worker) -> BTreeMap<String, String>;

    /// How the platform says that a job failed.
    fn failure_texts(&self) -> FailureTexts;

    /// What the platform does with runners that leave.
    fn retention(&self) -> RetentionRules;

    /// What the platform posts when this happened to a job.
    fn webhook_delivery(&self, _: &JobEvent, _: &CiState, _: &Webhook, _: Timestamp) -> Option<WebhookDelivery> {
        None
    }

    /// Runs what is due beside lost runners.
    fn advance(&mut self, _: &mut CiState, _: Timestamp) {}

    /// When [`Platform::advance`] has something to do next.
    fn next_timer(&self, _: &CiState) -> Option<Timestamp> {
        None
    }
}

/// What the platforms show: jobs and runners.
pub(crate) struct CiState {
    /// The platform's own address, for the links in answers.
    pub url: String,
    pub jobs: Jobs,
    pub workers: Workers,
}

/// How a platform says that a job failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailureTexts {
    /// By itself.
    pub failed: &'static str,
    /// Because its runner could not run it.
    pub system_failure: &'static str,
    /// Because its runner is gone.
    pub gone: &'static str,
}

/// What a platform does with runners that leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetentionRules {
    /// Whether one that left stays listed.
    pub keeps: bool,
    /// Whether one that is done after one job leaves the list with that job.
    pub forgets_used: bool,
    /// How long it waits for one that says nothing.
    pub lost_after: Duration,
}

/// A refusal of the private runner API: a status and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunnerApiError(pub u16, pub String);

/// The CI platform of the fleet.
pub(crate) struct Ci {
    platform: Box<dyn Platform>,
    kind: PlatformKind,
    state: CiState,
    lost_after: Duration,
    webhook: Option<Webhook>,
}

impl Ci {
    /// `url` is where it answers.
    pub fn new(options: &LocalCloudOptions, url: impl Into<String>) -> Self {
        let kind = options.platform;
        let platform: Box<dyn Platform> = match kind {
            PlatformKind::GitLab => Box::new(GitLab::new(options.gitlab.clone())),
            PlatformKind::StackGuardian => Box::new(StackGuardian::new(options.stackguardian.clone())),
            PlatformKind::Spacelift => Box::new(Spacelift::new(options.spacelift.clone())),
            PlatformKind::CircleCi => Box::new(CircleCi::new(options.circleci.clone())),
            PlatformKind::GitHub => Box::new(GitHub::new(options.github.clone())),
            PlatformKind::Buildkite => Box::new(Buildkite::new(options.buildkite.clone())),
        };
        let lost_after = options.lost_after.unwrap_or(platform.retention().lost_after);
        let state = CiState { url: url.into(), jobs: Jobs::default(), workers: Workers::default() };
        Self { platform, kind, state, lost_after, webhook: options.webhook.clone() }
    }

    /// The route of a request, for counters and faults.
    pub fn route(&self, request: &Request) -> &'static str {
        runner_api::route(request).unwrap_or_else(|| self.platform.route(request))
    }

    /// Answers one request.
    pub fn handle(&mut self, request: &Request, now: Timestamp) -> Response {
        self.advance(now);
        match runner_api::respond(self, request, now) {
            Some(response) => response,
            None => self.platform.handle(request, &mut self.state, now),
        }
    }

    /// What a fault makes of a request.
    pub fn refuse(&self, why: Refusal, now: Timestamp) -> Response {
        self.platform.refuse(why, now)
    }

    /// What the machine goes by that makes this request, when it can be told: an instance id, or GitLab's `system_id`.
    pub fn machine_of(&self, request: &Request) -> Option<String> {
        runner_api::machine_of(&self.state, request).or_else(|| self.platform.machine_of(request, &self.state))
    }

    /// Puts jobs into the queue.
    pub fn enqueue(&mut self, new: &NewJobs, now: Timestamp) -> Vec<u64> {
        self.state.jobs.enqueue(new, now)
    }

    /// Runs what is due.
    pub fn advance(&mut self, now: Timestamp) {
        let lost: Vec<u64> = self.silent().filter(|(_, due)| *due <= now).map(|(id, _)| id).collect();
        for id in lost {
            self.worker_gone(id, now);
        }
        self.platform.advance(&mut self.state, now);
    }

    /// When [`Ci::advance`] has something to do next.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.silent().map(|(_, due)| due).chain(self.platform.next_timer(&self.state)).min()
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<JobEvent> {
        self.state.jobs.poll_event()
    }

    /// What the platform posts about it, when it posts anything.
    pub fn webhook_delivery(&self, job_event: &JobEvent, now: Timestamp) -> Option<WebhookDelivery> {
        self.platform.webhook_delivery(job_event, &self.state, self.webhook.as_ref()?, now)
    }

    /// From now on job events are posted there; none: nowhere.
    pub fn post_events(&mut self, webhook: Option<Webhook>) {
        self.webhook = webhook;
    }

    /// The machine that goes by one of these names is gone: its running jobs meet this fate.
    pub fn machine_gone(&mut self, names: &[&str], loss: JobLoss, now: Timestamp) -> Vec<u64> {
        self.state.jobs.machine_gone(names, loss, now)
    }

    /// What became of a job that its machine failed.
    pub fn set_loss(&mut self, id: u64, loss: JobLoss, now: Timestamp) {
        self.state.jobs.set_loss(id, loss, now);
    }

    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.state.jobs.iter()
    }

    /// A runner left, or nobody hears of it any more: its jobs fail, and it is forgotten or stays listed.
    fn worker_gone(&mut self, id: u64, now: Timestamp) {
        self.fail_held(id, now);
        if self.platform.retention().keeps {
            if let Some(worker) = self.state.workers.get_mut(id) {
                worker.connected = false;
            }
        } else {
            self.state.workers.remove(id);
        }
    }

    /// The jobs that this runner has are lost with it.
    fn fail_held(&mut self, id: u64, now: Timestamp) {
        let reason = self.platform.failure_texts().gone;
        self.state.fail_held(id, reason, now);
    }

    /// The connected runners, and when each counts as lost.
    fn silent(&self) -> impl Iterator<Item = (u64, Timestamp)> {
        let connected = self.state.workers.iter().filter(|worker| worker.connected);
        connected.map(|worker| (worker.id, worker.heard_at + self.lost_after))
    }
}

impl CiState {
    fn fail_held(&mut self, worker: u64, reason: &str, now: Timestamp) {
        let held: Vec<u64> = self.jobs.held_by(worker).map(|job| job.id).collect();
        for job in held {
            self.jobs.finish(job, JobOutcome::Failed { reason: reason.to_owned(), cause: Cause::Machine }, now);
        }
    }

    /// Jobs that this runner has.
    fn load(&self, worker: u64) -> usize {
        self.jobs.held_by(worker).count()
    }
}

/// Refuses more than one job at once, on platforms whose runners take one.
fn one_slot(connect: &Connect, what: &str) -> Result<(), RunnerApiError> {
    if connect.slots == 1 {
        return Ok(());
    }
    Err(RunnerApiError(
        400,
        format!("slots is {}: {what} takes one job at once; connect once for each slot", connect.slots),
    ))
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
