//! Every timer of the lifecycle, in one table: whatever waits for time asks [`Lifecycle::elapsed`] for one of these, so none can be
//! forgotten when the shell asks how long it may sleep.

use std::time::Duration;

use super::{
    Lifecycle,
    state::{Booting, DrainStep, Draining, ReturnStep, Serving, State},
};
use crate::{agent::phase::LeaveReason, time::Tick};

/// How long making room takes at most beside the program itself and what an earlier agent began: looks that are tried again.
const ROOM_MARGIN: Duration = Duration::from_secs(120);

/// The turns of this instance's [`Jitter`](crate::agent::jitter::Jitter) that are not a retry's.
const AGE: u64 = 1 << 32;
const REBALANCE: u64 = 2 << 32;
const RUNNER_EXPIRY: u64 = 3 << 32;

/// Over how long after its runner's last day a pool is spread. After, and not before: whoever replaces an instance, from the same image perhaps, then
/// comes into service after that day, and stays.
const EXPIRY_SPREAD: Duration = Duration::from_secs(3600);

macro_rules! timers {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Timer { $($(#[$doc])* $name),+ }

        impl Timer {
            const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

timers! {
    /// The main line asks again.
    MainLine,
    /// An instance that is not ready by then is broken.
    BootDeadline,
    /// An instance of which nothing can be said by then is broken.
    DoubtLimit,
    /// The last part of an idle period begins: a fresh snapshot is due.
    IdleConfirm,
    /// Idle long enough.
    IdleTimeout,
    /// Old enough.
    Age,
    /// Its runner is too old.
    RunnerExpiry,
    /// Has served long enough to leave because of a risk.
    Rebalance,
    /// Jobs that still run are failed: the cloud is about to end them.
    Abort,
    /// Nothing is waited for any more: the cloud ends what runs now.
    LastLeave,
    /// What is seen after the proof is a remnant.
    ProofLimit,
    /// The operator's hold ends, for which room is not made yet.
    HoldEnd,
    /// Making room does not end.
    MakeRoomLimit,
    /// A runner that was told to exit, has no job and does not exit may be stuck: a fresh snapshot is due.
    ExitLimit,
    ExtendLaunchHook,
    /// The termination hook is extended.
    ExtendHook,
    /// Protection is tried again.
    Protection,
    /// That the instance is ready is written on it again.
    ReadySign,
}

impl Lifecycle {
    /// When [`Lifecycle::handle_timeout`] is due. May lie in the past.
    pub fn poll_timeout(&self) -> Option<Tick> {
        Timer::ALL.iter().filter_map(|timer| self.due(*timer)).min()
    }

    pub(super) fn elapsed(&self, timer: Timer, now: Tick) -> bool {
        self.due(timer).is_some_and(|due| due <= now)
    }

    fn due(&self, timer: Timer) -> Option<Tick> {
        if self.state == State::Gone {
            return None;
        }
        match timer {
            Timer::MainLine => self.main_line.due(),
            Timer::BootDeadline => self.boot_deadline(),
            Timer::DoubtLimit => {
                let serving = self.state == State::Serving(Serving::Busy) && self.reasons.trouble().is_none();
                self.observed.doubt_since().filter(|_| serving).map(|since| since + self.policy.unknown_limit)
            }
            Timer::IdleConfirm => self.idle_confirm(),
            Timer::IdleTimeout => self.idle_timeout(),
            Timer::Age => {
                let most = self.policy.max_age?;
                // Those that were launched together would else leave together.
                let due = self.in_service? + most.saturating_sub(self.jitter.within(most / 10, AGE));
                let counts = self.phase().why().is_none_or(|why| why < LeaveReason::Age);
                counts.then(|| self.orders.after_hold(due))
            }
            Timer::RunnerExpiry => {
                let expires = self.reasons.runner_expires().filter(|_| self.policy.leave_on_runner_expiry)?;
                // One that was launched from an image that was too old already would be replaced by another such, for ever.
                if self.in_service? >= expires {
                    return None;
                }
                let due = expires + self.jitter.within(EXPIRY_SPREAD, RUNNER_EXPIRY);
                let counts = self.phase().why().is_none_or(|why| why < LeaveReason::RunnerExpired);
                counts.then(|| self.orders.after_hold(due))
            }
            Timer::Rebalance => {
                let least = self.policy.rebalance_after;
                let counts = self.reasons.rebalance() && self.policy.leave_on_rebalance;
                let due = self.in_service? + least + self.jitter.within(least / 2, REBALANCE);
                (counts && self.phase().why().is_none_or(|why| why < LeaveReason::Rebalance)).then_some(due)
            }
            Timer::Abort => {
                let State::Draining(draining) = self.state else { return None };
                let confirming = draining.step.is_proven();
                self.reasons.budget().filter(|_| !self.reasons.aborted() && !confirming).map(|budget| budget.abort_at)
            }
            Timer::LastLeave => {
                let draining = matches!(self.state, State::Draining(_));
                self.reasons.budget().filter(|_| draining).map(|budget| budget.leave_at)
            }
            Timer::ProofLimit => self.proof_limit(),
            Timer::HoldEnd => {
                let State::Draining(Draining { step: DrainStep::Held { .. }, .. }) = self.state else { return None };
                self.orders.hold()
            }
            Timer::MakeRoomLimit => {
                let State::Draining(Draining { step: DrainStep::MakeRoom { since }, .. }) = self.state else {
                    return None;
                };
                Some(since + 2 * self.policy.clean_timeout + ROOM_MARGIN)
            }
            Timer::ExitLimit => match self.state {
                State::Draining(Draining { step: DrainStep::Exit { quiet_since }, .. })
                | State::Returning { step: ReturnStep::OldExit { quiet_since }, .. } => {
                    // The fresh snapshot decides first.
                    quiet_since.filter(|_| !self.side.probing()).map(|since| since + self.policy.unknown_limit)
                }
                State::Preparing { .. }
                | State::Booting(_)
                | State::Registering { .. }
                | State::Serving(_)
                | State::Returning { .. }
                | State::Draining(_)
                | State::Retiring(_)
                | State::Gone => None,
            },
            Timer::ExtendLaunchHook => self.side.extend_launch_hook_due(),
            Timer::ExtendHook => self.side.extend_hook_due(),
            Timer::Protection => self.side.protection_due(),
            Timer::ReadySign => self.side.ready_sign_due(),
        }
    }

    fn boot_deadline(&self) -> Option<Tick> {
        let since = match self.state {
            // The host ends the program in time, and may not be able to tell.
            State::Preparing { since, within } => since + within,
            State::Booting(booting) if self.rests_in_pool(booting) => return None,
            State::Booting(Booting { since, .. }) | State::Registering { since } => since,
            // A drain that cannot be taken back: whether it serves is not known.
            State::Returning { since, step: ReturnStep::Save | ReturnStep::Undrain } => since?,
            State::Returning { step: ReturnStep::OldExit { .. }, .. }
            | State::Serving(_)
            | State::Draining(_)
            | State::Retiring(_)
            | State::Gone => return None,
        };
        self.reasons.trouble().is_none().then(|| since + self.policy.boot_deadline)
    }

    fn idle_confirm(&self) -> Option<Tick> {
        let State::Serving(Serving::Idle { since, confirmed: false, asking_size: false, .. }) = self.state else {
            return None;
        };
        let limit = self.policy.idle_timeout?;
        let due = since + limit.saturating_sub(self.policy.confirm);
        Some(self.orders.after_hold(due))
    }

    fn idle_timeout(&self) -> Option<Tick> {
        let State::Serving(Serving::Idle { since, confirmed: true, asking_size: false, .. }) = self.state else {
            return None;
        };
        let limit = self.policy.idle_timeout?;
        let due = (since + limit).max(self.idle_retry);
        // The fresh snapshot decides first.
        (!self.side.probing()).then(|| self.orders.after_hold(due))
    }

    /// When what is still seen after the proof stops counting: nobody is left to finish a job.
    fn proof_limit(&self) -> Option<Tick> {
        let State::Draining(draining) = self.state else { return None };
        match draining.step {
            // Without the platform's word a job that is seen is a job.
            DrainStep::Confirm { weak: true, .. } if self.observed.job_seen() => None,
            DrainStep::Confirm { proven_at, .. } => {
                let due = proven_at + self.policy.unknown_limit;
                // Whoever holds it for what is on its disk wants a remnant, too.
                Some(if draining.why == LeaveReason::Full { self.orders.after_hold(due) } else { due })
            }
            DrainStep::Save
            | DrainStep::Ask { .. }
            | DrainStep::Exit { .. }
            | DrainStep::Held { .. }
            | DrainStep::MakeRoom { .. } => None,
        }
    }
}
