use proptest::prelude::*;

use super::*;
use crate::cloud::Machine;
use crate::record::{BootPart, DecidedBy, JobsAtEnd, Proof, Versions};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_662_000 + seconds).expect("a time")
}

fn incident(seconds: i64, what: IncidentKind, detail: &str, jobs: &[&str]) -> Record {
    Record::Incident(Incident {
        time: at(seconds).to_string(),
        instance: "i-1".into(),
        group: Some("ci".into()),
        machine: Machine::default(),
        platform: "any".into(),
        what,
        detail: detail.into(),
        because: None,
        jobs: jobs.iter().map(|job| (*job).to_owned()).collect(),
        times: 1,
    })
}

fn departure(seconds: i64, way: Way, ready_ms: Option<u64>) -> Record {
    Record::Departure(Departure {
        time: at(seconds).to_string(),
        instance: "i-1".into(),
        group: Some("ci".into()),
        machine: Machine::default(),
        platform: "any".into(),
        reason: LeaveReason::Idle,
        decided_by: DecidedBy::Agent,
        trigger: "no job for 10m".into(),
        broken_by: None,
        runner_said: None,
        before_register_said: None,
        decided_at: Some(at(seconds - 5).to_string()),
        way,
        jobs: JobsAtEnd::default(),
        served: 1,
        phases: Vec::new(),
        boot: ready_ms.map(|until_ms| BootPart { part: "ready".into(), until_ms }).into_iter().collect(),
        notices: Vec::new(),
        proof: Proof::default(),
        warnings: Vec::new(),
        versions: Versions::default(),
        boot_id: None,
        not_known: Vec::new(),
        withdrawn: None,
    })
}

/// The spans, in seconds since the beginning.
fn spans(lane: &Lane) -> Vec<(State, i64, i64, Vec<&str>)> {
    let second = |time: Timestamp| time.as_second() - at(0).as_second();
    let span = |span: &'_ Span| (span.state, second(span.from), second(span.to));
    let named = |it| {
        let (state, from, to) = span(it);
        (state, from, to, it.jobs.iter().map(String::as_str).collect())
    };
    lane.spans.iter().map(named).collect()
}

use IncidentKind::{Busy, DrainTakenBack, Idle, Leaving, Ready, RunnerFound, Started};

#[test]
fn a_kernel_on_which_two_instances_ran_is_no_start_of_theirs() {
    let on_kernel = |instance: &str| {
        let told =
            [incident(40, Started, "", &[]), incident(60, Ready, "", &[]), departure(700, Way::Group, Some(50_000))];
        told.map(|record| match record {
            Record::Incident(it) => Record::Incident(Incident { instance: instance.into(), ..it }),
            Record::Departure(it) => {
                Record::Departure(Departure { instance: instance.into(), boot_id: Some("b".into()), ..it })
            }
            Record::Decision(it) => Record::Decision(it),
        })
    };
    let starts = |records: &[Record]| {
        let start = |lane: &Lane| lane.from().as_second() - at(0).as_second();
        lanes(records, at(1_000)).iter().map(start).collect::<Vec<_>>()
    };
    assert_eq!(starts(&on_kernel("i-1")), [10]);
    assert_eq!(starts(&[on_kernel("i-1"), on_kernel("i-2")].concat()), [40, 40]);
}

#[test]
fn a_kernel_that_is_much_older_than_its_agent_is_no_start() {
    let began = |ready_after: u64| {
        let told = [
            incident(40_000, Started, "", &[]),
            incident(40_001, Ready, "", &[]),
            departure(40_700, Way::Group, Some(ready_after * 1_000)),
        ];
        lanes(&told, at(50_000))[0].from().as_second() - at(0).as_second()
    };
    assert_eq!(began(61), 39_940);
    assert_eq!(began(9 * 86_400), 40_000);
}

