use jiff::Timestamp;

use super::*;
use crate::explain::{ActivityKind, Status};

pub(super) fn at(time: &str) -> Timestamp {
    format!("2026-11-26T03:{time}Z").parse().expect("a time")
}

fn evidence(lines: &str) -> Vec<Evidence> {
    let records = lines.lines().filter(|line| !line.trim().is_empty());
    records
        .map(|line| {
            Record::find(line).and_then(|record| Evidence::record(record, "a")).unwrap_or_else(|| panic!("{line}"))
        })
        .collect()
}

fn decision(time: &str, result: &str, queued: u32, desired: u32, rest: &str) -> String {
    format!(
        "{{\"schema\":1,\"kind\":\"decision\",\"time\":\"2026-11-26T03:{time}Z\",\"pool\":\"linux\",\"group\":\"g\",\"platform\":\"any\",\"result\":\"{result}\",\
         \"why\":{{\"queued\":{queued},\"running\":0,\"slots\":1,\"utilisation\":100,\"threshold\":1,\"spare\":0,\"need\":2,\"min\":0,\"max\":5,\
         \"desired\":{desired},\"target\":2,\"limit\":\"none\"}}{rest},\"ms\":{{\"demand\":1,\"describe\":1,\"raise\":null,\"total\":1}}}}\n"
    )
}

fn failed(time: &str) -> String {
    format!(
        "{{\"schema\":1,\"kind\":\"decision\",\"time\":\"2026-11-26T03:{time}Z\",\"pool\":\"linux\",\"group\":\"g\",\"platform\":\"any\",\"result\":\"failed\",\
         \"error\":\"502\",\"ms\":{{\"demand\":null,\"describe\":null,\"raise\":null,\"total\":1}}}}\n"
    )
}

fn incident(time: &str, instance: &str, what: &str, rest: &str) -> String {
    format!(
        "{{\"schema\":1,\"kind\":\"incident\",\"time\":\"2026-11-26T03:{time}Z\",\"instance\":\"{instance}\",\"group\":\"g\",\"platform\":\"any\",\
         \"what\":\"{what}\",\"detail\":\"so it said\"{rest}}}\n"
    )
}

pub(super) fn fleet() -> Vec<Evidence> {
    evidence(
        &[
            decision("00:00", "raised", 2, 0, ",\"to\":2,\"reason\":\"2 waiting\""),
            decision("00:10", "held", 2, 2, ",\"reason\":\"enough\""),
            failed("00:20"),
            failed("00:30"),
            decision("00:40", "held", 0, 2, ",\"reason\":\"enough\""),
            decision("00:50", "held", 0, 2, ",\"reason\":\"enough\""),
            incident("00:05", "i-1", "started", ""),
            incident("00:15", "i-1", "ready", ""),
            incident("00:16", "i-1", "busy", ",\"jobs\":[\"7\"]"),
            incident("00:30", "i-1", "spot_notice", ""),
            incident("00:07", "i-2", "started", ""),
        ]
        .concat(),
    )
}

#[test]
fn lanes_marks_and_cost_share_one_scale_of_time() {
    let chart = Chart::new(&fleet(), at("01:00"), |_, pool| (pool == "linux").then_some(36.0));
    assert_eq!((chart.from, chart.to), (at("00:00").as_millisecond(), at("01:00").as_millisecond()));
    let life = &chart.lanes[0];
    let spans: Vec<_> = life.spans.iter().map(|span| (span.state, (span.to - span.from) / 1_000)).collect();
    assert_eq!((life.pool.as_str(), spans), ("linux", vec![("booting", 10), ("idle", 1), ("busy", 44)]));
    assert_eq!(life.spans[2].jobs, ["7"]);
    let marks: Vec<_> = life.marks.iter().map(|mark| (mark.what, mark.tone, mark.at)).collect();
    assert_eq!(marks, [("spot_notice", Tone::Notice, at("00:30").as_millisecond())]);
    assert!(life.marks[0].sentence.contains("A spot notice") && life.marks[0].sentence.ends_with("so it said"));
    assert!(!life.sentences.is_empty() && life.end.is_none());
    assert_eq!(chart.cost[0].row.spent.all_ms(), 55_000 + 53_000);
    assert!((chart.cost[0].price.expect("a price") - 1.08).abs() < 1e-9);
}

