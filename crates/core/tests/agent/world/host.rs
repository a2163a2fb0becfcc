//! The host: what each effect does to the world, and what it answers.

use lightsout_core::{
    activity::Activity,
    agent::host::{CloudCall, HostEffect, HostResult, PlatformAnswer, PlatformCall, Prepared, RunnerSeen},
    agent::policy::Protection,
    cloud::{CloudError, CloudErrorKind},
    exchange::{ErrorKind, ExchangeError},
    invariants::{Deadline, Part},
    platform::{Drained, Requests, Signal},
    space::Room,
};

use super::{
    World,
    group::membership,
    runner::{Kind, Runner},
};

impl World {
    /// What an effect does to the world.
    pub(crate) fn perform(&mut self, effect: HostEffect) -> HostResult {
        match effect {
            HostEffect::WriteJournal(entry) => self.journal = entry,
            HostEffect::Prepare { .. } => {
                return HostResult::Prepared(if *self.prepared.get_or_insert(true) {
                    Prepared::Succeeded
                } else {
                    Prepared::Failed("exit status 1".into())
                });
            }
            HostEffect::FindRunner => {
                return HostResult::Runner(Ok(self
                    .runner
                    .map(|runner| RunnerSeen { told: runner.noted.max(runner.remembered) })));
            }
            HostEffect::StartRunner { .. } => {
                self.ledger.runner_started(
                    self.runner.is_some(),
                    membership(self.place, self.protected),
                    self.policy.protection.on(self.capabilities) == Protection::Always,
                    self.capabilities.protection,
                    self.preparation(),
                );
                assert!(std::mem::take(&mut self.launch), "started without a registration");
                self.runner = Some(Runner::FRESH);
            }
            HostEffect::NoteTold(told) => {
                if let Some(runner) = &mut self.runner {
                    (runner.noted, runner.remembered) = (told, told);
                }
            }
            HostEffect::SignalRunner(signal) => self.signal(signal),
            HostEffect::QuiesceRunner => {
                if let Some(runner) = &mut self.runner {
                    (runner.reload_due, runner.unquiesced) = (true, false);
                }
            }
            HostEffect::CountRequests => {
                let Some(runner) = &mut self.runner else {
                    return HostResult::Requests(Err("nobody answers".into()));
                };
                runner.looks = runner.looks.saturating_add(1).min(2);
                runner.late &= runner.looks < 2;
                return HostResult::Requests(Ok(Requests {
                    in_flight: u32::from(runner.asking),
                    reloads: u32::from(runner.reloads),
                }));
            }
            HostEffect::AwaitExit { within } => {
                if self.runner.is_some_and(|runner| runner.dying || (runner.finishing && !runner.job)) {
                    self.lose_runner();
                }
                if self.runner.is_some_and(|runner| !runner.reload_due) {
                    self.now = self.now + within;
                }
                return HostResult::Exited(self.runner.is_none());
            }
            HostEffect::EndJobs => self.cut(),
            HostEffect::KillRunner => {
                self.cut();
                if self.runner.is_some() {
                    self.lose_runner();
                }
            }
            HostEffect::Pause(pause) => self.now = self.now + pause,
            HostEffect::FindProgram => self.ledger.seen(Part::Program),
            HostEffect::OpenPlatform => {
                self.ledger.seen(Part::Token);
                return HostResult::Platform(Ok(PlatformAnswer::Done));
            }
            HostEffect::LookForCleaning if self.cleaning => {
                return HostResult::Done(Err("room is still being made".into()));
            }
            HostEffect::LookForCleaning
            | HostEffect::NoteJobs
            | HostEffect::ForgetToken
            | HostEffect::ReleaseClients => {}
            HostEffect::LookForRoom => {
                self.ledger.looked_for_room(self.full);
                return HostResult::Room(if self.full { Room::Short("full".into()) } else { Room::Enough });
            }
            HostEffect::MakeRoom { .. } => {
                self.ledger.makes_room(self.runner.map(Runner::facts));
                self.full = false;
                return HostResult::Cleaned(Ok("all was removed".into()));
            }
            HostEffect::Platform { call, .. } => return HostResult::Platform(Ok(self.platform(call))),
            HostEffect::Snapshot => {
                return HostResult::Snapshot { activity: self.truth(), token_refused: false };
            }
            HostEffect::Cloud(call) => return HostResult::Cloud(self.cloud(call)),
        }
        HostResult::Done(Ok(()))
    }

    fn platform(&mut self, call: PlatformCall) -> PlatformAnswer {
        match (call, &mut self.runner, self.kind) {
            (PlatformCall::Check, ..) => self.ledger.seen(Part::Platform),
            (PlatformCall::Register, ..) => self.launch = true,
            (PlatformCall::Drain, None, _) => return PlatformAnswer::Drained(Drained::Empty),
            (PlatformCall::Drain, Some(runner), Kind::Remove) if runner.job => {
                return PlatformAnswer::Drained(Drained::Refused);
            }
            (PlatformCall::Drain, Some(runner), _) => {
                runner.accepting = false;
                return PlatformAnswer::Drained(if runner.job { Drained::StillBusy } else { Drained::Empty });
            }
            (PlatformCall::Undrain, Some(runner), _) => runner.accepting = !runner.dying,
            (PlatformCall::Deregister, Some(runner), _) => runner.accepting = false,
            (PlatformCall::Undrain | PlatformCall::Deregister, None, _) => {}
        }
        PlatformAnswer::Done
    }

