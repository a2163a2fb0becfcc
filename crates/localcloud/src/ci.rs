//! The CI platform of the fleet: one job model, and a folder for each vendor that shows it as that vendor's API does.
//!
//! All of it is pure: requests and time go in, responses come out. Runners speak the vendor's own API where that is open;
//! the others take their jobs through the private one of [`protocol`]. A platform more is a folder, and its two lines here:
//! this is the only file beside theirs that names the vendors.

pub mod buildkite;
pub mod circleci;
pub mod github;
pub mod gitlab;
pub mod spacelift;
pub mod stackguardian;

pub(crate) mod contract;
pub mod demo;
mod etag;
pub(crate) mod jobs;
mod page;
pub mod protocol;
mod runner_api;
pub(crate) mod webhook;
mod workers;

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

use self::{
    contract::{CiState, Platform, PlatformKind, PlatformOptions},
    jobs::{Cause, Job, JobEvent, JobLoss, Jobs},
    runner_api::RunnerApi,
    webhook::{Webhook, WebhookDelivery},
    workers::Workers,
};
use crate::{
    fleet::NewJobs,
    http::{Request, Response},
    refusal::Refusal,
    time::Timestamp,
};

/// All platforms that can be embedded; the first is the one of whoever names none.
pub const KINDS: &[PlatformKind] =
    &[gitlab::KIND, stackguardian::KIND, spacelift::KIND, circleci::KIND, github::KIND, buildkite::KIND];

impl PlatformKind {
    /// The names of all platforms, separated by commas.
    pub fn names() -> String {
        KINDS.iter().copied().map(Self::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl Default for PlatformKind {
    fn default() -> Self {
        KINDS[0]
    }
}

impl Default for PlatformOptions {
    fn default() -> Self {
        PlatformKind::default().options()
    }
}

/// There is no such platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform; it is one of {names}", names = PlatformKind::names())]
pub struct UnknownPlatform(String);

impl FromStr for PlatformKind {
    type Err = UnknownPlatform;

    fn from_str(name: &str) -> Result<Self, UnknownPlatform> {
        KINDS.iter().copied().find(|kind| kind.as_str() == name).ok_or_else(|| UnknownPlatform(name.to_owned()))
    }
}

impl<'de> Deserialize<'de> for PlatformKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The CI platform of one fleet.
pub(crate) struct Ci {
    platform: Box<dyn Platform>,
    state: CiState,
    lost_after: Duration,
    webhook: Option<Webhook>,
}

impl Ci {
    /// `url` is where it answers; `lost_after` is how long a runner may say nothing, unless as long as the platform itself
    /// waits.
    pub(crate) fn new(
        platform: Box<dyn Platform>,
        url: impl Into<String>,
        lost_after: Option<Duration>,
        webhook: Option<Webhook>,
    ) -> Self {
        let lost_after = lost_after.unwrap_or(platform.retention().lost_after);
        let state = CiState { url: url.into(), jobs: Jobs::default(), workers: Workers::default() };
        Self { platform, state, lost_after, webhook }
    }

    /// The route of a request, for counters and faults.
    pub(crate) fn route(&self, request: &Request) -> &'static str {
        runner_api::route(request).unwrap_or_else(|| self.platform.route(request))
    }

    /// Answers one request.
    pub(crate) fn handle(&mut self, request: &Request, now: Timestamp) -> Response {
        self.advance(now);
        let mut api = RunnerApi { platform: &mut *self.platform, state: &mut self.state, kinds: KINDS };
        match runner_api::respond(&mut api, request, now) {
            Some(response) => response,
            None => self.platform.handle(request, &mut self.state, now),
        }
    }

    /// What a fault makes of a request.
    pub(crate) fn refuse(&self, why: Refusal, now: Timestamp) -> Response {
        self.platform.refuse(why, now)
    }

    /// What the runner on an instance goes by.
    pub(crate) fn machine_id(&self, instance: &str) -> String {
        self.platform.machine_id(instance)
    }

    /// What the machine goes by that makes this request, when it can be told: an instance id or its [`Ci::machine_id`].
    pub(crate) fn machine_of(&self, request: &Request) -> Option<String> {
        runner_api::machine_of(&self.state, request).or_else(|| self.platform.machine_of(request, &self.state))
    }

    /// Puts jobs into the queue.
    pub(crate) fn enqueue(&mut self, new: &NewJobs, now: Timestamp) -> Vec<u64> {
        self.state.jobs.enqueue(new, now)
    }

    /// Runs what is due.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        let lost: Vec<u64> = self.silent().filter(|(_, due)| *due <= now).map(|(id, _)| id).collect();
        for id in lost {
            self.state.worker_gone(id, &*self.platform, Cause::Machine, now);
        }
        self.platform.advance(&mut self.state, now);
    }

    /// When [`Ci::advance`] has something to do next.
    pub(crate) fn next_timer(&self) -> Option<Timestamp> {
        self.silent().map(|(_, due)| due).chain(self.platform.next_timer(&self.state)).min()
    }

    /// The next thing that happened to a job.
    pub(crate) fn poll_event(&mut self) -> Option<JobEvent> {
        self.state.jobs.poll_event()
    }

    /// What the platform posts about it, when it posts anything.
    pub(crate) fn webhook_delivery(&self, job_event: &JobEvent, now: Timestamp) -> Option<WebhookDelivery> {
        self.platform.webhook_delivery(job_event, &self.state, self.webhook.as_ref()?, now)
    }

    /// From now on job events are posted there; none: nowhere.
    pub(crate) fn post_events(&mut self, webhook: Option<Webhook>) {
        self.webhook = webhook;
    }

    /// The machine that goes by one of these names is gone, and its running jobs with it.
    pub(crate) fn machine_gone(&mut self, names: &[&str], now: Timestamp) -> Vec<u64> {
        self.state.jobs.machine_gone(names, now)
    }

    /// What became of a job that its machine failed.
    pub(crate) fn set_loss(&mut self, id: u64, loss: JobLoss, now: Timestamp) {
        self.state.jobs.set_loss(id, loss, now);
    }

    pub(crate) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.state.jobs.iter()
    }

    /// The connected runners, and when each counts as lost.
    fn silent(&self) -> impl Iterator<Item = (u64, Timestamp)> {
        let connected = self.state.workers.iter().filter(|worker| worker.connected);
        connected.map(|worker| (worker.id, worker.heard_at + self.lost_after))
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
