//! Lightsout's side: the scaler's plan at each tick, and the agents, whose effects are answered here.

use std::{collections::BTreeSet, mem, time::Duration};

use lightsout_core::{
    activity::{Activity, JobId},
    agent::{
        Agent, Output,
        action::Rung,
        event::Event,
        host::{
            CloudAnswer, CloudCall, EffectId, HostEffect, HostResult, JournalEntry, PlatformAnswer, PlatformCall,
            Prepared, RunnerSeen, ToldToDrain,
        },
        jitter::Jitter,
    },
    cloud::{Capabilities, CloudError, CloudErrorKind, Ending, HookRules, ProtectionSupport},
    invariants::{Deadline, EndFacts, Preparation},
    platform::{Demand, DrainBy, DrainRules, Drained, Requests, Signal, UndrainBy},
    scaling::{Capacity, Plan, PlanHistory, RaiseHistory, floor, observation},
    space::Room,
    time::Tick,
};

use super::{Happening, Id, Loss, NOTICE, World, accounts::Place};
use crate::setup::LightsoutSettings;

/// How often a job that comes may make the scaler look.
const HINTS: Duration = Duration::from_secs(1);
/// How long a termination hook waits before it must be extended.
const HOOK: Duration = Duration::from_secs(300);
/// How often an agent looks at its instance's metadata.
const METADATA: Duration = Duration::from_secs(1);
/// What an EC2 Auto Scaling group can do.
const CLOUD: Capabilities = Capabilities {
    protection: ProtectionSupport::AtLaunch,
    termination_hook: Some(HookRules { time_outs: 100, longest: Duration::from_secs(48 * 3_600) }),
    leaving_lowers_capacity: false,
    replaces_unhealthy: true,
    power_off_ends_billing: true,
    conditional_raise: false,
    longest_notice: NOTICE,
};
/// A platform that stops sending jobs at a call, and says whether one still runs.
const DRAINS: DrainRules =
    DrainRules { drain: DrainBy::Call, undrain: UndrainBy::Call, abort: Signal::Term, quiesce: false };

/// The scaler, and what it remembers between two ticks.
pub(super) struct Scaler {
    pub(super) settings: LightsoutSettings,
    raise_history: RaiseHistory,
    raised: Option<Tick>,
    ticked: Option<Tick>,
    hinted: bool,
}

impl Scaler {
    pub(super) fn new(settings: LightsoutSettings) -> Self {
        Self { settings, raise_history: RaiseHistory::default(), raised: None, ticked: None, hinted: false }
    }
}

