//! The pause that keeps the readings within GitHub's hourly limit.

use std::time::Duration;

use super::refusal::reset;
use crate::exchange::Reply;

/// The length of GitHub's window, when its end cannot be told.
const WINDOW: Duration = Duration::from_secs(3600);

/// What the `X-RateLimit-*` headers of a reading said (GitHub REST API, rate limits).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quota {
    /// Replies that GitHub charges: all but the unchanged ones.
    charged: u32,
    lowest: Option<(u64, Duration)>,
}

impl Quota {
    /// Takes note of one reply.
    pub(super) fn saw(&mut self, reply: &Reply) {
        self.charged = self.charged.saturating_add(u32::from(reply.status != 304));
        let remaining = reply.header("x-ratelimit-remaining").and_then(|value| value.trim().parse::<u64>().ok());
        let Some(remaining) = remaining else { return };
        if self.lowest.is_none_or(|(lowest, _)| remaining <= lowest) {
            self.lowest = Some((remaining, reset(reply).unwrap_or(WINDOW)));
        }
    }

    /// The pause that spreads what is left over what is left of the hour, if readings go on as this one. `None` below a
    /// second.
    pub(super) fn poll_after(&self) -> Option<Duration> {
        let (remaining, window) = self.lowest?;
        let readings = remaining / u64::from(self.charged.max(1));
        let pause = match u32::try_from(readings) {
            Ok(0) => window,
            Ok(readings) if self.charged > 0 => window / readings,
            Ok(_) | Err(_) => Duration::ZERO,
        };
        (pause >= Duration::from_secs(1)).then_some(pause)
    }
}
