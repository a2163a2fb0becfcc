//! Reading the queue of a Spacelift worker pool.

use std::time::Duration;

use lightsout_core::{
    exchange::{EffectResult, ErrorKind, Exchange, ExchangeError, Method, Output, Reply, Request, Unreachable},
    platform::{
        Demand, Queue, Reading,
        spacelift::{ApiKeyId, SpaceliftQueue, SpaceliftQueueSettings, WorkerPoolId, base_url},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    exchange::{body, complete, header, read_as, refused, reply, script, url},
    wild::any_json,
};

pub(crate) const SECRET: &str = "api-key-very-secret";
pub(crate) const JWT: &str = "eyJ.very-secret.jwt";
pub(crate) const POOL: &str = "01HXAMPLE0P001D00000000000";

/// Spacelift's clock in the tests: 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600;
const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

pub(crate) fn settings() -> SpaceliftQueueSettings {
    SpaceliftQueueSettings {
        url: url("https://acme.app.spacelift.io/"),
        api_key_id: read_as("01HXAMPLE0KEY0ID0000000000"),
        worker_pool: read_as(POOL),
    }
}

fn open() -> SpaceliftQueue {
    SpaceliftQueue::new(settings(), SECRET.into()).expect("settings that can work")
}

pub(crate) fn ok(body: &Value) -> Reply {
    reply(200, &[("date", DATE)], &body.to_string())
}

fn login_until(until: &Value) -> Reply {
    ok(&json!({"data": {"apiKeyUser": {"jwt": JWT, "validUntil": until}}}))
}

/// A token that is good for an hour.
pub(crate) fn login() -> Reply {
    login_until(&json!(NOW + 3600))
}

pub(crate) fn worker(id: &str, busy: bool, drained: bool, metadata: &Value) -> Value {
    json!({"id": id, "busy": busy, "drained": drained, "metadata": metadata})
}

/// Metadata as a launcher with our settings sends it.
pub(crate) fn on(instance: &str) -> Value {
    json!(json!({"asg_id": "runners", "instance_id": instance}).to_string())
}

pub(crate) fn pool(pending: u32, workers: &[Value]) -> Value {
    json!({"data": {"workerPool": {"pendingRuns": pending, "workers": workers}}})
}

pub(crate) fn errors(message: &str) -> Value {
    json!({"data": null, "errors": [{"message": message, "path": ["workerPool"]}]})
}

fn read(replies: impl IntoIterator<Item = Reply>) -> (Result<Reading, ExchangeError>, Vec<Request>) {
    script(&mut open(), replies)
}

fn answered(answer: Reply) -> Result<Reading, ExchangeError> {
    read([login(), answer]).0
}

pub(crate) fn sent(request: &Request) -> Value {
    serde_json::from_str(body(request)).expect("JSON")
}

#[test]
fn the_key_is_exchanged_and_the_pool_is_read() {
    let workers = [
        worker("w1", true, false, &on("i-1")),
        worker("w2", false, false, &on("i-2")),
        worker("w3", true, true, &Value::Null),
        worker("w4", false, true, &json!("not JSON")),
    ];
    let (demand, requests) = read([login(), ok(&pool(3, &workers))]);
    assert_eq!(
        demand,
        Ok(Demand { queued: 3, running: Some(2), poll_after: None }.into()),
        "drained but busy counts as running"
    );
    for request in &requests {
        assert_eq!((request.method, request.url.as_str()), (Method::Post, "https://acme.app.spacelift.io/graphql"));
        assert_eq!(header(request, "content-type"), Some("application/json"));
    }
    assert_eq!(sent(&requests[0])["variables"], json!({"keyId": "01HXAMPLE0KEY0ID0000000000", "keySecret": SECRET}));
    assert_eq!(header(&requests[0], "authorization"), None);
    assert_eq!(header(&requests[1], "authorization"), Some("Bearer eyJ.very-secret.jwt"));
    assert_eq!(sent(&requests[1])["variables"], json!({"pool": POOL}));
    let query = sent(&requests[1])["query"].as_str().expect("a query").to_owned();
    assert!(!query.contains("availableAt"), "older servers do not know it: {query}");
    assert_eq!(answered(ok(&pool(0, &[]))), Ok(Demand { queued: 0, running: Some(0), poll_after: None }.into()));
    assert_eq!(open().platform(), "spacelift");
}

#[test]
fn the_token_is_used_until_shortly_before_its_end() {
    let empty = || ok(&pool(0, &[]));
    let mut queue = open();
    assert_eq!(script(&mut queue, [login(), empty()]).1.len(), 2);
    assert_eq!(script(&mut queue, [empty()]).1.len(), 1, "still good");
    let late = reply(200, &[("date", "Thu, 01 Jan 2026 00:58:00 GMT")], &pool(0, &[]).to_string());
    assert_eq!(script(&mut queue, [late]).1.len(), 1, "Spacelift's clock comes with the answer");
    let (demand, requests) = script(&mut queue, [login(), empty()]);
    assert!(demand.is_ok() && sent(&requests[0])["query"].as_str().is_some_and(|query| query.contains("apiKeyUser")));
    // One that is over as soon as it came serves for the question that it was fetched for.
    let mut queue = open();
    for _ in 0..2 {
        let (demand, requests) = script(&mut queue, [login_until(&json!(NOW)), empty()]);
        assert!(demand.is_ok() && requests.len() == 2);
    }
    // Without a time nothing is known: it is used until it is refused.
    let mut queue = open();
    script(&mut queue, [login_until(&Value::Null), empty()]).0.expect("read");
    script(&mut queue, [empty()]).0.expect("read");
}

#[test]
fn a_refused_token_is_renewed_once() {
    for refused in
        [reply(401, &[], ""), ok(&errors("unauthorized")), reply(401, &[], &errors("Unauthorized").to_string())]
    {
        let mut queue = open();
        script(&mut queue, [login(), ok(&pool(0, &[]))]).0.expect("read");
        let (demand, requests) = script(&mut queue, [refused.clone(), login(), ok(&pool(7, &[]))]);
        assert_eq!((demand.expect("read").demand.queued, requests.len()), (7, 3));
        let (error, requests) = script(&mut queue, [refused.clone(), login(), refused.clone()]);
        assert_eq!((error.expect_err("refused again").kind, requests.len()), (ErrorKind::Unauthorized, 3));
        // A fresh one that is refused is not asked for again; the next reading begins with a login.
        let (error, requests) = script(&mut queue, [login(), refused]);
        assert_eq!((error.expect_err("refused").kind, requests.len()), (ErrorKind::Unauthorized, 2));
    }
}

#[test]
fn a_bad_key_is_told_from_a_bad_pool() {
    for answer in [
        ok(&json!({"data": {"apiKeyUser": null}})),
        ok(&json!({"data": {"apiKeyUser": null}, "errors": [{"message": "unauthorized"}]})),
        reply(401, &[], ""),
    ] {
        let error = read([answer]).0.expect_err("no token");
        assert_eq!(error.kind, ErrorKind::Unauthorized);
        assert!(
            error.message.contains("api_key_secret") && error.message.contains("log in with the API key"),
            "{error}"
        );
    }
    let error = answered(ok(&json!({"data": {"workerPool": null}}))).expect_err("no pool");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("Space: Read") && error.message.contains("worker_pool"), "{error}");
    for body in [
        json!({}),
        json!({"data": null}),
        json!({"data": {}}),
        json!({"data": {"apiKeyUser": {}}}),
        json!({"data": {"apiKeyUser": {"jwt": ""}}}),
        json!({"data": {"apiKeyUser": {"jwt": 3}}}),
        json!({"data": {"apiKeyUser": {"jwt": "a\nb"}}}),
        json!([]),
    ] {
        assert_eq!(read([ok(&body)]).0.expect_err("no token").kind, ErrorKind::Malformed, "{body}");
    }
}

