//! The pauses that keep the readings within GitHub's limits: of the hour, and of the minute.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

use super::refusal::reset;
use crate::{exchange::Reply, platform::answer::sent_at};

/// The length of GitHub's window, when its end cannot be told.
const WINDOW: Duration = Duration::from_secs(3600);

/// How many requests a minute are made of GitHub, which allows 900 (GitHub REST API, secondary rate limits). Where the
/// replies tell of no limit, as an Enterprise Server's do by default, there is none of the minute either.
const A_MINUTE: u32 = 800;

/// A minute, in seconds.
const MINUTE: i64 = 60;

/// What the `X-RateLimit-*` headers of a reading said (GitHub REST API, rate limits), and how many requests the last minute saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Quota {
    /// Replies of this reading that GitHub charges: all but the unchanged ones.
    charged: u32,
    /// Whether a reply of this reading told the time, without which the last minute is not known.
    timely: bool,
    lowest: Option<(u64, Duration)>,
    /// The replies of the last minute: the second by GitHub's clock, and how many.
    lately: VecDeque<(i64, u32)>,
}

impl Quota {
    /// Begins a reading.
    pub(super) fn begin(&mut self) {
        (self.charged, self.timely, self.lowest) = (0, false, None);
    }

    /// Takes note of one reply.
    pub(super) fn saw(&mut self, reply: &Reply) {
        self.charged = self.charged.saturating_add(u32::from(reply.status != 304));
        let remaining = reply.header("x-ratelimit-remaining").and_then(|value| value.trim().parse::<u64>().ok());
        let Some(remaining) = remaining else { return };
        if self.lowest.is_none_or(|(lowest, _)| remaining <= lowest) {
            self.lowest = Some((remaining, reset(reply).unwrap_or(WINDOW)));
        }
        let Some(now) = sent_at(reply).map(Timestamp::as_second) else { return };
        self.timely = true;
        match self.lately.back_mut() {
            // Replies overtake each other.
            Some((second, count)) if *second >= now => *count += 1,
            Some(_) | None => self.lately.push_back((now, 1)),
        }
        self.lately.retain(|(second, _)| *second > now - MINUTE);
    }

    /// How long nothing more may be asked in the middle of a reading with so many requests open.
    pub(super) fn used_up(&self, open: usize) -> Option<Duration> {
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        let minute: u32 = self.lately.iter().map(|(_, count)| count).sum();
        let hour = self.lowest.filter(|(remaining, _)| *remaining <= u64::from(open)).map(|(_, reset)| reset);
        let minute = (self.timely && minute.saturating_add(open) >= A_MINUTE)
            .then_some(Duration::from_secs(MINUTE.unsigned_abs()));
        hour.max(minute)
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
