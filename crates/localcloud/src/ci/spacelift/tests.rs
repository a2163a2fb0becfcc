//! The embedded Spacelift: requests and time in, responses out.

use serde_json::{Value, json};

use super::SpaceliftOptions;
use crate::{
    ci::testing::{Bench, INSTANCE, body, later},
    fleet::JobState,
};

const LOGIN: &str =
    "mutation Login($id: ID!, $secret: String!) { apiKeyUser(id: $id, secret: $secret) { jwt validUntil } }";
const POOL: &str = "query P($pool: ID!) { workerPool(id: $pool) { pendingRuns busyWorkers workers { id busy drained createdAt availableAt metadata } } }";
const DRAIN: &str = "mutation D($pool: ID!, $worker: ID!, $on: Boolean!) { workerDrainSet(workerPool: $pool, id: $worker, drain: $on) { id busy drained } }";

fn bench(options: SpaceliftOptions) -> Bench {
    Bench::with(options)
}

fn ask(bench: &mut Bench, jwt: &str, query: &str, variables: &Value) -> Value {
    let bearer = format!("Bearer {jwt}");
    let document = json!({"query": query, "variables": variables});
    let response = bench.json("POST", "/graphql", &[("authorization", &bearer)], &document);
    assert_eq!(response.status, 200, "GraphQL errors come with 200 too");
    body(&response)
}

fn login(bench: &mut Bench) -> String {
    let options = SpaceliftOptions::default();
    let response = ask(bench, "", LOGIN, &json!({"id": options.key_id, "secret": options.key_secret}));
    response["data"]["apiKeyUser"]["jwt"].as_str().expect("a JWT").to_owned()
}

fn pool() -> Value {
    json!({"pool": SpaceliftOptions::default().pool})
}

fn connect(bench: &mut Bench) -> String {
    let metadata = json!({"instance_id": INSTANCE, "asg_id": "ci"});
    bench.connect(&SpaceliftOptions::default().pool_token, &json!({"metadata": metadata}))
}

fn drain(bench: &mut Bench, jwt: &str, worker: &Value, on: bool) -> Value {
    let variables = json!({"pool": SpaceliftOptions::default().pool, "worker": worker, "on": on});
    ask(bench, jwt, DRAIN, &variables)
}

#[test]
fn a_login_is_needed_and_ends() {
    let mut bench = bench(SpaceliftOptions::default());
    let refused = ask(&mut bench, "", LOGIN, &json!({"id": "x", "secret": "y"}));
    assert_eq!(refused, json!({"data": {"apiKeyUser": null}}));
    assert_eq!(ask(&mut bench, "x.y.z", POOL, &pool())["errors"][0]["message"], "unauthorized");
    let jwt = login(&mut bench);
    assert_eq!(ask(&mut bench, &jwt, POOL, &pool())["data"]["workerPool"]["pendingRuns"], 0);
    assert_eq!(ask(&mut bench, &format!("{jwt}x"), POOL, &pool())["errors"][0]["message"], "unauthorized");
    bench.now = later(3600);
    assert_eq!(ask(&mut bench, &jwt, POOL, &pool())["errors"][0]["message"], "unauthorized");
}

#[test]
fn the_pool_tells_runs_and_workers() {
    let mut bench = bench(SpaceliftOptions::default());
    let jwt = login(&mut bench);
    bench.enqueue(3, &["whatever"]);
    let runner = connect(&mut bench);
    bench.take(&runner);
    let found = ask(&mut bench, &jwt, POOL, &pool())["data"]["workerPool"].clone();
    assert_eq!((&found["pendingRuns"], &found["busyWorkers"]), (&json!(2), &json!(1)));
    let worker = &found["workers"][0];
    assert_eq!(
        (&worker["busy"], &worker["drained"], &worker["availableAt"]),
        (&json!(true), &json!(false), &json!(null))
    );
    let metadata: Value = serde_json::from_str(worker["metadata"].as_str().expect("a text")).expect("JSON in JSON");
    assert_eq!(metadata["instance_id"], INSTANCE);
    assert_eq!(ask(&mut bench, &jwt, POOL, &json!({"pool": "none"})), json!({"data": {"workerPool": null}}));
}

#[test]
fn an_old_server_fails_the_whole_query() {
    let mut bench = bench(SpaceliftOptions { available_at: false, ..SpaceliftOptions::default() });
    let jwt = login(&mut bench);
    connect(&mut bench);
    let refused = ask(&mut bench, &jwt, POOL, &pool());
    assert_eq!(
        (&refused["data"], &refused["errors"][0]["message"]),
        (&json!(null), &json!("Cannot query field \"availableAt\" on type \"Worker\"."))
    );
    assert!(ask(&mut bench, &jwt, &POOL.replace("availableAt", ""), &pool())["data"]["workerPool"].is_object());
}

#[test]
fn a_drain_tells_in_the_same_breath_whether_a_run_came_first() {
    let mut bench = bench(SpaceliftOptions::default());
    let jwt = login(&mut bench);
    let runner = connect(&mut bench);
    let id = ask(&mut bench, &jwt, POOL, &pool())["data"]["workerPool"]["workers"][0]["id"].clone();
    let idle = drain(&mut bench, &jwt, &id, true)["data"]["workerDrainSet"].clone();
    assert_eq!(idle, json!({"id": id, "busy": false, "drained": true}));
    bench.enqueue(1, &[]);
    assert_eq!(bench.claim(&runner).status, 204, "idle and drained means that nothing comes any more");

    assert_eq!(drain(&mut bench, &jwt, &id, false)["data"]["workerDrainSet"]["drained"], false);
    let job = bench.take(&runner);
    assert_eq!(drain(&mut bench, &jwt, &id, true)["data"]["workerDrainSet"]["busy"], true);
    bench.report(&runner, job, "success");
    assert_eq!(drain(&mut bench, &jwt, &id, true)["data"]["workerDrainSet"]["busy"], false);
    assert_eq!(bench.states(), [JobState::Done]);
    assert_eq!(drain(&mut bench, &jwt, &json!("none"), true)["errors"][0]["message"], "worker not found");
}

#[test]
fn a_clean_stop_removes_the_worker() {
    let mut bench = bench(SpaceliftOptions::default());
    let jwt = login(&mut bench);
    let runner = connect(&mut bench);
    bench.disconnect(&runner);
    assert_eq!(ask(&mut bench, &jwt, POOL, &pool())["data"]["workerPool"]["workers"], json!([]));
    assert_eq!(bench.try_connect("wrong", &json!({})).status, 401);
    assert_eq!(bench.call("GET", "/graphql", &[], "").status, 405);
}
