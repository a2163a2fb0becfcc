//! Spans of time on a command line: read as the settings read them, shown short.

use std::time::Duration;

pub(crate) use lightsout_core::duration::{format_duration, parse_duration};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Seconds, as flags had them before they were durations: `4`, or `0.3`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let span = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    span.filter(|span| *span <= DAY).ok_or_else(|| "write seconds, 86400 at most".to_owned())
}

/// A short form for tables: `0.0s`, `7.3s`, `42s`, `3m05s`, `2h07m`.
pub(crate) fn short(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..10 => format!("{}.{}s", seconds, span.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_three_digits_at_most() {
        let shown = |ms| short(Duration::from_millis(ms));
        assert_eq!(shown(0), "0.0s");
        assert_eq!(shown(7_390), "7.3s");
        assert_eq!(shown(42_000), "42s");
        assert_eq!(shown(185_000), "3m05s");
        assert_eq!(shown(7_620_000), "2h07m");
    }
}
