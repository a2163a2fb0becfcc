//! The pause that keeps the readings within GitLab's rate limit.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    exchange::Reply,
    platform::answer::{sent_at, wait_until},
};

/// GitLab's window for rate limits, when its end cannot be told.
const WINDOW: Duration = Duration::from_secs(60);

/// What the `RateLimit-*` headers of a reading said (GitLab documentation, user and IP rate limits).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quota {
    context: u64,
    lowest: Option<RateLimitState>,
}

#[derive(Clone, Copy, Debug)]
struct RateLimitState {
    remaining: u64,
    limit: u64,
    reset: Duration,
}

impl Quota {
    /// Takes note of one reply.
    pub(super) fn saw(&mut self, reply: &Reply) {
        self.context += 1;
        let number = |name: &str| reply.header(name).and_then(|value| value.trim().parse::<u64>().ok());
        let Some(remaining) = number("ratelimit-remaining") else { return };
        if self.lowest.is_none_or(|lowest| remaining <= lowest.remaining) {
            let limit = number("ratelimit-limit").unwrap_or(0);
            self.lowest = Some(RateLimitState { remaining, limit, reset: reset(reply).unwrap_or(WINDOW) });
        }
    }

    /// How long nothing more may be asked: the rest of the window, when no more is left of it than is open.
    pub(super) fn used_up(&self, open: usize) -> Option<Duration> {
        let left = self.lowest?;
        (left.remaining <= u64::try_from(open).unwrap_or(u64::MAX)).then_some(left.reset)
    }

    /// How long to wait when less is left than two more readings need, or than a tenth of the limit.
    pub(super) fn poll_after(&self) -> Option<Duration> {
        let left = self.lowest?;
        (left.remaining < (2 * self.context).max(left.limit / 10)).then_some(left.reset)
    }
}

/// From the reply until the window ends. `RateLimit-Reset` is a Unix time, told by the platform's own clock.
fn reset(reply: &Reply) -> Option<Duration> {
    let at = reply.header("ratelimit-reset")?.trim().parse::<i64>().ok()?;
    let wait = wait_until(Timestamp::from_second(at).ok()?, sent_at(reply)?);
    (!wait.is_zero()).then_some(wait)
}
