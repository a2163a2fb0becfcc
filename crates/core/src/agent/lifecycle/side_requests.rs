//! Requests beside the main line, one of each kind in flight at most: protection, the termination hook, an early snapshot, the reason's
//! record. A second save and an abort are asked once and not waited for.

use std::time::Duration;

use super::{
    Lifecycle,
    repeated::Repeated,
    state::{Draining, Serving, State},
};
use crate::{
    agent::{
        action::Request,
        backoff::Backoff,
        event::{Outcome, RequestId},
        phase::{LeaveReason, Phase},
        policy::Protection,
    },
    cloud::ProtectionSupport,
    time::Tick,
};

/// The first pause before protection that could not be set is tried again, and before a heartbeat that failed.
const RETRY: Duration = Duration::from_secs(5);
/// The pause between two heartbeats while the hook's time-out is not known: a third of the shortest one that there is.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The pauses before that the instance is ready is written on it again.
const READY_AGAIN: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(3600));
/// The pauses before anything else is tried again that was refused. Instances to which that happens all at once, and for good, would else use up
/// what their account may ask.
const AGAIN: Backoff = Backoff::new(RETRY, Duration::from_secs(60));
/// The longest pause before protection that is wanted is tried again, unless a right is missing: a job may run without it meanwhile, or none begin.
const UNPROTECTED: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SideRequests {
    extend_launch_hook: Repeated,
    /// Whether the launch hook may hold the instance, as far as known.
    launch_held: bool,
    /// The pause between two heartbeats of the launch hook.
    launch_pause: Duration,
    extend_hook: Repeated,
    /// The pause between two heartbeats of the termination hook.
    heartbeat_pause: Duration,
    protection: Repeated,
    /// What protection was asked for.
    wanted: bool,
    /// What protection is known to be.
    protected: Option<bool>,
    probe: Option<RequestId>,
    /// The request that looks the termination hook up, once.
    hook_lookup: Option<RequestId>,
    /// Whether the group was found to have none.
    no_hook: bool,
    /// The sign that this instance has been ready.
    ready: Repeated,
    /// Whether it stands on the instance, or cannot.
    ready_settled: bool,
    /// Whether the reason was recorded on the instance.
    recorded: bool,
}

impl Default for SideRequests {
    fn default() -> Self {
        Self {
            extend_launch_hook: Repeated::new(AGAIN),
            launch_held: false,
            launch_pause: HEARTBEAT,
            extend_hook: Repeated::new(AGAIN),
            heartbeat_pause: HEARTBEAT,
            protection: Repeated::new(AGAIN),
            wanted: false,
            protected: None,
            probe: None,
            hook_lookup: None,
            no_hook: false,
            ready: Repeated::new(READY_AGAIN),
            ready_settled: false,
            recorded: false,
        }
    }
}

impl SideRequests {
    pub(super) fn protected(&self) -> Option<bool> {
        self.protected
    }

    pub(super) fn set_protected(&mut self, protected: bool) {
        self.protected = Some(protected);
    }

    pub(super) fn no_hook(&self) -> bool {
        self.no_hook
    }

    pub(super) fn probing(&self) -> bool {
        self.probe.is_some()
    }

    pub(super) fn extend_launch_hook_due(&self) -> Option<Tick> {
        self.extend_launch_hook.due()
    }

    pub(super) fn extend_hook_due(&self) -> Option<Tick> {
        self.extend_hook.due()
    }

    pub(super) fn protection_due(&self) -> Option<Tick> {
        self.protection.due()
    }

    pub(super) fn ready_sign_due(&self) -> Option<Tick> {
        self.ready.due()
    }
}

impl Lifecycle {
    /// When it is to be protected.
    pub(in crate::agent) fn protection(&self) -> Protection {
        self.policy.protection.on(self.cloud)
    }

    /// Sets or lifts protection where the policy wants it otherwise than it is.
    pub(super) fn keep_protection(&mut self, now: Tick) {
        let want = match (self.protection(), &self.state) {
            _ if self.cloud.protection == ProtectionSupport::Never => None,
            (_, State::Booting(_)) if self.protects_itself_first() => {
                (self.side.protected == Some(false)).then_some(true)
            }
            (
                _,
                State::Preparing { .. }
                | State::Booting(_)
                | State::Registering { .. }
                | State::Retiring(_)
                | State::Gone,
            ) => None,
            (Protection::Always, State::Serving(_) | State::Returning { .. } | State::Draining(_)) => {
                // Not known since a restart beside a runner: the agent before may have given it up, by another policy.
                (self.side.protected.is_some() || self.runner.alive()).then_some(true)
            }
            (Protection::WhileBusy, State::Serving(Serving::Idle { .. })) => Some(false),
            (Protection::WhileBusy, State::Serving(Serving::Busy) | State::Returning { .. } | State::Draining(_)) => {
                Some(true)
            }
        };
        let Some(want) = want.filter(|want| self.side.protected != Some(*want) && !self.reasons.chosen()) else {
            self.side.protection.drop_pause();
            self.side.protection.backoff = AGAIN;
            return;
        };
        if self.side.wanted != want && !self.side.protection.in_flight() {
            // What is wanted now has not been refused yet.
            self.side.protection.done(None);
        }
        if !self.side.protection.ready(now) {
            return;
        }
        self.side.wanted = want;
        let id = self.ask(Request::Protect(want));
        self.side.protection.asked(id);
    }

