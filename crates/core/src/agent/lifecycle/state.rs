//! Where an instance stands, and what only that place needs. What cannot be cannot be written.

use std::time::Duration;

use crate::{
    agent::{
        action::Rung,
        backoff::Backoff,
        phase::{LeaveReason, Phase},
        policy::AgentPolicy,
    },
    cloud::Membership,
    time::Tick,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// Until the operator's own program for this boot has succeeded.
    Preparing {
        since: Tick,
        /// How long it may take.
        within: Duration,
    },
    /// Until the group has put the instance in service.
    Booting(Booting),
    /// Until the runner runs.
    Registering {
        /// Since when the boot deadline runs.
        since: Tick,
    },
    Serving(Serving),
    /// A drain is being taken back.
    Returning {
        /// Since when the boot deadline runs. Not after a restart: there may have been no drain to take back.
        since: Option<Tick>,
        step: ReturnStep,
    },
    Draining(Draining),
    Retiring(Retiring),
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Booting {
    /// Since when the boot deadline runs.
    pub(super) since: Tick,
    pub(super) step: BootStep,
    /// The instance's place, as the last description showed it.
    pub(super) seen: Option<Membership>,
    /// The place in which the launch hook was answered; on the way through a warm pool there are two.
    pub(super) let_in: Option<Membership>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BootStep {
    /// Where does the group have this instance?
    Look,
    /// The launch hook waits: nothing may be missing but the start of the runner.
    GetReady,
    /// The launch hook is answered.
    CompleteLaunchHook,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Serving {
    /// Every snapshot since then has been quiet.
    Idle {
        since: Tick,
        /// Whether the fresh snapshot at the end of the idle time was asked for.
        confirmed: bool,
        /// Whether the group's size is being asked for.
        asking_size: bool,
        /// Whether it let others go first that saw the same room.
        yielded: bool,
    },
    Busy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ReturnStep {
    /// The journal says "returning".
    Save,
    /// The drain is taken back.
    Undrain,
    /// The old runner must exit before a new one starts.
    OldExit {
        /// Since when it has been quiet after it was told.
        quiet_since: Option<Tick>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Draining {
    /// The strongest reason so far.
    pub(super) why: LeaveReason,
    pub(super) step: DrainStep,
    /// The gentlest way to end that suits what the group last said of its room.
    pub(super) gentlest: Rung,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum DrainStep {
    /// The journal says "leaving".
    Save,
    /// The platform or the runner is told "no more jobs".
    Ask {
        /// Since when every answer has been that no runner is left to ask about.
        alone_since: Option<Tick>,
    },
    /// The runner's exit will be the proof.
    Exit {
        /// Since when it has been quiet after it was told.
        quiet_since: Option<Tick>,
    },
    /// The proof is there; one more snapshot must be quiet.
    Confirm {
        /// When the proof came that no job can run.
        proven_at: Tick,
        /// The proof is only that no runner was left and the platform said nothing for long.
        weak: bool,
    },
    /// The same as for making room, but an operator holds the instance: nothing is removed before that ends, and then it is looked anew.
    Held {
        /// As of [`DrainStep::Confirm`].
        weak: bool,
    },
    /// The proof is there, and a snapshot after it was quiet: room is made.
    MakeRoom { since: Tick },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Retiring {
    /// The strongest reason so far.
    pub(super) why: LeaveReason,
    pub(super) step: RetireStep,
    pub(super) rung: Rung,
    pub(super) rung_since: Tick,
    /// When an end was last asked for that was applied, or may have been: descriptions may lag behind it.
    pub(super) asked: Option<Tick>,
    /// When the cloud accepted to end the instance.
    pub(super) accepted: Option<Tick>,
    /// Whether it was proven that no job runs and none can come. Not where a spot deadline or a limit cut the wait short.
    pub(super) proven: bool,
    /// Whether this instance's own hook was answered: whatever holds the ending off now is somebody else's.
    pub(super) answered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum RetireStep {
    /// The registration goes.
    Deregister,
    /// What does the group think of this instance?
    Look,
    /// The termination hook is answered.
    CompleteHook,
    /// One rung of the ladder.
    End,
}

impl DrainStep {
    /// Whether nobody is left to take a job, so that none is to be failed for a spot deadline.
    pub(super) fn is_proven(self) -> bool {
        matches!(self, Self::Confirm { .. } | Self::Held { .. } | Self::MakeRoom { .. })
    }
}

impl State {
    /// Where the way into service begins. The host knows whether the program for this boot has run.
    pub(super) fn first(policy: &AgentPolicy, now: Tick) -> Self {
        match policy.before_register {
            Some(within) => Self::Preparing { since: now, within },
            None => Self::booting(now),
        }
    }

    pub(super) fn booting(now: Tick) -> Self {
        Self::Booting(Booting { since: now, step: BootStep::Look, seen: None, let_in: None })
    }

    pub(super) fn draining(why: LeaveReason, step: DrainStep) -> Self {
        Self::Draining(Draining { why, step, gentlest: Rung::Decrement })
    }

    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Preparing { .. } => Phase::Preparing,
            Self::Booting(_) => Phase::Booting,
            Self::Registering { .. } => Phase::Registering,
            Self::Serving(Serving::Idle { since, .. }) => Phase::Idle { since: *since },
            Self::Serving(Serving::Busy) | Self::Returning { .. } => Phase::Busy,
            Self::Draining(draining) => Phase::Draining { why: draining.why },
            Self::Retiring(retiring) => Phase::Retiring { why: retiring.why },
            Self::Gone => Phase::Gone,
        }
    }

    /// How fast this place's question is repeated.
    pub(super) fn pace(&self) -> Backoff {
        const fn ms(first: u64, most: u64) -> Backoff {
            Backoff::new(Duration::from_millis(first), Duration::from_millis(most))
        }
        match self {
            Self::Booting(_) => ms(500, 5_000),
            Self::Preparing { .. } | Self::Registering { .. } | Self::Returning { .. } => ms(1_000, 30_000),
            Self::Serving(_) | Self::Gone => ms(1_000, 1_000),
            Self::Draining(draining) => match draining.step {
                DrainStep::Ask { .. } => ms(1_000, 15_000),
                DrainStep::Confirm { .. } => ms(500, 5_000),
                DrainStep::Save | DrainStep::Exit { .. } | DrainStep::Held { .. } | DrainStep::MakeRoom { .. } => {
                    ms(1_000, 1_000)
                }
            },
            Self::Retiring(retiring) => match retiring.step {
                RetireStep::Deregister => ms(1_000, 30_000),
                // One for all of it: whatever the answers, it slows down until something has come of it.
                RetireStep::End | RetireStep::Look | RetireStep::CompleteHook => ms(200, 30_000),
            },
        }
    }

    pub(super) fn restart_boot_clock(&mut self, now: Tick) {
        match self {
            Self::Booting(Booting { since, .. }) | Self::Registering { since } => *since = now,
            Self::Preparing { .. }
            | Self::Serving(_)
            | Self::Returning { .. }
            | Self::Draining(_)
            | Self::Retiring(_)
            | Self::Gone => {}
        }
    }

    /// Where a runner was told to exit: since when it has had nothing to do. `None` anywhere else.
    fn quiet_since(&mut self) -> Option<&mut Option<Tick>> {
        match self {
            Self::Draining(Draining { step: DrainStep::Exit { quiet_since }, .. })
            | Self::Returning { step: ReturnStep::OldExit { quiet_since }, .. } => Some(quiet_since),
            Self::Preparing { .. }
            | Self::Booting(_)
            | Self::Registering { .. }
            | Self::Serving(_)
            | Self::Returning { .. }
            | Self::Draining(_)
            | Self::Retiring(_)
            | Self::Gone => None,
        }
    }

    /// The exit clock runs from the first snapshot that is quiet.
    pub(super) fn run_exit_clock(&mut self, quiet: bool, now: Tick) {
        if let Some(since) = self.quiet_since() {
            *since = quiet.then(|| since.unwrap_or(now));
        }
    }

    pub(super) fn restart_exit_clock(&mut self, now: Tick) {
        if let Some(since) = self.quiet_since() {
            *since = Some(now);
        }
    }

    /// The fresh snapshot at the end of the idle time is asked for.
    pub(super) fn confirm_idle(&mut self) {
        if let Self::Serving(Serving::Idle { confirmed, .. }) = self {
            *confirmed = true;
        }
    }

    pub(super) fn set_yielded(&mut self, yields: bool) {
        if let Self::Serving(Serving::Idle { yielded, .. }) = self {
            *yielded = yields;
        }
    }

    /// A stronger reason to leave, by the way that was begun. Whether it is stronger.
    pub(super) fn strengthen(&mut self, stronger: LeaveReason) -> bool {
        let (Self::Draining(Draining { why, .. }) | Self::Retiring(Retiring { why, .. })) = self else { return false };
        let before = std::mem::replace(why, stronger.max(*why));
        before < stronger
    }

    /// The machine stood still: no time counts that nobody saw.
    pub(super) fn restart_clocks(&mut self, now: Tick) {
        match self {
            Self::Preparing { since, .. }
            | Self::Booting(Booting { since, .. })
            | Self::Registering { since }
            | Self::Returning { since: Some(since), step: ReturnStep::Save | ReturnStep::Undrain }
            | Self::Draining(Draining {
                step: DrainStep::Confirm { proven_at: since, .. } | DrainStep::MakeRoom { since },
                ..
            })
            | Self::Retiring(Retiring { rung_since: since, .. }) => *since = now,
            Self::Draining(Draining { step: DrainStep::Ask { alone_since }, .. }) => *alone_since = None,
            // Busy until it was looked at; a runner's exit is heard as ever.
            Self::Serving(_)
            | Self::Returning { since: None, .. }
            | Self::Returning { step: ReturnStep::OldExit { .. }, .. }
            | Self::Draining(Draining {
                step: DrainStep::Save | DrainStep::Exit { .. } | DrainStep::Held { .. },
                ..
            })
            | Self::Gone => {}
        }
    }
}
