//! What the agent asks of its host, and what the host answers: each effect ends with exactly one result of the same kind.
//!
//! An effect holds no secret and no handle, so that a whole agent can be cloned, compared and hashed: a launch with its tokens stays with the
//! host between [`PlatformCall::Register`] and [`HostEffect::StartRunner`].

use std::time::Duration;

use super::{
    action::Rung,
    phase::{LeaveReason, Saved},
};
use crate::{
    activity::Activity,
    cloud::{CloudError, GroupSize, Membership},
    exchange::ExchangeError,
    platform::{Drained, Requests, Signal},
    space::Room,
    time::Tick,
};

/// Names one effect; comes back with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId(pub u64);

/// What survives a crash of the agent, beside what the host knows by itself (the instance's id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JournalEntry {
    /// Whether it serves, returns or leaves.
    pub saved: Saved,
    /// Busy periods so far.
    pub served: u32,
    /// Whether a registration was ever begun: else the platform knows nothing of this instance.
    pub registered: bool,
    /// When the instance was first seen in service.
    pub in_service: Option<Tick>,
    /// While it leaves: whether it was proven that no job runs and none can come.
    pub proven: bool,
}

/// Something for the host to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostEffect {
    /// Write the journal and flush it to the disk, entries in the order in which they were asked for.
    WriteJournal(JournalEntry),
    /// Run the operator's own program for this boot to its end, unless it has run since the machine was started: one that an earlier agent began
    /// is waited for. It gets no longer than this from its own start, whoever began it.
    Prepare {
        /// How long it may take.
        within: Duration,
    },
    /// Look for the runner. One that is found is watched, and its exit becomes an event.
    FindRunner,
    /// Start the runner with what the last registration yielded, and watch it.
    StartRunner {
        /// What the runner's unit gets when the machine shuts down.
        stop_signal: Signal,
    },
    /// Note on the disk what the present runner was told.
    NoteTold(ToldToDrain),
    /// Signal the runner's main process, if there is one.
    SignalRunner(Signal),
    /// Make the runner ask for no more jobs, and go on with what it has asked for.
    QuiesceRunner,
    /// Count the runner's requests for jobs.
    CountRequests,
    /// Wait for the runner's exit.
    AwaitExit {
        /// How long at most.
        within: Duration,
    },
    /// Take note of the processes and containers in which the runner's jobs run: once it ends they cannot be told from others.
    NoteJobs,
    /// End those that were noted, by force. Whoever reports on them lives on.
    EndJobs,
    /// Kill the runner and whatever it started.
    KillRunner,
    Pause(Duration),
    /// See whether the runner's program is there and may be started.
    FindProgram,
    /// Fetch the platform's token, unless it is held.
    OpenPlatform,
    /// Have a conversation with the platform, fetching its token first unless it is held.
    Platform {
        call: PlatformCall,
        /// How long it may take as a whole.
        within: Duration,
    },
    /// Drop the platform's token, so that it is fetched anew: it may have been rotated.
    ForgetToken,
    /// Look whether there is room for a job.
    LookForRoom,
    /// Look whether room is being made, by this agent or by what an earlier one began.
    LookForCleaning,
    /// Make room for jobs, once.
    MakeRoom {
        /// How long it may take.
        within: Duration,
    },
    /// Take a snapshot of all probes, begun after this.
    Snapshot,
    /// Ask the cloud.
    Cloud(CloudCall),
    /// Let go of connections and credentials until they are needed again.
    ReleaseClients,
}

/// A conversation with the CI platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlatformCall {
    /// Something harmless that only a platform answers that is there, and that knows the token where it has such a question.
    Check,
    /// Register the runner. The launch that it yields stays with the host.
    Register,
    /// Send no more jobs.
    Drain,
    /// Take a drain back.
    Undrain,
    /// Remove the registration.
    Deregister,
}

