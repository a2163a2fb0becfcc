//! Fleets whose cloud and CI platform have trouble, and fleets with more than one scaler.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};

use crate::rig::{Fleet, http, lightsout_command, living};

/// Rounds of jobs at most, until chance has had each fault hit.
const ROUNDS: u32 = 5;

/// Faults for as long as jobs wait, then a quiet end, as in a real outage. Each fault must have hit: one that does nothing
/// proves nothing. `told` is how long all the answers together may tell somebody to wait.
fn survives(jobs: u32, told: Duration, faults: &[Value]) {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 3");
    for fault in faults {
        fleet.post("faults", fault);
    }
    let mut total = 0;
    let idle = loop {
        fleet.enqueue(jobs, 1.5);
        total += jobs;
        fleet.wait_besides(told, "all jobs to end", |fleet| {
            let queue = fleet.snapshot().queue;
            (queue.waiting + queue.running == 0).then_some(())
        });
        let idle = without_a_hit(&fleet, faults.len());
        if idle.is_empty() || total == ROUNDS * jobs {
            break idle;
        }
    };
    assert!(idle.is_empty(), "these faults hit nothing in {total} jobs: {idle:#?}");
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    fleet.wait_besides(told, "all instances to end", |fleet| living(&fleet.snapshot()).next().is_none().then_some(()));
    fleet.ok("down");
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["jobs"]["total"], total);
}

/// The faults in force that hit nothing so far. One that may hit so often only is gone once it has.
fn without_a_hit(fleet: &Fleet, faults: usize) -> Vec<Value> {
    let listed = fleet.request("GET", "faults", &Value::Null).expect("a list");
    let listed = listed["faults"].as_array().expect("a list").clone();
    assert!(listed.len() <= faults, "{listed:#?}");
    listed.into_iter().filter(|fault| fault["hits"].as_u64().expect("a number") == 0).collect()
}

#[test]
fn trouble_of_the_cloud_costs_time_and_no_job() {
    survives(
        6,
        Duration::ZERO,
        &[
            json!({ "target": "aws", "effect": { "status": { "code": 503 } }, "probability": 0.2 }),
            json!({ "target": "aws", "effect": { "status": { "code": 500 } }, "probability": 0.1 }),
            json!({ "target": "aws", "effect": "throttle", "probability": 0.2 }),
            json!({ "target": "aws", "effect": "reset", "probability": 0.1 }),
            json!({ "target": "aws", "effect": { "latency": { "ms": 150 } }, "probability": 0.3 }),
            json!({ "target": "cloud", "effect": { "stale-describes": { "ms": 1500 } } }),
        ],
    );
}

#[test]
fn trouble_of_the_platform_costs_time_and_no_job() {
    // As GitLab does, the answer says to wait until the next minute begins: twice, and a fleet stands still for two.
    survives(
        6,
        Duration::from_secs(2 * 60),
        &[
            json!({ "target": "gitlab", "effect": "throttle", "probability": 0.15, "count": 2 }),
            json!({ "target": "gitlab", "effect": { "status": { "code": 502 } }, "probability": 0.15 }),
            json!({ "target": "gitlab", "effect": "drop", "probability": 0.1 }),
            json!({ "target": "gitlab", "effect": { "latency": { "ms": 200 } }, "probability": 0.2 }),
        ],
    );
}

#[test]
fn trouble_of_the_metadata_service_costs_no_job() {
    survives(
        4,
        Duration::ZERO,
        &[
            json!({ "target": "imds", "effect": { "status": { "code": 401 } }, "probability": 0.15 }),
            json!({ "target": "imds", "effect": { "status": { "code": 503 } }, "probability": 0.1 }),
            json!({ "target": "imds", "effect": "hang", "probability": 0.1 }),
            json!({ "target": "imds", "effect": "expire", "probability": 0.1 }),
            json!({ "target": "imds", "effect": "reset", "probability": 0.1 }),
        ],
    );
}

#[test]
fn a_launch_failure_is_waited_out() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 2");
    let message = "We currently do not have sufficient c7i.large capacity in the Availability Zone you requested.";
    fleet.post("faults", &json!({ "target": "cloud", "effect": { "launch-failures": { "message": message } } }));
    fleet.enqueue(2, 0.5);
    fleet.until("the scaler to raise", |fleet| (fleet.groups[0].desired == 2).then_some(()));
    assert_eq!(fleet.snapshot().instances.len(), 0);
    fleet.wait("a launch to fail", |fleet| without_a_hit(fleet, 1).is_empty().then_some(()));
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    fleet.until("the jobs to be done", |fleet| (fleet.queue.done == 2).then_some(()));
    fleet.until("all instances to end", |fleet| living(fleet).next().is_none().then_some(()));
    fleet.ok("down");
    fleet.ended().all_done();
}

/// Nothing is coordinated, so nothing can go wrong: each writes the same absolute number.
#[test]
fn two_scalers_do_what_one_does() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 5");
    let config = fleet.dir().join("scaler.toml");
    let mut second = lightsout_command(&fleet.dir(), "scaler watch --tick 1s --format json --config");
    let mut second = second
        .arg(&config)
        .envs([("AWS_ENDPOINT_URL", fleet.url()), ("AWS_REGION", "eu-central-1")])
        .envs([
            ("AWS_ACCESS_KEY_ID", "SECOND"),
            ("AWS_SECRET_ACCESS_KEY", "none"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut records = BufReader::new(second.stdout.take().expect("it is piped")).lines();
    records.next().expect("its first tick").expect("text");

    fleet.enqueue(3, 3.0);
    fleet.until("the jobs to be done", |fleet| {
        assert!(fleet.groups[0].desired <= 3, "three jobs, {} instances", fleet.groups[0].desired);
        (fleet.queue.done == 3).then_some(())
    });
    fleet.until("all instances to end", |fleet| living(fleet).next().is_none().then_some(()));
    second.kill().expect("it runs");
    second.wait().expect("it is ours");
    let own = records.map_while(Result::ok).filter(|line| line.contains("\"result\":\"held\"")).count();
    assert!(own > 0, "the second one ticked as well");
    fleet.ok("down");
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["instances"]["launched"], 3);
}

/// A wish that is far too high, or a hand that slipped: capacity, but no job, is at stake.
#[test]
fn a_desired_capacity_set_by_hand_is_worked_off() {
    let mut fleet = Fleet::up("--jobs 3 --max 4 --keep --job-duration 3s");
    fleet.until_phase("busy");
    let form = "Action=SetDesiredCapacity&Version=2011-01-01&AutoScalingGroupName=lightsout-demo&DesiredCapacity=";
    for desired in ["4", "0", "4"] {
        let (status, body) =
            http::send("POST", fleet.url(), "application/x-www-form-urlencoded", &format!("{form}{desired}"))
                .expect("the cloud answers");
        assert_eq!(status, 200, "{body}");
    }
    fleet.until("the jobs to be done", |fleet| (fleet.queue.done == 3).then_some(()));
    fleet.until("all instances to end", |fleet| living(fleet).next().is_none().then_some(()));
    fleet.ok("down");
    fleet.ended().all_done();
}
