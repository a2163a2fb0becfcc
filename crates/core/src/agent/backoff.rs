//! Pauses between tries that grow.

use std::time::Duration;

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

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let pause = self.first.saturating_mul(1 << self.tries.min(16)).min(self.most);
        self.tries = self.tries.saturating_add(1);
        pause
    }
}
