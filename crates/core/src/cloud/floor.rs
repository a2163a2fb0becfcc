//! The floor: advice that the scaler leaves on a group for its idle agents.

use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;

use crate::duration::format_duration;

/// How old a floor may become before it is written anew.
const RENEWAL: Duration = Duration::from_secs(15 * 60);
/// How old a floor may be and still be heeded. A scaler that stopped keeps nothing awake for longer.
const EXPIRY: Duration = Duration::from_secs(60 * 60);

/// What idle instances may not undercut, and when somebody said so. Its text is `3 2026-11-26T15:00:00Z`; a number alone is
/// read, too. That is what versions before this one wrote, and what a person may write who means it to stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Floor {
    /// So many instances; 0 is no floor.
    pub instances: u32,
    /// When it was written; `None`: it holds until it is replaced.
    pub written: Option<Timestamp>,
}

impl Floor {
    /// What holds of it at `now`: 0 when it is more than an hour old, or is said to come from as far in the future.
    pub fn advised(&self, now: Timestamp) -> u32 {
        if self.written.is_none_or(|written| age(written, now) <= EXPIRY) { self.instances } else { 0 }
    }

    /// Why it is not heeded at `now`, where it is a floor and is not.
    pub fn ignored(&self, now: Timestamp) -> Option<String> {
        let written = self.written.filter(|_| self.instances > 0 && self.advised(now) == 0)?;
        let (side, remedy) = if written < now {
            ("ago", "does a scaler still look after this group? Else is the clock of this machine synchronised?")
        } else {
            ("ahead", "is the clock of this machine synchronised, and that of the scaler?")
        };
        Some(format!(
            "the floor of {} that a scaler wrote at {written:.0} is more than {} {side}, by this machine's clock, and is not heeded: {remedy}",
            self.instances,
            format_duration(EXPIRY)
        ))
    }

    /// What to write at `now` so that `wanted` is advised from then on, given the floor that is seen on the group and the one
    /// that this process wrote last; `None`: nothing. The last one counts by itself, because a description need not show it
    /// yet, and because two who disagree would write in turn.
    pub fn renewed(seen: Self, own: Self, wanted: u32, now: Timestamp) -> Option<Self> {
        let held = own.written.is_some() && !own.is_due(wanted, now);
        (!held && seen.is_due(wanted, now)).then_some(Self { instances: wanted, written: Some(now) })
    }

    /// Whether it has to be written anew at `now` so that `wanted` is advised from then on: it says something else, or is a
    /// quarter of an hour old. What advises nothing is left to expire.
    fn is_due(&self, wanted: u32, now: Timestamp) -> bool {
        if self.advised(now) != wanted {
            return true;
        }
        wanted > 0 && self.written.is_none_or(|written| age(written, now) >= RENEWAL)
    }
}

/// How far a time is from now, on whichever side: clocks differ.
fn age(written: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(written).unsigned_abs()
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.written {
            Some(written) => write!(f, "{} {written:.0}", self.instances),
            None => write!(f, "{}", self.instances),
        }
    }
}

impl FromStr for Floor {
    type Err = ();

