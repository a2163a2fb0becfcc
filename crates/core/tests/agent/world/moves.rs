//! Everything that may happen next.

use std::time::Duration;

use lightsout_core::{
    activity::Activity,
    agent::{
        event::{Event, Order},
        host::{CloudAnswer, CloudCall, HostEffect, HostResult},
        phase::Phase,
    },
    cloud::{CloudErrorKind, Ending, ProtectionSupport, TargetState},
    exchange::ErrorKind,
};

use super::{
    World,
    group::{Place, STALE, membership},
    host::{failure, is_entry},
    runner::{Kind, Runner},
};
use crate::rig::secs;

/// How long a right that an instance is given at its birth may take to reach it.
const RIGHTS: Duration = Duration::from_secs(300);

const ASLEEP: Duration = Duration::from_secs(3600);

/// One thing that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Answer(usize),
    /// It fails and had no effect.
    Lose(usize),
    /// It had its effect, but the answer says that it failed.
    LoseAnswer(usize),
    /// A right is missing, or the operator's own program fails for good.
    Deny(usize),
    /// It was refused this time, without effect: credentials that have expired, too many calls.
    Reject(usize),
    /// Another activity is in progress.
    InProgress(usize),
    /// The description is older than the last change.
    Stale(usize),
    /// There is too little room for another job; what an earlier agent began to make some is over.
    Fill,
    Cleaned,
    Enqueue,
    Assign,
    /// The runner reads its configuration again.
    Reload,
    /// The runner asks for a job; the platform hands one out; the answer arrives.
    Request,
    HandOut,
    Receive,
    Finish,
    Exit,
    ExitNews,
    Sample,
    SampleBlind,
    Arrive,
    RunnerDies,
    Crash,
    Choose,
    /// The launch hook runs out, by either of its default results.
    HookContinues,
    HookAbandons,
    Activate,
    EnterStandby,
    ExitStandby,
    Detach,
    TargetNews,
    /// The cloud takes the instance back; it is to be restarted, and then is not.
    Spot,
    Maintain,
    Lift,
    Drain,
    Undrain,
    /// An operator writes a drain on the instance, and removes it; the agent sees it now, or anew once it began again.
    Write,
    Wipe,
    StandingNews,
    /// The service is told to stop.
    Stop,
    /// The group stops a machine of its warm pool and starts it again.
    PowerCycle,
    /// The machine hibernates for an hour that its clock does not see; or its processes are frozen for one that it does.
    Sleep,
    Freeze,
    Rebalance,
    Time,
}

