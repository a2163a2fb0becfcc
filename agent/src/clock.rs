//! The two clocks: a monotonic one for the core, and the wall's for what the cloud and people say.

use std::time::{Duration, Instant, SystemTime};

use lightsout_core::time::Tick;
use rustix::time::{ClockId, clock_gettime};

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
        self.tick_of(unix_ms).clamp(now - uptime(), now)
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

/// More time between two turns of the event loop than any of its pauses takes: the probes alone are sampled every few seconds.
const LONGEST_TURN: Duration = Duration::from_secs(60);

/// Tells whether the machine stood still between two turns of the event loop.
#[derive(Debug, Default)]
pub(crate) struct SuspendDetector {
    last: Option<(Tick, Duration)>,
}

impl SuspendDetector {
    /// Whether it did until now, and how much of that the ticks did not see: they stand still with a machine that sleeps, and go on while its
    /// processes are frozen. `up` is since when the machine runs, sleep included.
    pub(crate) fn over(&mut self, now: Tick, up: Duration) -> Option<Duration> {
        let (before, up_before) = self.last.replace((now, up))?;
        let seen = now.since(before);
        let passed = up.saturating_sub(up_before).max(seen);
        (passed >= LONGEST_TURN).then(|| passed.saturating_sub(seen))
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_ms_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How long ago the machine was started, sleep included: the clock behind `/proc/uptime`, by which others judge what the agent writes. Asks no file.
pub(crate) fn uptime() -> Duration {
    clock_gettime(ClockId::Boottime).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_stood_still_is_told_by_either_clock() {
        const HOURS: Duration = Duration::from_secs(6 * 3600);
        let second = Duration::from_secs(1);
        let start = Tick(1_000_000);
        let over = |ticks: Duration, up: Duration| {
            let mut stillness = SuspendDetector::default();
            assert_eq!(stillness.over(start, HOURS), None, "the first turn");
            stillness.over(start + ticks, HOURS + up)
        };
        assert_eq!(over(second, second), None);
        assert_eq!(over(5 * second, 59 * second), None, "an overloaded machine is slow");
        assert_eq!(over(second, HOURS + second), Some(HOURS), "hibernated: its ticks stood still");
        assert_eq!(over(HOURS, HOURS), Some(Duration::ZERO), "frozen: they went on");
    }

    /// The dead-man's switch and the program for each boot read it there.
    #[test]
    fn the_time_since_the_start_is_what_the_kernel_tells_everybody() {
        let before = uptime();
        let told = std::fs::read_to_string("/proc/uptime").unwrap();
        let told = Duration::from_secs_f64(told.split(' ').next().unwrap().parse().unwrap());
        let hundredth = Duration::from_millis(10);
        assert!(before <= told + hundredth && told <= uptime(), "{before:?}, {told:?}");
    }
}
