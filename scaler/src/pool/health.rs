//! How a pool's ticks go, told once when it changes.

use lightsout_core::record::{Decision, Outcome};

use super::Pool;

/// How the last tick went, so that each change is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    /// The queue was read in part.
    Partial,
    /// Somebody else reads the queue.
    Standby,
    Failing,
}

impl Pool {
    pub(super) fn log_transition(&mut self, record: &Decision) {
        let health = match (record.result, &record.missing) {
            (Outcome::Failed, _) => Health::Failing,
            (Outcome::Standby, _) => Health::Standby,
            (Outcome::Held | Outcome::Raised | Outcome::WouldRaise | Outcome::Queued, Some(_)) => Health::Partial,
            (Outcome::Held | Outcome::Raised | Outcome::WouldRaise | Outcome::Queued, None) => Health::Good,
        };
        let before = std::mem::replace(&mut self.health, health);
        match health {
            _ if before == health => {}
            Health::Good => tracing::info!(pool = record.pool, "the pool can be scaled again"),
            Health::Partial => tracing::warn!(
                pool = record.pool,
                missing = record.missing,
                "the queue is read in part: the pool is raised to what is known"
            ),
            Health::Standby => {
                tracing::info!(pool = record.pool, "stands by: {}", record.reason.as_deref().unwrap_or_default());
            }
            Health::Failing => tracing::warn!(pool = record.pool, error = record.error, "the pool cannot be scaled"),
        }
    }
}
