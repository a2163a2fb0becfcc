//! What one vendor's platform has to provide, and what all of them work on.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

use super::{
    demo::Demo,
    jobs::{Cause, Job, JobEvent, JobOutcome, Jobs},
    protocol::Connect,
    webhook::{Webhook, WebhookDelivery},
    workers::{Worker, Workers},
};
use crate::{
    http::{Request, Response},
    refusal::Refusal,
    time::Timestamp,
};

/// A CI platform that can be embedded; [`KINDS`](super::KINDS) are all of them.
#[derive(Clone, Copy, Debug)]
pub struct PlatformKind {
    name: &'static str,
    title: &'static str,
    options: fn() -> PlatformOptions,
}

impl PlatformKind {
    pub(super) const fn new(name: &'static str, title: &'static str, options: fn() -> PlatformOptions) -> Self {
        Self { name, title, options }
    }

    /// The name in settings.
    pub fn as_str(self) -> &'static str {
        self.name
    }

    /// The name for people.
    pub fn title(self) -> &'static str {
        self.title
    }

    /// What the platform holds when nobody says otherwise.
    pub fn options(self) -> PlatformOptions {
        (self.options)()
    }
}

impl PartialEq for PlatformKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for PlatformKind {}

impl fmt::Display for PlatformKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Serialize for PlatformKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

/// What an embedded platform holds when it starts. It is made from the options of one vendor.
#[derive(Clone, Debug)]
pub struct PlatformOptions(Arc<dyn VendorOptions>);

impl PlatformOptions {
    /// How a whole fleet runs on it.
    pub fn demo(&self) -> &dyn Demo {
        &*self.0
    }

    /// The platform itself.
    pub(crate) fn open(&self) -> Box<dyn Platform> {
        self.0.open()
    }
}

impl<T: VendorOptions + 'static> From<T> for PlatformOptions {
    fn from(options: T) -> Self {
        Self(Arc::new(options))
    }
}

/// The options of one vendor.
pub(crate) trait VendorOptions: Demo + fmt::Debug + Send + Sync {
    /// The platform with these options.
    fn open(&self) -> Box<dyn Platform>;
}

/// One vendor's API and rules over the common jobs and runners.
pub(crate) trait Platform: Send {
    /// Which platform it is.
    fn kind(&self) -> PlatformKind;

    /// The route of a request as the vendor's documentation writes it, for counters and faults.
    fn route(&self, request: &Request) -> &'static str;

    /// Answers a request.
    fn handle(&mut self, request: &Request, state: &mut CiState, now: Timestamp) -> Response;

    /// What a fault makes of a request, in the vendor's error shape.
    fn refuse(&self, why: Refusal, now: Timestamp) -> Response;

    /// What the runner on an instance goes by: the instance id, where the vendor has nothing else.
    fn machine_id(&self, instance: &str) -> String {
        instance.to_owned()
    }

    /// The [`Platform::machine_id`] of the machine that makes this request, when it can be told.
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
    /// The platform's own address, for the links in responses.
    pub url: String,
    pub jobs: Jobs,
    pub workers: Workers,
}

impl CiState {
    /// The jobs that this runner has are lost with it; `reason` says so in the platform's words.
    pub(crate) fn fail_held(&mut self, worker: u64, reason: &str, cause: Cause, now: Timestamp) {
        let held: Vec<u64> = self.jobs.held_by(worker).map(|job| job.id).collect();
        for job in held {
            self.jobs.finish(job, JobOutcome::Failed { reason: reason.to_owned(), cause }, now);
        }
    }

    /// A runner left, which is its own doing, or nobody hears of it any more: its jobs fail, and it is forgotten or stays
    /// listed.
    pub(crate) fn worker_gone(&mut self, id: u64, platform: &dyn Platform, cause: Cause, now: Timestamp) {
        self.fail_held(id, platform.failure_texts().gone, cause, now);
        if platform.retention().keeps {
            if let Some(worker) = self.workers.get_mut(id) {
                worker.connected = false;
            }
        } else {
            self.workers.remove(id);
        }
    }

    /// Jobs that this runner has.
    pub(crate) fn load(&self, worker: u64) -> usize {
        self.jobs.held_by(worker).count()
    }
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

/// Refuses more than one job at once, on platforms whose runners take one.
pub(super) fn one_slot(connect: &Connect, what: &str) -> Result<(), RunnerApiError> {
    if connect.slots == 1 {
        return Ok(());
    }
    let slots = connect.slots;
    Err(RunnerApiError(400, format!("slots is {slots}: {what} takes one job at once; connect once for each slot")))
}
