//! What the programs truly write down: it is kept, and it is as `docs/records.schema.json` says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::Path,
    process::Command,
};

use jiff::{SignedDuration, Timestamp};
use lightsout_core::{
    agent::phase::LeaveReason,
    record::{DecidedBy, Departure, IncidentKind, NoticeKind, ProofBy, Record, Way},
};
use lightsout_localcloud::fleet::JobState;

use serde_json::{Value, json};

use crate::{
    explain::until_named,
    rig::{Fleet, Home, http, instance, lightsout, living, phase},
};

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

/// What an instance told of its own way, without the jobs that came and went.
fn turns<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<IncidentKind> {
    let told = records.into_iter().filter_map(what);
    told.filter(|kind| !matches!(kind, IncidentKind::Busy | IncidentKind::Idle)).collect()
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
    if checked.status.code() == Some(77) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: records are not validated: {}", said.trim());
        return;
    }
    assert!(checked.status.success(), "{said}");
}

#[test]
fn every_record_of_a_fleet_is_kept_and_as_the_schema_says() {
    let mut fleet = Fleet::up("--jobs 2 --max 2 --no-docker --keep --price 3600");
    fleet.until("the jobs to be done and nobody left", |fleet| {
        (fleet.queue.done == 2 && fleet.instances.iter().all(|it| it.ended_ms.is_some())).then_some(())
    });
    fleet.ok("down");
    let (ended, home) = fleet.ended_in();
    let dir = home.dir();
    let found = records(&dir);
    every_second_is_paid_for_once(ended.all_done(), &found);
    // `lightsout cost` counts jobs as the summary does.
    let cost = lightsout(&dir, "cost --json").out;
    let spent = serde_json::from_str::<Value>(&cost).expect("JSON")["all"]["spent"].clone();
    assert!((spent["worked_ms"].as_f64().expect("ms") / 1000.0 - worked_s(&found)).abs() < 1e-6, "{cost}");
    let count = |which: fn(&Record) -> bool| found.iter().filter(|record| which(record)).count();
    assert!(count(|record| matches!(record, Record::Decision(_))) > 2, "{found:#?}");
    let instances: BTreeSet<&str> = found.iter().filter_map(Record::instance).collect();
    assert!(!instances.is_empty());
    for instance in instances {
        let own = found.iter().filter(|it| it.instance() == Some(instance));
        assert_eq!(turns(own), [IncidentKind::Started, IncidentKind::Ready, IncidentKind::Leaving], "{instance}");
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
        assert!(departure.machine.machine_type.is_some() && departure.machine.spot == Some(false), "{departure:#?}");
        assert!(departure.boot_id.is_some() && departure.not_known.is_empty(), "{departure:#?}");
    }
    validate(&dir);
}

/// What the cloud bills is what the records tell, second for second: at a price of one a second, the cost.
fn every_second_is_paid_for_once(summary: &Value, records: &[Record]) {
    let seconds = |key: &str| summary["instances"][key].as_f64().expect("seconds");
    let states = ["booting_s", "idle_s", "busy_s", "draining_s"].map(seconds);
    assert!(states.iter().all(|state| *state > 0.0) && seconds("unknown_s") == 0.0, "{summary}");
    let cost = |key: &str| summary["cost"][key].as_f64().expect("money");
    let (all, billed) = (states.iter().sum::<f64>(), seconds("billed_s"));
    assert!((all - billed).abs() < 1e-6 && (cost("total") - billed).abs() < 1e-6, "{summary}");
    let worked = worked_s(records);
    assert!(worked > 0.0 && (cost("total") - cost("without_job") - worked).abs() < 1e-6, "{worked} s: {summary}");
}

/// The seconds from an agent's word that jobs run to its word that none does any more, over all agents.
fn worked_s(records: &[Record]) -> f64 {
    let mut since: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut worked = SignedDuration::ZERO;
    for record in records {
        let Record::Incident(incident) = record else { continue };
        let time: Timestamp = incident.time.parse().expect("a time");
        let known = since.get(incident.instance.as_str()).copied();
        match (known, incident.what) {
            (None, IncidentKind::Busy) => _ = since.insert(&incident.instance, time),
            (Some(from), IncidentKind::Idle) => {
                since.remove(incident.instance.as_str());
                worked += time.duration_since(from);
            }
            (..) => {}
        }
    }
    assert!(since.is_empty(), "jobs without an end: {since:?}");
    worked.as_secs_f64()
}

