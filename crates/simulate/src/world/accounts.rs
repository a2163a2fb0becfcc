//! What is written down: an instance, and the time that it spends in each state.

use std::time::Duration;

use lightsout_core::{
    agent::{Agent, host::ToldToDrain},
    invariants::Ledger,
    time::Tick,
};

use super::JobIndex;
use crate::outcome::{Seconds, Turn, seconds};

/// What an instance is doing, as its bill sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Booting,
    Idle,
    Busy,
    Draining,
}

/// Where it stands in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Member,
    /// The group ends it, and its hook waits for an answer.
    Terminating,
    Gone,
}

pub(super) struct Instance {
    /// When its machine starts.
    pub(super) started: Tick,
    pub(super) place: Place,
    pub(super) in_service: bool,
    /// Whether it was ever ready for jobs.
    pub(super) ready: bool,
    pub(super) accepts: bool,
    pub(super) jobs: Vec<JobIndex>,
    /// Its place among those that are free.
    pub(super) free_at: Option<usize>,
    state: State,
    since: Tick,
    /// When the cloud takes it, once it has said so.
    pub(super) spot: Option<Tick>,
    pub(super) ledger: Ledger,
    /// Lightsout's: its agent, the runner, and what the runner was told.
    pub(super) agent: Option<Box<Agent>>,
    pub(super) runner: Option<ToldToDrain>,
    /// Whether the runner's exit has not been told yet.
    pub(super) exited: bool,
    /// When the agent is woken next, and whether a look at the probes is on its way.
    pub(super) wake_at: Option<Tick>,
    pub(super) look_due: bool,
    /// A peer's: protected from scale-in, and since when it has been idle.
    pub(super) protected: bool,
    pub(super) idle_since: Option<Tick>,
}

impl Instance {
    pub(super) fn new(now: Tick, launch: Duration) -> Self {
        Self {
            started: now + launch,
            place: Place::Member,
            in_service: false,
            ready: false,
            accepts: false,
            jobs: Vec::new(),
            free_at: None,
            state: State::Booting,
            since: now + launch,
            spot: None,
            ledger: Ledger::default(),
            agent: None,
            runner: None,
            exited: false,
            wake_at: None,
            look_due: false,
            protected: false,
            idle_since: None,
        }
    }

    fn current(&self) -> State {
        if !self.jobs.is_empty() {
            State::Busy
        } else if self.accepts {
            State::Idle
        } else if self.ready {
            State::Draining
        } else {
            State::Booting
        }
    }
}

/// Milliseconds by state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StateTimes {
    booting: u64,
    idle: u64,
    busy: u64,
    draining: u64,
}

impl StateTimes {
    pub(super) fn seconds(self) -> Seconds {
        let Self { booting, idle, busy, draining } = self;
        Seconds { booting: seconds(booting), idle: seconds(idle), busy: seconds(busy), draining: seconds(draining) }
    }
}

pub(super) struct Accounts {
    pub(super) waits: Vec<u64>,
    pub(super) cut: usize,
    pub(super) spot: usize,
    pub(super) peak: usize,
    pub(super) spent: StateTimes,
    pub(super) turns: Vec<Turn>,
}

impl Accounts {
    pub(super) fn new(jobs: usize) -> Self {
        Self {
            waits: Vec::with_capacity(jobs),
            cut: 0,
            spot: 0,
            peak: 0,
            spent: StateTimes::default(),
            turns: Vec::new(),
        }
    }

    pub(super) fn waited(&mut self, span: Duration) {
        self.waits.push(super::ms(span));
    }

    /// An instance may be in another state now.
    pub(super) fn turn(&mut self, instance: &mut Instance, now: Tick) {
        let state = instance.current();
        if state != instance.state {
            self.close(instance, now);
            instance.state = state;
        }
    }

    /// Books the time in the present state. A machine that has not started yet costs nothing.
    pub(super) fn close(&mut self, instance: &mut Instance, now: Tick) {
        let spent = match instance.state {
            State::Booting => &mut self.spent.booting,
            State::Idle => &mut self.spent.idle,
            State::Busy => &mut self.spent.busy,
            State::Draining => &mut self.spent.draining,
        };
        *spent += super::ms(now.since(instance.since));
        instance.since = instance.since.max(now);
    }
}