    /// Extends the launch hook until it is answered, the first time a moment after the start: most boots are over by then.
    pub(super) fn keep_launch_hook_alive(&mut self, now: Tick) {
        let held = match self.state {
            State::Preparing { .. } => true,
            State::Booting(booting) => booting.may_be_held(),
            // Room is made while the hook waits, and then it is let in.
            State::Draining(Draining { why: LeaveReason::Full, .. }) | State::Returning { .. } => self.side.launch_held,
            State::Registering { .. } | State::Serving(_) | State::Draining(_) | State::Retiring(_) | State::Gone => {
                false
            }
        };
        self.side.launch_held = held;
        if !held || !self.policy.launch_hook {
            self.side.extend_launch_hook.drop_pause();
        } else if self.side.extend_launch_hook.ready(now) {
            if self.side.extend_launch_hook.due().is_none() {
                self.side.extend_launch_hook.pause_until(now + RETRY);
            } else {
                let id = self.ask(Request::ExtendLaunchHook);
                self.side.extend_launch_hook.asked(id);
            }
        }
    }

    /// Looks the termination hook up once in service, and extends it for as long as jobs are waited for.
    pub(super) fn keep_hook_alive(&mut self, now: Tick) {
        let Some(rules) = self.cloud.termination_hook else { return };
        if self.side.hook_lookup.is_none()
            && !matches!(self.phase(), Phase::Preparing | Phase::Booting | Phase::Registering)
        {
            self.side.hook_lookup = Some(self.ask(Request::FindHook));
        }
        if !rules.extendable() || !self.reasons.chosen() || !matches!(self.state, State::Draining(_)) {
            self.side.extend_hook.drop_pause();
            return;
        }
        if self.side.extend_hook.ready(now) {
            let id = self.ask(Request::ExtendHook);
            self.side.extend_hook.asked(id);
        }
    }

    /// Writes on the instance that it is ready, once it serves: by this the scaler tells an instance that waits for a job from one whose agent
    /// never began.
    pub(super) fn keep_ready_sign(&mut self, now: Tick) {
        if self.side.ready_settled || !matches!(self.state, State::Serving(_)) {
            self.side.ready.drop_pause();
        } else if self.side.ready.ready(now) {
            let id = self.ask(Request::RecordReady);
            self.side.ready.asked(id);
        }
    }

    /// Writes on the instance why it ends, once it does.
    pub(super) fn keep_record(&mut self) {
        if let State::Retiring(retiring) = self.state
            && !self.side.recorded
        {
            self.side.recorded = true;
            self.ask(Request::RecordReason(retiring.why));
        }
    }

    /// The same, whatever is on its way from before.
    pub(super) fn probe_anew(&mut self) {
        self.side.probe = Some(self.ask(Request::Probe));
    }

    /// A look at all probes out of turn, before something is concluded from quiet.
    pub(super) fn probe_early(&mut self) {
        if self.side.probe.is_none() {
            self.side.probe = Some(self.ask(Request::Probe));
        }
    }

    pub(super) fn side_answer(&mut self, id: RequestId, outcome: Outcome, now: Tick) {
        let jitter = self.jitter;
        if self.side.extend_launch_hook.awaits(id) {
            if let Outcome::HookFound { heartbeat } = outcome {
                self.side.launch_pause = heartbeat;
                self.side.extend_launch_hook.done(Some(now + heartbeat));
            } else {
                self.side.extend_launch_hook.again(now, jitter, self.side.launch_pause / 2);
            }
        } else if let Outcome::HookFound { heartbeat } = outcome {
            self.side.heartbeat_pause = heartbeat;
        } else if self.side.hook_lookup == Some(id) {
            self.side.no_hook = outcome == Outcome::NoHook;
        } else if self.side.extend_hook.awaits(id) {
            let pause = self.side.heartbeat_pause;
            if outcome == Outcome::Done {
                self.side.extend_hook.done(Some(now + pause));
            } else {
                self.side.extend_hook.again(now, jitter, pause / 2);
            }
        } else if self.side.protection.awaits(id) {
            if outcome == Outcome::Done {
                self.side.protected = Some(self.side.wanted);
                self.side.protection.done(None);
            } else {
                if !self.side.wanted && matches!(outcome, Outcome::Failed(_)) {
                    // Given up perhaps: whoever gets a job now asks for it, whatever was known before.
                    self.side.protected = None;
                }
                // Detached it has nothing to be protected from.
                let presses = self.side.wanted && !matches!(outcome, Outcome::Denied(_) | Outcome::NotInGroup);
                self.side.protection.again(now, jitter, if presses { UNPROTECTED } else { Duration::MAX });
            }
        } else if self.side.ready.awaits(id) {
            self.side.ready_settled =
                outcome == Outcome::Done || matches!(outcome, Outcome::Denied(_)) && !self.rights_may_come(now);
            self.side.ready.again(now, jitter, Duration::MAX);
        } else if self.side.probe == Some(id) {
            self.side.probe = None;
            if let Outcome::Snapshot(activity) = outcome {
                self.observe(activity, now);
                self.end_stuck_runner(now);
            }
        }
    }
}