    /// # Errors
    ///
    /// When the text is no floor: then there is none.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split_whitespace();
        let instances = words.next().and_then(|word| word.parse().ok()).ok_or(())?;
        let written = words.next().map(|word| word.parse().map_err(|_| ())).transpose()?;
        if words.next().is_some() { Err(()) } else { Ok(Self { instances, written }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(text: &str) -> Floor {
        text.parse().expect("a floor")
    }

    fn at(minutes: i64) -> Timestamp {
        let noon: Timestamp = "2026-11-26T12:00:00Z".parse().expect("a time");
        Timestamp::from_second(noon.as_second() + 60 * minutes).expect("a time")
    }

    #[test]
    fn is_read_as_it_is_written_and_as_it_once_was() {
        let written = Floor { instances: 3, written: Some(at(0)) };
        assert_eq!(written.to_string(), "3 2026-11-26T12:00:00Z");
        assert_eq!(floor(&written.to_string()), written);
        assert_eq!(floor(" 7 "), Floor { instances: 7, written: None });
        for none in ["", "many", "-1", "3 soon", "3 2026-11-26T12:00:00Z 4"] {
            assert_eq!(none.parse::<Floor>(), Err(()), "{none:?}");
        }
    }

    #[test]
    fn a_floor_is_heeded_for_an_hour() {
        let timed = floor("3 2026-11-26T12:00:00Z");
        for (minutes, advised) in [(0, 3), (59, 3), (60, 3), (61, 0), (6000, 0), (-59, 3), (-61, 0)] {
            assert_eq!(timed.advised(at(minutes)), advised, "{minutes} min later");
            assert_eq!(floor("3").advised(at(minutes)), 3, "one without a time stays");
        }
    }

    #[test]
    fn a_floor_that_is_not_heeded_is_told_from_one_that_is_and_from_none() {
        let timed = floor("3 2026-11-26T12:00:00Z");
        for heeded in [-60, 0, 60] {
            assert_eq!(timed.ignored(at(heeded)), None, "{heeded} min later");
        }
        let why = |minutes| timed.ignored(at(minutes)).expect("it is not heeded");
        assert!(why(61).contains("1h ago") && why(61).contains("a scaler still"), "{}", why(61));
        assert!(why(-61).contains("1h ahead") && !why(-61).contains("still"), "{}", why(-61));
        for none in ["3", "0", "0 2026-11-26T12:00:00Z"] {
            assert_eq!(floor(none).ignored(at(6000)), None, "{none}");
        }
    }

    #[test]
    fn a_floor_is_written_when_it_changes_or_is_a_quarter_of_an_hour_old() {
        for (text, wanted, minutes, due) in [
            ("3 2026-11-26T12:00:00Z", 3, 14, false),
            ("3 2026-11-26T12:00:00Z", 3, 15, true),
            ("3 2026-11-26T12:00:00Z", 4, 1, true),
            ("3 2026-11-26T12:00:00Z", 0, 1, true),
            ("3 2026-11-26T12:00:00Z", 0, 61, false),
            ("3 2026-11-26T12:00:00Z", 3, 61, true),
            ("0 2026-11-26T12:00:00Z", 0, 30, false),
            ("0 2026-11-26T12:00:00Z", 2, 1, true),
            ("3", 3, 0, true),
            ("3", 0, 0, true),
            ("0", 0, 0, false),
        ] {
            assert_eq!(floor(text).is_due(wanted, at(minutes)), due, "{text:?}, {wanted} wanted after {minutes} min");
        }
        assert!(!Floor::default().is_due(0, at(0)), "nothing is written where nothing is kept");
    }

    /// How often one of these scalers, which want such floors and tick every ten seconds, writes in an hour. Descriptions
    /// are three ticks behind.
    fn writes_in_an_hour(wanted: &[u32]) -> Vec<usize> {
        let mut tags = vec![Floor::default(); 4];
        let (mut own, mut writes) = (vec![Floor::default(); wanted.len()], vec![0; wanted.len()]);
        for tick in 0..360 {
            let now = Timestamp::from_second(at(0).as_second() + 10 * tick).expect("a time");
            for (who, wanted) in wanted.iter().enumerate() {
                let seen = tags[tags.len() - 4];
                if let Some(floor) = Floor::renewed(seen, own[who], *wanted, now) {
                    (own[who], writes[who]) = (floor, writes[who] + 1);
                    tags.push(floor);
                }
            }
            tags.push(*tags.last().expect("a tag"));
        }
        writes
    }

    #[test]
    fn a_group_costs_a_handful_of_writes_an_hour() {
        assert_eq!(writes_in_an_hour(&[3]), [4]);
        assert_eq!(writes_in_an_hour(&[0]), [0]);
        // Two that write at the same moment do not see each other's.
        for two in [[3, 3], [3, 4]] {
            assert!(writes_in_an_hour(&two).iter().all(|writes| *writes <= 4), "{two:?}");
        }
    }
}
