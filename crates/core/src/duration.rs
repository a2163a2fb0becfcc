//! Spans of time as text: the one grammar of settings, flags and messages.

use std::{
    fmt::{Display, Write},
    time::Duration,
};

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration; write a number with its unit, such as \"90s\", \"10m\" or \"2h30m\"")]
pub struct BadDuration;

/// The units, longest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration such as `90s`, `10m`, `2h30m` or `250ms`; longer units come first, and `0` needs none.
///
/// # Errors
///
/// When the text is anything else, also a bare number: that would hide its unit.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = 0_u64;
    let mut longest = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(BadDuration)?;
        let (number, tail) = rest.split_at(digits);
        let (name, tail) = tail.split_at(tail.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(tail.len()));
        let unit = UNITS.iter().find(|unit| unit.0 == name).ok_or(BadDuration)?.1;
        let number: u64 = number.parse().map_err(|_| BadDuration)?;
        if unit >= longest {
            return Err(BadDuration);
        }
        longest = unit;
        total = number.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or(BadDuration)?;
        rest = tail;
    }
    if longest == u64::MAX { Err(BadDuration) } else { Ok(Duration::from_millis(total)) }
}

/// Writes a duration so that [`parse_duration`] reads it back, to the millisecond.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (name, unit) in UNITS {
        if rest >= unit {
            let _ = write!(text, "{}{name}", rest / unit);
            rest %= unit;
        }
    }
    text
}

/// Writes a duration for people: to the tenth of a second below ten seconds (`7.6s`), to the second above.
pub fn format_about(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let tenths = millis.saturating_add(50) / 100;
    match millis {
        1_000..10_000 if !tenths.is_multiple_of(10) => format!("{}.{}s", tenths / 10, tenths % 10),
        0..1_000 => format_duration(duration),
        _ => format_duration(Duration::from_secs(millis.saturating_add(500) / 1_000)),
    }
}

/// That a time is over, for people: what has not happened in it, and the setting that governs it or what else to do.
pub fn not_within(what: impl Display, time: Duration, remedy: impl Display) -> String {
    format!("{what} within {}; {remedy}", format_about(time))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("90s", 90_000),
            ("10m", 600_000),
            ("2h30m", 9_000_000),
            ("1d", 86_400_000),
            ("250ms", 250),
            ("1s500ms", 1_500),
            (" 5s ", 5_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn is_rounded_for_people() {
        for (micros, text) in [
            (5_998_418, "6s"),
            (7_640_000, "7.6s"),
            (9_960_000, "10s"),
            (224_900, "224ms"),
            (95_400_000, "1m35s"),
            (0, "0s"),
        ] {
            assert_eq!(format_about(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        for text in [
            "",
            " ",
            "10",
            "s",
            "10 m",
            "1.5h",
            "-5s",
            "5S",
            "30m2h",
            "5s5s",
            "10x",
            "5sm",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert_eq!(parse_duration(text), Err(BadDuration), "{text}");
        }
    }

    proptest! {
        #[test]
        fn is_read_back_as_it_was_written(millis in 0..u64::MAX / 2) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn never_panics(text in ".{0,20}") {
            let _ = parse_duration(&text);
        }
    }
}
