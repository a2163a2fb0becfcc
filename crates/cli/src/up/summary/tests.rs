use lightsout_core::settings::{Fragment, Prices};
use lightsout_localcloud::fleet::{Forgotten, GroupView, JobState, JobView, QueueView};

use super::*;

fn instance(id: &str, in_service_ms: Option<i64>, ended_ms: Option<i64>) -> InstanceView {
    InstanceView { id: id.to_owned(), launched_ms: 1_000, in_service_ms, ended_ms, ..InstanceView::default() }
}

fn job(instance: &str, waited_s: f64, ran_s: Option<f64>) -> JobView {
    JobView {
        id: 1,
        state: JobState::Done,
        instance: ran_s.map(|_| instance.to_owned()),
        waited_s,
        ran_s,
        tags: Vec::new(),
        failure: None,
    }
}

fn at(per_hour: f64) -> Pricing {
    Pricing::of_every_pool(Some(per_hour), None)
}

/// What an agent wrote down, at these milliseconds.
fn told(instance: &str, what: &str, ms: i64) -> Record {
    let time = Timestamp::from_millisecond(ms).unwrap();
    let line = format!(
        r#"{{"schema":1,"kind":"incident","time":"{time:.3}","instance":"{instance}","platform":"gitlab","what":"{what}","detail":""}}"#
    );
    Record::find(&line).unwrap()
}

#[test]
fn the_bill_runs_from_launch_to_end_and_each_second_of_it_is_in_one_state() {
    let snapshot = Snapshot {
        at_ms: 31_000,
        instances: vec![
            instance("i-1", Some(3_000), Some(21_000)),
            // Its agent was killed in the middle of a job, and a spot loss took it.
            instance("i-2", Some(3_000), Some(15_000)),
            // Nothing is heard of either: one did not come into service, of the other the records are lost.
            instance("i-3", None, Some(2_000)),
            instance("i-4", Some(6_000), None),
        ],
        jobs: vec![
            job("i-1", 2.0, Some(5.0)),
            job("i-1", 4.0, Some(3.0)),
            job("i-2", 9.0, Some(28.0)),
            job("", 30.0, None),
        ],
        queue: QueueView { done: 3, waiting: 1, ..QueueView::default() },
        ..Snapshot::default()
    };
    let records = [
        told("i-1", "started", 4_000),
        told("i-1", "ready", 5_000),
        told("i-1", "busy", 6_000),
        told("i-1", "idle", 14_000),
        told("i-1", "leaving", 18_500),
        told("i-2", "started", 4_000),
        told("i-2", "ready", 5_000),
        told("i-2", "busy", 5_500),
        // Younger than the snapshot.
        told("i-1", "busy", 40_000),
    ];
    let summary = Summary::of(&snapshot, &records, Scaler { ticks: 15, raises: 2 }, &at(36.0));
    assert_eq!((summary.jobs.total, summary.jobs.done), (4, 3));
    assert_eq!((summary.jobs.wait_p50_s, summary.jobs.wait_p95_s), (Some(4.0), Some(9.0)));
    let expected = Instances {
        launched: 4,
        remaining: 1,
        billed_s: 20.0 + 14.0 + 1.0 + 30.0,
        booting_s: 4.0 + 4.0 + 1.0 + 5.0,
        idle_s: 1.0 + 4.5 + 0.5,
        busy_s: 8.0 + 9.5,
        draining_s: 2.5,
        unknown_s: 25.0,
    };
    assert_eq!(summary.instances, expected);
    let cost = summary.cost.as_ref().unwrap();
    assert!((cost.total - 0.65).abs() < 1e-9 && (cost.without_job - 0.475).abs() < 1e-9, "{cost:?}");
    let text = summary.to_string();
    assert!(text.contains("25.0 s of which no record tells"), "{text}");
    assert!(text.contains("\ncost       0.6500 at 36 an instance hour, 0.4750 of it without a job\n"), "{text}");
    let forgotten = Forgotten { instances: 7, billed_ms: 9_000 };
    let long =
        Summary::of(&Snapshot { forgotten, ..snapshot.clone() }, &records, Scaler::default(), &Pricing::default())
            .instances;
    let (launched, billed_s, unknown_s) = (11, expected.billed_s + 9.0, expected.unknown_s + 9.0);
    assert_eq!(long, Instances { launched, billed_s, unknown_s, ..expected });
    let unpriced = Summary::of(&snapshot, &records, Scaler::default(), &Pricing::default());
    assert!(!unpriced.to_string().contains("cost") && serde_json::to_value(&unpriced).unwrap().get("cost").is_none());
}

