//! When a scheduled action recurs: crontab(5)'s five fields, in UTC.

use jiff::{
    ToSpan as _,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use crate::time::Timestamp;

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A 29 February may be eight years away, around a year that is no leap year.
const FURTHEST_DAYS: usize = 366 * 9;

/// Minutes, hours, days of the month, months and days of the week, each as the numbers that are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrence {
    text: String,
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Vec<i8>,
    months: Vec<i8>,
    /// Sunday is 0.
    weekdays: Vec<i8>,
    /// Whether a day need only be in one of the two lists of days, because neither is `*`.
    either: bool,
}

impl Recurrence {
    /// `MINUTE HOUR DAY MONTH WEEKDAY`; nothing when it is no such text.
    pub fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else { return None };
        let mut week = numbers(weekdays, 0, 7, &WEEKDAYS)?;
        // Sunday has two numbers.
        for day in &mut week {
            *day %= 7;
        }
        Some(Self {
            text: text.to_owned(),
            minutes: numbers(minutes, 0, 59, &[])?,
            hours: numbers(hours, 0, 23, &[])?,
            days: numbers(days, 1, 31, &[])?,
            months: numbers(months, 1, 12, &MONTHS)?,
            weekdays: week,
            either: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first time after this one; none when there is no such day.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let now = jiff::Timestamp::from_millisecond(at.0).ok()?.to_zoned(TimeZone::UTC).datetime();
        let days = now.date().series(1.day()).take(FURTHEST_DAYS).filter(|day| self.has(*day));
        let times = days.flat_map(|day| {
            self.hours.iter().flat_map(move |hour| self.minutes.iter().map(move |minute| day.at(*hour, *minute, 0, 0)))
        });
        let next: DateTime = times.filter(|time| *time > now).min_by_key(|time| (time.date(), time.time()))?;
        Some(Timestamp(next.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond()))
    }

    fn has(&self, date: Date) -> bool {
        let day = self.days.contains(&date.day());
        let weekday = self.weekdays.contains(&date.weekday().to_sunday_zero_offset());
        self.months.contains(&date.month()) && if self.either { day || weekday } else { day && weekday }
    }
}

/// The numbers of one field, of which the first may have a name and so those after it: `*`, `3`, `1-5`, `MON-FRI`, `*/10`, `0-30/5`, and lists of these.
fn numbers(field: &str, least: i8, most: i8, names: &[&str]) -> Option<Vec<i8>> {
    let number = |text: &str| -> Option<i8> {
        let number = match names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            Some(at) => i8::try_from(at).ok()? + least,
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            None => return None,
        };
        (least..=most).contains(&number).then_some(number)
    };
    let mut all = Vec::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        all.extend((from..=to).step_by(step));
    }
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next times after Friday, 15 January 2027, 08:00:30 UTC.
    fn next(text: &str, count: usize) -> Vec<String> {
        let recurrence = Recurrence::parse(text).unwrap();
        let mut at = Timestamp(1_800_000_030_000);
        let mut times = Vec::new();
        for _ in 0..count {
            at = recurrence.next_after(at).unwrap();
            times.push(at.to_seconds());
        }
        times
    }

    #[test]
    fn recurs_as_a_crontab_says() {
        for (text, expected) in [
            ("30 8 * * *", vec!["2027-01-15T08:30:00Z", "2027-01-16T08:30:00Z"]),
            ("0 8 * * *", vec!["2027-01-16T08:00:00Z"]),
            ("*/20 8 * * *", vec!["2027-01-15T08:20:00Z", "2027-01-15T08:40:00Z", "2027-01-16T08:00:00Z"]),
            ("0 6 * * MON-FRI", vec!["2027-01-18T06:00:00Z", "2027-01-19T06:00:00Z"]),
            ("0 6 * * 7", vec!["2027-01-17T06:00:00Z", "2027-01-24T06:00:00Z"]),
            ("0 0 1 JAN,jul *", vec!["2027-07-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
            ("0 12 13 * fri", vec!["2027-01-15T12:00:00Z", "2027-01-22T12:00:00Z", "2027-01-29T12:00:00Z"]),
            ("5 4 29 2 *", vec!["2028-02-29T04:05:00Z", "2032-02-29T04:05:00Z"]),
            ("50/4,3 23 * * *", vec!["2027-01-15T23:03:00Z", "2027-01-15T23:50:00Z", "2027-01-15T23:54:00Z"]),
        ] {
            assert_eq!(next(text, expected.len()), expected, "{text}");
        }
        assert_eq!(Recurrence::parse("0 0 30 2 *").unwrap().next_after(Timestamp(0)), None, "there is no such day");
    }

    #[test]
    fn what_is_no_crontab_is_refused() {
        for text in ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a * * * *"] {
            assert_eq!(Recurrence::parse(text), None, "{text}");
        }
        for text in ["5-1 * * * *", "*/0 * * * *", "1- * * * *", "* * * * * *", "+5 * * * *", "-1 * * * *"] {
            assert_eq!(Recurrence::parse(text), None, "{text}");
        }
    }
}
