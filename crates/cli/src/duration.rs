//! Spans of time as people write and read them on a command line.

use std::time::Duration;

use lightsout_core::duration::parse_duration;

/// Reads `90s`, `500ms`, `2m`, `1h30m` as the settings do, and a bare number as seconds.
///
/// # Errors
/// A sentence that shows the accepted forms.
pub fn parse(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .or_else(|| parse_duration(text).ok())
        .ok_or_else(|| "not a span of time; write it as 90, 90s, 500ms, 2m or 1h30m".to_owned())
}

/// A short form for tables: `0.0s`, `7.3s`, `42s`, `3m05s`, `2h07m`.
pub fn short(span: Duration) -> String {
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
    fn reads_what_people_write() {
        assert_eq!(parse("8"), Ok(Duration::from_secs(8)));
        assert_eq!(parse("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("120s"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse(" 1h30m "), Ok(Duration::from_secs(5400)));
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "soon", "-3s", "-3", "5 parsecs", "NaN", "1e40"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

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