impl World<'_> {
    /// A tick of the scaler: what waits, what is desired, the plan, the raise, the floor.
    pub(super) fn plan(&mut self) {
        let now = self.now;
        let queued = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let demand = Demand { queued, running: Some(self.running), poll_after: None };
        let capacity = Capacity { min: self.group.min, max: self.group.max, desired: self.group.desired, lately: 0 };
        let super::Driver::Lightsout(scaler) = &mut self.driver else { return };
        let policy = self.hours.policy(&scaler.settings.scaler, now);
        let policy = policy.as_ref();
        let since_start = now.since(Tick::ZERO);
        (scaler.ticked, scaler.hinted) = (Some(now), false);
        scaler.raise_history.see(observation(policy, &demand, capacity.desired), since_start);
        let past = PlanHistory {
            since_raise: scaler.raised.map(|at| now.since(at)),
            unanswered: None,
            outlook: scaler.raise_history.outlook(since_start),
        };
        let plan = (scaler.settings.plan)(policy, &demand, capacity, past);
        self.group.floor = floor(policy, capacity);
        if let Plan::Raise { to, .. } = plan {
            scaler.raised = Some(now);
            scaler.raise_history.raised(to);
            self.raise(to);
        }
    }

    /// A job came: with a webhook the scaler looks, once a second at most.
    pub(super) fn hint(&mut self) {
        let super::Driver::Lightsout(scaler) = &mut self.driver else { return };
        if !scaler.settings.webhook || mem::replace(&mut scaler.hinted, true) {
            return;
        }
        let at = scaler.ticked.map_or(self.now, |at| at + HINTS);
        self.at(at, Happening::Hint);
    }

    pub(super) fn begin_agent(&mut self, id: Id) {
        let super::Driver::Lightsout(scaler) = &self.driver else { return };
        let jitter = Jitter::of(&format!("i-{id:017x}"));
        let policy = scaler.settings.agent.clone();
        let agent = Agent::new(policy, DRAINS, CLOUD, JournalEntry::FRESH, false, jitter, self.now);
        let instance = &mut self.instances[id as usize];
        instance.agent = Some(Box::new(agent));
        instance.ledger.agent_began();
        if let Some(at) = self.instances[id as usize].spot {
            self.tell(id, Event::Ending { by: Ending::Interruption, at: Some(at) });
        }
        self.pump(id);
    }

    pub(super) fn spot_notice(&mut self, id: Id) {
        let at = self.announce(id);
        self.tell(id, Event::Ending { by: Ending::Interruption, at: Some(at) });
    }

    /// The metadata show that the group ends it.
    pub(super) fn target(&mut self, id: Id) {
        self.tell(id, Event::TargetState(lightsout_core::cloud::TargetState::Terminated));
    }

    fn tell(&mut self, id: Id, event: Event) {
        self.with_agent(id, |agent, now| agent.handle(event, now));
    }

    pub(super) fn wake(&mut self, id: Id) {
        let now = self.now;
        let instance = &mut self.instances[id as usize];
        if instance.wake_at.is_some_and(|at| at <= now) {
            instance.wake_at = None;
            self.with_agent(id, Agent::handle_timeout);
        }
    }

    pub(super) fn answer(&mut self, id: Id, effect: EffectId, result: HostResult) {
        self.with_agent(id, |agent, now| agent.resume(effect, result, now));
    }

    /// The probes are looked at, as often as the agent wishes.
    pub(super) fn sample(&mut self, id: Id) {
        self.instances[id as usize].look_due = false;
        let seen = self.activity(id);
        self.with_agent(id, |agent, now| agent.sampled(seen, false, now));
    }

    /// What runs has changed: the next regular look shows it.
    pub(super) fn look_soon(&mut self, id: Id) {
        let instance = &mut self.instances[id as usize];
        let Some(agent) = &instance.agent else { return };
        if mem::replace(&mut instance.look_due, true) {
            return;
        }
        let within = super::ms(agent.sample_interval());
        let after = Duration::from_millis(self.chance.below(within + 1));
        self.after(after, Happening::Sample(id));
    }

    fn with_agent(&mut self, id: Id, act: impl FnOnce(&mut Agent, Tick)) {
        let now = self.now;
        if let Some(agent) = &mut self.instances[id as usize].agent {
            act(agent, now);
            self.pump(id);
        }
    }

    /// Carries out what the agent wants, until it wants nothing more now.
    fn pump(&mut self, id: Id) {
        loop {
            let Some(agent) = &mut self.instances[id as usize].agent else { return };
            match agent.poll_output() {
                Some(Output::Effect { id: effect, effect: wanted }) => match self.perform(id, wanted) {
                    Done::Now(result) => {
                        let now = self.now;
                        if let Some(agent) = &mut self.instances[id as usize].agent {
                            agent.resume(effect, result, now);
                        }
                    }
                    Done::After(span, result) => self.after(span, Happening::Answer(id, effect, result)),
                },
                Some(Output::Reply { .. } | Output::Finished { .. } | Output::Corrected(_)) => {}
                None if mem::take(&mut self.instances[id as usize].exited) => {
                    let now = self.now;
                    if let Some(agent) = &mut self.instances[id as usize].agent {
                        agent.handle(Event::RunnerExited, now);
                    }
                }
                None => break,
            }
        }
        let instance = &mut self.instances[id as usize];
        if let Some(due) = instance.agent.as_ref().and_then(|agent| agent.poll_timeout())
            && instance.wake_at.is_none_or(|at| due < at)
        {
            instance.wake_at = Some(due);
            self.at(due, Happening::Wake(id));
        }
    }

    fn perform(&mut self, id: Id, effect: HostEffect) -> Done {
        let runner = self.instances[id as usize].runner;
        Done::Now(match effect {
            HostEffect::Prepare { .. } => HostResult::Prepared(Prepared::Succeeded),
            HostEffect::FindRunner => HostResult::Runner(Ok(runner.map(|told| RunnerSeen { told }))),
            HostEffect::StartRunner { .. } => {
                let membership = self.membership(id);
                let instance = &mut self.instances[id as usize];
                instance.ledger.runner_started(
                    runner.is_some(),
                    membership,
                    true,
                    CLOUD.protection,
                    Preparation::NotAsked,
                );
                (instance.runner, instance.ready) = (Some(ToldToDrain::No), true);
                self.accept(id, true);
                DONE
            }
            HostEffect::NoteTold(told) => {
                if runner.is_some() {
                    self.instances[id as usize].runner = Some(told);
                }
                DONE
            }
            HostEffect::SignalRunner(_) | HostEffect::KillRunner => {
                self.end_jobs(id);
                let instance = &mut self.instances[id as usize];
                instance.exited |= instance.runner.take().is_some();
                self.accept(id, false);
                DONE
            }
            HostEffect::EndJobs => {
                self.end_jobs(id);
                DONE
            }
            HostEffect::CountRequests => HostResult::Requests(Ok(Requests { in_flight: 0, reloads: 1 })),
            HostEffect::AwaitExit { .. } if runner.is_none() => HostResult::Exited(true),
            HostEffect::AwaitExit { within } => return Done::After(within, HostResult::Exited(false)),
            HostEffect::Pause(span) => return Done::After(span, DONE),
            HostEffect::OpenPlatform => HostResult::Platform(Ok(PlatformAnswer::Done)),
            HostEffect::Platform { call, .. } => HostResult::Platform(Ok(self.platform(id, call))),
            HostEffect::LookForRoom => {
                self.instances[id as usize].ledger.looked_for_room(false);
                HostResult::Room(Room::Enough)
            }
            HostEffect::MakeRoom { .. } => HostResult::Cleaned(Ok("nothing was in the way".into())),
            HostEffect::Snapshot => HostResult::Snapshot { activity: self.activity(id), token_refused: false },
            HostEffect::Cloud(call) => {
                if let CloudCall::End(rung) = call {
                    self.judge_end(id, rung);
                }
                HostResult::Cloud(self.cloud(id, call))
            }
            HostEffect::WriteJournal(_)
            | HostEffect::QuiesceRunner
            | HostEffect::NoteJobs
            | HostEffect::FindProgram
            | HostEffect::LookForCleaning
            | HostEffect::ForgetToken
            | HostEffect::ReleaseClients => DONE,
        })
    }

    fn platform(&mut self, id: Id, call: PlatformCall) -> PlatformAnswer {
        match call {
            PlatformCall::Check | PlatformCall::Register => {}
            PlatformCall::Undrain => {
                let runs = self.instances[id as usize].runner.is_some();
                self.accept(id, runs);
            }
            PlatformCall::Deregister => self.accept(id, false),
            PlatformCall::Drain => {
                self.accept(id, false);
                let busy = !self.instances[id as usize].jobs.is_empty();
                return PlatformAnswer::Drained(if busy { Drained::StillBusy } else { Drained::Empty });
            }
        }
        PlatformAnswer::Done
    }

    fn cloud(&mut self, id: Id, call: CloudCall) -> Result<CloudAnswer, CloudError> {
        let refuse = |kind| Err(CloudError::new(kind, "refused"));
        let place = self.instances[id as usize].place;
        match call {
            CloudCall::Membership => return Ok(CloudAnswer::Membership(self.membership(id))),
            CloudCall::GroupSize => return Ok(CloudAnswer::GroupSize(self.group.group_size(id))),
            CloudCall::FindHook => return Ok(CloudAnswer::Hook(Some(HOOK))),
            CloudCall::Protect(_) | CloudCall::RecordReady | CloudCall::RecordReason(_) => {}
            CloudCall::ExtendLaunchHook | CloudCall::CompleteLaunchHook | CloudCall::End(Rung::Abandon) => {
                return refuse(CloudErrorKind::NothingHeld);
            }
            CloudCall::ExtendHook if place == Place::Terminating => {}
            CloudCall::CompleteHook if place == Place::Terminating => self.end(id),
            CloudCall::ExtendHook | CloudCall::CompleteHook => return refuse(CloudErrorKind::NothingHeld),
            CloudCall::End(Rung::Terminate | Rung::PowerOff) => self.end(id),
            CloudCall::End(_) if place != Place::Member => return refuse(CloudErrorKind::InProgress),
            CloudCall::End(Rung::Decrement) if self.group.desired <= self.group.min => {
                return refuse(CloudErrorKind::AtFloor);
            }
            CloudCall::End(rung) => {
                if rung == Rung::Decrement {
                    let membership = self.membership(id);
                    self.instances[id as usize].ledger.lowered(membership);
                    self.group.desired -= 1;
                }
                self.leave_group(id);
                self.after(METADATA, Happening::Target(id));
            }
        }
        Ok(CloudAnswer::Done)
    }

    /// The agent asks to end. Nobody orders it to here, and no call is left without an answer: no way is in vain for as long as a blunter one
    /// would need.
    fn judge_end(&mut self, id: Id, rung: Rung) {
        let membership = self.membership(id);
        let size = self.group.group_size(id);
        let super::Driver::Lightsout(scaler) = &self.driver else { return };
        let facts = EndFacts {
            rung,
            cloud: CLOUD,
            retiring: Duration::ZERO,
            patience: scaler.settings.agent.rung_patience,
            places: [membership; 2],
            surplus: size.members > size.desired,
            refused: size.desired <= size.min,
            denied: false,
        };
        let instance = &mut self.instances[id as usize];
        let why = instance.agent.as_ref().and_then(|agent| agent.phase().why());
        instance.ledger.leaves(why, false);
        instance.ledger.asked_to_end(facts);
    }

    fn activity(&self, id: Id) -> Activity {
        let jobs = &self.instances[id as usize].jobs;
        if jobs.is_empty() {
            Activity::Quiet
        } else {
            Activity::Busy(jobs.iter().map(|job| JobId(job.to_string())).collect::<BTreeSet<_>>())
        }
    }

    /// The agent ends what runs: allowed before a spot deadline alone.
    fn end_jobs(&mut self, id: Id) {
        let super::Driver::Lightsout(scaler) = &self.driver else { return };
        let margin = scaler.settings.agent.abort_margin;
        let spot = self.instances[id as usize].spot.map(|at| Deadline { at, margin });
        if self.lose_jobs(id, if spot.is_some() { Loss::Spot } else { Loss::Cut }) {
            let now = self.now;
            self.instances[id as usize].ledger.job_ended(spot, now);
        }
    }
}

/// When an effect is over, and what came of it.
enum Done {
    Now(HostResult),
    After(Duration, HostResult),
}

const DONE: HostResult = HostResult::Done(Ok(()));
