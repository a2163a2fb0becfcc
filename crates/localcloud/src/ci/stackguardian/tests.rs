//! The embedded StackGuardian: requests and time in, responses out.

use serde_json::{Value, json};

use super::StackGuardianOptions;
use crate::{
    ci::testing::{Bench, INSTANCE, body, later},
    fleet::JobState,
    http::Response,
};

const USER: (&str, &str) = ("authorization", "apikey sgu_lightsoutlocal");
const NODE: (&str, &str) = ("authorization", "apikey lightsout-local-node-token");
const TOKEN: &str = "lightsout-local-node-token";
const GROUP: &str = "/api/v1/orgs/lightsout/runnergroups/demo";

fn bench(options: StackGuardianOptions) -> Bench {
    Bench::with(options)
}

fn group(bench: &mut Bench) -> Value {
    body(&bench.call("GET", &format!("{GROUP}/?getActiveWorkflows=true"), &[USER], ""))["msg"].clone()
}

fn register(bench: &mut Bench) -> String {
    let response = bench.call("POST", &format!("{GROUP}/register/"), &[NODE], "");
    assert_eq!(response.status, 200, "{}", response.text());
    body(&response)["data"]["RunnerId"].as_str().expect("an id").to_owned()
}

fn connect(bench: &mut Bench, runner: &str) -> String {
    bench.connect(TOKEN, &json!({"name": runner, "instance_id": INSTANCE, "slots": 2}))
}

fn set_status(bench: &mut Bench, runner: &str, status: &str) -> Response {
    let form = ("content-type", "application/x-www-form-urlencoded");
    bench.call("POST", &format!("{GROUP}/runner_status/"), &[USER, form], &format!("Status={status}&RunnerId={runner}"))
}

#[test]
fn the_group_tells_workflows_and_tasks() {
    let mut bench = bench(StackGuardianOptions::default());
    let name = register(&mut bench);
    let one = group(&mut bench)["ContainerInstances"][0].clone();
    assert_eq!((&one["status"], &one["agentConnected"]), (&json!("REGISTERING"), &json!(false)));
    bench.enqueue(3, &["any"]);
    let runner = connect(&mut bench, &name);
    let job = bench.take(&runner);
    let counts = |bench: &mut Bench| {
        let group = group(bench);
        let one = &group["ContainerInstances"][0];
        assert_eq!(
            (&one["runnerId"], &one["status"], &one["agentConnected"]),
            (&json!(name), &json!("ACTIVE"), &json!(true))
        );
        [&group["QueuedWorkflowsCount"], &one["pendingTasksCount"], &one["runningTasksCount"]]
            .map(|count| count.as_u64().expect("a number"))
    };
    assert_eq!(counts(&mut bench), [2, 1, 0], "placed, and not started yet");
    bench.report(&runner, job, "running");
    assert_eq!(counts(&mut bench), [2, 0, 1]);
    bench.report(&runner, job, "success");
    assert_eq!(counts(&mut bench), [2, 0, 0]);
    let plain = body(&bench.call("GET", &format!("{GROUP}/"), &[USER], ""));
    assert_eq!(plain["msg"].get("ContainerInstances"), None);
}

#[test]
fn keys_open_what_they_should() {
    let mut bench = bench(StackGuardianOptions::default());
    let target = format!("{GROUP}/?getActiveWorkflows=true");
    assert_eq!(bench.call("GET", &target, &[], "").status, 401);
    assert_eq!(bench.call("GET", &target, &[("authorization", "Bearer sgu_lightsoutlocal")], "").status, 401);
    assert_eq!(bench.call("GET", &target, &[NODE], "").status, 403);
    let other = target.replace("demo", "none");
    assert_eq!(bench.call("GET", &other, &[USER], "").status, 404);
    assert_eq!(bench.call("POST", &format!("{GROUP}/register/"), &[("authorization", "apikey x")], "").status, 401);
    let mut open = self::bench(StackGuardianOptions { token_reads: true, ..StackGuardianOptions::default() });
    assert_eq!(open.call("GET", &target, &[NODE], "").status, 200);
}

#[test]
fn a_draining_runner_gets_nothing_until_it_is_active_again() {
    let mut bench = bench(StackGuardianOptions::default());
    let name = register(&mut bench);
    assert_eq!(set_status(&mut bench, &name, "DRAINING").status, 400, "it was never active");
    let runner = connect(&mut bench, &name);
    bench.enqueue(2, &[]);
    let job = bench.take(&runner);
    assert_eq!(set_status(&mut bench, &name, "DRAINING").status, 200);
    assert_eq!(set_status(&mut bench, &name, "DRAINING").status, 200, "a repeated drain is harmless");
    assert_eq!(bench.claim(&runner).status, 204);
    let one = group(&mut bench)["ContainerInstances"][0].clone();
    assert_eq!((&one["status"], &one["pendingTasksCount"]), (&json!("DRAINING"), &json!(1)));
    bench.report(&runner, job, "success");
    let active =
        bench.json("POST", &format!("{GROUP}/runner_status/"), &[USER], &json!({"Status": "ACTIVE", "RunnerId": name}));
    assert_eq!(active.status, 200, "JSON is as good as a form");
    assert_eq!(bench.take(&runner), 1002);
    assert_eq!(set_status(&mut bench, &name, "ASLEEP").status, 400);
    assert_eq!(set_status(&mut bench, "", "DRAINING").status, 400);
    assert_eq!(set_status(&mut bench, "r-none", "DRAINING").status, 404);
}

#[test]
fn a_runner_is_known_until_it_is_deregistered() {
    let mut bench = bench(StackGuardianOptions { most_runners: 1, ..StackGuardianOptions::default() });
    assert_eq!(bench.try_connect(TOKEN, &json!({"name": "r-none"})).status, 403);
    let name = register(&mut bench);
    assert_eq!(bench.call("POST", &format!("{GROUP}/register/"), &[NODE], "").status, 400, "the group is full");
    let runner = connect(&mut bench, &name);
    bench.enqueue(1, &[]);
    bench.take(&runner);
    bench.now = later(180);
    let one = group(&mut bench)["ContainerInstances"][0].clone();
    assert_eq!(one["agentConnected"], false, "nobody heard of it");
    assert_eq!(bench.states(), [JobState::Failed]);
    let deregister = |bench: &mut Bench| {
        bench.json("POST", &format!("{GROUP}/deregister/"), &[NODE], &json!({"RunnerId": name})).status
    };
    assert_eq!((deregister(&mut bench), deregister(&mut bench)), (200, 404));
    assert_eq!(group(&mut bench)["ContainerInstances"], json!([]));
}
