//! Everything that may happen next.

use lightsout_core::{
    agent::{
        host::{CloudCall, HostEffect},
        phase::Phase,
    },
    cloud::{Ending, ProtectionSupport},
};

use super::{
    World,
    group::{Place, STALE},
    host::is_entry,
    runner::{Kind, Runner},
};

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
        may(matches!(self.place, Place::Arriving | Place::Warmed | Place::Proceeding), Move::Activate);
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
}