#[test]
fn each_instance_has_the_price_of_its_machine_and_one_that_has_none_is_told() {
    let snapshot = Snapshot {
        at_ms: 31_000,
        instances: vec![instance("i-1", Some(3_000), Some(21_000)), instance("i-2", Some(3_000), None)],
        ..Snapshot::default()
    };
    let Record::Incident(mut started) = told("i-1", "started", 4_000) else { panic!("an incident") };
    started.machine = Machine { machine_type: Some("m5.large".into()), spot: Some(true) };
    let records = [Record::Incident(started), told("i-1", "ready", 5_000), told("i-1", "busy", 6_000)];
    let table = "[prices]\ncurrency = 'USD'\nmachines.'m5.large' = { on_demand = 7200, spot = 3600 }\n";
    let prices = Prices::parse(&[Fragment::new("prices.toml", table)]).unwrap().unwrap();
    let summary = Summary::of(&snapshot, &records, Scaler::default(), &Pricing::of_every_pool(None, Some(prices)));
    let cost = summary.cost.as_ref().unwrap();
    assert_eq!((cost.price_per_hour, cost.currency.as_deref(), cost.unpriced_s), (None, Some("USD"), 30.0));
    assert!((cost.total - 20.0).abs() < 1e-9 && (cost.without_job - 5.0).abs() < 1e-9, "{cost:?}");
    let line = "\ncost       20.0000 USD, 5.0000 of it without a job; 30.0 s of machines whose price is not known are not in it\n";
    assert!(summary.to_string().contains(line), "{summary}");
}

#[test]
fn the_last_jobs_of_an_instance_that_drains_are_no_time_without_a_job() {
    // As with agent.jobs_per_instance = 1: it drains from the moment it has a job.
    let snapshot =
        Snapshot { at_ms: 31_000, instances: vec![instance("i-1", Some(3_000), Some(31_000))], ..Snapshot::default() };
    let jobs = |what, ms, jobs: &[&str]| {
        let Record::Incident(mut incident) = told("i-1", what, ms) else { panic!("an incident") };
        incident.jobs = jobs.iter().map(|job| (*job).to_owned()).collect();
        Record::Incident(incident)
    };
    let records = [
        told("i-1", "started", 4_000),
        told("i-1", "ready", 5_000),
        jobs("busy", 6_000, &["7"]),
        told("i-1", "leaving", 6_000),
        jobs("busy", 16_000, &["7", "8"]),
        jobs("busy", 18_000, &["8"]),
        told("i-1", "idle", 26_000),
    ];
    let Summary { instances, cost, .. } = Summary::of(&snapshot, &records, Scaler::default(), &at(3600.0));
    assert_eq!((instances.billed_s, instances.busy_s, instances.draining_s), (30.0, 0.0, 25.0));
    let cost = cost.unwrap();
    assert!((cost.total - 30.0).abs() < 1e-9 && (cost.without_job - 10.0).abs() < 1e-9, "{cost:?}");
}

#[test]
fn only_a_lost_job_breaks_the_promise() {
    let with =
        |queue| Summary::of(&Snapshot { queue, ..Snapshot::default() }, &[], Scaler::default(), &Pricing::default());
    assert!(with(QueueView { failed: 1, interrupted: 1, ..QueueView::default() }).is_success());
    assert!(!with(QueueView { lost: 1, done: 19, ..QueueView::default() }).is_success());
}

#[test]
fn percentiles_are_values_that_occurred() {
    let values: Vec<f64> = (1..=20).map(f64::from).collect();
    assert_eq!((percentile(&values, 50), percentile(&values, 95)), (Some(10.0), Some(19.0)));
    assert_eq!((percentile(&[7.0], 50), percentile(&[7.0], 95)), (Some(7.0), Some(7.0)));
    assert_eq!(percentile(&[], 50), None);
}

#[test]
fn the_json_has_the_documented_keys() {
    let summary = Summary::of(&Snapshot::default(), &[], Scaler { ticks: 3, raises: 1 }, &at(1.0));
    let json = serde_json::to_value(&summary).unwrap();
    for (part, keys) in [
        ("jobs", &["total", "done", "lost", "wait_p50_s", "wait_p95_s"][..]),
        ("instances", &["launched", "final", "billed_s", "booting_s", "idle_s", "busy_s", "draining_s", "unknown_s"]),
        ("cost", &["price_per_hour", "total", "without_job"]),
        ("scaler", &["ticks", "raises"]),
    ] {
        for key in keys {
            assert!(json[part].get(key).is_some(), "{part}.{key}");
        }
    }
}

#[test]
fn a_run_is_over_when_the_work_is_done_and_the_fleet_is_back() {
    let group = |desired| vec![GroupView { desired, ..GroupView::default() }];
    let over = Snapshot {
        groups: group(0),
        instances: vec![instance("i-1", None, Some(5_000))],
        jobs: vec![job("i-1", 1.0, Some(1.0))],
        ..Snapshot::default()
    };
    assert!(is_over(&over, 0));
    assert!(!is_over(&over, 1));
    assert!(!is_over(&Snapshot { jobs: Vec::new(), ..over.clone() }, 0));
    assert!(!is_over(&Snapshot { groups: group(1), ..over.clone() }, 0));
    assert!(!is_over(&Snapshot { instances: vec![instance("i-1", None, None)], ..over.clone() }, 0));
    assert!(!is_over(&Snapshot { queue: QueueView { running: 1, ..QueueView::default() }, ..over.clone() }, 0));
    assert!(is_over(&Snapshot { groups: group(1), instances: vec![instance("i-1", None, None)], ..over }, 1));
}
