//! Buildkite's queue metrics.

use std::time::Duration;

use lightsout_core::{
    exchange::{EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Method, Reply, Unreachable},
    platform::{
        Demand, Queue, Reading,
        buildkite::{BuildkiteQueue, BuildkiteQueueSettings, CLOUD, QueueKey, base_url},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    exchange::{complete, header, read_as, refused, reply, script, url},
    wild::any_json,
};

const TOKEN: &str = "bkct_very-secret";

fn settings() -> BuildkiteQueueSettings {
    BuildkiteQueueSettings { url: url(CLOUD), queue: read_as("linux-large"), include_waiting: false }
}

fn open(settings: BuildkiteQueueSettings) -> BuildkiteQueue {
    BuildkiteQueue::new(settings, TOKEN.into()).expect("settings that can work")
}

fn ahead() -> BuildkiteQueueSettings {
    BuildkiteQueueSettings { include_waiting: true, ..settings() }
}

fn metrics(jobs: &Value) -> String {
    json!({
        "organization": { "slug": "acme" },
        "cluster": { "name": "Default" },
        "agents": { "idle": 1, "busy": 2, "total": 3 },
        "jobs": jobs,
    })
    .to_string()
}

fn good() -> Reply {
    reply(200, &[], &metrics(&json!({ "scheduled": 5, "running": 2, "waiting": 1, "total": 8 })))
}

fn read(settings: BuildkiteQueueSettings, reply: Reply) -> Result<Reading, ExchangeError> {
    script(&mut open(settings), [reply]).0
}

fn counts(queued: u32, running: u32) -> Reading {
    Demand { queued, running: Some(running), poll_after: None }.into()
}

#[test]
fn one_call_tells_it_all() {
    let mut queue = open(settings());
    assert_eq!(queue.platform(), "buildkite");
    let (result, requests) = script(&mut queue, [good()]);
    assert_eq!(result, Ok(counts(5, 2)));
    assert_eq!(requests[0].method, Method::Get);
    assert_eq!(requests[0].url, "https://agent.buildkite.com/v3/metrics/queue?name=linux-large");
    assert_eq!(header(&requests[0], "authorization"), Some("Token bkct_very-secret"));
    let empty = metrics(&json!({ "scheduled": 0, "running": 0, "waiting": 0, "total": 0 }));
    assert_eq!(read(settings(), reply(200, &[], &empty)), Ok(counts(0, 0)));
}

#[test]
fn blocked_jobs_count_only_when_asked_for() {
    assert_eq!(read(ahead(), good()), Ok(counts(6, 2)));
    let most = metrics(&json!({ "scheduled": u32::MAX, "running": 0, "waiting": u32::MAX }));
    assert_eq!(read(ahead(), reply(200, &[], &most)), Ok(counts(u32::MAX, 0)), "no overflow");
    let without = metrics(&json!({ "scheduled": 5, "running": 2 }));
    assert_eq!(read(settings(), reply(200, &[], &without)), Ok(counts(5, 2)));
    let error = read(ahead(), reply(200, &[], &without)).expect_err("not counted");
    assert!(error.message.contains("jobs.waiting is missing"), "{error}");
}

#[test]
fn the_wish_for_a_pause_is_passed_on_and_follows_the_platform_down_again() {
    let mut queue = open(settings());
    for (wish, wait) in [
        ("10", Some(10)),
        ("60", Some(60)),
        (" 5 ", Some(5)),
        ("99999999", Some(3600)),
        ("0", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("99999999999999999999999", None),
    ] {
        let result =
            Reply { headers: [("buildkite-agent-metrics-poll-duration".to_owned(), wish.to_owned())].into(), ..good() };
        let found = script(&mut queue, [result]).0.expect("a reading");
        assert_eq!((found.demand.queued, found.demand.poll_after), (5, wait.map(Duration::from_secs)), "{wish:?}");
    }
    assert_eq!(script(&mut queue, [good()]).0, Ok(counts(5, 2)), "no wish any more");
}

#[test]
fn counts_that_are_missing_or_mistyped_are_named() {
    for (jobs, part) in [
        (json!({ "running": 2 }), "jobs.scheduled is missing"),
        (json!({ "scheduled": 5 }), "jobs.running is missing"),
        (json!({ "scheduled": null, "running": 2 }), "jobs.scheduled is null, expected a whole number"),
        (json!({ "scheduled": "5", "running": 2 }), "jobs.scheduled is a text, expected a whole number"),
        (json!({ "scheduled": 5, "running": -2 }), "jobs.running is a number, expected a whole number"),
        (json!({ "scheduled": 5, "running": 2.5 }), "jobs.running is a number, expected a whole number"),
        (json!({ "scheduled": 5, "running": 4_294_967_296_u64 }), "expected a number below"),
        (Value::Null, "jobs is null, expected an object"),
        (json!([5, 2]), "jobs is a list, expected an object"),
    ] {
        let error = read(settings(), reply(200, &[], &metrics(&jobs))).expect_err(part);
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.message.contains(part) && error.message.contains("queue linux-large"), "{error} lacks {part}");
    }
}

#[test]
fn extra_and_absent_keys_around_the_counts_do_not_matter() {
    let body = json!({ "jobs": { "scheduled": 1, "running": 0, "limited": 9, "queues": {} }, "agents": null });
    assert_eq!(read(settings(), reply(200, &[], &body.to_string())), Ok(counts(1, 0)));
}

#[test]
fn a_status_that_is_no_success_fails_the_reading() {
    let wait = [("retry-after", "30")];
    for (status, headers, kind, part) in [
        (204, &[][..], ErrorKind::Malformed, "not expected"),
        (301, &[], ErrorKind::Refused, "another address"),
        (401, &[], ErrorKind::Unauthorized, "Agent Tokens"),
        (403, &[], ErrorKind::Forbidden, "not an API access token"),
        (404, &[], ErrorKind::NotFound, "sees its own cluster only"),
        (409, &[], ErrorKind::Refused, "settings"),
        (410, &[], ErrorKind::Refused, "switched off"),
        (422, &[], ErrorKind::Refused, "settings"),
        (429, &[], ErrorKind::Throttled(None), "too many"),
        (429, &wait, ErrorKind::Throttled(Some(Duration::from_secs(30))), "too many"),
        (500, &[], ErrorKind::Server, "asked again"),
        (503, &wait, ErrorKind::Throttled(Some(Duration::from_secs(30))), "asks to wait"),
    ] {
        let error = read(settings(), reply(status, headers, r#"{"message":"its own words"}"#)).expect_err("no success");
        assert_eq!(error.kind, kind, "{status}");
        for part in [part, "its own words", "queue linux-large", &status.to_string()] {
            assert!(error.message.contains(part), "{error} lacks {part}");
        }
    }
}

#[test]
fn an_answer_that_is_no_metrics_is_not_an_empty_queue() {
    for (body, part) in [
        ("<!DOCTYPE html><title>Buildkite</title>", "a web page"),
        ("", "not JSON"),
        (r#"{"jobs":{"scheduled":5"#, "not JSON"),
        ("null", "the whole answer is null"),
        ("{}", "jobs is missing"),
        (r#"{"message":"No queue"}"#, "jobs is missing"),
    ] {
        let error = read(settings(), reply(200, &[], body)).expect_err(body);
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    let gone = EffectResult::Http(Err(Unreachable::Connect("refused".to_owned())));
    let error = complete(&mut open(settings()), |_| gone.clone()).expect_err("no reply");
    assert_eq!(error.kind, ErrorKind::Unreachable);
}

#[test]
fn settings_that_cannot_work_are_refused_before_any_call() {
    let url = |url: &str| base_url(url).map(drop).map_err(ExchangeError::from);
    let token = |token: &str| BuildkiteQueue::new(settings(), token.into()).map(drop);
    let queue = refused::<QueueKey>;
    for (found, part) in [
        (url("agent.buildkite.com"), "https://"),
        (url("https://agent.buildkite.com/v3"), "/v3"),
        (url("https://api.buildkite.com"), "agent API is needed"),
        (token(""), "Agents > the queue's cluster > Agent Tokens"),
        (token("a b"), "a space"),
        (token("a\"b"), "no agent token has"),
        (token("bkua_0123"), "API access token"),
        (queue(""), "write the key alone"),
        (queue("queue=linux"), "linux-large"),
        (queue("a,b"), "write the key alone"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part) && !error.message.contains("bkua_0123"), "{error} lacks {part}");
    }
    assert_eq!(url("http://127.0.0.1:8080/"), Ok(()));
}

#[test]
fn the_token_is_never_shown() {
    let mut queue = open(settings());
    let ExchangeStep::Perform(_, ask) = queue.start() else { panic!("nothing is asked") };
    let echo = reply(401, &[], &format!("{{\"message\":\"bad token {TOKEN}\"}}"));
    let error = script(&mut queue, [echo]).0.expect_err("refused");
    for text in [format!("{ask:?}"), format!("{queue:?}"), format!("{error} {error:?}")] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_answers_never_panic_and_never_count(status: u16, body: Vec<u8>, wish in ".{0,20}") {
        let bad = Reply { status, body, headers: [("buildkite-agent-metrics-poll-duration".to_owned(), wish)].into() };
        prop_assert!(read(ahead(), bad).is_err());
    }

    /// What is counted stands there as a count.
    #[test]
    fn arbitrary_json_never_makes_up_a_count(
        value in any_json(&["jobs", "scheduled", "running", "x"]),
        jobs in any_json(&["scheduled", "running", "waiting"]),
    ) {
        for value in [value, json!({ "jobs": jobs })] {
            if let Ok(found) = read(settings(), reply(200, &[], &value.to_string())) {
                prop_assert_eq!(Some(found.demand.queued.into()), value["jobs"]["scheduled"].as_u64());
                prop_assert_eq!(found.demand.running.map(u64::from), value["jobs"]["running"].as_u64());
            }
        }
    }

    #[test]
    fn a_truncated_answer_is_never_a_count(at: prop::sample::Index) {
        let whole = String::from_utf8(good().body).expect("text");
        prop_assert!(read(settings(), reply(200, &[], &whole[..at.index(whole.len())])).is_err());
    }
}
