//! The embedded Buildkite: requests and time in, responses out.

use serde_json::{Value, json};

use super::{BuildkiteOptions, KIND};
use crate::{
    ci::{
        jobs::{Cause, JobEventKind, JobOutcome},
        testing::{Bench, NOW, body, later},
        webhook::{Webhook, WebhookAuth, WebhookDelivery},
    },
    digest::hmac_sha256,
    fleet::JobState,
    time::Timestamp,
};

const AGENT: (&str, &str) = ("authorization", "Token bkct_lightsout-local");
const USER: (&str, &str) = ("authorization", "Bearer bkua_lightsout-local");
const TOKEN: &str = "bkct_lightsout-local";

fn bench(options: BuildkiteOptions) -> Bench {
    Bench::with(options)
}

#[test]
fn metrics_tell_queues_apart() {
    let queues = ["default", "gpu"].map(String::from).to_vec();
    let poll_duration = Some(std::time::Duration::from_secs(10));
    let mut bench = bench(BuildkiteOptions { queues, poll_duration, ..BuildkiteOptions::default() });
    bench.enqueue(3, &[]);
    bench.enqueue(2, &["queue=gpu"]);
    let runner = bench.connect(TOKEN, &json!({}));
    bench.connect(TOKEN, &json!({"metadata": {"queue": "gpu"}, "slots": 2}));
    bench.take(&runner);

    let response = bench.call("GET", "/v3/metrics/queue?name=default", &[AGENT], "");
    assert_eq!(response.get("buildkite-agent-metrics-poll-duration"), Some("10"));
    assert_eq!(body(&response)["jobs"], json!({"scheduled": 2, "running": 1, "waiting": 0, "total": 3}));
    assert_eq!(body(&response)["agents"], json!({"idle": 0, "busy": 1, "total": 1}));
    let all = body(&bench.call("GET", "/v3/metrics", &[AGENT], ""));
    assert_eq!((&all["jobs"]["total"], &all["agents"]["total"]), (&json!(5), &json!(3)));
    assert_eq!(all["jobs"]["queues"]["gpu"]["scheduled"], 2);
    assert_eq!(all["agents"]["queues"]["gpu"], json!({"idle": 2, "busy": 0, "total": 2}));
}

#[test]
fn only_the_agent_token_reads_metrics() {
    let mut bench = bench(BuildkiteOptions::default());
    for header in [("authorization", "Bearer bkct_lightsout-local"), ("authorization", "Token no"), ("x-none", "")] {
        assert_eq!(bench.call("GET", "/v3/metrics", &[header], "").status, 401);
    }
    assert_eq!(bench.call("GET", "/v3/metrics/queue", &[AGENT], "").status, 422);
    assert_eq!(bench.call("GET", "/v3/metrics/queue?name=none", &[AGENT], "").status, 404);
    assert_eq!(bench.call("GET", "/v3/none", &[AGENT], "").status, 404);
    assert_eq!(bench.call("GET", "/v2/organizations/lightsout/agents", &[AGENT], "").status, 401);
}

#[test]
fn an_agent_takes_what_its_tags_allow() {
    let mut bench = bench(BuildkiteOptions::default());
    bench.enqueue(1, &["os=linux"]);
    let plain = bench.connect(TOKEN, &json!({}));
    assert_eq!(bench.claim(&plain).status, 204);
    let tagged = bench.connect(TOKEN, &json!({"metadata": {"queue": "default", "os": "linux"}}));
    assert_eq!(bench.take(&tagged), 1001);
    assert_eq!(bench.try_connect(TOKEN, &json!({"metadata": {"queue": "none"}})).status, 403);
}

