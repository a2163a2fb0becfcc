//! Pauses between tries that grow, and that are not the same on every instance.

use std::time::Duration;

use super::jitter::Jitter;

/// A pause that doubles with each use, up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    /// How often it was used since the last reset.
    pub tries: u8,
}

impl Backoff {
    /// Starts at `first` and never exceeds `most`.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, tries: 0 }
    }

    /// The next pause: up to a quarter shorter than its measure, so that many instances that begin together do not go on together.
    pub fn pause(&mut self, jitter: Jitter) -> Duration {
        self.pause_within(self.most, jitter)
    }

    /// The same where it must not exceed this either.
    pub fn pause_within(&mut self, bound: Duration, jitter: Jitter) -> Duration {
        let pause = self.first.saturating_mul(1 << self.tries.min(16)).min(self.most).min(bound);
        self.tries = self.tries.saturating_add(1);
        pause.saturating_sub(jitter.within(pause / 4, u64::from(self.tries)))
    }
}