#[test]
fn a_whole_life_is_told_from_the_kernel_to_the_certificate() {
    // In whatever order.
    let records = [
        departure(700, Way::Group, Some(50_000)),
        incident(60, Ready, "", &[]),
        incident(20, Started, "", &[]),
        incident(90, Busy, "", &["7"]),
        incident(95, Busy, "", &["8"]),
        incident(100, Idle, "", &[]),
        incident(690, Leaving, "idle: no job for 10m", &[]),
        departure(695, Way::Decrement, Some(50_000)),
    ];
    let lanes = lanes(&records, at(10_000));
    let [lane] = &lanes[..] else { panic!("{lanes:?}") };
    assert_eq!(
        spans(lane),
        [
            (State::Booting, 10, 60, vec![]),
            (State::Idle, 60, 90, vec![]),
            (State::Busy, 90, 95, vec!["7"]),
            (State::Busy, 95, 100, vec!["8"]),
            (State::Idle, 100, 690, vec![]),
            (State::Draining, 690, 700, vec![]),
        ]
    );
    assert_eq!((lane.from(), lane.to(), lane.group.as_deref()), (at(10), at(700), Some("ci")));
    assert_eq!(lane.end.as_ref().map(|end| (end.reason, end.way)), Some((LeaveReason::Idle, Way::Group)));
    assert_eq!(lane.spans[5].why, Some(LeaveReason::Idle));
}

#[test]
fn a_job_that_two_probes_see_is_one() {
    let records = [
        incident(0, Started, "", &[]),
        incident(5, Ready, "", &[]),
        incident(10, Busy, "", &["runner_jobs=1"]),
        incident(12, Busy, "", &["1002", "runner_jobs=1"]),
        incident(20, Busy, "", &["1002", "1003", "runner_jobs=2", "worker:w1"]),
    ];
    let lanes = lanes(&records, at(30));
    let jobs: Vec<_> = spans(&lanes[0]).into_iter().map(|(_, _, _, jobs)| jobs).collect();
    assert_eq!(jobs, [vec![], vec![], vec!["runner_jobs=1"], vec!["1002"], vec!["1002", "1003"]]);
}

#[test]
fn a_drain_that_is_taken_back_is_no_end_and_a_job_in_it_is_seen() {
    let records = [
        incident(0, Started, "", &[]),
        incident(10, Ready, "", &[]),
        incident(20, Leaving, "idle: no job", &[]),
        departure(21, Way::Decrement, None),
        incident(22, Busy, "", &["7"]),
        incident(25, DrainTakenBack, "", &[]),
        incident(40, Idle, "", &[]),
    ];
    let lanes = lanes(&records, at(50));
    assert_eq!(
        spans(&lanes[0])[1..],
        [
            (State::Idle, 10, 20, vec![]),
            (State::Draining, 20, 22, vec![]),
            (State::Draining, 22, 25, vec!["7"]),
            (State::Busy, 25, 40, vec!["7"]),
            (State::Idle, 40, 50, vec![]),
        ]
    );
    assert_eq!(lanes[0].end, None);
}

#[test]
fn a_certificate_that_no_longer_counts_is_no_end() {
    let Record::Departure(certificate) = departure(20, Way::Decrement, None) else { panic!("a departure") };
    let withdrawn = Departure { time: at(25).to_string(), withdrawn: Some("it stays".into()), ..certificate.clone() };
    let records = [incident(0, Started, "", &[]), Record::Departure(certificate), Record::Departure(withdrawn)];
    assert_eq!((lanes(&records, at(30))[0].end.clone(), lanes(&records, at(30))[0].to()), (None, at(30)));
}

#[test]
fn an_agent_that_begins_anew_beside_its_runner_counts_as_busy_until_it_says_otherwise() {
    let records = [incident(0, RunnerFound, "", &[]), incident(5, Idle, "", &[]), incident(9, Started, "", &[])];
    let lanes = lanes(&records, at(20));
    let found = spans(&lanes[0]);
    assert_eq!(
        found[found.len() - 3..],
        [(State::Busy, 0, 5, vec![]), (State::Idle, 5, 9, vec![]), (State::Booting, 9, 20, vec![])]
    );
}

#[test]
fn what_is_younger_than_now_is_not_known_yet() {
    let records = [incident(0, Started, "", &[]), incident(10, Ready, "", &[]), departure(30, Way::Group, None)];
    assert_eq!(lanes(&records, at(20))[0].end, None);
    assert_eq!(spans(&lanes(&records, at(20))[0]), [(State::Booting, 0, 10, vec![]), (State::Idle, 10, 20, vec![])]);
    assert!(lanes(&records, at(-1)).is_empty());
}