#[test]
fn a_paused_agent_waits_and_a_stopped_one_ends() {
    let mut bench = bench(BuildkiteOptions::default());
    bench.enqueue(2, &[]);
    let runner = bench.connect(TOKEN, &json!({}));
    let agents = body(&bench.call("GET", "/v2/organizations/lightsout/agents", &[USER], ""));
    let id = agents[0]["id"].as_str().expect("an id").to_owned();
    let put = |bench: &mut Bench, what: &str, order: &str| {
        bench
            .json(
                "PUT",
                &format!("/v2/organizations/lightsout/agents/{id}/{what}"),
                &[USER],
                &serde_json::from_str(order).expect("JSON"),
            )
            .status
    };
    assert_eq!(put(&mut bench, "pause", r#"{"note": "out"}"#), 204);
    assert_eq!(put(&mut bench, "pause", "{}"), 422);
    assert_eq!(bench.claim(&runner).status, 204);
    assert_eq!(put(&mut bench, "resume", "{}"), 204);
    let job = bench.take(&runner);
    assert_eq!(put(&mut bench, "stop", r#"{"force": false}"#), 204);
    assert_eq!(bench.claim(&runner).status, 409, "no more, though its job goes on");
    assert_eq!(body(&bench.report(&runner, job, "success")), json!({"state": "done"}));
    assert_eq!(bench.states(), [JobState::Done, JobState::Waiting]);
}

#[test]
fn the_env_of_a_build_reaches_its_jobs_and_replaces_nothing_of_buildkites() {
    let mut bench = bench(BuildkiteOptions::default());
    let begin = |bench: &mut Bench, env: &Value| {
        let build = json!({"branch": "main", "commit": "HEAD", "env": env});
        bench.json("POST", "/v2/organizations/lightsout/pipelines/demo/builds", &[USER], &build)
    };
    let env = json!({"DEPLOY_TO": "a b", "ATTEMPT": 2, "BUILDKITE_LABEL": "mine"});
    let build = begin(&mut bench, &env);
    assert_eq!((build.status, &body(&build)["env"]["DEPLOY_TO"]), (201, &json!("a b")));
    let runner = bench.connect(TOKEN, &json!({}));
    let told = body(&bench.claim(&runner))["job"]["env"].clone();
    assert_eq!(
        (&told["DEPLOY_TO"], &told["ATTEMPT"], &told["BUILDKITE_LABEL"]),
        (&json!("a b"), &json!("2"), &json!("job-1001"))
    );

    // The same by the agent API, which the genuine agent speaks.
    assert_eq!(begin(&mut bench, &env).status, 201);
    let told = body(&bench.call("POST", "/v3/register", &[AGENT], r#"{"name": "x", "meta_data": ["queue=default"]}"#));
    let token = format!("Token {}", told["access_token"].as_str().expect("a token"));
    let offered = body(&bench.call("GET", "/v3/ping", &[("authorization", token.as_str())], ""))["job"]["env"].clone();
    assert_eq!((&offered["DEPLOY_TO"], &offered["BUILDKITE_LABEL"]), (&json!("a b"), &json!("job-1002")));
    for wrong in [json!(["A=b"]), json!({"A": {"b": 1}})] {
        assert_eq!(begin(&mut bench, &wrong).status, 422, "{wrong}");
    }
}

#[test]
fn builds_are_made_cancelled_and_rebuilt_and_a_job_is_retried_once() {
    let mut bench = bench(BuildkiteOptions::default());
    bench.enqueue(2, &["os=linux"]);
    let call = |bench: &mut Bench, method: &str, path: &str, what: &str| {
        let path = format!("/v2/organizations/lightsout{path}");
        let response = bench.json(method, &path, &[USER], &serde_json::from_str(what).expect("JSON"));
        (response.status, body(&response))
    };
    assert_eq!(call(&mut bench, "GET", "/pipelines", "{}").1[0]["slug"], "demo");
    assert_eq!(call(&mut bench, "GET", "/pipelines/demo", "{}").1["scheduled_jobs_count"], 2);
    assert_eq!(call(&mut bench, "POST", "/pipelines/demo/builds", r#"{"branch": "main"}"#).0, 422, "without a commit");
    let (status, build) = call(&mut bench, "POST", "/pipelines/demo/builds", r#"{"branch": "main", "commit": "HEAD"}"#);
    assert_eq!((status, &build["number"], &build["state"]), (201, &json!(1003), &json!("scheduled")));
    let list = call(&mut bench, "GET", "/builds?per_page=1", "{}").1;
    assert_eq!(
        list.as_array().map(|builds| (builds.len(), &builds[0]["number"])),
        Some((1, &json!(1003))),
        "newest first"
    );

    let runner = bench.connect(TOKEN, &json!({"metadata": {"queue": "default", "os": "linux"}}));
    let job = bench.take(&runner);
    bench.report(&runner, job, "failed");
    let build =
        |bench: &mut Bench, number: u64| call(bench, "GET", &format!("/pipelines/demo/builds/{number}"), "{}").1;
    assert_eq!(build(&mut bench, 1001)["state"], "failing", "the other one waits");
    let of = |bench: &mut Bench, number: u64, at: usize| {
        build(bench, number)["jobs"][at]["id"].as_str().expect("an id").to_owned()
    };
    let failed = format!("/pipelines/demo/builds/1001/jobs/{}/retry", of(&mut bench, 1001, 0));
    let waits = format!("/pipelines/demo/builds/1001/jobs/{}/retry", of(&mut bench, 1001, 1));
    let (status, again) = call(&mut bench, "PUT", &failed, "{}");
    assert_eq!((status, &again["name"], &again["state"]), (200, &json!("job-1001"), &json!("scheduled")));
    assert_eq!(call(&mut bench, "PUT", &failed, "{}").0, 400, "it was already");
    assert_eq!(call(&mut bench, "PUT", &waits, "{}").0, 400, "it has not failed");
    assert_eq!(build(&mut bench, 1001)["state"], "scheduled", "what was repeated is left out");

    assert_eq!(call(&mut bench, "PUT", "/pipelines/demo/builds/1001/cancel", "{}").1["state"], "canceled");
    assert_eq!(call(&mut bench, "PUT", "/pipelines/demo/builds/1001/cancel", "{}").0, 422);
    let (status, rebuilt) = call(&mut bench, "PUT", "/pipelines/demo/builds/1001/rebuild", "{}");
    assert_eq!((status, &rebuilt["number"], &rebuilt["state"]), (200, &json!(1005), &json!("scheduled")));
    assert_eq!(rebuilt["jobs"].as_array().map(Vec::len), Some(2), "as many as there were at first");
    assert_eq!(rebuilt["jobs"][0]["agent_query_rules"], json!(["queue=default", "os=linux"]));
    assert_eq!(
        bench.call("GET", "/v2/builds?state=canceled", &[USER], "").text().matches("\"number\":1001").count(),
        1
    );
    for path in ["/pipelines/none/builds", "/pipelines/demo/builds/7"] {
        assert_eq!(call(&mut bench, "GET", path, "{}").0, 404, "{path}");
    }
    assert_eq!(bench.call("GET", "/v2/builds", &[AGENT], "").status, 401);
}

#[test]
fn a_single_use_agent_takes_one_job() {
    let mut bench = bench(BuildkiteOptions::default());
    bench.enqueue(2, &[]);
    let runner = bench.connect(TOKEN, &json!({"mode": "single"}));
    let job = bench.take(&runner);
    bench.report(&runner, job, "success");
    assert_eq!(bench.claim(&runner).status, 409);
}

#[test]
fn events_are_genuine() {
    let delivery = |auth| {
        let webhook = Webhook { url: "http://127.0.0.1:9/".into(), secret: "hush".into(), auth };
        let mut bench = Bench::posting(KIND, webhook);
        bench.enqueue(1, &[]);
        let job_event = bench.ci.poll_event().expect("an event");
        bench.ci.webhook_delivery(&job_event, later(1)).expect("an event")
    };
    let plain: WebhookDelivery = delivery(WebhookAuth::Token);
    assert_eq!((plain.get("x-buildkite-event"), plain.get("x-buildkite-token")), (Some("job.scheduled"), Some("hush")));
    assert_eq!(plain.get("x-buildkite-signature"), None);
    let signed = delivery(WebhookAuth::Signature);
    let Timestamp(at) = later(1);
    let signature = hmac_sha256(b"hush", format!("{}.{}", at / 1000, signed.body).as_bytes());
    let expected = format!("timestamp={},signature={signature}", NOW.0 / 1000 + 1);
    assert_eq!(signed.get("x-buildkite-signature"), Some(expected.as_str()));
}

/// What Buildkite's own agent does from its start to its end.
#[test]
fn an_agent_registers_takes_a_job_and_finishes_it() {
    let mut bench = bench(BuildkiteOptions::default());
    bench.enqueue(2, &["os=linux"]);
    let register = |name: &str| json!({"name": name, "meta_data": ["queue=default", "os=linux"]}).to_string();
    assert_eq!(bench.call("POST", "/v3/register", &[USER], &register("x")).status, 401);
    let told = body(&bench.call("POST", "/v3/register", &[AGENT], &register("i-0123456789abcdef0-1")));
    let token = format!("Token {}", told["access_token"].as_str().expect("a token"));
    let agent = [("authorization", token.as_str())];
    assert_eq!(bench.call("POST", "/v3/connect", &agent, "").status, 200);
    let offered = body(&bench.call("GET", "/v3/ping", &agent, ""))["job"].clone();
    assert_eq!(offered["env"]["BUILDKITE_COMMAND"], "sleep 3");
    let again = body(&bench.call("GET", "/v3/ping", &agent, ""))["job"]["id"].clone();
    assert_eq!(again, offered["id"], "the same until it is accepted");
    assert_eq!(bench.states(), [JobState::Waiting, JobState::Waiting]);

    let path = |what: &str| format!("/v3/jobs/{}{what}", offered["id"].as_str().expect("an id"));
    assert_eq!(bench.call("PUT", &path("/start"), &agent, "{}").status, 404, "not yet");
    for _ in 0..2 {
        assert_eq!(bench.call("PUT", &path("/accept"), &agent, "").status, 200, "also when its answer got lost");
    }
    assert_eq!(bench.states(), [JobState::Running, JobState::Waiting]);
    assert_eq!(body(&bench.call("GET", "/v3/ping", &agent, "")), json!({"action": "idle"}));
    assert_eq!(bench.call("PUT", &path("/start"), &agent, "{}").status, 200);
    assert_eq!(body(&bench.call("GET", &path(""), &agent, ""))["state"], "running");
    let ended = json!({"exit_status": "0", "finished_at": "now", "chunks_failed_count": 0}).to_string();
    assert_eq!(bench.call("PUT", &path("/finish"), &agent, &ended).status, 200);
    assert_eq!(bench.states(), [JobState::Done, JobState::Waiting]);
    assert_eq!(bench.call("POST", "/v3/heartbeat", &agent, r#"{"sent_at": "now"}"#).status, 200);
    assert_eq!(bench.call("POST", "/v3/disconnect", &agent, "").status, 200);
    assert_eq!(bench.call("GET", "/v3/ping", &agent, "").status, 401);
}

#[test]
fn a_job_that_is_not_accepted_is_offered_to_the_next_agent() {
    let mut bench = bench(BuildkiteOptions::default());
    bench.enqueue(1, &[]);
    let agent = |bench: &mut Bench, name: &str| {
        let register = json!({"name": name, "meta_data": ["queue=default"]}).to_string();
        let token = body(&bench.call("POST", "/v3/register", &[AGENT], &register))["access_token"].clone();
        let token = format!("Token {}", token.as_str().expect("a token"));
        assert_eq!(bench.call("POST", "/v3/connect", &[("authorization", &token)], "").status, 200);
        token
    };
    let (first, second) = (agent(&mut bench, "a"), agent(&mut bench, "b"));
    let ping = |bench: &mut Bench, token: &str| body(&bench.call("GET", "/v3/ping", &[("authorization", token)], ""));
    let offered = ping(&mut bench, &first)["job"]["id"].clone();
    assert_eq!(ping(&mut bench, &second), json!({"action": "idle"}));
    bench.now = later(60);
    assert_eq!(ping(&mut bench, &second)["job"]["id"], offered);
    // One that leaves gives back what it did not accept.
    assert_eq!(bench.call("POST", "/v3/disconnect", &[("authorization", &second)], "").status, 200);
    assert_eq!(ping(&mut bench, &first)["job"]["id"], offered);
    let (first, second) = (agent(&mut bench, "c"), first);
    let accept = format!("/v3/jobs/{}/accept", offered.as_str().expect("an id"));
    assert_eq!(bench.call("PUT", &accept, &[("authorization", &first)], "").status, 422);
    assert_eq!(bench.call("PUT", &accept, &[("authorization", &second)], "").status, 200);
    // The machine is told to stop: its agent says so, and it is no fault of the job.
    let finish = accept.replace("/accept", "/finish");
    let stopped = json!({"exit_status": "-1", "signal": "SIGTERM", "signal_reason": "agent_stop"}).to_string();
    assert_eq!(bench.call("PUT", &finish, &[("authorization", &second)], &stopped).status, 200);
    let end = std::iter::from_fn(|| bench.ci.poll_event()).last().expect("an event").kind;
    let expected = JobOutcome::Failed { reason: "exit status -1: agent stop".into(), cause: Cause::Runner };
    assert_eq!(end, JobEventKind::Ended(expected));
}