/// Settings that have records handed in at both places of the embedded cloud.
const EVERYWHERE: &str =
    "[records]\nlog_group = \"/lightsout/records\"\nobject_store = \"s3://lightsout-records/ci\"\n";

/// Starts a fleet whose agents have more settings.
fn up_with(settings: &str, arguments: &str) -> Fleet {
    let home = Home::new();
    let more = home.root().join("more.toml");
    fs::write(&more, settings).expect("a file");
    home.up(&format!("--no-docker --keep --agent-settings {} {arguments}", more.display()))
}

/// Ends the fleet, and what it has kept.
fn end(fleet: Fleet) -> (Home, Vec<Record>) {
    fleet.ok("down");
    let (ended, home) = fleet.ended_in();
    ended.well();
    let found = records(&home.dir());
    validate(&home.dir());
    (home, found)
}

#[test]
fn records_are_handed_in_at_a_log_group_and_an_object_store() {
    let mut fleet = up_with(EVERYWHERE, "--jobs 1 --max 1");
    let id = fleet.until_phase("idle");
    fleet.until_ended(&id);
    let logged: Vec<Record> = logged(&fleet).iter().filter_map(|message| Record::find(message)).collect();
    assert_eq!(departure(&logged, &id).reason, LeaveReason::Idle);
    assert_eq!(turns(&logged), [IncidentKind::Started, IncidentKind::Ready, IncidentKind::Leaving]);
    let answer = explained(&fleet, &id, "/lightsout/records");
    assert_eq!(answer["known"][0]["cause"], "idle-timeout", "explained from there alone: {answer}");
    let ran = logged.iter().find_map(|record| match record {
        Record::Incident(incident) => incident.jobs.first().cloned(),
        Record::Decision(_) | Record::Departure(_) => None,
    });
    let job = explained(&fleet, &ran.expect("the job that ran"), "/lightsout/records");
    assert_eq!(job["known"][0]["cause"], "running", "{job}");
    assert!(job["not_known"][0]["what"].as_str().is_some_and(|what| what.starts_with("how job ")), "{job}");
    // A function's decisions are in a group of their own.
    let records = fs::read_to_string(fleet.dir().join("records.jsonl")).expect("its records");
    let decision = records.lines().find(|line| line.contains(r#""kind":"decision""#)).expect("a decision");
    keep(&fleet, "/aws/lambda/scaler", decision);
    let both = explained(&fleet, &id, "/lightsout/records /aws/lambda/scaler");
    let read = |answer: &Value| answer["read"]["records"].as_u64().expect("a number");
    assert_eq!(read(&both), read(&answer) + 1, "{both}");
    let pool = serde_json::from_str::<Value>(decision).expect("JSON")["pool"].as_str().expect("text").to_owned();
    assert_eq!(read(&explained(&fleet, &pool, "/aws/lambda/scaler /lightsout/records")), read(&both));
    let stored = stored(&fleet);
    let name = format!("<Key>ci/{id}/");
    assert!(stored.contains(&name) && stored.contains("-decrement.json</Key>"), "{stored}");
    let (_home, found) = end(fleet);
    assert_eq!(departure(&found, &id), departure(&logged, &id), "each place has the same");
}

/// Nothing depends on where records go: every call to every such place hangs or breaks, the tag's too.
#[test]
fn an_instance_leaves_in_time_when_no_place_takes_its_records() {
    let mut fleet = up_with(EVERYWHERE, "--jobs 1 --max 1");
    for (action, effect) in
        [("PutLogEvents", json!("hang")), ("PutObject", json!("drop")), ("CreateTags", json!("hang"))]
    {
        fleet.post("faults", &json!({ "target": "aws", "action": action, "effect": effect }));
    }
    let id = fleet.until_phase("idle");
    fleet.until_ended(&id);
    let (_home, found) = end(fleet);
    let departure = departure(&found, &id);
    let retiring = departure.phases.iter().find(|span| span.phase == "retiring").expect("a phase").ms;
    assert!(retiring < 3_000, "the certificate itself waits for nothing: {retiring} ms");
    assert!(departure.warnings.iter().any(|warning| warning.message.contains("did not arrive")), "{departure:#?}");
}

/// What somebody else wants of an instance stands in its certificate, and who that was.
#[test]
fn each_reason_that_comes_from_outside_stands_in_the_certificate() {
    let mut fleet = Fleet::up("--jobs 0 --keep --no-docker --max 5 --idle-timeout 10m");
    let last = fleet.enqueue(5, 1.0)[4];
    fleet.until_job(last, JobState::Done);
    let ids: Vec<String> = fleet.until("five idle instances", |fleet| {
        let idle: Vec<String> = living(fleet).filter(|it| phase(it) == "idle").map(|it| it.id.clone()).collect();
        (idle.len() == 5).then_some(idle)
    });
    let [drained, rebalanced, maintained, ended, interrupted] = &ids[..] else { panic!("{ids:?}") };
    fleet.ok(&format!("agent drain --socket {}", fleet.socket(drained).display()));
    fleet.ok(&format!("rebalance {rebalanced}"));
    fleet.post(&format!("instances/{maintained}/maintenance"), &json!({ "in_s": 600 }));
    let call = format!(
        "Action=TerminateInstanceInAutoScalingGroup&Version=2011-01-01&ShouldDecrementDesiredCapacity=true&InstanceId={ended}"
    );
    let form = "application/x-www-form-urlencoded";
    assert_eq!(http::send("POST", &format!("{}/", fleet.url()), form, &call).expect("an answer").0, 200);
    for id in [drained, rebalanced, maintained, ended] {
        fleet.until_ended(id);
    }
    // The last one works when its notice comes, and cannot finish.
    let cut = fleet.enqueue(1, 300.0)[0];
    fleet.until("it to work", |fleet| (phase(instance(fleet, interrupted)) == "busy").then_some(()));
    fleet.post(&format!("instances/{interrupted}/interrupt"), &json!({ "in_s": 15 }));
    fleet.until_ended(interrupted);
    until_named(&mut fleet, &cut.to_string(), "cut", &["waiting", "running", "ended"]);
    until_named(&mut fleet, interrupted, "cut", &["scale-in", "operator"]);
    let (_home, found) = end(fleet);
    for (id, reason, decided_by, way, trigger, notice) in [
        (drained, LeaveReason::Operator, DecidedBy::Operator, Way::Decrement, "an operator's drain", NoticeKind::Drain),
        (rebalanced, LeaveReason::Rebalance, DecidedBy::Cloud, Way::Decrement, "rebalance", NoticeKind::Rebalance),
        (
            maintained,
            LeaveReason::Maintenance,
            DecidedBy::Cloud,
            Way::Decrement,
            "maintenance",
            NoticeKind::Maintenance,
        ),
        (
            ended,
            LeaveReason::ScaleIn,
            DecidedBy::Group,
            Way::Group,
            "moved the instance to Terminated",
            NoticeKind::ScaleIn,
        ),
        (interrupted, LeaveReason::Spot, DecidedBy::Cloud, Way::Decrement, "a spot notice", NoticeKind::Spot),
    ] {
        let departure = departure(&found, id);
        assert_eq!(
            (departure.reason, departure.decided_by, departure.way),
            (reason, decided_by, way),
            "{departure:#?}"
        );
        assert!(departure.trigger.contains(trigger), "{}", departure.trigger);
        assert_eq!(departure.notices.iter().map(|seen| seen.notice).collect::<Vec<_>>(), [notice], "{departure:#?}");
        assert_eq!(departure.jobs.cut, id == interrupted, "{departure:#?}");
    }
    let told = turns(found.iter().filter(|it| it.instance() == Some(interrupted.as_str())));
    let expected = [IncidentKind::SpotNotice, IncidentKind::Leaving, IncidentKind::JobsCut];
    assert!(told.ends_with(&expected), "{told:?}");
}

#[test]
fn an_instance_that_is_broken_says_what_with() {
    let more = "[agent]\nbefore_register = [\"/bin/sh\", \"-c\", \"echo no disk; exit 3\"]\n";
    let hangs = json!({ "target": "aws", "action": "DescribeAutoScalingInstances", "effect": "hang" });
    let mut fleet = up_with(more, &format!("--jobs 2 --max 2 --fault {hangs}"));
    // An agent that is killed on its way out leaves the certificate to one that knows no more than that it is broken.
    let other = fleet.until_phase("retiring");
    fleet.crash(&other);
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    fleet.until_ended(&other);
    let text = until_named(&mut fleet, &other, "broken", &["before-register", "boot-deadline", "operator"]);
    assert!(text.contains("left as broken: agent.before_register failed"), "by the earlier agent's word: {text}");
    let id =
        fleet.until("another instance", |fleet| Some(fleet.instances.iter().find(|it| it.id != other)?.id.clone()));
    fleet.until_ended(&id);
    fleet.ok("down");
    let (_ended, home) = fleet.ended_in();
    let found = records(&home.dir());
    validate(&home.dir());
    let departure = departure(&found, &id);
    assert_eq!((departure.reason, departure.decided_by), (LeaveReason::Broken, DecidedBy::Agent));
    assert!(
        departure.trigger.contains("agent.before_register failed") && departure.trigger.contains("exit status 3"),
        "{}",
        departure.trigger
    );
    let failed =
        found.iter().find(|it| it.instance() == Some(&id) && what(it) == Some(IncidentKind::BeforeRegisterFailed));
    assert!(failed.is_some(), "{found:#?}");
}

/// The certificate is written by whichever agent ends the instance; what only an earlier one knew is said to be missing.
#[test]
fn an_agent_that_crashes_between_retiring_and_ending_leaves_the_certificate_to_the_next() {
    let mut fleet = Fleet::up("--jobs 0 --max 1 --keep --no-docker --idle-timeout 10m");
    let job = fleet.enqueue(1, 6.0)[0];
    let id = fleet.until_phase("busy");
    fleet.until_job(job, JobState::Done);
    fleet.until_phase("idle");
    fleet.post("faults", &json!({ "target": "aws", "action": "DescribeAutoScalingInstances", "effect": "hang" }));
    fleet.ok(&format!("agent drain --socket {}", fleet.socket(&id).display()));
    fleet.until_phase("retiring");
    let before = records(&fleet.dir());
    assert!(!before.iter().any(|record| matches!(record, Record::Departure(_))), "{before:#?}");
    fleet.crash(&id);
    fleet.request("DELETE", "faults", &Value::Null).expect("none");
    fleet.until_ended(&id);
    let (_home, found) = end(fleet);
    let departure = departure(&found, &id);
    assert_eq!((departure.reason, departure.way, departure.served), (LeaveReason::Operator, Way::Decrement, 1));
    assert!(
        departure.trigger.contains("is not known, because the agent was started again at"),
        "{}",
        departure.trigger
    );
    assert!(departure.decided_at.is_none() && !departure.not_known.is_empty(), "{departure:#?}");
    assert!(departure.proof.proven && departure.proof.steps[0].by == ProofBy::Journal, "{departure:#?}");
}

/// The answer about this name, from these log groups.
fn explained(fleet: &Fleet, name: &str, groups: &str) -> Value {
    let asked = crate::rig::lightsout_command(&fleet.dir(), &format!("explain {name} --log-group {groups} --json"))
        .envs([
            ("AWS_ENDPOINT_URL", fleet.url()),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ])
        .envs([("AWS_ACCESS_KEY_ID", "TEST"), ("AWS_SECRET_ACCESS_KEY", "none")])
        .output()
        .expect("it starts");
    serde_json::from_slice(&asked.stdout).unwrap_or_else(|_| panic!("{asked:?}"))
}

/// Writes a message to a log group that is made for it.
fn keep(fleet: &Fleet, group: &str, message: &str) {
    let now_ms = Timestamp::now().as_millisecond();
    let events = json!([{ "timestamp": now_ms, "message": message }]);
    for (action, body) in [
        ("CreateLogGroup", json!({ "logGroupName": group })),
        ("CreateLogStream", json!({ "logGroupName": group, "logStreamName": "one" })),
        ("PutLogEvents", json!({ "logGroupName": group, "logStreamName": "one", "logEvents": events })),
    ] {
        let target = format!("Logs_20140328.{action}");
        signed(fleet, "POST", "", &[("x-amz-target", &target)], &body.to_string());
    }
}

/// What the log group has.
fn logged(fleet: &Fleet) -> Vec<String> {
    let headers = [("x-amz-target", "Logs_20140328.FilterLogEvents")];
    let answer = signed(fleet, "POST", "", &headers, &json!({ "logGroupName": "/lightsout/records" }).to_string());
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let events = answer["events"].as_array().unwrap_or_else(|| panic!("{answer}"));
    events.iter().filter_map(|event| event["message"].as_str().map(str::to_owned)).collect()
}

/// What the bucket has.
fn stored(fleet: &Fleet) -> String {
    signed(
        fleet,
        "GET",
        "lightsout-records",
        &[("authorization", "AWS4-HMAC-SHA256 Credential=A/1/r/s3/aws4_request")],
        "",
    )
}

fn signed(fleet: &Fleet, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let url = format!("{}/{path}", fleet.url());
    let (status, text) = http::send_with(method, &url, headers, body).expect("an answer");
    assert_eq!(status, 200, "{text}");
    text
}
