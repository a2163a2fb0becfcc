use super::*;
use crate::{
    metrics::{Value, metric},
    platform::Demand,
    record::{FailedLaunch, TickTimes},
    scaling::{Capacity, Outlook, PlanHistory, ScalerPolicy, plan},
};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A tick that took a second and saw so many jobs and instances.
fn record(result: Outcome, queued: u32, desired: u32, max: u32, outlook: Outlook) -> Decision {
    let demand = Demand { queued, running: Some(0), poll_after: None };
    let capacity = Capacity { max, desired, ..Capacity::default() };
    let decided = plan(&ScalerPolicy::default(), &demand, capacity, PlanHistory { outlook, ..PlanHistory::default() });
    let why = decided.explanation().clone();
    Decision {
        time: String::new(),
        pool: "ci".into(),
        group: "ci".into(),
        cloud: None,
        platform: "fake".into(),
        result,
        to: (decided.missing() > 0).then_some(why.target),
        reason: None,
        why: Some(why),
        missing: None,
        error: None,
        trouble: None,
        failed_launches: Vec::new(),
        launches_suspended: false,
        ms: TickTimes { total: 1000, ..TickTimes::default() },
    }
}

fn failed() -> Decision {
    Decision { why: None, to: None, ..record(Outcome::Failed, 0, 0, 9, Outlook::default()) }
}

/// The value of a series: a histogram's is how many values it took.
fn value(meter: &mut ScalerMeter, now: Duration, id: Id, labels: &[&str]) -> Option<f64> {
    let registry = meter.at(now);
    let mut samples = registry.samples(metric(id), Some("ci"));
    let found = samples.find(|sample| sample.labels.iter().map(|(_, value)| *value).eq(labels.iter().copied()))?;
    Some(match found.value {
        Value::Number(number) => number,
        #[expect(clippy::cast_precision_loss, reason = "few")]
        Value::Histogram(histogram) => histogram.count() as f64,
    })
}

#[test]
fn what_was_planned_and_done_is_told() {
    let mut meter = ScalerMeter::new(["ci"], false);
    meter.ticked(&record(Outcome::Raised, 7, 2, 9, Outlook::default()), &TickExtras::default(), s(10));
    for (id, labels, expected) in [
        (Id::Jobs, &["pending"][..], 7.0),
        (Id::Need, &[], 7.0),
        (Id::Desired, &[], 7.0),
        (Id::Max, &[], 9.0),
        (Id::Launches, &[], 5.0),
        (Id::Raises, &["raised"], 1.0),
        (Id::Raises, &["failed"], 0.0),
        (Id::Ticks, &["raised"], 1.0),
        (Id::Unmet, &["maximum"], 0.0),
        (Id::RaiseWait, &[], 1.0),
        (Id::TickDuration, &[], 1.0),
    ] {
        assert_eq!(value(&mut meter, s(10), id, labels), Some(expected), "{id:?} {labels:?}");
    }
}

#[test]
fn the_age_of_the_last_good_tick_grows_while_ticks_fail() {
    let mut meter = ScalerMeter::new(["ci"], false);
    assert_eq!(value(&mut meter, s(5), Id::TickAge, &[]), Some(5.0), "there was none since the start");
    meter.ticked(&record(Outcome::Held, 0, 0, 9, Outlook::default()), &TickExtras::default(), s(10));
    meter.ticked(&failed(), &TickExtras::default(), s(20));
    assert_eq!(value(&mut meter, s(30), Id::TickAge, &[]), Some(20.0));
    assert_eq!(value(&mut meter, s(30), Id::Ticks, &["failed"]), Some(1.0));
}

#[test]
fn unmet_demand_says_what_holds_it_back() {
    let mut meter = ScalerMeter::new(["ci"], false);
    meter.ticked(&record(Outcome::Held, 12, 9, 9, Outlook::default()), &TickExtras::default(), s(10));
    assert_eq!(value(&mut meter, s(10), Id::Unmet, &["maximum"]), Some(3.0));
    let outlook = Outlook { unmet: 2, in_vain: 3, pause_ms: 60_000, silent: 0, ready: 0 };
    meter.ticked(&record(Outcome::Held, 2, 0, 9, outlook), &TickExtras::default(), s(20));
    assert_eq!(value(&mut meter, s(20), Id::Unmet, &["maximum"]), Some(0.0));
    assert_eq!(value(&mut meter, s(20), Id::Unmet, &["futile"]), Some(2.0));
}

#[test]
fn launches_that_fail_are_told_by_their_cause() {
    let mut meter = ScalerMeter::new(["ci"], false);
    let failed = FailedLaunch { time: String::new(), trouble: LaunchTrouble::Quota, message: String::new() };
    let held = record(Outcome::Held, 2, 2, 9, Outlook::default());
    let failing = Decision { failed_launches: vec![failed.clone(), failed], launches_suspended: true, ..held.clone() };
    meter.ticked(&failing, &TickExtras::default(), s(10));
    for (reason, expected) in [("quota", 2.0), ("capacity", 0.0), ("suspended", 1.0)] {
        assert_eq!(value(&mut meter, s(10), Id::FailedLaunches, &[reason]), Some(expected), "{reason}");
    }
    assert_eq!(value(&mut meter, s(10), Id::FailingLaunches, &[]), Some(3.0), "all of them together");
    meter.ticked(&held, &TickExtras::default(), s(20));
    assert_eq!(value(&mut meter, s(20), Id::FailedLaunches, &["quota"]), Some(0.0));
    assert_eq!(value(&mut meter, s(20), Id::FailingLaunches, &[]), Some(0.0));
}