/// A call to the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloudCall {
    /// This instance's place in its group.
    Membership,
    GroupSize,
    /// Set or lift protection from scale-in.
    Protect(bool),
    /// Extend the launch hook.
    ExtendLaunchHook,
    /// Answer the launch hook: go on.
    CompleteLaunchHook,
    /// Look for the group's termination hook.
    FindHook,
    /// Extend the termination hook.
    ExtendHook,
    /// Answer the termination hook: go on.
    CompleteHook,
    /// One rung of the ladder.
    End(Rung),
    /// Write on the instance that its agent has been ready.
    RecordReady,
    /// Write the reason on the instance.
    RecordReason(LeaveReason),
}

impl CloudCall {
    /// What the cloud is asked, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Membership => "this instance's place in its group",
            Self::GroupSize => "the group's size",
            Self::Protect(true) => "protection from scale-in",
            Self::Protect(false) => "an end of the protection from scale-in",
            Self::ExtendLaunchHook => "more time for the launch hook",
            Self::CompleteLaunchHook => "to be let into service",
            Self::FindHook => "the group's termination hooks",
            Self::ExtendHook => "more time for the termination hooks",
            Self::CompleteHook => "an end of the termination hook's wait",
            Self::End(_) => "the end of this instance",
            Self::RecordReady | Self::RecordReason(_) => "a tag on this instance",
        }
    }
}

/// The runner's process, found alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunnerSeen {
    /// Whether it was told to take no more jobs.
    pub told: ToldToDrain,
}

/// Whether a runner was told to take no more jobs. Some runners take a second word for "stop now", so it must be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ToldToDrain {
    /// It was not.
    #[default]
    No,
    /// It was about to be: whether the signal arrived is not known.
    Maybe,
    /// It was, or the platform has let it go without its knowledge.
    Yes,
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostResult {
    /// It is done, or why not: `WriteJournal`, `StartRunner`, `NoteTold`, `SignalRunner`, `QuiesceRunner`, `NoteJobs`, `EndJobs`, `KillRunner`, `Pause`, `FindProgram`, `LookForCleaning` (done: none is under way), `ForgetToken`, `ReleaseClients`.
    Done(Result<(), String>),
    /// `LookForRoom`.
    Room(Room),
    /// `MakeRoom`: what came of it, in words, or why it was not begun.
    Cleaned(Result<String, String>),
    /// `Prepare`.
    Prepared(Prepared),
    /// `FindRunner`: the runner, if there is one.
    Runner(Result<Option<RunnerSeen>, String>),
    /// `AwaitExit`: whether it is gone.
    Exited(bool),
    /// `OpenPlatform` and `Platform`.
    Platform(Result<PlatformAnswer, ExchangeError>),
    /// `CountRequests`, or why they cannot be counted.
    Requests(Result<Requests, String>),
    Snapshot {
        /// What was seen.
        activity: Activity,
        /// Whether the platform refused the token of a probe.
        token_refused: bool,
    },
    Cloud(Result<CloudAnswer, CloudError>),
}

/// What became of the operator's own program for this boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// It ended with 0.
    Succeeded,
    /// It ended otherwise, or was killed when its time was up. It runs once a boot, so that is final; with the program and how it ended, for tags and records.
    Failed(String),
    /// It could not be begun, or what became of it cannot be told.
    Unknown(String),
}

/// What the platform said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlatformAnswer {
    Done,
    /// The answer to [`PlatformCall::Drain`].
    Drained(Drained),
    /// The platform has lost sight of the runner: it is drained by this signal, and a new one takes its place.
    BySignal(Signal),
}

/// What the cloud said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloudAnswer {
    Done,
    /// The answer to [`CloudCall::Membership`].
    Membership(Membership),
    /// The answer to [`CloudCall::GroupSize`].
    GroupSize(GroupSize),
    /// The answer to [`CloudCall::FindHook`] and [`CloudCall::ExtendLaunchHook`]: its time-out, if there is one.
    Hook(Option<Duration>),
}
