//! What the operator decides about an agent's behaviour.

use std::time::Duration;

use crate::cloud::Capabilities;

/// When the instance is protected from scale-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protection {
    /// From launch until it is gone: no value of the group's desired capacity can end it.
    #[default]
    Always,
    /// Only while jobs run, for groups that something else shrinks. Needs a termination hook.
    WhileBusy,
}

impl Protection {
    /// What holds on this cloud. Who gives protection up between two jobs relies on a hook that waits for the next one's end: where none can be
    /// extended for as long as that takes, it is kept.
    #[must_use]
    pub fn on(self, cloud: Capabilities) -> Self {
        if cloud.extends_endings() { self } else { Self::Always }
    }
}

/// The agent's policy, validated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AgentPolicy {
    /// How long the operator's own program, which runs once a boot before anything else is done, may take; then it is killed and the instance
    /// retires as broken. Default `None`: there is no such program.
    pub before_register: Option<Duration>,
    /// Whether the group holds this instance's launch off until the agent says that it is ready, so that only those are in service that take
    /// jobs. Default false.
    pub launch_hook: bool,
    /// From start, or from the end of that program, until the runner is ready; later the instance retires as broken. Default 10 min.
    pub boot_deadline: Duration,
    /// How long without any job before the instance leaves. Default 10 min; `None`: it never leaves for idleness.
    pub idle_timeout: Option<Duration>,
    /// The last part of the idle time, in which a fresh snapshot of all probes must have been quiet. Default 5 s.
    pub confirm: Duration,
    /// How long the instance may be in service before it takes no more jobs and leaves; up to a tenth less, so that a pool does not leave in
    /// step. Default `None`: any age.
    pub max_age: Option<Duration>,
    /// How many jobs the instance serves before it leaves. Default `None`: any number.
    pub jobs_per_instance: Option<u32>,
    /// How long before a spot deadline running jobs are failed visibly. Default 25 s.
    pub abort_margin: Duration,
    /// How long doubt may last. After the proof that no job runs: how long the probes may still see or fear one (a remnant) before the
    /// instance goes on leaving. A runner that was told to exit and has been quiet for this long is ended. Default 15 min.
    pub unknown_limit: Duration,
    /// How long making room for jobs may take. Twice that and two minutes (what an earlier agent began is waited for, and looks are tried again)
    /// after it began, an instance that says nothing of it is broken. Default 5 min.
    pub clean_timeout: Duration,
    /// When the instance is protected from scale-in, where the cloud allows for that: [`Protection::on`] is what holds. Default: always.
    pub protection: Protection,
    /// Whether a rebalance recommendation is a reason to leave. Default true.
    pub leave_on_rebalance: bool,
    /// Whether it is a reason to leave that the platform may refuse the image's runner from some day of the instance's life on. Default true.
    pub leave_on_runner_expiry: bool,
    /// How long the instance serves, at least, before it leaves because of a rebalance recommendation; up to half as long again, so that a pool does
    /// not leave in step. Default 15 min.
    pub rebalance_after: Duration,
    /// How often a refused idle leave (group at its floor) is tried again. Default 60 s.
    pub floor_retry: Duration,
    /// How long after an accepted termination the next, blunter rung of the ladder is tried. Default 10 min.
    pub rung_patience: Duration,
}

impl Default for AgentPolicy {
    fn default() -> Self {
        Self {
            before_register: None,
            launch_hook: false,
            boot_deadline: Duration::from_secs(600),
            idle_timeout: Some(Duration::from_secs(600)),
            confirm: Duration::from_secs(5),
            max_age: None,
            jobs_per_instance: None,
            abort_margin: Duration::from_secs(25),
            unknown_limit: Duration::from_secs(900),
            clean_timeout: Duration::from_secs(300),
            protection: Protection::Always,
            leave_on_rebalance: true,
            leave_on_runner_expiry: true,
            rebalance_after: Duration::from_secs(900),
            floor_retry: Duration::from_secs(60),
            rung_patience: Duration::from_secs(600),
        }
    }
}
