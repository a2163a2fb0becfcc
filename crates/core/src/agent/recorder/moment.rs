//! One moment on both clocks: the shell's, by which the agent counts, and the wall's, by which people do.

use std::time::Duration;

use jiff::Timestamp;

use crate::time::Tick;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// On the shell's.
    pub tick: Tick,
    /// On the wall's, in milliseconds since the Unix epoch.
    pub unix_ms: i64,
}

impl Moment {
    /// As it stands in records.
    pub fn text(self) -> String {
        text(self.unix_ms)
    }

    /// Another tick, as it stands in records.
    pub(super) fn at(self, tick: Tick) -> String {
        text(self.unix_ms_of(tick))
    }

    /// The wall's time of another tick.
    pub(super) fn unix_ms_of(self, tick: Tick) -> i64 {
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.unix_ms.saturating_add(ms(tick.since(self.tick))).saturating_sub(ms(self.tick.since(tick)))
    }
}

pub(super) fn text(unix_ms: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(unix_ms).unwrap_or_default())
}