impl World {
    /// Everything that may happen next.
    pub(crate) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        if self.place == Place::Gone || self.ledger.violation().is_some() {
            return moves;
        }
        // The host writes the journal in the order in which it was asked to.
        let first_entry = self.open.iter().position(|(_, effect)| is_entry(*effect));
        for (index, (_, effect)) in self.open.iter().enumerate() {
            if is_entry(*effect) && Some(index) != first_entry {
                continue;
            }
            moves.push(Move::Answer(index));
            let stale = self.now.since(self.was.1) < STALE && self.was.0 != self.place;
            if *effect == HostEffect::Cloud(CloudCall::Membership) && stale {
                moves.push(Move::Stale(index));
            }
            if self.left.faults == 0 {
                continue;
            }
            moves.push(Move::Lose(index));
            moves.push(Move::LoseAnswer(index));
            if matches!(effect, HostEffect::Cloud(_)) {
                moves.push(Move::Reject(index));
            }
            if matches!(
                effect,
                HostEffect::Cloud(_)
                    | HostEffect::Platform { .. }
                    | HostEffect::OpenPlatform
                    | HostEffect::Prepare { .. }
            ) {
                moves.push(Move::Deny(index));
            }
            if matches!(effect, HostEffect::Cloud(CloudCall::End(_))) {
                moves.push(Move::InProgress(index));
            }
        }
        let mut may = |holds: bool, then: Move| {
            if holds {
                moves.push(then);
            }
        };
        let (runner, left) = (self.runner, self.left);
        may(left.notices > 0 && !self.full, Move::Fill);
        may(self.cleaning, Move::Cleaned);
        may(left.jobs > 0, Move::Enqueue);
        let requests = self.kind == Kind::CancelsRequests;
        let free = runner.is_some_and(|runner| runner.accepting && !runner.job);
        may(self.queued > 0 && free && !requests, Move::Assign);
        let asks = |runner: Runner| !runner.asking && (!runner.quiesced || runner.late);
        may(requests && free && runner.is_some_and(asks), Move::Request);
        may(runner.is_some_and(|runner| runner.reload_due), Move::Reload);
        may(self.queued > 0 && runner.is_some_and(|runner| runner.asking && !runner.handed_out), Move::HandOut);
        may(runner.is_some_and(|runner| runner.asking), Move::Receive);
        may(self.job_runs(), Move::Finish);
        may(runner.is_some_and(|runner| runner.dying || (runner.finishing && !runner.job)), Move::Exit);
        may(self.exit_news, Move::ExitNews);
        may(self.sampled.is_none(), Move::Sample);
        may(self.sampled.is_none() && left.faults > 0, Move::SampleBlind);
        may(self.sampled.is_some(), Move::Arrive);
        may(runner.is_some_and(|runner| !runner.job && !runner.handed_out) && left.faults > 0, Move::RunnerDies);
        may(left.crashes > 0, Move::Crash);
        // Where an ending cannot be held off, only protection keeps the group from it, or that it ends nobody.
        let choosable = self.capabilities.termination_hook.is_some()
            || !(self.protected || self.capabilities.protection == ProtectionSupport::Never);
        may(left.notices > 0 && self.place == Place::InService && choosable, Move::Choose);
        may(left.notices > 0 && self.held(), Move::HookContinues);
        may(left.notices > 0 && self.held(), Move::HookAbandons);
        may(matches!(self.place, Place::Warmed | Place::Proceeding), Move::Activate);
        let standby = !self.capabilities.leaving_lowers_capacity;
        may(standby && left.moves > 0 && self.place == Place::InService, Move::EnterStandby);
        may(self.place == Place::Standby, Move::ExitStandby);
        may(left.moves > 0 && self.place == Place::InService, Move::Detach);
        may(self.target_news.is_some(), Move::TargetNews);
        may(left.notices > 0 && !self.endings.contains_key(&Ending::Interruption), Move::Spot);
        let maintained = self.endings.get(&Ending::Maintenance).copied();
        may(left.notices > 0 && maintained.is_none(), Move::Maintain);
        // What the host was told to do to the runner is done by then, and who retires under a job for a deadline has no way back.
        let forced = |(_, effect): &(_, HostEffect)| {
            matches!(effect, HostEffect::SignalRunner(_) | HostEffect::EndJobs | HostEffect::KillRunner)
        };
        let late = self.job_runs() && matches!(self.agent.phase(), Phase::Retiring { .. });
        let settled = !late && !self.open.iter().any(forced);
        may(settled && maintained.is_some(), Move::Lift);
        may(left.orders == 2 && self.agent.phase() != Phase::Gone, Move::Stop);
        may(left.moves > 0 && self.place == Place::Warmed && self.agent.phase() != Phase::Gone, Move::PowerCycle);
        let sleeps = left.moves > 0 && settled && self.agent.phase() != Phase::Gone;
        may(sleeps, Move::Sleep);
        may(sleeps, Move::Freeze);
        may(left.notices > 0, Move::Rebalance);
        may(left.orders > 0, Move::Drain);
        may(left.orders == 1 && self.agent.can_undrain(), Move::Undrain);
        may(left.orders == 2 && !self.written, Move::Write);
        may(left.orders == 1 && self.written, Move::Wipe);
        may(self.standing_news, Move::StandingNews);
        // It reads its configuration within moments.
        let reads = runner.is_some_and(|runner| runner.reload_due);
        may(self.agent.poll_timeout().is_some() && !reads, Move::Time);
        moves
    }

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
                let held = self.place == Place::Warmed && self.policy.launch_hook;
                self.go(if held { Place::Launching } else { Place::InService });
                self.target_news = Some(TargetState::InService);
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
