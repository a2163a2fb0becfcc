//! A small world around the real agent: one instance, its runner, its group and its platform, in which everything that may happen next is
//! a move. Whatever the agent asks of its host is answered here, sooner or later, rightly or wrongly.

mod group;
mod host;
mod moves;
mod runner;
mod start;
mod steps;

pub(crate) use self::{
    group::{Group, Place},
    moves::Move,
    runner::{Kind, Runner},
};

use self::{
    group::membership,
    host::{aside, local},
};

use std::{collections::BTreeMap, time::Duration};

use lightsout_core::{
    activity::Activity,
    agent::{
        Agent, Output,
        event::{Event, Order, OrderId},
        host::{CloudCall, EffectId, HostEffect, HostResult, JournalEntry, ToldToDrain},
        jitter::Jitter,
        phase::Phase,
        policy::AgentPolicy,
    },
    cloud::{Capabilities, Ending, StandingOrder, TargetState},
    invariants::{EndFacts, Ledger, Preparation},
    space::Room,
    time::Tick,
};

/// What may still go wrong or happen, so that a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub faults: u8,
    pub crashes: u8,
    pub notices: u8,
    /// What operators do to the instance's place: standby, detach.
    pub moves: u8,
    pub orders: u8,
    pub jobs: u8,
}

impl Budget {
    pub(crate) const NONE: Self = Self { faults: 0, crashes: 0, notices: 0, moves: 0, orders: 0, jobs: 0 };
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    kind: Kind,
    capabilities: Capabilities,
    policy: AgentPolicy,
    jitter: Jitter,
    pub agent: Agent,
    pub now: Tick,
    open: Vec<(EffectId, HostEffect)>,
    /// Whether local effects are answered at once, so that a search gets deeper.
    coarse: bool,
    pub runner: Option<Runner>,
    launch: bool,
    /// How the operator's own program for this boot ended, once it has.
    prepared: Option<bool>,
    /// Whether it failed, in this boot or an earlier one.
    boot_failed: bool,
    queued: u8,
    journal: JournalEntry,
    pub place: Place,
    /// The place before, which a stale description may still show, and when it changed.
    was: (Place, Tick),
    pub group: Group,
    protected: bool,
    /// Whether an operator called the instance away.
    called: bool,
    /// Whether an operator stopped the agent before it served.
    excused: bool,
    /// Whether a right was missing that cannot be on its way any more.
    denied: bool,
    /// Whether the group refused what was asked of it.
    refused: bool,
    /// When the instance started, and the present agent began.
    started: Tick,
    began: Tick,
    /// Since when it has been retiring.
    retiring_since: Option<Tick>,
    /// A snapshot that was taken and has not arrived yet.
    sampled: Option<Activity>,
    /// Whether there is too little room for another job.
    full: bool,
    /// Whether an earlier agent's making of room goes on.
    cleaning: bool,
    exit_news: bool,
    target_news: Option<TargetState>,
    /// What the cloud has announced, and when that will be.
    endings: BTreeMap<Ending, Tick>,
    /// Whether a drain is written on the instance, and a new agent has not seen it yet.
    written: bool,
    standing_news: bool,
    pub left: Budget,
    pub ledger: Ledger,
}

impl World {
    /// How far the operator's own program for this boot is.
    fn preparation(&self) -> Preparation {
        match self.prepared {
            _ if self.policy.before_register.is_none() => Preparation::NotAsked,
            None => Preparation::Open,
            Some(true) => Preparation::Succeeded,
            Some(false) => Preparation::Failed,
        }
    }

    /// Where among what the agent asks for this is.
    pub(crate) fn asked(&self, effect: HostEffect) -> Option<usize> {
        self.open.iter().position(|(_, asked)| *asked == effect)
    }

    /// The same where local effects take their time, too.
    pub(crate) fn fine(self) -> Self {
        Self { coarse: false, ..self }
    }

    /// Ended, waiting in the warm pool, or ready for jobs.
    pub(crate) fn good(&self) -> bool {
        self.at_the_end(Ledger::default()).violation().is_none()
    }

    /// What is written down if this is the end.
    fn at_the_end(&self, mut ledger: Ledger) -> Ledger {
        let (there, runner) = (self.place != Place::Gone, self.runner.map(Runner::facts));
        ledger.settled(there, self.excused, self.agent.phase(), runner);
        ledger
    }