#[test]
fn a_raise_that_took_several_ticks_waited_for_all_of_them() {
    let mut meter = ScalerMeter::new(["ci"], false);
    meter.ticked(&record(Outcome::Queued, 3, 0, 9, Outlook::default()), &TickExtras::default(), s(10));
    meter.ticked(&record(Outcome::Failed, 3, 0, 9, Outlook::default()), &TickExtras::default(), s(20));
    meter.ticked(&record(Outcome::Raised, 3, 0, 9, Outlook::default()), &TickExtras::default(), s(30));
    let registry = meter.at(s(30));
    let sample = registry.samples(metric(Id::RaiseWait), None).next().unwrap();
    // The first of them began a second before it ended.
    assert!(matches!(sample.value, Value::Histogram(waits) if (waits.sum() - 21.0).abs() < 1e-9), "{sample:?}");
}

#[test]
fn waits_are_the_platforms_where_it_tells_them() {
    let mut meter = ScalerMeter::new(["ci"], false);
    let held = |queued| record(Outcome::Held, queued, 9, 9, Outlook::default());
    meter.ticked(&held(2), &TickExtras::default(), s(10));
    assert_eq!(value(&mut meter, s(15), Id::OldestWait, &["first_seen"]), Some(5.0), "it goes on between two ticks");
    let told = TickExtras { waits: Some(Waits { ended: vec![s(40)], oldest: Some(s(90)), unseen: false }) };
    meter.ticked(&held(1), &told, s(20));
    assert_eq!(value(&mut meter, s(20), Id::OldestWait, &["platform"]), Some(90.0), "also from before the start");
    assert_eq!(value(&mut meter, s(20), Id::OldestWait, &["first_seen"]), None);
    assert_eq!(value(&mut meter, s(20), Id::JobDuration, &["pending", "platform"]), Some(1.0));
    assert_eq!(value(&mut meter, s(20), Id::JobDuration, &["pending", "first_seen"]), None, "each wait counts once");
    meter.ticked(&held(0), &TickExtras { waits: Some(Waits::default()) }, s(30));
    assert_eq!(value(&mut meter, s(40), Id::OldestWait, &["platform"]), Some(0.0));
}

/// As in a session that began when jobs waited already: when they began, their whole waits are told.
#[test]
fn where_the_platform_does_not_tell_of_all_jobs_the_longest_wait_is_from_when_they_were_first_seen() {
    let mut meter = ScalerMeter::new(["ci"], false);
    let held = |queued| record(Outcome::Held, queued, 9, 9, Outlook::default());
    let told =
        |ended, oldest: Option<u64>, unseen| TickExtras { waits: Some(Waits { ended, oldest: oldest.map(s), unseen }) };
    meter.ticked(&held(2), &told(vec![], None, true), s(10));
    assert_eq!(value(&mut meter, s(40), Id::OldestWait, &["first_seen"]), Some(30.0));
    meter.ticked(&held(2), &told(vec![s(70)], Some(90), true), s(40));
    assert_eq!(value(&mut meter, s(40), Id::OldestWait, &["first_seen"]), Some(90.0), "not less than is known");
    assert_eq!(value(&mut meter, s(40), Id::OldestWait, &["platform"]), None);
    assert_eq!(value(&mut meter, s(40), Id::JobDuration, &["pending", "platform"]), Some(1.0));
    meter.ticked(&held(1), &told(vec![], Some(20), false), s(50));
    assert_eq!(value(&mut meter, s(50), Id::OldestWait, &["platform"]), Some(20.0));
    assert_eq!(value(&mut meter, s(50), Id::JobDuration, &["pending", "first_seen"]), None, "each wait counts once");
}

#[test]
fn what_was_not_read_is_not_gone() {
    let mut meter = ScalerMeter::new(["ci"], false);
    let held = |queued| record(Outcome::Held, queued, 9, 9, Outlook::default());
    meter.ticked(&held(2), &TickExtras::default(), s(10));
    meter.ticked(&Decision { missing: Some("one project".into()), ..held(0) }, &TickExtras::default(), s(20));
    assert_eq!(value(&mut meter, s(20), Id::PartialReadings, &[]), Some(1.0));
    assert_eq!(value(&mut meter, s(20), Id::JobDuration, &["pending", "first_seen"]), None);
    meter.ticked(&held(1), &TickExtras::default(), s(30));
    assert_eq!(value(&mut meter, s(30), Id::JobDuration, &["pending", "first_seen"]), Some(1.0));
}
