//! The embedded Buildkite: requests and time in, responses out.

use serde_json::json;

use super::{BuildkiteOptions, KIND};
use crate::{
    ci::{
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
