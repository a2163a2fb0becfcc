//! What `docs/records.schema.json` says is what the records are: each key of either is one of the other, and so is each word. Whether lines that
//! the programs truly print are valid, a whole fleet shows (`tests/fleet/records.rs`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "what is tested here are files of the project")]

use std::{collections::BTreeSet, fs, path::Path};

use lightsout_core::{
    agent::phase::{BrokenBy, LeaveReason},
    cloud::Machine,
    record::{
        BootPart, DecidedBy, Decision, Departure, FailedLaunch, Incident, IncidentCause, IncidentKind, JobsAtEnd,
        LaunchTrouble, NoticeKind, NoticeSeen, Outcome, PhaseSpan, Proof, ProofBy, ProofStep, Record, Severity,
        TickTimes, TickTrouble, Versions, Warning, Way,
    },
    scaling::{Explanation, Limit, Outlook},
    settings::CloudName,
};
use serde_json::Value;

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/records.schema.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

const TIME: &str = "2026-11-26T03:00:00.250Z";

/// A decision in which every key is there.
fn decision() -> Decision {
    Decision {
        time: TIME.into(),
        pool: "linux".into(),
        group: "linux".into(),
        cloud: Some(CloudName::Aws),
        platform: "gitlab".into(),
        result: Outcome::Raised,
        to: Some(7),
        why: Some(Explanation {
            queued: 3,
            running: Some(1),
            slots: 1,
            utilisation: 100,
            threshold: 1,
            spare: 0,
            entry: Some("sat,sun spare 0".into()),
            need: 4,
            min: 0,
            max: 10,
            desired: 2,
            lately: Some(3),
            again: true,
            target: 4,
            limit: Limit::Cooldown { left_ms: 30_000 },
            outlook: Some(Outlook { unmet: 1, in_vain: 2, pause_ms: 60_000, silent: 1, ready: 1 }),
        }),
        reason: Some("3 waiting".into()),
        missing: Some("1 of 9 projects was refused".into()),
        error: Some("no".into()),
        trouble: Some(TickTrouble::Unauthorized),
        failed_launches: vec![FailedLaunch {
            time: TIME.into(),
            trouble: LaunchTrouble::Capacity,
            message: "there is none".into(),
        }],
        launches_suspended: true,
        ms: TickTimes { demand: Some(1), describe: Some(2), raise: Some(3), total: 6 },
    }
}

/// A departure in which every key is there.
fn departure() -> Departure {
    Departure {
        time: TIME.into(),
        instance: "i-1".into(),
        group: Some("linux".into()),
        machine: Machine { machine_type: Some("m7i.large".into()), spot: Some(true) },
        platform: "gitlab".into(),
        reason: LeaveReason::Idle,
        decided_by: DecidedBy::Agent,
        trigger: "no job for 10m".into(),
        broken_by: Some(BrokenBy::Full),
        runner_said: Some("no such token".into()),
        before_register_said: Some("no such device".into()),
        withdrawn: Some("it stays".into()),
        decided_at: Some(TIME.into()),
        way: Way::Decrement,
        jobs: JobsAtEnd {
            count: Some(1),
            ids: vec!["7".into()],
            unknown: Some("nobody answers".into()),
            cut: true,
            cut_ids: vec!["8".into()],
            at_stop: vec!["9".into()],
        },
        served: 3,
        phases: vec![PhaseSpan { phase: "idle".into(), ms: 600_000 }],
        boot: vec![BootPart { part: "system".into(), until_ms: 9_000 }],
        notices: vec![NoticeSeen { time: TIME.into(), notice: NoticeKind::Spot, at: Some(TIME.into()) }],
        proof: Proof {
            proven: true,
            steps: vec![ProofStep { time: TIME.into(), by: ProofBy::RunnerExit, detail: "it exited".into() }],
            without: Some("the deadline".into()),
        },
        warnings: vec![Warning { time: TIME.into(), level: Severity::Warn, message: "slow".into() }],
        versions: Versions { agent: "0.1.0".into(), image: Some("ami-1".into()), runner: Some("18.0".into()) },
        boot_id: Some("b".into()),
        not_known: vec!["what was before".into()],
    }
}

