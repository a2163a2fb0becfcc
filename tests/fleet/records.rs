//! What the programs truly write down: it is kept, and it is as `docs/records.schema.json` says.

use std::{fs, io::Write, path::Path, process::Command};

use lightsout_core::record::Record;

use crate::rig::Fleet;

/// The records that a fleet has kept.
fn records(dir: &Path) -> Vec<Record> {
    let text = fs::read_to_string(dir.join("records.jsonl")).expect("records");
    text.lines().map(|line| Record::find(line).unwrap_or_else(|| panic!("no record: {line}"))).collect()
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
    validate(&dir);
}
