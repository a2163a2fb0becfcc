//! The embedded CircleCI: requests and time in, responses out.

use serde_json::json;

use super::{CircleCiOptions, ResourceClass};
use crate::{
    ci::testing::{Bench, INSTANCE, body, later},
    fleet::JobState,
};

const USER: (&str, &str) = ("circle-token", "CCIPAT_lightsout_local");
const TOKEN: &str = "lightsout-local-resource-class";

fn bench(options: CircleCiOptions) -> Bench {
    Bench::with(options)
}

fn two_classes() -> CircleCiOptions {
    let mut options = CircleCiOptions::default();
    options.resource_classes.push(ResourceClass { name: "lightsout/gpu".into(), token: "gpu".into() });
    options
}

#[test]
fn tasks_are_counted_by_resource_class() {
    let mut bench = bench(two_classes());
    bench.enqueue(3, &[]);
    bench.enqueue(1, &["lightsout/gpu"]);
    let runner = bench.connect(TOKEN, &json!({}));
    bench.take(&runner);
    let mut count = |target: &str| body(&bench.call("GET", target, &[USER], ""));
    for (tasks, running) in
        [("/api/v3/runner/tasks", "/api/v3/runner/tasks/running"), ("/api/v2/tasks", "/api/v2/tasks/running")]
    {
        assert_eq!(count(&format!("{tasks}?resource-class=lightsout/demo")), json!({"unclaimed_task_count": 2}));
        assert_eq!(count(&format!("{running}?resource-class=lightsout%2Fdemo")), json!({"running_runner_tasks": 1}));
        assert_eq!(count(&format!("{tasks}?resource-class=lightsout/gpu")), json!({"unclaimed_task_count": 1}));
    }
    let gpu = bench.connect("gpu", &json!({"name": "gpu"}));
    assert_eq!(bench.take(&gpu), 1004);
}

#[test]
fn an_old_server_has_the_old_paths_only() {
    let mut bench = bench(CircleCiOptions { v3: false, ..CircleCiOptions::default() });
    assert_eq!(bench.call("GET", "/api/v3/runner/tasks?resource-class=lightsout/demo", &[USER], "").status, 404);
    assert_eq!(bench.call("GET", "/api/v2/tasks?resource-class=lightsout/demo", &[USER], "").status, 200);
}

#[test]
fn a_runners_token_does_not_read_the_queue() {
    let mut bench = bench(CircleCiOptions::default());
    let target = "/api/v3/runner/tasks?resource-class=lightsout/demo";
    // CCIPAT_lightsout_local and an empty password.
    let basic = ("authorization", "Basic Q0NJUEFUX2xpZ2h0c291dF9sb2NhbDo=");
    assert_eq!(bench.call("GET", target, &[basic], "").status, 200);
    for header in [("authorization", "Bearer lightsout-local-resource-class"), ("circle-token", TOKEN), ("x-none", "")]
    {
        assert_eq!(bench.call("GET", target, &[header], "").status, 401);
    }
    assert_eq!(bench.call("GET", "/api/v3/runner/tasks", &[USER], "").status, 400);
    assert_eq!(bench.call("GET", "/api/v3/runner/tasks?resource-class=no/ne", &[USER], "").status, 404);
    assert_eq!(bench.try_connect("CCIPAT_lightsout_local", &json!({})).status, 401);
    assert_eq!(bench.try_connect(TOKEN, &json!({"slots": 2})).status, 400);
}

#[test]
fn the_inventory_keeps_runners_for_a_while() {
    let mut bench = bench(two_classes());
    let runner = bench.connect(TOKEN, &json!({}));
    bench.disconnect(&runner);
    assert_eq!(bench.claim(&runner).status, 404);
    let list = |bench: &mut Bench, query: &str| {
        let items = body(&bench.call("GET", &format!("/api/v3/runner?{query}"), &[USER], ""))["items"].clone();
        items.as_array().expect("a list").iter().map(|item| item["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(list(&mut bench, "namespace=lightsout"), [INSTANCE]);
    assert_eq!(list(&mut bench, "resource-class=lightsout/gpu"), [""; 0]);
    assert_eq!(bench.call("GET", "/api/v3/runner", &[USER], "").status, 400);
    bench.now = later(12 * 3600);
    assert_eq!(list(&mut bench, "namespace=lightsout"), [""; 0]);
}

#[test]
fn a_runner_that_comes_back_after_a_crash_has_lost_its_task() {
    let mut bench = bench(CircleCiOptions::default());
    bench.enqueue(2, &[]);
    let runner = bench.connect(TOKEN, &json!({}));
    bench.take(&runner);
    let again = bench.connect(TOKEN, &json!({}));
    assert_eq!(runner, again, "the name is the same");
    assert_eq!(bench.states(), [JobState::Failed, JobState::Waiting]);
    assert_eq!(bench.take(&again), 1002);
}
