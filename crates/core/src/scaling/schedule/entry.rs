//! One line of a schedule: on which days, from when to when, how many.

use std::{fmt, str::FromStr};

/// The days of the week.
pub(super) const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: u16 = 1_440;
/// The most spare instances, as `pool.spare` has it.
const MOST: u32 = 10_000;

/// Hours of some days of the week, and the instances that are kept ready in them: `mon-fri 07:30-18:00 spare 4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A bit for each day, Monday's the lowest.
    days: u8,
    /// In minutes since the date's midnight; `to` is above `from`, by 1,440 at most.
    from: u16,
    to: u16,
    spare: u32,
    text: String,
}

impl Entry {
    /// Instances kept ready beyond the demand.
    pub fn spare(&self) -> u32 {
        self.spare
    }

    pub(super) fn has(&self, weekday: u8) -> bool {
        self.days & (1 << weekday) != 0
    }

    pub(super) fn minutes(&self) -> (u16, u16) {
        (self.from, self.to)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Entry {
    type Err = String;

    /// Reads `[DAYS] [HH:MM-HH:MM] spare N`. Days are `mon`, `mon-fri`, `sat,sun`, without them each; without hours it is the whole day, and
    /// hours that end before they begin end on the next day.
    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (when, number) = match &words[..] {
            [when @ .., "spare", number] => (when, *number),
            _ => return Err("does not end with spare and a number".into()),
        };
        let spare = number.parse().ok().filter(|spare| *spare <= MOST);
        let spare =
            spare.ok_or_else(|| format!("has {number:?} where a number of instances up to {MOST} is expected"))?;
        let (days, hours) = match when {
            [] => (None, None),
            [one] if one.contains(':') => (None, Some(*one)),
            [one] => (Some(*one), None),
            [days, hours] => (Some(*days), Some(*hours)),
            [_, _, third, ..] => return Err(format!("has {third:?} where spare is expected")),
        };
        let days = days.map_or(Ok(0b111_1111), read_days)?;
        let (from, to) = hours.map_or(Ok((0, DAY)), read_hours)?;
        Ok(Self { days, from, to, spare, text: words.join(" ") })
    }
}

fn read_days(text: &str) -> Result<u8, String> {
    let day = |name: &str| {
        let found = NAMES.iter().position(|known| *known == name);
        found.ok_or_else(|| format!("has {name:?} where one of {} is expected", NAMES.join(", ")))
    };
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        loop {
            days |= 1 << at;
            if at == last {
                break;
            }
            at = (at + 1) % NAMES.len();
        }
    }
    Ok(days)
}

fn read_hours(text: &str) -> Result<(u16, u16), String> {
    let minutes = |text: &str| {
        let (hours, minutes) = text.split_once(':')?;
        let two = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| digits)
        };
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        let all = hours * 60 + minutes;
        (minutes < 60 && all <= DAY).then_some(all)
    };
    let read = text.split_once('-').and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
    match read {
        Some((from, to)) if from < DAY && from < to => Ok((from, to)),
        Some((from, to)) if from < DAY && from > to => Ok((from, to + DAY)),
        Some((from, to)) if from == to => {
            Err(format!("has hours without any time in them, {text:?}; leave them out for the whole day"))
        }
        Some(_) | None => Err(format!("has {text:?} where hours such as 07:30-18:00 are expected")),
    }
}