#[test]
fn errors_that_come_with_http_200_are_errors() {
    for (message, kind, part) in [
        ("not found", ErrorKind::NotFound, "Space: Read"),
        ("forbidden", ErrorKind::Forbidden, "Space: Read"),
        ("rate limit exceeded", ErrorKind::Throttled(None), "too many"),
        ("Cannot query field \"workers\" on type \"WorkerPool\".", ErrorKind::Refused, "up to date"),
        ("internal system error", ErrorKind::Server, "internal system error"),
        ("", ErrorKind::Server, "without words"),
    ] {
        let mut with_data = pool(0, &[]);
        with_data["errors"] = errors(message)["errors"].clone();
        for answer in [ok(&errors(message)), ok(&with_data), reply(422, &[], &errors(message).to_string())] {
            let error = answered(answer).expect_err(message);
            assert_eq!(error.kind, kind, "{error}");
            assert!(
                error.message.contains(part) && error.message.contains("Spacelift at https://acme.app"),
                "{error} lacks {part}"
            );
        }
    }
    for errors in [json!("x"), json!([3]), json!({}), json!([{}])] {
        let mut with_data = pool(0, &[]);
        with_data["errors"] = errors;
        assert!(answered(ok(&with_data)).is_err(), "{with_data}");
    }
    for errors in [json!([]), Value::Null] {
        let mut with_data = pool(1, &[]);
        with_data["errors"] = errors;
        assert_eq!(answered(ok(&with_data)).expect("no error").demand.queued, 1);
    }
}

