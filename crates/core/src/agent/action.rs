//! What the lifecycle asks of the operations.

use std::time::Duration;

use super::{
    event::RequestId,
    phase::{LeaveReason, Saved},
};
use crate::cloud::Capabilities;

/// Asks the operations to do something. They answer each exactly once, with [`Lifecycle::complete`](super::Lifecycle::complete).
///
/// Requests that touch the runner (`Register`, `Drain`, `Undrain`, `Abort`, `Deregister`) are carried out in the order in which they are asked,
/// except that an `Abort` overtakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action {
    /// Comes back with the answer.
    pub id: RequestId,
    /// What to do.
    pub request: Request,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Write the journal and flush it to the disk.
    Save(Saved),
    /// Write to the journal that it is proven that no job runs and none can come. For a restart only: nothing waits for it.
    NoteProof,
    /// Run the operator's own program for this boot to its end, unless it has run; it is killed after this time.
    Prepare {
        /// How long it may take.
        within: Duration,
    },
    /// See to it that nothing is missing but the registration and the start of the runner: the token, the platform, the runner's program.
    GetReady,
    /// Register with the platform and start the runner, or adopt the one that runs.
    Register,
    /// Tell the platform or the runner: no more jobs. Safe to repeat.
    Drain,
    /// Take a drain back.
    Undrain,
    /// Make the runner fail its jobs at once, visibly: the cloud is about to end them.
    Abort {
        /// How long that may take before the runner is killed.
        within: Duration,
    },
    /// Remove this instance's registration.
    Deregister,
    /// Make room, unless there is enough. Asked only when it is proven that no job runs and none can come.
    MakeRoom,
    /// Take a fresh snapshot of all probes.
    Probe,
    /// Describe this instance's place in its group.
    Describe,
    /// Read the group's bounds and size.
    GroupSize,
    /// Set or lift protection from scale-in.
    Protect(bool),
    /// Extend the launch hook.
    ExtendLaunchHook,
    /// Answer the launch hook: this instance may go into service.
    CompleteLaunchHook,
    /// Look the group's termination hook up.
    FindHook,
    /// Extend the termination hook.
    ExtendHook,
    /// Answer the termination hook: go on.
    CompleteHook,
    /// One rung of the ladder that ends the instance.
    End(Rung),
    /// Write on the instance that its agent has been ready in this boot. Best effort: nothing waits for it.
    RecordReady,
    /// Write on the instance why it ends. Best effort: nothing waits for it.
    RecordReason(LeaveReason),
}

/// The ways to end this instance, gentlest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Answer the launch hook that the launch has failed: the group ends the instance and launches another.
    Abandon,
    /// Terminate in the group, desired capacity one lower.
    Decrement,
    /// Terminate in the group, desired capacity unchanged: the group replaces it if it must.
    Replace,
    /// Tell the group that this instance is unhealthy.
    Unhealthy,
    /// Terminate the machine itself, past the group.
    Terminate,
    /// Switch the machine off; its shutdown behaviour ends it.
    PowerOff,
}

impl Rung {
    /// The next, blunter way that this cloud has.
    #[must_use]
    pub fn next(self, cloud: Capabilities) -> Self {
        match self {
            Self::Abandon => Self::Decrement,
            Self::Decrement if !cloud.leaving_lowers_capacity => Self::Replace,
            Self::Decrement | Self::Replace if cloud.replaces_unhealthy => Self::Unhealthy,
            Self::Decrement | Self::Replace | Self::Unhealthy => Self::Terminate,
            // Who is billed all the same must go on asking.
            Self::Terminate if !cloud.power_off_ends_billing => Self::Terminate,
            Self::Terminate | Self::PowerOff => Self::PowerOff,
        }
    }
}