fn incident() -> Incident {
    Incident {
        time: TIME.into(),
        instance: "i-1".into(),
        group: Some("linux".into()),
        machine: Machine { machine_type: Some("m7i.large".into()), spot: Some(true) },
        platform: "gitlab".into(),
        what: IncidentKind::Ready,
        detail: "for jobs".into(),
        because: Some(IncidentCause::HookGone),
        jobs: vec!["build-7".into()],
        times: 2,
    }
}

fn written(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

/// Follows a reference.
fn resolved<'a>(root: &'a Value, at: &'a Value) -> &'a Value {
    match at["$ref"].as_str() {
        Some(path) => root.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("no {path}")),
        None => at,
    }
}

/// Both have the same keys, at each depth, and each is described.
fn same_keys(root: &Value, schema: &Value, value: &Value, place: &str) {
    let described = schema["description"].is_string();
    let schema = resolved(root, schema);
    assert!(described || schema["description"].is_string(), "{place} is not described");
    match value {
        Value::Object(map) => {
            let variants = schema["oneOf"].as_array().into_iter().flatten();
            let schema = variants.chain([schema]).find(|schema| schema["properties"].is_object());
            let properties =
                schema.unwrap_or_else(|| panic!("{place} is no object"))["properties"].as_object().unwrap();
            let of_schema: BTreeSet<_> = properties.keys().collect();
            let of_record: BTreeSet<_> = map.keys().collect();
            assert_eq!(of_schema, of_record, "at {place}");
            for (key, value) in map {
                same_keys(root, &properties[key], value, &format!("{place}.{key}"));
            }
        }
        Value::Array(items) => {
            assert_eq!(schema["type"], "array", "{place}");
            let [item] = &items[..] else { panic!("{place} has {} items", items.len()) };
            if item.is_object() {
                same_keys(root, &schema["items"], item, &format!("{place}[]"));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn each_key_of_a_record_is_in_the_schema_and_each_of_the_schema_in_a_record() {
    let schema = schema();
    for record in [Record::Decision(decision()), Record::Departure(departure()), Record::Incident(incident())] {
        let value = written(&record);
        let kind = value["kind"].as_str().unwrap();
        same_keys(&schema, &schema["$defs"][kind], &value, kind);
        assert_eq!(schema["$defs"][kind]["properties"]["kind"]["const"], kind);
        assert_eq!(Record::find(&record.json()), Some(record));
    }
}

/// Keys that a record may be without are not required, and all others are.
#[test]
fn what_is_required_is_what_every_record_has() {
    let schema = schema();
    let decision = Decision {
        cloud: None,
        to: None,
        why: None,
        reason: None,
        missing: None,
        error: None,
        trouble: None,
        failed_launches: Vec::new(),
        launches_suspended: false,
        ..decision()
    };
    let departure = Departure {
        group: None,
        machine: Machine::default(),
        broken_by: None,
        runner_said: None,
        before_register_said: None,
        withdrawn: None,
        decided_at: None,
        boot: Vec::new(),
        notices: Vec::new(),
        warnings: Vec::new(),
        boot_id: None,
        not_known: Vec::new(),
        ..departure()
    };
    let incident =
        Incident { group: None, machine: Machine::default(), because: None, jobs: Vec::new(), times: 1, ..incident() };
    for record in [Record::Decision(decision), Record::Departure(departure), Record::Incident(incident)] {
        let value = written(&record);
        let kind = value["kind"].as_str().unwrap();
        let required = schema["$defs"][kind]["required"].as_array().unwrap().iter().filter_map(Value::as_str);
        assert_eq!(required.collect::<BTreeSet<_>>(), value.as_object().unwrap().keys().map(String::as_str).collect());
        assert_eq!(Record::find(&record.json()), Some(record));
    }
}

#[test]
fn each_word_is_in_the_schema() {
    let schema = schema();
    let words = |path: &str| -> Vec<String> {
        let at = schema.pointer(&format!("/$defs/{path}")).unwrap_or_else(|| panic!("no {path}"));
        let words = at["oneOf"].as_array().unwrap().iter();
        words.map(|word| word["const"].as_str().unwrap().to_owned()).collect()
    };
    let texts =
        |values: Vec<Value>| -> Vec<String> { values.iter().map(|it| it.as_str().unwrap().to_owned()).collect() };
    let reasons = [
        LeaveReason::Idle,
        LeaveReason::Limit,
        LeaveReason::Age,
        LeaveReason::RunnerExpired,
        LeaveReason::Operator,
        LeaveReason::Rebalance,
        LeaveReason::Maintenance,
        LeaveReason::ScaleIn,
        LeaveReason::Spot,
        LeaveReason::Broken,
    ];
    assert_eq!(words("departure/properties/reason"), texts(reasons.map(written).into()));
    let broken = [
        BrokenBy::BeforeRegister,
        BrokenBy::BootDeadline,
        BrokenBy::RunnerExits,
        BrokenBy::UnknownActivity,
        BrokenBy::Full,
    ];
    assert_eq!(words("departure/properties/broken_by"), texts(broken.map(written).into()));
    assert!(broken.iter().all(|by| written(by) == by.as_str()));
    let ways = [Way::Group, Way::Abandon, Way::Decrement, Way::Replace, Way::Unhealthy, Way::Terminate, Way::PowerOff];
    assert_eq!(words("departure/properties/way"), texts(ways.map(written).into()));
    assert!(ways.iter().all(|way| written(way) == way.as_str()));
    let who = [DecidedBy::Agent, DecidedBy::Operator, DecidedBy::Group, DecidedBy::Cloud, DecidedBy::Limit];
    assert_eq!(words("departure/properties/decided_by"), texts(who.map(written).into()));
    assert!(who.iter().all(|who| written(who) == who.as_str()));
    let notices = [
        NoticeKind::Spot,
        NoticeKind::Rebalance,
        NoticeKind::Maintenance,
        NoticeKind::ScaleIn,
        NoticeKind::Drain,
        NoticeKind::Undrain,
        NoticeKind::Hold,
        NoticeKind::Stop,
    ];
    assert_eq!(words("departure/properties/notices/items/properties/notice"), texts(notices.map(written).into()));
    assert!(notices.iter().all(|notice| written(notice) == notice.as_str()));
    let proofs = [ProofBy::Platform, ProofBy::RunnerExit, ProofBy::NoRunner, ProofBy::Probes, ProofBy::Journal];
    assert_eq!(
        words("departure/properties/proof/properties/steps/items/properties/by"),
        texts(proofs.map(written).into())
    );
    let outcomes =
        [Outcome::Held, Outcome::Raised, Outcome::WouldRaise, Outcome::Queued, Outcome::Standby, Outcome::Failed];
    assert_eq!(words("decision/properties/result"), texts(outcomes.map(written).into()));
    let clouds = serde_json::json!(CloudName::ALL.map(written));
    assert_eq!(schema["$defs"]["decision"]["properties"]["cloud"]["enum"], clouds);
    assert!(CloudName::ALL.iter().all(|cloud| written(cloud) == cloud.as_str()));
    let troubles = [
        TickTrouble::Unauthorized,
        TickTrouble::Forbidden,
        TickTrouble::NotFound,
        TickTrouble::Throttled,
        TickTrouble::Unavailable,
        TickTrouble::Other,
    ];
    assert_eq!(words("decision/properties/trouble"), texts(troubles.map(written).into()));
    let troubles = [
        LaunchTrouble::Capacity,
        LaunchTrouble::Quota,
        LaunchTrouble::Key,
        LaunchTrouble::Hook,
        LaunchTrouble::Settings,
        LaunchTrouble::Other,
    ];
    assert_eq!(words("failed_launch/properties/trouble"), texts(troubles.map(written).into()));

    let causes = [
        IncidentCause::RunnerTooOld,
        IncidentCause::HookGone,
        IncidentCause::ServiceStopped,
        IncidentCause::HookTimedOut,
    ];
    assert_eq!(words("incident/properties/because"), texts(causes.map(written).into()));

    let kinds: Vec<Value> = schema["$defs"]["incident"]["properties"]["what"]["oneOf"].as_array().unwrap().clone();
    let expected: Vec<Value> = IncidentKind::ALL
        .iter()
        .map(|kind| serde_json::json!({ "const": kind.as_str(), "description": kind.meaning() }))
        .collect();
    assert_eq!(kinds, expected, "docs/records.schema.json: each kind of incident with its meaning");
    assert!(IncidentKind::ALL.iter().all(|kind| written(kind) == kind.as_str()));
}