#[test]
fn a_bill_begins_with_the_launch_and_ends_when_the_machine_is_gone() {
    let records = [
        incident(20, Started, "", &[]),
        incident(60, Ready, "", &[]),
        incident(90, Leaving, "idle: no job", &[]),
        departure(95, Way::Decrement, None),
    ];
    let told = || lanes(&records, at(100)).remove(0);
    let whole = [
        (State::Booting, 10, 20, vec![]),
        (State::Booting, 20, 60, vec![]),
        (State::Idle, 60, 90, vec![]),
        (State::Draining, 90, 130, vec![]),
    ];
    assert_eq!(spans(&told().billed(at(10), at(130))), whole);
    // A machine that the cloud took in between.
    assert_eq!(
        spans(&told().billed(at(30), at(70))),
        [(State::Booting, 30, 60, vec![]), (State::Idle, 60, 70, vec![])]
    );
    assert_eq!(spans(&told().billed(at(30), at(30))), [(State::Booting, 30, 30, vec![])]);
}

#[test]
fn a_span_can_be_cut_to_a_window() {
    let span = Span { state: State::Idle, from: at(10), to: at(20), jobs: Vec::new(), why: None };
    let cut = |from, to| span.within(at(from), at(to)).map(|span| span.length().as_secs());
    assert_eq!([cut(0, 100), cut(15, 100), cut(0, 12), cut(20, 30)], [Some(10), Some(5), Some(2), None]);
}

proptest! {
    /// Whatever is told, and in whatever order: no gap, no overlap, and the seconds by state are those of the life.
    #[test]
    fn the_seconds_by_state_are_the_seconds_of_the_life(
        told in proptest::collection::vec((0_i64..500, 0..IncidentKind::ALL.len(), proptest::bool::ANY), 1..30),
        ended in proptest::option::of(0_i64..500),
    ) {
        let mut records: Vec<Record> = told
            .iter()
            .map(|(seconds, kind, named)| incident(*seconds, IncidentKind::ALL[*kind], "spot: x", if *named { &["7"] } else { &[] }))
            .collect();
        records.extend(ended.map(|seconds| departure(seconds, Way::Group, Some(30_000))));
        let lanes = lanes(&records, at(600));
        prop_assert_eq!(lanes.len(), 1);
        let lane = &lanes[0];
        for pair in lane.spans.windows(2) {
            prop_assert_eq!(pair[0].to, pair[1].from);
        }
        let by_state: Duration = State::ALL
            .into_iter()
            .map(|state| lane.spans.iter().filter(|span| span.state == state).map(Span::length).sum::<Duration>())
            .sum();
        let life: Duration = lane.to().duration_since(lane.from()).try_into().unwrap();
        prop_assert_eq!(by_state, life);
        if lane.end.is_none() {
            prop_assert_eq!(lane.to(), at(600));
        }
    }
    /// Whatever is told of it: what a machine is billed for is all of it in one state or another, and what its records tell is not changed by it.
    #[test]
    fn the_seconds_by_state_are_the_seconds_of_the_bill(
        told in proptest::collection::vec((0_i64..500, 0..IncidentKind::ALL.len()), 1..30),
        ended in proptest::option::of(0_i64..500),
        launched in 0_i64..600,
        length in 0_i64..600,
    ) {
        let mut records: Vec<Record> =
            told.iter().map(|(seconds, kind)| incident(*seconds, IncidentKind::ALL[*kind], "spot: x", &["7"])).collect();
        records.extend(ended.map(|seconds| departure(seconds, Way::Group, None)));
        let lane = lanes(&records, at(600)).remove(0);
        let (launched, gone) = (at(launched), at(launched + length));
        let billed = lane.clone().billed(launched, gone);
        prop_assert_eq!((billed.from(), billed.to(), &billed.end), (launched, gone, &lane.end));
        for pair in billed.spans.windows(2) {
            prop_assert_eq!(pair[0].to, pair[1].from);
        }
        for span in lane.spans.iter().filter_map(|span| span.within(launched, gone)) {
            let of_it: Duration =
                billed.spans.iter().filter(|it| it.state == span.state).filter_map(|it| it.within(span.from, span.to)).map(|it| it.length()).sum();
            prop_assert_eq!(of_it, span.length());
        }
        prop_assert_eq!(billed.clone().billed(launched, gone), billed);
    }
}
