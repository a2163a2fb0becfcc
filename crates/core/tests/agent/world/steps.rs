//! What becomes of the world, and of the agent in it, by each move.

use std::time::Duration;

use lightsout_core::{
    activity::Activity,
    agent::{
        event::{Event, Order},
        host::{CloudAnswer, HostEffect, HostResult},
        phase::Phase,
    },
    cloud::{CloudErrorKind, Ending, TargetState},
    exchange::ErrorKind,
};

use super::{
    World,
    group::{Place, membership},
    host::{failure, is_entry},
    moves::Move,
    runner::Runner,
};
use crate::rig::secs;

/// How long a right that an instance is given at its birth may take to reach it.
const RIGHTS: Duration = Duration::from_secs(300);

const ASLEEP: Duration = Duration::from_secs(3600);

impl World {
    pub(crate) fn step(&mut self, step: Move) {
        match step {
            Move::Answer(index) => {
                let (id, effect) = self.open.remove(index);
                let result = self.perform(effect);
                self.resume(id, result);
            }
            Move::Lose(index) => {
                self.left.faults -= 1;
                let (id, effect) = self.open.remove(index);
                self.looked_in_vain(effect);
                // The disk did not take it; what was told the host remembers until it crashes.
                match (effect, &mut self.runner) {
                    (HostEffect::NoteTold(told), Some(runner)) => runner.remembered = told,
                    (HostEffect::QuiesceRunner, Some(runner)) => runner.unquiesced = true,
                    _ => {}
                }
                self.resume(id, failure(effect, CloudErrorKind::Timeout, ErrorKind::Unreachable));
            }
            Move::LoseAnswer(index) => {
                self.left.faults -= 1;
                let (id, effect) = self.open.remove(index);
                self.perform(effect);
                self.looked_in_vain(effect);
                self.resume(id, failure(effect, CloudErrorKind::Timeout, ErrorKind::Unreachable));
            }
            Move::Reject(index) => {
                self.left.faults -= 1;
                let (id, effect) = self.open.remove(index);
                self.resume(id, failure(effect, CloudErrorKind::Credentials, ErrorKind::Unreachable));
            }
            Move::Deny(index) => {
                self.left.faults -= 1;
                let (id, effect) = self.open.remove(index);
                let interrupted = self.endings.contains_key(&Ending::Interruption);
                let may_come = !interrupted && self.now.since(self.began) < RIGHTS;
                self.denied |= matches!(effect, HostEffect::Cloud(_)) && !may_come;
                let result = if matches!(effect, HostEffect::Prepare { .. }) {
                    self.boot_failed |= !*self.prepared.get_or_insert(false);
                    self.perform(effect)
                } else {
                    failure(effect, CloudErrorKind::Denied, ErrorKind::Unauthorized)
                };
                self.resume(id, result);
            }
            Move::InProgress(index) => {
                self.left.faults -= 1;
                let (id, effect) = self.open.remove(index);
                self.resume(id, failure(effect, CloudErrorKind::InProgress, ErrorKind::Unreachable));
            }
            Move::Stale(index) => {
                let (id, _) = self.open.remove(index);
                let membership = membership(self.was.0, self.protected);
                self.resume(id, HostResult::Cloud(Ok(CloudAnswer::Membership(membership))));
            }
            Move::Reload => {
                let runner = self.runner.as_mut().unwrap();
                (runner.reload_due, runner.quiesced, runner.late, runner.looks) = (false, true, true, 0);
                runner.stale = runner.asking;
                runner.reloads = runner.reloads.saturating_add(1);
            }
            Move::Request => {
                let runner = self.runner.as_mut().unwrap();
                (runner.asking, runner.late) = (true, runner.late && !runner.quiesced);
            }
            Move::HandOut => {
                self.queued -= 1;
                self.runner.as_mut().unwrap().handed_out = true;
                self.no_room_is_made();
            }
            Move::Receive => {
                let runner = self.runner.as_mut().unwrap();
                runner.job |= std::mem::take(&mut runner.handed_out);
                runner.asking = std::mem::take(&mut runner.stale) && !runner.job;
            }
            Move::Fill => {
                self.left.notices -= 1;
                self.full = true;
                self.tell_full();
            }
            Move::Cleaned => self.cleaning = false,
            Move::Enqueue => {
                self.left.jobs -= 1;
                self.queued += 1;
            }
            Move::Assign => {
                self.queued -= 1;
                self.runner.as_mut().unwrap().job = true;
                self.no_room_is_made();
            }
            Move::Finish => self.runner.as_mut().unwrap().job = false,
            Move::Exit => self.lose_runner(),
            Move::ExitNews => {
                self.exit_news = false;
                self.tell(Event::RunnerExited);
            }
            Move::Sample => self.sampled = Some(self.truth()),
            Move::SampleBlind => {
                self.left.faults -= 1;
                self.sampled = Some(Activity::Unknown("docker".into()));
            }
            Move::Arrive => {
                let activity = self.sampled.take().unwrap();
                self.agent.sampled(activity, false, self.now);
                self.collect();
            }
            Move::RunnerDies => {
                self.left.faults -= 1;
                self.lose_runner();
            }
            Move::Crash => self.crash(),
            Move::Choose => {
                // A scale-in of an unprotected one, a refresh, an operator: with the hook.
                self.left.notices -= 1;
                self.leave_group();
            }
            Move::HookContinues => {
                self.left.notices -= 1;
                self.go_on();
            }
            Move::HookAbandons => {
                self.left.notices -= 1;
                self.end();
            }
            Move::Activate => {
                let hook = self.policy.launch_hook;
                if self.place == Place::Arriving {
                    self.go(if hook { Place::Warming } else { Place::Warmed });
                } else {
                    let held = self.place == Place::Warmed && hook;
                    self.go(if held { Place::Launching } else { Place::InService });
                    self.target_news = Some(TargetState::InService);
                }
            }
            Move::EnterStandby => {
                self.left.moves -= 1;
                self.group.desired = self.group.desired.saturating_sub(1);
                self.go(Place::Standby);
            }
            Move::ExitStandby => {
                self.group.desired += 1;
                self.go(Place::InService);
            }
            Move::Detach => {
                self.left.moves -= 1;
                self.go(Place::Detached);
            }
            Move::TargetNews => {
                let target = self.target_news.take().unwrap();
                // Who is told when it is over is told by that.
                let at = self.endings.get(&Ending::Termination).copied();
                self.tell(match at.filter(|_| target == TargetState::Terminated) {
                    Some(at) => Event::Ending { by: Ending::Termination, at: Some(at) },
                    None => Event::TargetState(target),
                });
            }
            Move::Spot => {
                self.left.notices -= 1;
                self.announce(Ending::Interruption, secs(120));
            }
            Move::Maintain => {
                self.left.notices -= 1;
                self.announce(Ending::Maintenance, self.capabilities.longest_notice);
            }
            Move::Lift => {
                self.endings.remove(&Ending::Maintenance);
                self.tell(Event::Lifted(Ending::Maintenance));
            }
            Move::Rebalance => {
                self.left.notices -= 1;
                self.tell(Event::Rebalance);
            }
            Move::Stop => {
                self.left.orders -= 1;
                self.called = true;
                // Before it served nothing was begun: what becomes of the instance is the operator's to say.
                let booting = matches!(self.agent.phase(), Phase::Preparing | Phase::Booting);
                self.tell(Event::Stop);
                self.excused = booting && self.agent.phase() == Phase::Gone;
            }
            Move::PowerCycle => {
                self.left.moves -= 1;
                self.tell(Event::Stop);
                // The shutdown waits for the service, so what it writes is written.
                while let Some(index) = self.open.iter().position(|(_, effect)| is_entry(*effect)) {
                    self.step(Move::Answer(index));
                }
                self.prepared = None;
                self.restart();
            }
            Move::Sleep => {
                self.left.moves -= 1;
                for at in self.endings.values_mut() {
                    *at = *at - ASLEEP;
                }
                self.woke(ASLEEP);
            }
            Move::Freeze => {
                self.left.moves -= 1;
                self.now = self.now + ASLEEP;
                self.woke(Duration::ZERO);
            }
            Move::Write | Move::Wipe => {
                self.left.orders -= 1;
                self.written = step == Move::Write;
                self.called |= self.written;
                self.tell_standing();
            }
            Move::StandingNews => self.tell_standing(),
            Move::Drain => self.order(Order::Drain),
            Move::Undrain => self.order(Order::Undrain),
            Move::Time => {
                let due = self.agent.poll_timeout().unwrap();
                self.wake(due);
            }
        }
    }

    /// What should have been by now was not: the cloud does it no more, or tells it anew.
    fn woke(&mut self, unseen: Duration) {
        let now = self.now;
        self.endings.retain(|by, at| *by == Ending::Termination || *at > now);
        self.tell(Event::Woke { unseen });
    }

    /// What an answer that did not come would have told, cannot be told.
    fn looked_in_vain(&mut self, effect: HostEffect) {
        if effect == HostEffect::LookForRoom {
            self.ledger.looked_for_room(false);
        }
    }

    /// A job comes.
    fn no_room_is_made(&mut self) {
        if self.makes_room() {
            self.ledger.makes_room(self.runner.map(Runner::facts));
        }
    }
}
