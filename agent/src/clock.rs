//! The two clocks: a monotonic one for the core, and the wall's for what the cloud and people say.

use std::time::{Duration, Instant, SystemTime};

use lightsout_core::time::Tick;

/// The agent's clock. Tick 0 lies a year before the start, so that times before it can be named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

const TICKS_BEFORE_START: Duration = Duration::from_secs(365 * 24 * 3600);

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(self) -> Tick {
        Tick::ZERO + TICKS_BEFORE_START + self.start.elapsed()
    }

    /// The tick of a moment on the wall's clock. Converted once: a later jump of the wall's clock does not move it.
    pub(crate) fn tick_of(self, unix_ms: i64) -> Tick {
        let from_now = unix_ms.saturating_sub(unix_ms_now());
        let span = Duration::from_millis(from_now.unsigned_abs());
        if from_now >= 0 { self.now() + span } else { self.now() - span }
    }

    /// The tick of a moment that has passed, and that lies in the time since the machine was started: whoever wrote it down may have had a wrong
    /// clock.
    pub(crate) fn past_tick_of(self, unix_ms: i64) -> Tick {
        let now = self.now();
        let earliest = uptime().map_or(Tick::ZERO, |up| now - up);
        self.tick_of(unix_ms).clamp(earliest, now)
    }

    /// When a tick is on the wall's clock, as far as that is right now.
    pub(crate) fn unix_ms_of(self, tick: Tick) -> i64 {
        let (now, ms) = (self.now(), |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
        unix_ms_now().saturating_sub(ms(now.since(tick))).saturating_add(ms(tick.since(now)))
    }

    pub(crate) fn instant_of(self, tick: Tick) -> Instant {
        self.start + tick.since(Tick::ZERO + TICKS_BEFORE_START)
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_ms_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How long ago the machine was started, sleep included.
pub(crate) fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split(' ').next()?.parse().ok()?).ok()
}