    /// Without further faults and notices, everything that is pending happens, jobs end, and time passes: the world at the end, in which no
    /// promise is broken if all is well.
    pub(crate) fn settle(mut self) -> Self {
        self.left = Budget::NONE;
        self.queued = 0;
        for round in 0..4_000 {
            if self.place == Place::Gone || (self.good() && self.open.is_empty()) {
                return self;
            }
            let moves = self.moves();
            let pick = |wanted: fn(&Move) -> bool| moves.iter().copied().find(wanted);
            let next = pick(|step| {
                matches!(
                    step,
                    Move::Finish
                        | Move::Cleaned
                        | Move::Reload
                        | Move::Receive
                        | Move::Exit
                        | Move::ExitNews
                        | Move::TargetNews
                        | Move::StandingNews
                        | Move::Arrive
                        | Move::Activate
                        | Move::ExitStandby
                )
            })
            .or_else(|| (round % 8 == 0).then(|| pick(|step| *step == Move::Sample)).flatten())
            .or_else(|| pick(|step| matches!(step, Move::Answer(_))))
            .or_else(|| pick(|step| *step == Move::Time))
            .or_else(|| pick(|step| *step == Move::Sample));
            match next {
                Some(step) => self.step(step),
                None => break,
            }
        }
        self.ledger = self.at_the_end(self.ledger);
        self
    }

    fn crash(&mut self) {
        self.left.crashes -= 1;
        self.restart();
    }

    fn restart(&mut self) {
        self.cleaning |= self.makes_room();
        self.open.clear();
        if let Some(runner) = &mut self.runner {
            runner.remembered = ToldToDrain::No;
        }
        (self.sampled, self.exit_news, self.launch) = (None, false, false);
        self.ledger.agent_began();
        let (policy, rules) = (self.policy.clone(), self.kind.rules());
        self.agent =
            Agent::new(policy, rules, self.capabilities, self.journal, self.runner.is_some(), self.jitter, self.now);
        self.began = self.now;
        self.target_news = match self.place {
            Place::Arriving | Place::Warming | Place::Warmed => Some(TargetState::Warmed),
            Place::Waiting => Some(TargetState::Terminated),
            Place::Launching | Place::Proceeding => Some(TargetState::InService),
            Place::InService | Place::Standby | Place::Detached | Place::Gone => None,
        };
        self.collect();
        self.standing_news = self.written;
        // That of the group is news that comes when it comes.
        for (by, at) in self.endings.clone() {
            if by != Ending::Termination {
                self.tell(Event::Ending { by, at: Some(at) });
            }
        }
        if self.full {
            self.tell_full();
        }
    }

    /// What the agent does once time has come so far.
    pub(crate) fn wake(&mut self, now: Tick) {
        self.now = self.now.max(now);
        self.agent.handle_timeout(self.now);
        self.collect();
    }

    fn order(&mut self, order: Order) {
        self.left.orders -= 1;
        self.called |= order == Order::Drain;
        self.agent.order(OrderId(u32::from(self.left.orders)), order, self.now);
        self.collect();
    }

    /// The cloud says that it ends the instance, or what runs on it, after so long.
    fn announce(&mut self, by: Ending, after: Duration) {
        let at = self.now + after;
        self.endings.insert(by, at);
        self.tell(Event::Ending { by, at: Some(at) });
    }

    fn tell(&mut self, event: Event) {
        self.agent.handle(event, self.now);
        self.collect();
    }

    fn tell_standing(&mut self) {
        self.standing_news = false;
        self.tell(Event::StandingOrder(self.written.then_some(StandingOrder::Drain)));
    }

    /// So many looks in a row as count.
    fn tell_full(&mut self) {
        for _ in 0..3 {
            self.tell(Event::Room(Room::Short("full".into())));
        }
    }

    fn resume(&mut self, id: EffectId, result: HostResult) {
        self.agent.resume(id, result, self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(output) = self.agent.poll_output() {
            let Output::Effect { id, effect } = output else { continue };
            self.judge(effect);
            if aside(effect) {
                continue;
            }
            if self.coarse && (local(effect) || (effect == HostEffect::LookForCleaning && !self.cleaning)) {
                let result = self.perform(effect);
                self.agent.resume(id, result, self.now);
            } else {
                self.open.push((id, effect));
            }
        }
    }

    /// What the agent asks for, whatever comes of it.
    fn judge(&mut self, effect: HostEffect) {
        match self.agent.phase() {
            Phase::Retiring { .. } => _ = self.retiring_since.get_or_insert(self.now),
            Phase::Preparing
            | Phase::Booting
            | Phase::Registering
            | Phase::Idle { .. }
            | Phase::Busy
            | Phase::Draining { .. }
            | Phase::Gone => self.retiring_since = None,
        }
        self.ledger.leaves(self.agent.phase().why(), self.called);
        if matches!(effect, HostEffect::MakeRoom { .. }) {
            self.ledger.makes_room(self.runner.map(Runner::facts));
        }
        let HostEffect::Cloud(CloudCall::End(rung)) = effect else { return };
        let places = [self.place, self.was.0].map(|place| membership(place, self.protected));
        self.ledger.asked_to_end(EndFacts {
            rung,
            cloud: self.capabilities,
            retiring: self.retiring_since.map_or(Duration::ZERO, |since| self.now.since(since)),
            patience: self.policy.rung_patience,
            places,
            surplus: self.is_surplus(),
            refused: self.refused,
            denied: self.denied,
        });
    }
}
