//! A queue that gives the answers which a test has for it, and whose platform holds something from the first reading on.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use lightsout_core::{
    exchange::{Call, Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Program},
    platform::{Demand, Queue, Reading, Ready},
};

use super::Function;

/// What one reading gives.
#[derive(Clone, Debug)]
pub(super) enum QueueReply {
    /// So many jobs wait.
    Waiting(u32),
    Failed,
    /// The platform wants to be left alone for so long.
    Throttled(Duration),
    Never,
}

/// What pools' queues answer, in turn, the last for ever; and what they were asked. Shared by all clones.
#[derive(Clone, Debug, Default)]
pub(super) struct Queues(Arc<Mutex<BTreeMap<String, State>>>);

/// Of one pool.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    answers: VecDeque<QueueReply>,
    /// How often it was asked.
    pub(super) asked: u32,
    /// Whether the platform holds something for this scaler alone.
    pub(super) held: bool,
    pub(super) release_hangs: bool,
}

impl Queues {
    /// Takes the place of the function's queues, of these pools.
    pub(super) fn of(function: &mut Function, pools: &[(&str, &[QueueReply])]) -> Self {
        let queues = Self::default();
        for (pool, answers) in pools {
            queues.answer(pool, answers);
        }
        function.replace_queues(|pool| Box::new(FakeQueue { pool: pool.into(), queues: queues.clone() }));
        queues
    }

    /// What is answered from now on.
    pub(super) fn answer(&self, pool: &str, answers: &[QueueReply]) {
        self.lock().entry(pool.into()).or_default().answers = answers.iter().cloned().collect();
    }

    pub(super) fn let_release_hang(&self, pool: &str) {
        self.lock().entry(pool.into()).or_default().release_hangs = true;
    }

    pub(super) fn state(&self, pool: &str) -> State {
        self.lock()[pool].clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.0.lock().unwrap()
    }
}

#[derive(Debug)]
struct FakeQueue {
    pool: String,
    queues: Queues,
}

impl Exchange for FakeQueue {
    type Output = Reading;

    fn start(&mut self) -> ExchangeStep<Reading> {
        let mut all = self.queues.lock();
        let state = all.get_mut(&self.pool).unwrap();
        (state.asked, state.held) = (state.asked + 1, true);
        let answer = if state.answers.len() > 1 { state.answers.pop_front() } else { state.answers.front().cloned() };
        match answer.unwrap() {
            QueueReply::Waiting(queued) => {
                ExchangeStep::Done(Ok(Demand { queued, running: Some(0), poll_after: None }.into()))
            }
            QueueReply::Failed => ExchangeStep::Done(Err(ExchangeError::new(ErrorKind::Server, "it is out of order"))),
            QueueReply::Throttled(wait) => {
                ExchangeStep::Done(Err(ExchangeError::new(ErrorKind::Throttled(Some(wait)), "too many requests")))
            }
            QueueReply::Never => ExchangeStep::perform(forever()),
        }
    }

    fn resume(&mut self, _: EffectId, _: EffectResult) -> ExchangeStep<Reading> {
        unreachable!("it is never answered")
    }
}

impl Queue for FakeQueue {
    fn platform(&self) -> &'static str {
        "fake"
    }

    fn release(&mut self) -> Option<Call<()>> {
        let mut all = self.queues.lock();
        let state = all.get_mut(&self.pool).unwrap();
        let held = std::mem::take(&mut state.held);
        match (held, state.release_hangs) {
            (false, _) => None,
            (true, true) => Some(Box::new(Hanging)),
            (true, false) => Some(Box::new(Ready(()))),
        }
    }
}

/// What is never answered.
struct Hanging;

impl Exchange for Hanging {
    type Output = ();

    fn start(&mut self) -> ExchangeStep<()> {
        ExchangeStep::perform(forever())
    }

    fn resume(&mut self, _: EffectId, _: EffectResult) -> ExchangeStep<()> {
        unreachable!("it is never answered")
    }
}

fn forever() -> Effect {
    let argv = vec!["sleep".into(), "3600".into()];
    Effect::Program(Program::new(argv, Vec::new(), Duration::from_secs(3600)))
}
