use proptest::prelude::*;

use super::*;

/// Berlin, New York, Lord Howe (half an hour), Havana (at midnight), Kolkata, Dublin (its winter is the exception), and a summer of four weeks.
const ZONES: [&str; 8] = [
    "UTC",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "EST5EDT,M3.2.0,M11.1.0",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "CST5CDT,M3.2.0/0,M11.1.0/1",
    "IST-5:30",
    "IST-1GMT0,M10.5.0,M3.5.0/1",
    "STD0DST,M6.1.1/12,M7.1.1/12",
];

fn zone(text: &str) -> Zone {
    Zone::parse(text, &|_| None).unwrap_or_else(|(wrong, _)| panic!("{text}: {wrong}"))
}

fn schedule(entries: &[&str], place: &str) -> Schedule {
    let entries = entries.iter().map(|text| text.parse().unwrap_or_else(|wrong| panic!("{text}: {wrong}")));
    Schedule::new(entries.collect(), zone(place))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn spare(schedule: &Schedule, time: &str) -> Option<u32> {
    schedule.in_force(at(time)).map(Entry::spare)
}

#[test]
fn the_last_entry_in_force_holds() {
    let all =
        schedule(&["spare 1", "mon-fri 07:30-18:00 spare 4", "fri 16:00-02:00 spare 2", "sat,sun spare 0"], "CET-1");
    for (time, expected) in [
        ("2026-11-23T06:29:59Z", 1),
        ("2026-11-23T06:30:00Z", 4),
        ("2026-11-23T16:59:59Z", 4),
        ("2026-11-23T17:00:00Z", 1),
        ("2026-11-27T15:00:00Z", 2),
        ("2026-11-27T22:59:59Z", 2),
        // Friday's hours last into Saturday, whose own entry comes later and overrides them.
        ("2026-11-27T23:00:00Z", 0),
        ("2026-11-29T22:59:59Z", 0),
        ("2026-11-29T23:00:00Z", 1),
    ] {
        assert_eq!(spare(&all, time), Some(expected), "{time}");
    }
    assert_eq!(spare(&schedule(&["tue spare 1"], "UTC"), "2026-11-23T12:00:00Z"), None);
    assert_eq!((all.most(), Schedule::default().most(), Schedule::default().is_empty()), (4, 0, true));
    let policy = ScalerPolicy { spare: 7, ..ScalerPolicy::default() };
    let applied = all.apply(&policy, at("2026-11-23T12:00:00Z"));
    assert_eq!((applied.spare, applied.entry.as_deref()), (4, Some("mon-fri 07:30-18:00 spare 4")));
    assert_eq!(*Schedule::default().apply(&policy, at("2026-11-23T12:00:00Z")), policy);
}

#[test]
fn hours_that_the_clock_skips_begin_with_the_jump_and_hours_that_come_twice_hold_both_times() {
    // 2026-03-29: 02:00 is 03:00. 2026-10-25: 03:00 is 02:00.
    for (entry, day, begin, end) in [
        ("01:30-02:30 spare 1", "2026-03-29", "00:30", "01:30"),
        ("02:00-03:00 spare 1", "2026-03-29", "01:00", "02:00"),
        ("02:10-02:40 spare 1", "2026-03-29", "01:00", "01:40"),
        ("02:30-05:00 spare 1", "2026-03-29", "01:00", "03:00"),
        ("01:00-03:00 spare 1", "2026-03-29", "00:00", "01:00"),
        ("01:00-02:00 spare 1", "2026-03-29", "00:00", "01:00"),
        ("03:00-04:00 spare 1", "2026-03-29", "01:00", "02:00"),
        ("02:00-03:00 spare 1", "2026-10-25", "00:00", "02:00"),
        ("02:15-02:45 spare 1", "2026-10-25", "00:15", "01:45"),
        ("01:00-02:00 spare 1", "2026-10-25", "23:00", "00:00"),
        ("03:00-04:00 spare 1", "2026-10-25", "02:00", "03:00"),
    ] {
        let hours = schedule(&[entry], ZONES[1]);
        let date: Date = day.parse().unwrap();
        let found = hours.hours(&hours.entries[0], date).unwrap();
        let shown = |moment: Timestamp| format!("{moment}")[11..16].to_owned();
        assert_eq!((shown(found.0), shown(found.1)), (begin.to_owned(), end.to_owned()), "{entry} on {day}");
    }
}

#[test]
fn a_zone_is_a_rule_or_a_name_that_the_system_has() {
    let refused = |text: &str| Zone::parse(text, &|_| None).unwrap_err();
    for (text, wrong) in [
        ("Europe/Berlin", "this system has no zone of that name"),
        ("CEST", "this system has no zone of that name"),
        ("CET-1CEST,M13.5.0,M10.5.0/3", "is no rule"),
        ("", "this system has no zone of that name"),
        ("UTC+2", "reads as the opposite"),
        ("GMT-5", "reads as the opposite"),
    ] {
        let (found, remedy) = refused(text);
        assert!(found.contains(wrong) && remedy.contains("CET-1CEST,M3.5.0,M10.5.0/3"), "{text}: {found}; {remedy}");
    }
    let broken = Zone::parse("Europe/Berlin", &|_| Some(b"no TZif".to_vec())).unwrap_err();
    assert!(broken.0.contains("cannot be read"), "{broken:?}");
    // The least file: no transitions, one type of time, two hours east of Greenwich, and the same again in 64 bits with its rule.
    let part = |version: u8| {
        let mut part = b"TZif".to_vec();
        part.push(version);
        part.extend([0; 15]);
        part.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4]);
        part.extend(7_200_i32.to_be_bytes());
        part.extend([0, 0]);
        part.extend(b"TWO\0");
        part
    };
    let file = [part(b'2'), part(b'2'), b"\nTWO-2\n".to_vec()].concat();
    let named = Zone::parse("Test/Two", &|name| (name == "Test/Two").then(|| file.clone())).unwrap();
    assert_eq!(named.first("2026-11-27T00:00:00".parse().unwrap()), Some(at("2026-11-26T22:00:00Z")));
    assert_eq!(named.to_string(), "Test/Two");
}

