//! What an operator does to a group from afar: looks, drains, holds, reads logs; by Run Command, and by the tag where that is denied.

use lightsout_localcloud::fleet::JobState;
use serde_json::{Value, json};

use crate::rig::{Fleet, Home, ProgramOutput, instance, lightsout_command, living};

const GROUP: &str = "--group lightsout-demo --region eu-central-1";

/// A fleet whose agents send their records to a log group, and look at their tags often.
fn fleet(arguments: &str) -> Fleet {
    let home = Home::new();
    let more = home.root().join("more.toml");
    std::fs::write(&more, "[records]\nlog_group = \"/lightsout/records\"\n[imds]\nrebalance = \"1s\"\n")
        .expect("a file");
    home.up(&format!("--agent-settings {} --no-docker --jobs 0 --keep {arguments}", more.display()))
}

/// Runs a command as somebody elsewhere with credentials for this cloud.
fn from_afar(fleet: &Fleet, arguments: &str) -> ProgramOutput {
    let nowhere = fleet.dir().with_file_name("no-fleet");
    let mut command = lightsout_command(&nowhere, arguments);
    command.env("AWS_ENDPOINT_URL", fleet.url()).env("NO_PROXY", "127.0.0.1");
    command
        .env("AWS_ACCESS_KEY_ID", "operator")
        .env("AWS_SECRET_ACCESS_KEY", "none")
        .env("AWS_CONFIG_FILE", "/dev/null");
    command.output().expect("lightsout starts").into()
}

fn ok(fleet: &Fleet, arguments: &str) -> String {
    let output = from_afar(fleet, arguments);
    assert_eq!(output.code, Some(0), "lightsout {arguments}: {output:?}");
    output.out
}

/// From now on nobody may send commands.
fn deny_commands(fleet: &Fleet) {
    fleet.post("faults", &json!({"target": "aws", "action": "SendCommand", "effect": {"status": {"code": 403}}}));
}

/// The group's only member, as `ps --json` shows it.
fn member(fleet: &Fleet) -> Value {
    let shown: Value = serde_json::from_str(&ok(fleet, &format!("ps {GROUP} --json"))).expect("JSON");
    shown["instances"][0].clone()
}

#[test]
fn a_group_is_looked_at_and_a_busy_member_drained_by_run_command() {
    let mut fleet = fleet("--max 1 --idle-timeout 10m");
    let job = fleet.enqueue(1, 6.0)[0];
    fleet.until_job(job, JobState::Running);
    let id = fleet.until_phase("busy");

    let table = ok(&fleet, &format!("ps {GROUP}"));
    assert!(table.starts_with("group lightsout-demo: desired 1, in service 1, min 0, max 1\n"), "{table}");
    assert!(table.contains(&id) && table.contains("c7i.large"), "{table}");
    let table = ok(&fleet, &format!("ps {GROUP} --agents"));
    let line = table.lines().find(|line| line.starts_with(&id)).expect("its line");
    assert!(line.contains("   busy   "), "{table}");
    let log = ok(&fleet, &format!("logs {id} {GROUP} -n 1000"));
    assert!(log.contains("lightsout-agent starts"), "{log}");

    let told = ok(&fleet, &format!("drain {} {GROUP}", &id[..12]));
    assert!(
        told.starts_with(&format!("{id}: draining: no more jobs")) && told.ends_with("(by Run Command)\n"),
        "{told}"
    );
    fleet.until_job(job, JobState::Done);
    fleet.until_ended(&id);
    let records = ok(&fleet, &format!("logs {id} --log-group /lightsout/records --region eu-central-1"));
    assert!(records.contains("\"drain_ordered\"") && records.contains("\"reason\":\"operator\""), "{records}");
    let gone = from_afar(&fleet, &format!("drain {id} --region eu-central-1"));
    assert_eq!(gone.code, Some(1));
    assert!(gone.err.contains("has ended already"), "{gone:?}");
    fleet.ok("down");
    fleet.ended().all_done();
}

#[test]
fn where_commands_are_denied_a_tag_drains_and_is_taken_back() {
    let mut fleet = fleet("--max 1 --idle-timeout 10m");
    deny_commands(&fleet);
    let first = fleet.enqueue(1, 12.0)[0];
    fleet.until_job(first, JobState::Running);
    let id = fleet.until_phase("busy");
    let told = ok(&fleet, &format!("drain {id} {GROUP}"));
    assert!(told.contains("the tag lightsout:order says `drain`"), "{told}");
    assert!(told.contains("(by the tag; not by Run Command: ssm:SendCommand failed"), "{told}");
    fleet.until_phase("draining");
    assert_eq!(member(&fleet)["order"], format!("drain for {id}"));

    let told = ok(&fleet, &format!("undrain {id} {GROUP}"));
    assert!(told.contains("the tag lightsout:order is removed"), "{told}");
    assert_eq!(fleet.until_phase("busy"), id, "before its job has ended");
    let second = fleet.enqueue(1, 0.5)[0];
    for job in [first, second] {
        assert_eq!(fleet.until_job(job, JobState::Done).instance.as_ref(), Some(&id), "it serves on");
    }
    let refused = from_afar(&fleet, &format!("undrain {id} {GROUP}"));
    assert!(refused.code == Some(1) && refused.out.contains("no tag orders this"), "{refused:?}");
    let refused = from_afar(&fleet, &format!("drain {id} {GROUP} --by command"));
    assert!(refused.code == Some(1) && refused.out.contains("FAILED: ssm:SendCommand failed"), "{refused:?}");

    // All members, to their end.
    let told = ok(&fleet, &format!("drain {GROUP} --wait 80s --json"));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&told["instances"][0]["id"], &told["instances"][0]["way"]), (&json!(id), &json!("tag")), "{told}");
    assert!(living(&fleet.snapshot()).next().is_none());
    fleet.ok("down");
    fleet.ended().all_done();
}

#[test]
fn a_hold_is_given_and_released_by_either_way_on_the_fleet_of_this_machine() {
    let mut fleet = fleet("--max 1 --idle-timeout 2s");
    let job = fleet.enqueue(1, 3.0)[0];
    fleet.until_job(job, JobState::Running);
    let id = fleet.until_phase("busy");
    let held = |fleet: &mut Fleet, wanted: bool| {
        fleet.until("the hold", |it| {
            let agent = instance(it, &id).agent.as_ref()?;
            (agent.0.get("held")?.as_bool()? == wanted).then_some(())
        });
    };
    let told = fleet.ok(&format!("hold {id} --for 20m --by tag"));
    assert!(told.contains("the tag lightsout:order says `hold until 2"), "{told}");
    held(&mut fleet, true);
    let told = fleet.ok(&format!("release {id}"));
    assert!(told.contains(&id) && !told.contains("FAILED"), "{told}");
    held(&mut fleet, false);
    assert_eq!(member(&fleet)["order"], Value::Null, "what stood there would be followed after all");

    let told = fleet.ok(&format!("hold {id} --for 20m"));
    assert!(told.contains("for 20m (by Run Command)"), "{told}");
    held(&mut fleet, true);
    fleet.until_job(job, JobState::Done);
    fleet.ok(&format!("release {id}"));
    fleet.until_ended(&id);
    fleet.ok("down");
    assert_eq!(fleet.ended().all_done()["instances"]["launched"], 1);
}
