//! What is known of the runner's process: whether it lives, and whether its starts come to anything.

use std::time::Duration;

use crate::time::Tick;

/// Failed starts in a row after which the instance is broken.
pub(super) const MOST_EXITS: u8 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RunnerRecord {
    alive: bool,
    started_at: Tick,
    /// Starts in a row that came to nothing.
    exits: u8,
    /// Whether this runner has had a job. Some runners exit after each.
    worked: bool,
    deregistered: bool,
}

impl RunnerRecord {
    pub(super) fn new(alive: bool, now: Tick) -> Self {
        Self { alive, started_at: now, exits: 0, worked: false, deregistered: false }
    }

    pub(super) fn alive(&self) -> bool {
        self.alive
    }

    pub(super) fn worked(&self) -> bool {
        self.worked
    }

    pub(super) fn exits(&self) -> u8 {
        self.exits
    }

    pub(super) fn deregistered(&self) -> bool {
        self.deregistered
    }

    pub(super) fn found(&mut self) {
        self.alive = true;
    }

    pub(super) fn started(&mut self, now: Tick) {
        *self = Self { exits: self.exits, ..Self::new(true, now) };
    }

    /// A start that nobody waited for any more.
    pub(super) fn started_late(&mut self, now: Tick) {
        (self.alive, self.started_at) = (true, now);
    }

    pub(super) fn exited(&mut self) {
        self.alive = false;
    }

    pub(super) fn has_worked(&mut self) {
        self.worked = true;
    }

    pub(super) fn deregister(&mut self) {
        self.deregistered = true;
    }

    /// Counts an exit that nobody asked for; whether too many in a row came to nothing.
    pub(super) fn count_exit(&mut self, worthwhile: Duration, now: Tick) -> bool {
        let came_to_something = self.worked || now.since(self.started_at) >= worthwhile;
        self.exits = if came_to_something { 0 } else { self.exits.saturating_add(1) };
        self.exits >= MOST_EXITS
    }
}