#[test]
fn an_entry_that_cannot_be_read_says_what_is_wrong() {
    for (text, expected) in [
        ("", "does not end with spare and a number"),
        ("mon-fri 08:00-18:00", "does not end with spare and a number"),
        ("mon spare many", "has \"many\" where a number of instances up to 10000 is expected"),
        ("mon spare 10001", "has \"10001\" where a number of instances up to 10000 is expected"),
        ("monday spare 1", "has \"monday\" where one of mon, tue, wed, thu, fri, sat, sun is expected"),
        ("mon, fri spare 1", "has \"\" where one of mon, tue, wed, thu, fri, sat, sun is expected"),
        ("mon 8:00-18:00 spare 1", "has \"8:00-18:00\" where hours such as 07:30-18:00 are expected"),
        ("mon 08:00-24:01 spare 1", "has \"08:00-24:01\" where hours such as 07:30-18:00 are expected"),
        ("24:00-08:00 spare 1", "has \"24:00-08:00\" where hours such as 07:30-18:00 are expected"),
        ("mon 08:60-18:00 spare 1", "has \"08:60-18:00\" where hours such as 07:30-18:00 are expected"),
        (
            "08:00-08:00 spare 1",
            "has hours without any time in them, \"08:00-08:00\"; leave them out for the whole day",
        ),
        ("mon 08:00-18:00 and spare 1", "has \"and\" where spare is expected"),
    ] {
        assert_eq!(text.parse::<Entry>(), Err(expected.to_owned()), "{text}");
    }
    let entry: Entry = "  fri-mon   22:00-00:00 spare 3".parse().unwrap();
    assert_eq!(entry.to_string(), "fri-mon 22:00-00:00 spare 3");
    assert_eq!((0..7).map(|day| entry.has(day)).collect::<Vec<_>>(), [true, false, false, false, true, true, true]);
    assert_eq!(entry.minutes(), (1_320, 1_440));
}