#[test]
fn missing_and_mistyped_keys_are_errors_and_not_zero() {
    let spoilt = |key: &str, value: Option<Value>| {
        let mut body = pool(1, &[worker("w1", true, false, &on("i-1"))]);
        let found = &mut body["data"]["workerPool"];
        let found = if found.get(key).is_some() { found } else { &mut found["workers"][0] };
        match value {
            Some(value) => found[key] = value,
            None => drop(found.as_object_mut().expect("an object").remove(key)),
        }
        body
    };
    for (key, value, part) in [
        ("pendingRuns", None, "data.workerPool.pendingRuns is missing"),
        ("pendingRuns", Some(Value::Null), "pendingRuns is null"),
        ("pendingRuns", Some(json!("3")), "pendingRuns is a text"),
        ("pendingRuns", Some(json!(-3)), "expected a whole number"),
        ("workers", None, "workers is missing"),
        ("workers", Some(json!({})), "workers is an object, expected a list"),
        ("busy", None, "workers[0].busy is missing"),
        ("busy", Some(Value::Null), "workers[0].busy is null"),
        ("busy", Some(json!("false")), "workers[0].busy is a text, expected true or false"),
        ("id", None, "workers[0].id is missing"),
    ] {
        let error = answered(ok(&spoilt(key, value))).expect_err(part);
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    assert_eq!(
        answered(ok(&spoilt("workers", Some(Value::Null)))).expect("read").demand.running,
        None,
        "unknown, not zero"
    );
    for (key, value) in [("metadata", None), ("metadata", Some(json!(3))), ("drained", None), ("new", Some(json!([])))]
    {
        assert_eq!(answered(ok(&spoilt(key, value))).expect("not needed").demand.running, Some(1), "{key}");
    }
}

#[test]
fn refusals_by_status() {
    let wait = [("retry-after", "30")];
    for (status, headers, body, kind, part) in [
        (403, &[][..], "", ErrorKind::Forbidden, "Space: Read"),
        (404, &[], "", ErrorKind::NotFound, "worker pool"),
        (409, &[], "", ErrorKind::Refused, "409"),
        (422, &[], "", ErrorKind::Refused, "422"),
        (429, &wait, "", ErrorKind::Throttled(Some(Duration::from_secs(30))), "too many"),
        (500, &[], "", ErrorKind::Server, "asked again"),
        (502, &[], "<html>", ErrorKind::Server, "a web page"),
        (200, &[], "<html>", ErrorKind::Malformed, "a web page"),
        (200, &[], r#"{"data":{"workerPool":{"#, ErrorKind::Malformed, "not JSON"),
        (204, &[], "", ErrorKind::Malformed, "not expected"),
    ] {
        let error = answered(reply(status, headers, body)).expect_err(part);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(part), "{error} lacks {part}");
        assert!(read([reply(status, headers, body)]).0.is_err(), "nor is it a login");
    }
    let mut queue = open();
    for result in [
        EffectResult::Http(Err(Unreachable::Timeout(Duration::from_secs(10)))),
        EffectResult::Program(Ok(Output { status: Some(0), stdout: Vec::new(), stderr: Vec::new() })),
    ] {
        complete(&mut queue, |_| result.clone()).expect_err("no reply");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_before_any_call() {
    let url = |url: &str| base_url(url).map(drop).map_err(ExchangeError::from);
    let pool = refused::<WorkerPoolId>;
    let secret = |secret: &str| SpaceliftQueue::new(settings(), secret.into()).map(drop);
    for (found, part) in [
        (url("acme.app.spacelift.io"), "https://ACCOUNT.app.spacelift.io"),
        (url("https://acme.app.spacelift.io/graphql"), "/graphql, which is added by itself"),
        (url("https://app.spacelift.io"), "names no account"),
        (url("https://me:pw@acme.app.spacelift.io"), "password"),
        (url("https://"), "names no host"),
        (url("https://acme.app.spacelift.io?x"), "query"),
        (pool(""), "26 letters and digits"),
        (pool("my-pool"), "26 letters and digits"),
        (
            pool("https://acme.app.spacelift.io/worker-pool/01HXAMPLE0P001D00000000000"),
            "last part of the pool's address",
        ),
        (refused::<ApiKeyId>(""), "API key id"),
        (refused::<ApiKeyId>("a b"), "API key id"),
        (secret(""), "API key secret"),
        (secret("x\n"), "line break"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    for good in ["https://spacelift.example.com", "http://127.0.0.1:8080", "https://acme.app.spacelift.io"] {
        assert_eq!(url(good), Ok(()));
    }
}

#[test]
fn secrets_are_never_shown() {
    let mut queue = open();
    let step = format!("{:?}", queue.start());
    let (_, requests) = script(&mut queue, [login(), ok(&pool(0, &[]))]);
    let echo = ok(&errors(&format!("bad token {JWT}")));
    let refused = script(&mut queue, [echo]).0.expect_err("refused");
    let login = read([ok(&errors(&format!("bad secret {SECRET}")))]).0.expect_err("refused");
    for text in [step, format!("{queue:?} {:?} {requests:?}", settings()), format!("{refused} {refused:?} {login:?}")] {
        assert!(!text.contains(SECRET) && !text.contains(JWT), "{text}");
    }
}

const WORDS: &[&str] = &["data", "workerPool", "pendingRuns", "workers", "busy", "id", "errors", "apiKeyUser", "jwt"];

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_demand(body: Vec<u8>, first: bool) {
        let answer = Reply { body, ..reply(200, &[], "") };
        let replies = if first { vec![answer] } else { vec![login(), answer] };
        prop_assert!(read(replies).0.is_err());
    }

    #[test]
    fn a_pool_with_anything_in_it_is_demand_only_as_it_says(inside in any_json(WORDS)) {
        if let Ok(demand) = answered(ok(&json!({"data": {"workerPool": inside}}))) {
            prop_assert_eq!(inside["pendingRuns"].as_u64(), Some(demand.demand.queued.into()));
            let busy = inside["workers"].as_array().map(|all| all.iter().filter(|one| one["busy"] == true).count());
            prop_assert_eq!(demand.demand.running.map(|count| count as usize), busy);
        }
    }

    #[test]
    fn a_document_that_is_cut_off_is_an_error(cut in 0usize..300) {
        let body = pool(3, &[worker("w1", true, false, &on("i-1"))]).to_string();
        prop_assume!(cut < body.len());
        prop_assert!(answered(reply(200, &[], &body[..cut])).is_err());
    }

    #[test]
    fn any_status_but_success_is_an_error(status in 0u16..1000) {
        prop_assume!(status != 200 && status != 401);
        prop_assert!(answered(reply(status, &[], &pool(0, &[]).to_string())).is_err());
    }
}
