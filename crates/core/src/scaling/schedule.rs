//! `spare` by the time of day and of the week, on the clock of a place.
//!
//! What is in force follows from the instant alone: nothing is triggered, so nothing is missed by a scaler that stood still or is started anew.
//! An entry holds while the clock on the wall is within its hours. Where that clock is changed, an entry rather holds too long than too
//! short: hours that are skipped begin with the jump, and hours that come twice hold from their first beginning to their last end.

use std::{borrow::Cow, fmt, sync::Arc};

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Weekday, time},
    tz::{AmbiguousOffset, TimeZone},
};

use super::ScalerPolicy;

mod entry;

pub use entry::Entry;

/// Entries and the clock by which they go. [`Default`]: none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    entries: Arc<[Entry]>,
    zone: Zone,
}

/// The clock of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: Arc<str>,
    rules: TimeZone,
}

impl Default for Schedule {
    fn default() -> Self {
        Self::new(Vec::new(), Zone::utc())
    }
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self { name: "UTC".into(), rules: TimeZone::UTC }
    }

    /// `UTC`, a rule as POSIX writes it in the variable TZ, such as `CET-1CEST,M3.5.0,M10.5.0/3` (IEEE Std 1003.1, "Other Environment
    /// Variables"), or a name whose TZif file (RFC 9636) `file` gives.
    ///
    /// # Errors
    ///
    /// What is wrong, and the remedy.
    pub fn parse(text: &str, file: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Self, (String, String)> {
        const RULE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
        let zone = |rules| Ok(Self { name: text.into(), rules });
        if text == "UTC" {
            return Ok(Self::utc());
        }
        // Whoever writes this means two hours east, and POSIX two hours west.
        if ["UTC", "GMT"]
            .iter()
            .any(|name| text.starts_with(&format!("{name}+")) || text.starts_with(&format!("{name}-")))
        {
            let why = "reads as the opposite of what it says: an offset in a rule counts to the west";
            let remedy = format!(
                "two hours east of Greenwich all the year round is \"<+02>-2\", two hours west \"<-02>2\"; with daylight saving write a rule such as {RULE:?}"
            );
            return Err((why.into(), remedy));
        }
        let rule = if text.contains(|c: char| c.is_ascii_digit()) { TimeZone::posix(text).ok() } else { None };
        if let Some(rules) = rule {
            return zone(rules);
        }
        if text.contains(',') {
            return Err(("is no rule of a time zone".into(), format!("write \"UTC\", or a rule such as {RULE:?}")));
        }
        let Some(data) = file(text) else {
            return Err((
                "is no rule of a time zone, and this system has no zone of that name in /usr/share/zoneinfo".into(),
                format!(
                    "write the rule itself, such as {RULE:?}: `tail -n1 /usr/share/zoneinfo/NAME` prints it on a system that has the zone"
                ),
            ));
        };
        match TimeZone::tzif(text, &data) {
            Ok(rules) => zone(rules),
            Err(error) => {
                Err((format!("has a file that cannot be read: {error}"), format!("write its rule, such as {RULE:?}")))
            }
        }
    }

    /// The first moment at which the clock shows this; where it skips it, the moment of the jump.
    fn first(&self, shown: DateTime) -> Option<Timestamp> {
        match self.rules.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(shown).ok()
            }
            AmbiguousOffset::Gap { after, .. } => {
                let before = after.to_timestamp(shown).ok()?;
                self.rules.following(before).next().map(|jump| jump.timestamp())
            }
        }
    }

    /// The last moment before which the clock shows less than this; where it skips it, as long after the jump as it would have been.
    fn last(&self, shown: DateTime) -> Option<Timestamp> {
        let offset = match self.rules.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Gap { before: offset, .. } => offset,
            AmbiguousOffset::Fold { before, after } => {
                let just_before = shown.checked_sub(SignedDuration::from_nanos(1)).ok()?;
                // What begins to come twice with this very moment is later than it.
                let inside = self.rules.to_ambiguous_timestamp(just_before).is_ambiguous();
                if inside { after } else { before }
            }
        };
        offset.to_timestamp(shown).ok()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Schedule {
    /// These entries, of which a later one overrides an earlier one.
    pub fn new(entries: Vec<Entry>, zone: Zone) -> Self {
        Self { entries: entries.into(), zone }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its entries, of which a later one overrides an earlier one.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The clock by which they go.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The highest number of spare instances that any entry keeps; 0 without one.
    pub fn most(&self) -> u32 {
        self.entries.iter().map(Entry::spare).max().unwrap_or(0)
    }

    /// The entry in force; `None` where none is, so that the pool's own `spare` holds.
    fn in_force(&self, now: Timestamp) -> Option<&Entry> {
        let today = self.zone.rules.to_datetime(now).date();
        self.entries.iter().rev().find(|entry| {
            days(today, -2..=1)
                .any(|date| self.hours(entry, date).is_some_and(|(begin, end)| begin <= now && now < end))
        })
    }

    /// The policy with what the schedule says at this instant.
    pub fn apply<'a>(&self, policy: &'a ScalerPolicy, now: Timestamp) -> Cow<'a, ScalerPolicy> {
        match self.in_force(now) {
            None => Cow::Borrowed(policy),
            Some(entry) => {
                Cow::Owned(ScalerPolicy { spare: entry.spare(), entry: Some(entry.to_string()), ..policy.clone() })
            }
        }
    }

    /// When another entry, or none, comes into force after `now`: the next so many of these moments within nine days, with what holds then.
    fn changes(&self, now: Timestamp, count: usize) -> Vec<(Timestamp, Option<&Entry>)> {
        let today = self.zone.rules.to_datetime(now).date();
        let mut moments: Vec<Timestamp> = Vec::new();
        for entry in self.entries.iter() {
            let hours = days(today, -2..=9).filter_map(|date| self.hours(entry, date));
            moments.extend(hours.flat_map(|(begin, end)| [begin, end]).filter(|moment| *moment > now));
        }
        moments.sort_unstable();
        moments.dedup();
        let mut before = self.in_force(now);
        let mut changes = Vec::new();
        for moment in moments {
            let then = self.in_force(moment);
            if then != before {
                changes.push((moment, then));
                before = then;
            }
        }
        changes.truncate(count);
        changes
    }

    /// What holds at this instant and what follows, in one sentence; `otherwise` is the pool's own `spare`.
    pub fn describe(&self, now: Timestamp, otherwise: u32) -> String {
        let held = |entry: Option<&Entry>| match entry {
            Some(entry) => format!("spare {} (by {:?})", entry.spare(), entry.to_string()),
            None => format!("spare {otherwise} (by no entry)"),
        };
        let mut text = format!("{} now", held(self.in_force(now)));
        for (moment, then) in self.changes(now, 3) {
            let at = self.zone.rules.to_datetime(moment);
            let day = entry::NAMES[usize::from(weekday(at.date()))];
            let then = held(then);
            text += &format!(", {then} from {day} {} {:02}:{:02}", at.date(), at.hour(), at.minute());
        }
        let here = self.zone.rules.to_datetime(now);
        format!("{text}, on the clock of {}, where it is {:02}:{:02} now", self.zone, here.hour(), here.minute())
    }

    /// From when to when an entry holds that begins on this date.
    fn hours(&self, entry: &Entry, date: Date) -> Option<(Timestamp, Timestamp)> {
        if !entry.has(weekday(date)) {
            return None;
        }
        let (from, to) = entry.minutes();
        let shown = |minutes: u16| {
            let (days, minutes) = (minutes / 1_440, minutes % 1_440);
            let of_day = time(i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?, 0, 0);
            let date = if days == 0 { date } else { date.tomorrow().ok()? };
            Some(date.to_datetime(of_day))
        };
        let (begin, end) = (self.zone.first(shown(from)?)?, self.zone.last(shown(to)?)?);
        // The clock skips all of it: it holds from the jump on.
        let all = SignedDuration::from_mins(i64::from(to - from));
        Some((begin, if end > begin { end } else { begin.checked_add(all).ok()? }))
    }
}

/// The dates around one.
fn days(today: Date, around: std::ops::RangeInclusive<i64>) -> impl Iterator<Item = Date> {
    around.filter_map(move |days| today.checked_add(SignedDuration::from_hours(24 * days)).ok())
}

/// 0 for Monday.
fn weekday(date: Date) -> u8 {
    match date.weekday() {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    }
}

#[cfg(test)]
mod tests;
