//! The runner, and how its platform drains it.

use lightsout_core::{
    agent::host::ToldToDrain,
    invariants::RunnerFacts,
    platform::{DrainBy, DrainRules, Signal, UndrainBy},
};

/// How the platform is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A signal; the exit is the proof. Another signal cancels the jobs (GitLab).
    Signal,
    /// A signal that also cancels a request that is on its way, and with it the job that the platform hands out (gitlab-runner).
    CancelsRequests,
    /// The same signal cancels when it comes again.
    SameSignal,
    /// The platform stops sending and says whether a job runs (StackGuardian, Spacelift).
    Call,
    /// The platform refuses while a job runs (GitHub).
    Remove,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Signal, Self::CancelsRequests, Self::SameSignal, Self::Call, Self::Remove];

    pub(super) fn rules(self) -> DrainRules {
        let (drain, undrain) = match self {
            Self::Signal | Self::CancelsRequests => (DrainBy::Signal(Signal::Quit), UndrainBy::Relaunch),
            Self::SameSignal => (DrainBy::Signal(Signal::Term), UndrainBy::Relaunch),
            Self::Call => (DrainBy::Call, UndrainBy::Call),
            Self::Remove => (DrainBy::Call, UndrainBy::Relaunch),
        };
        DrainRules { drain, undrain, abort: Signal::Term, quiesce: self == Self::CancelsRequests }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Runner {
    pub accepting: bool,
    /// What the host's memory and its disk say of what it was told.
    pub(super) remembered: ToldToDrain,
    pub(super) noted: ToldToDrain,
    /// Signalled to finish.
    pub(super) finishing: bool,
    /// Signalled to cancel: it exits at any moment.
    pub(super) dying: bool,
    pub job: bool,
    /// A request for a job is on its way, and whether the platform has answered it with a job.
    pub(super) asking: bool,
    pub(super) handed_out: bool,
    /// It is to read a configuration by which it asks for no more jobs; it has; and how often it read one.
    pub(super) reload_due: bool,
    pub(super) quiesced: bool,
    /// Whether the disk did not take that configuration: a moment without a request must do then.
    pub(super) unquiesced: bool,
    pub(super) reloads: u8,
    /// Whether a request that was about to be made when it read its configuration is still to come: before the second look at it.
    pub(super) late: bool,
    pub(super) looks: u8,
    /// Whether one more is made, by the former configuration, when the one that is on its way comes back.
    pub(super) stale: bool,
}

impl Runner {
    /// What a rule may know of it.
    pub(super) fn facts(self) -> RunnerFacts {
        RunnerFacts {
            job: self.job,
            asks: self.asking || self.handed_out,
            accepts: self.accepting,
            quiesced: self.quiesced || self.reload_due,
        }
    }

    pub(super) const FRESH: Self = Self {
        accepting: true,
        remembered: ToldToDrain::No,
        noted: ToldToDrain::No,
        finishing: false,
        dying: false,
        job: false,
        asking: false,
        handed_out: false,
        reload_due: false,
        quiesced: false,
        unquiesced: false,
        reloads: 1,
        late: false,
        looks: 0,
        stale: false,
    };
}