#[test]
fn what_holds_and_what_follows_is_one_sentence() {
    let hours = schedule(&["mon-fri 07:30-18:00 spare 4"], ZONES[1]);
    // Friday evening, and the clock is changed on Sunday.
    assert_eq!(
        hours.describe(at("2026-03-27T20:00:00Z"), 1),
        "spare 1 (by no entry) now, spare 4 (by \"mon-fri 07:30-18:00 spare 4\") from mon 2026-03-30 07:30, \
         spare 1 (by no entry) from mon 2026-03-30 18:00, spare 4 (by \"mon-fri 07:30-18:00 spare 4\") from tue 2026-03-31 07:30, \
         on the clock of CET-1CEST,M3.5.0,M10.5.0/3, where it is 21:00 now"
    );
    assert_eq!(hours.changes(at("2026-03-27T20:00:00Z"), 1)[0].0, at("2026-03-30T05:30:00Z"));
}

proptest! {
    /// Whichever way a clock is changed: on each of its days an entry holds, at every moment at which the clock is within its hours, and for as
    /// long as they are or as the clock shows them.
    #[test]
    fn no_change_of_the_clock_loses_an_entry(
        place in 0..ZONES.len(),
        day in 0_i64..366,
        from in 0_u16..1_440,
        length in 1_u16..1_440,
    ) {
        let to = (from + length) % 1_440;
        let shown = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let daily = schedule(&[&format!("{}-{} spare 1", shown(from), shown(to))], ZONES[place]);
        let date = Date::constant(2026, 1, 1).checked_add(SignedDuration::from_hours(24 * day)).unwrap();
        let (begin, end) = daily.hours(&daily.entries[0], date).unwrap();
        prop_assert!(begin < end, "{begin} to {end}");
        let midnight = daily.zone.first(date.at(0, 0, 0, 0)).unwrap();
        for minute in 0..1_500 {
            let moment = midnight + SignedDuration::from_mins(minute);
            let clock = daily.zone.rules.to_datetime(moment);
            let now = u16::try_from(clock.hour()).unwrap() * 60 + u16::try_from(clock.minute()).unwrap();
            let within = if from < to { (from..to).contains(&now) } else { now >= from || now < to };
            if within {
                prop_assert!(daily.in_force(moment).is_some(), "{moment}, {clock}");
            }
            // And an entry holds for no more than the hour of a change longer.
            if !within && daily.in_force(moment).is_some() {
                let around = |hours| daily.zone.rules.to_offset(moment + SignedDuration::from_hours(hours));
                prop_assert!(around(-25) != around(25), "{moment}, {clock}");
            }
        }
    }

    /// Between two changes that are told nothing changes, and each of them is one.
    #[test]
    fn changes_are_told_before_they_come(place in 0..ZONES.len(), begin in 0_i64..366 * 24, step in 1_i64..500) {
        let some = schedule(&["mon-fri 01:15-02:45 spare 2", "sun 00:30-01:30 spare 3", "22:00-02:00 spare 1"], ZONES[place]);
        let begin = at("2026-01-01T00:00:00Z") + SignedDuration::from_hours(begin);
        let changes = some.changes(begin, 4);
        prop_assert_eq!(changes.len(), 4);
        let mut now = begin;
        let mut held = some.in_force(begin);
        for (moment, then) in changes {
            while now < moment {
                prop_assert_eq!(some.in_force(now), held);
                now += SignedDuration::from_secs(60 * step);
            }
            prop_assert!(then != held);
            prop_assert_eq!(some.in_force(moment), then);
            (now, held) = (moment, then);
        }
    }
}
