//! What the programs truly write down: it is kept, and it is as `docs/records.schema.json` says.

use std::{collections::BTreeSet, fs, io::Write, path::Path, process::Command};

use lightsout_core::{
    agent::phase::LeaveReason,
    record::{DecidedBy, Departure, IncidentKind, ProofBy, Record, Way},
};

use crate::rig::Fleet;

/// The records that a fleet has kept.
fn records(dir: &Path) -> Vec<Record> {
    let text = fs::read_to_string(dir.join("records.jsonl")).expect("records");
    text.lines().map(|line| Record::find(line).unwrap_or_else(|| panic!("no record: {line}"))).collect()
}

fn what(record: &Record) -> Option<IncidentKind> {
    match record {
        Record::Incident(incident) => Some(incident.what),
        Record::Decision(_) | Record::Departure(_) => None,
    }
}

/// The last certificate of an instance.
fn departure<'a>(records: &'a [Record], instance: &str) -> &'a Departure {
    let found = records.iter().rev().find_map(|record| match record {
        Record::Departure(departure) if departure.instance == instance => Some(departure),
        Record::Departure(_) | Record::Decision(_) | Record::Incident(_) => None,
    });
    found.unwrap_or_else(|| panic!("no certificate of {instance}: {records:#?}"))
}

/// Has a validator that is not ours look at them, where there is one.
fn validate(dir: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wire/records.sh");
    let checked = Command::new(script).arg(dir.join("records.jsonl")).output().expect("it runs");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    if checked.status.code() == Some(77) && std::env::var("CI").as_deref() != Ok("true") {
        let _ = writeln!(std::io::stderr(), "SKIPPED: records are not validated: no jsonschema from PyPI: {said}");
        return;
    }
    assert!(checked.status.success(), "{said}");
}

#[test]
fn every_record_of_a_fleet_is_kept_and_as_the_schema_says() {
    let mut fleet = Fleet::up("--jobs 2 --max 2 --no-docker --keep");
    fleet.until("the jobs to be done and nobody left", |fleet| {
        (fleet.queue.done == 2 && fleet.instances.iter().all(|it| it.ended_ms.is_some())).then_some(())
    });
    fleet.ok("down");
    let (ended, home) = fleet.ended_in();
    ended.all_done();
    let dir = home.dir();
    let found = records(&dir);
    let count = |which: fn(&Record) -> bool| found.iter().filter(|record| which(record)).count();
    assert!(count(|record| matches!(record, Record::Decision(_))) > 2, "{found:#?}");
    let instances: BTreeSet<&str> = found.iter().filter_map(Record::instance).collect();
    assert!(!instances.is_empty());
    for instance in instances {
        let told: Vec<IncidentKind> =
            found.iter().filter(|it| it.instance() == Some(instance)).filter_map(what).collect();
        assert_eq!(told, [IncidentKind::Started, IncidentKind::Ready, IncidentKind::Leaving], "{instance}");
        let departure = departure(&found, instance);
        assert_eq!((departure.reason, departure.decided_by), (LeaveReason::Idle, DecidedBy::Agent));
        assert_eq!(departure.trigger, "no job for 3s (agent.idle_timeout), and the group has room");
        assert!(departure.way == Way::Decrement && departure.jobs.count == Some(0), "{departure:#?}");
        let proof: Vec<ProofBy> = departure.proof.steps.iter().map(|step| step.by).collect();
        assert!(departure.proof.proven, "{departure:#?}");
        assert_eq!(proof, [ProofBy::RunnerExit, ProofBy::Probes], "{departure:#?}");
        let phases: Vec<&str> = departure.phases.iter().map(|span| span.phase.as_str()).collect();
        assert!(
            phases.starts_with(&["booting", "registering"]) && phases.ends_with(&["draining", "retiring"]),
            "{phases:?}"
        );
        assert_eq!(departure.boot.last().map(|part| part.part.as_str()), Some("ready"));
        assert!(departure.boot_id.is_some() && departure.not_known.is_empty(), "{departure:#?}");
    }
    validate(&dir);
}