#[test]
fn a_pool_has_each_reading_once_and_its_news_are_raises_and_turns() {
    let chart = Chart::new(&fleet(), at("01:00"), |_, _| None);
    let readings: Vec<_> =
        chart.pools[0].readings.iter().map(|it| (it.result, it.queued, it.desired, it.news)).collect();
    assert_eq!(
        readings,
        [
            ("raised", Some(2), Some(2), true),
            ("held", Some(2), Some(2), true),
            ("failed", None, None, true),
            ("held", Some(0), Some(2), true)
        ]
    );
    assert_eq!(chart.pools[0].readings[0].sentence, "raised 0 -> 2: 2 waiting");
    assert_eq!(chart.pools[0].waits, Waits { jobs_ms: 80_000, longest_ms: 40_000, most: 2 });
}

#[test]
fn a_scaler_that_stands_by_is_told_of_once() {
    let standby = |time: &str| {
        format!(
            "{{\"schema\":1,\"kind\":\"decision\",\"time\":\"2026-11-26T03:{time}Z\",\"pool\":\"linux\",\"group\":\"g\",\"platform\":\"any\",\"result\":\"standby\",\
             \"reason\":\"waits for the session\",\"ms\":{{\"demand\":null,\"describe\":null,\"raise\":null,\"total\":1}}}}\n"
        )
    };
    let held = |time: &str, queued: u32| decision(time, "held", queued, 2, ",\"reason\":\"enough\"");
    let told = [
        held("00:00", 0),
        standby("00:05"),
        held("00:10", 0),
        standby("00:15"),
        held("00:20", 3),
        standby("00:25"),
        held("00:30", 3),
    ];
    let chart = Chart::new(&evidence(&told.concat()), at("00:40"), |_, _| None);
    let readings: Vec<_> = chart.pools[0].readings.iter().map(|it| (it.result, it.queued, it.news)).collect();
    assert_eq!(readings, [("held", Some(0), true), ("standby", None, true), ("held", Some(3), false)]);
    assert_eq!(chart.pools[0].waits, Waits { jobs_ms: 60_000, longest_ms: 20_000, most: 3 });
}

#[test]
fn what_the_group_ended_without_a_word_ends_where_its_history_says() {
    let mut evidence = fleet();
    let activity = Activity {
        group: "g".into(),
        instance: Some("i-2".into()),
        kind: ActivityKind::Unhealthy,
        text: "taken out of service".into(),
    };
    evidence.push(Evidence { time: at("00:27"), source: "history".into(), said: Said::Activity(Box::new(activity)) });
    let chart = Chart::new(&evidence, at("01:00"), |_, _| None);
    let end = chart.lanes[1].end.as_ref().expect("an end");
    assert_eq!((end.at, end.reason.as_str(), end.tone), (at("00:27").as_millisecond(), "group", Tone::Bad));
    assert_eq!(chart.lanes[1].spans.last().map(|span| span.to), Some(end.at));
    assert_eq!(chart.cost[0].row.spent.all_ms(), 55_000 + 20_000);
    // Also where that is the last that is known.
    let chart = Chart::new(&evidence, at("00:27"), |_, _| None);
    assert_eq!(chart.lanes[1].end.as_ref().map(|end| end.at), Some(at("00:27").as_millisecond()));
    // Who still speaks is there.
    evidence.extend(self::evidence(&incident("00:40", "i-2", "ready", "")));
    assert_eq!(Chart::new(&evidence, at("01:00"), |_, _| None).lanes[1].end, None);
}