    fn signal(&mut self, signal: Signal) {
        if self.kind == Kind::CancelsRequests {
            self.cancel_request();
        }
        let Some(runner) = &mut self.runner else { return };
        let drains = match self.kind {
            Kind::Signal | Kind::CancelsRequests => signal == Signal::Quit,
            Kind::SameSignal => !runner.finishing,
            Kind::Call | Kind::Remove => false,
        };
        (runner.accepting, runner.finishing) = (false, true);
        if !drains {
            runner.dying = true;
            self.cut();
        }
    }

    pub(super) fn job_runs(&self) -> bool {
        self.runner.is_some_and(|runner| runner.job)
    }

    /// Whether room is being made, by this agent or an earlier one.
    pub(super) fn makes_room(&self) -> bool {
        self.cleaning || self.open.iter().any(|(_, effect)| matches!(effect, HostEffect::MakeRoom { .. }))
    }

    pub(super) fn truth(&self) -> Activity {
        if self.job_runs() { Activity::busy("job") } else { Activity::Quiet }
    }

    pub(super) fn lose_runner(&mut self) {
        self.cut();
        self.runner = None;
        self.exit_news = true;
    }

    /// A request that is on its way is cancelled: a job that was handed out is nobody's.
    fn cancel_request(&mut self) {
        if let Some(runner) = &mut self.runner {
            if runner.unquiesced {
                (runner.asking, runner.handed_out) = (false, false);
                return;
            }
            runner.job |= std::mem::take(&mut runner.handed_out);
            if std::mem::take(&mut runner.asking) && runner.job {
                self.cut();
            }
        }
    }

    /// Whatever runs is ended by what the agent did.
    pub(super) fn cut(&mut self) {
        if let Some(runner) = &mut self.runner {
            runner.job |= std::mem::take(&mut runner.handed_out);
        }
        if let Some(runner) = &mut self.runner
            && std::mem::take(&mut runner.job)
        {
            let first = self.endings.values().min();
            let deadline = first.map(|at| Deadline { at: *at, margin: self.policy.abort_margin });
            self.ledger.job_ended(deadline, self.now);
        }
    }
}

/// Nothing waits for these.
pub(super) fn aside(effect: HostEffect) -> bool {
    matches!(
        effect,
        HostEffect::ForgetToken
            | HostEffect::ReleaseClients
            | HostEffect::Cloud(CloudCall::RecordReady | CloudCall::RecordReason(_))
    )
}

/// These are over in no time.
pub(super) fn local(effect: HostEffect) -> bool {
    matches!(
        effect,
        HostEffect::FindRunner
            | HostEffect::LookForRoom
            | HostEffect::NoteTold(_)
            | HostEffect::Pause(_)
            | HostEffect::OpenPlatform
    )
}

pub(super) fn is_entry(effect: HostEffect) -> bool {
    matches!(effect, HostEffect::WriteJournal(_))
}

/// The result of an effect that failed in this way.
pub(super) fn failure(effect: HostEffect, cloud: CloudErrorKind, platform: ErrorKind) -> HostResult {
    let why = "no answer";
    match effect {
        HostEffect::Prepare { .. } => HostResult::Prepared(Prepared::Unknown(why.into())),
        HostEffect::FindRunner => HostResult::Runner(Err(why.into())),
        HostEffect::AwaitExit { .. } => HostResult::Exited(false),
        HostEffect::OpenPlatform | HostEffect::Platform { .. } => {
            HostResult::Platform(Err(ExchangeError::new(platform, why)))
        }
        HostEffect::CountRequests => HostResult::Requests(Err(why.into())),
        HostEffect::MakeRoom { .. } => HostResult::Cleaned(Ok("nothing was removed".into())),
        HostEffect::LookForRoom => HostResult::Room(Room::Unknown),
        HostEffect::Snapshot => HostResult::Snapshot { activity: Activity::Unknown(why.into()), token_refused: false },
        HostEffect::Cloud(_) => HostResult::Cloud(Err(CloudError::new(cloud, why))),
        HostEffect::WriteJournal(_)
        | HostEffect::StartRunner { .. }
        | HostEffect::NoteTold(_)
        | HostEffect::SignalRunner(_)
        | HostEffect::QuiesceRunner
        | HostEffect::NoteJobs
        | HostEffect::EndJobs
        | HostEffect::KillRunner
        | HostEffect::Pause(_)
        | HostEffect::FindProgram
        | HostEffect::LookForCleaning
        | HostEffect::ForgetToken
        | HostEffect::ReleaseClients => HostResult::Done(Err(why.into())),
    }
}
