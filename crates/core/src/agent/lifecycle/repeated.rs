//! A request that is asked again and again: one of its kind in flight at most, and never one in flight beside a pause.

use std::time::Duration;

use crate::{
    agent::{backoff::Backoff, event::RequestId, jitter::Jitter},
    time::Tick,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Repeated {
    turn: Turn,
    /// The pauses before it is tried again.
    pub(super) backoff: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Turn {
    /// It may be asked at once.
    Free,
    InFlight(RequestId),
    Pausing {
        until: Tick,
    },
}

impl Repeated {
    pub(super) const fn new(backoff: Backoff) -> Self {
        Self { turn: Turn::Free, backoff }
    }

    /// Whether it is to be asked now, if there is something to ask.
    pub(super) fn ready(&self, now: Tick) -> bool {
        match self.turn {
            Turn::Free => true,
            Turn::InFlight(_) => false,
            Turn::Pausing { until } => until <= now,
        }
    }

    /// Whether this is the answer to it.
    pub(super) fn awaits(&self, id: RequestId) -> bool {
        self.turn == Turn::InFlight(id)
    }

    pub(super) fn in_flight(&self) -> bool {
        matches!(self.turn, Turn::InFlight(_))
    }

    /// When its pause ends.
    pub(super) fn due(&self) -> Option<Tick> {
        match self.turn {
            Turn::Free | Turn::InFlight(_) => None,
            Turn::Pausing { until } => Some(until),
        }
    }

    pub(super) fn asked(&mut self, id: RequestId) {
        self.turn = Turn::InFlight(id);
    }

    /// The answer came.
    pub(super) fn answered(&mut self) {
        self.turn = Turn::Free;
    }

    /// Waits for nothing any more; an answer that is on its way is still awaited.
    pub(super) fn drop_pause(&mut self) {
        if self.due().is_some() {
            self.turn = Turn::Free;
        }
    }

    /// Pauses until then.
    pub(super) fn pause_until(&mut self, until: Tick) {
        self.turn = Turn::Pausing { until };
    }

    /// A pause ends now, if there is one. Whether there was.
    pub(super) fn hurry(&mut self, now: Tick) -> bool {
        let pausing = self.due().is_some();
        if pausing {
            self.pause_until(now);
        }
        pausing
    }

    /// It was done: asked again then, or on the next occasion. Its pauses begin anew.
    pub(super) fn done(&mut self, next: Option<Tick>) {
        self.turn = next.map_or(Turn::Free, |until| Turn::Pausing { until });
        self.backoff.tries = 0;
    }

    /// It was not. Pauses: longer each time, but not longer than this.
    pub(super) fn again(&mut self, now: Tick, jitter: Jitter, most: Duration) {
        let pause = self.backoff.pause_within(most, jitter);
        self.pause_until(now + pause);
    }
}