#[test]
fn an_instance_without_an_end_of_which_nothing_is_heard_for_an_hour_is_silent() {
    let told = [
        incident("00:00", "i-gone", "ready", ""),
        incident("00:10", "i-there", "ready", ""),
        incident("00:20", "i-ended", "ready", ""),
    ];
    let mut evidence = evidence(&told.concat());
    let activity = Activity {
        group: "g".into(),
        instance: Some("i-ended".into()),
        kind: ActivityKind::Unhealthy,
        text: "taken out of service".into(),
    };
    evidence.push(Evidence { time: at("00:40"), source: "history".into(), said: Said::Activity(Box::new(activity)) });
    let silent = |evidence: &[Evidence], hour: &str| -> Vec<(String, Option<i64>)> {
        let to = format!("2026-11-26T{hour}Z").parse().expect("a time");
        Chart::new(evidence, to, |_, _| None).lanes.into_iter().map(|life| (life.instance, life.silent)).collect()
    };
    assert!(silent(&evidence, "04:00:00").iter().all(|(_, silent)| silent.is_none()));
    // One that is asked and answers is there, however long ago it wrote something.
    let status = Status { instance: "i-there".into(), phase: "idle".into(), ..Status::default() };
    let time = "2026-11-26T04:00:05Z".parse().expect("a time");
    evidence.push(Evidence { time, source: "its agent".into(), said: Said::Status(Box::new(status)) });
    let last = at("00:00").as_millisecond();
    let expected = [("i-gone".to_owned(), Some(last)), ("i-there".to_owned(), None), ("i-ended".to_owned(), None)];
    assert_eq!(silent(&evidence, "04:00:06"), expected);
}

#[test]
fn of_nothing_there_is_an_empty_chart() {
    let chart = Chart::new(&[], at("00:00"), |_, _| None);
    assert_eq!((chart.from, chart.lanes.len(), chart.pools.len(), chart.cost.len()), (chart.to, 0, 0, 0));
}

/// The same decisions, told one by one to somebody who sees no instances, are the same picture of the pools; what is forgotten is the oldest.
#[test]
fn a_scaler_that_sees_no_instances_draws_the_same_pools() {
    let whole = Chart::new(&fleet(), at("00:55"), |_, _| None);
    let mut readings = Readings::default();
    for it in &fleet() {
        if let Said::Decision(decision) = &it.said {
            readings.push(it.time, decision);
        }
    }
    let drawn = |readings: &Readings| Chart::of_pools([("linux", readings)], &Listings::default(), at("00:55"));
    let chart = drawn(&readings);
    assert_eq!((&chart.pools, chart.from, chart.to), (&whole.pools, whole.from, whole.to));
    assert_eq!((chart.lanes.len(), chart.cost.len(), chart.unseen.len()), (0, 0, 1));
    assert!(chart.unseen[0].contains("lightsout timeline --web"), "{:?}", chart.unseen);
    let idle = Readings::default();
    assert_eq!(
        Chart::of_pools([("idle", &idle)], &Listings::default(), at("00:55")).pools,
        [],
        "nothing is known of it"
    );

    let (all, last) = (readings.len(), whole.pools[0].readings.last().cloned());
    readings.forget(all - 1);
    let held = evidence(&decision("00:58", "held", 0, 2, ",\"reason\":\"enough\""));
    let Said::Decision(decision) = &held[0].said else { panic!("it is one") };
    readings.push(held[0].time, decision);
    assert_eq!(drawn(&readings).pools[0].readings, [last.clone().expect("some")], "it is as the last one");
    readings.forget(1);
    readings.push(held[0].time, decision);
    let known = Reading { at: held[0].time.as_millisecond(), news: false, ..last.expect("some") };
    assert_eq!(drawn(&readings).pools[0].readings, [known], "known again, and no news");
}

/// Of more pools than anybody looks through, those are drawn where jobs wait, then those where most happens; the others are told of all the same.
#[test]
fn of_many_pools_sixty_are_drawn_and_no_waiting_one_is_left_out() {
    let pool = |pool: u32, second: u32, queued: u32| {
        decision(&format!("00:{second:02}"), "held", queued, 2, ",\"reason\":\"enough\"")
            .replace("linux", &format!("p{pool:02}"))
    };
    let told: String = (0..70)
        .map(|n| match n {
            // The last ones wait; of the others the first twenty say least.
            65.. => pool(n, 0, n),
            20.. => pool(n, 0, 1) + &pool(n, 10, 0),
            _ => pool(n, 0, 0),
        })
        .collect();
    let chart = Chart::new(&evidence(&told), at("01:00"), |_, _| None);
    let of = |drawn: bool| -> Vec<&str> {
        chart.pools.iter().filter(|pool| pool.drawn == drawn).map(|pool| pool.pool.as_str()).collect()
    };
    assert_eq!((of(true).len(), chart.pools.len()), (60, 70));
    assert_eq!(of(false), ["p10", "p11", "p12", "p13", "p14", "p15", "p16", "p17", "p18", "p19"]);
    assert!(Chart::new(&fleet(), at("01:00"), |_, _| None).pools[0].drawn, "of few each");
}
