//! CircleCI's task counts.

use std::{num::NonZeroU32, time::Duration};

use lightsout_core::{
    exchange::{
        EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Method, Reply, Request, Unreachable,
    },
    platform::{
        Demand, Queue, Reading,
        circleci::{CLOUD, CircleCiQueue, CircleCiQueueSettings, ResourceClass, base_url},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    exchange::{at_once, complete, header, list_of, refused, reply, script, url},
    wild::any_json,
};

const TOKEN: &str = "CCIPAT_very-secret";

fn settings() -> CircleCiQueueSettings {
    CircleCiQueueSettings { url: url(CLOUD), resource_classes: list_of(&["acme/linux"]), max_concurrency: None }
}

fn open(settings: CircleCiQueueSettings) -> CircleCiQueue {
    CircleCiQueue::new(settings, TOKEN.into()).expect("settings that can work")
}

fn waiting(tasks: u32) -> Reply {
    reply(200, &[], &json!({ "unclaimed_task_count": tasks }).to_string())
}

fn running(tasks: u32) -> Reply {
    reply(200, &[], &json!({ "running_runner_tasks": tasks }).to_string())
}

fn read(replies: impl IntoIterator<Item = Reply>) -> Result<Reading, ExchangeError> {
    script(&mut open(settings()), replies).0
}

/// What failed, in part or as a whole.
fn failure(result: Result<Reading, ExchangeError>) -> ExchangeError {
    match result {
        Ok(reading) => reading.missing.expect("a failure"),
        Err(error) => error,
    }
}

fn counts(queued: u32, running: u32) -> Reading {
    Demand { queued, running: Some(running), poll_after: None }.into()
}

fn paths(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.url.strip_prefix(CLOUD).expect("at CircleCI")).collect()
}

const V3: &str = "/api/v3/runner/tasks?resource-class=acme%2Flinux";
const V3_RUNNING: &str = "/api/v3/runner/tasks/running?resource-class=acme%2Flinux";
const V2: &str = "/api/v2/tasks?resource-class=acme%2Flinux";
const V2_RUNNING: &str = "/api/v2/tasks/running?resource-class=acme%2Flinux";

#[test]
fn two_calls_tell_what_waits_and_what_runs() {
    let mut queue = open(settings());
    assert_eq!(queue.platform(), "circleci");
    let (result, requests) = script(&mut queue, [waiting(7), running(3)]);
    assert_eq!(result, Ok(counts(7, 3)));
    assert_eq!(paths(&requests), [V3, V3_RUNNING]);
    for request in &requests {
        assert_eq!((request.method, header(request, "circle-token")), (Method::Get, Some(TOKEN)));
    }
    assert_eq!(read([waiting(0), running(0)]), Ok(counts(0, 0)));
}

#[test]
fn several_classes_are_summed_and_each_is_asked_once() {
    let classes = list_of(&["acme/linux", "acme/arm", "acme/linux"]);
    let mut queue = open(CircleCiQueueSettings { resource_classes: classes, ..settings() });
    let (result, requests) = script(&mut queue, [waiting(1), running(2), waiting(10), running(u32::MAX)]);
    assert_eq!(result, Ok(counts(11, u32::MAX)), "no overflow");
    assert!(requests[0].url.ends_with("acme%2Farm") && requests[3].url.ends_with("acme%2Flinux"), "{requests:#?}");
}

#[test]
fn a_404_turns_to_the_other_version_which_is_remembered() {
    let missing = || reply(404, &[], r#"{"message":"Not found"}"#);
    let mut queue = open(settings());
    let (result, requests) = script(&mut queue, [missing(), waiting(2), running(1)]);
    assert_eq!((result, paths(&requests)), (Ok(counts(2, 1)), vec![V3, V2, V2_RUNNING]));
    let (result, requests) = script(&mut queue, [waiting(3), running(1)]);
    assert_eq!((result, paths(&requests)), (Ok(counts(3, 1)), vec![V2, V2_RUNNING]));
    // The server was brought up to date, in the middle of a reading.
    let (result, requests) = script(&mut queue, [waiting(4), missing(), running(1)]);
    assert_eq!((result, paths(&requests)), (Ok(counts(4, 1)), vec![V2, V2_RUNNING, V3_RUNNING]));
}

#[test]
fn a_class_that_no_version_knows_is_an_error_and_nothing_is_remembered() {
    let missing = || reply(404, &[], "");
    let mut queue = open(settings());
    for _ in 0..2 {
        let (result, requests) = script(&mut queue, [missing(), missing()]);
        let error = result.expect_err("no such class");
        assert_eq!((error.kind, paths(&requests)), (ErrorKind::NotFound, vec![V3, V2]));
        assert!(error.message.contains("acme/linux") && error.message.contains("no such resource class"), "{error}");
    }
    // A v2 that refuses is believed, and v2 is asked again next time.
    assert_eq!(script(&mut queue, [missing(), reply(403, &[], "")]).0.expect_err("refused").kind, ErrorKind::Forbidden);
}

#[test]
fn what_the_plan_does_not_let_run_is_not_queued() {
    for (most, waits, runs, queued) in
        [(10, 7, 3, 7), (10, 8, 3, 7), (10, 8, 10, 0), (10, 8, 12, 0), (1, 0, 0, 0), (u32::MAX, u32::MAX, 0, u32::MAX)]
    {
        let settings = CircleCiQueueSettings { max_concurrency: NonZeroU32::new(most), ..settings() };
        let result = script(&mut open(settings), [waiting(waits), running(runs)]).0;
        assert_eq!(result, Ok(counts(queued, runs)), "{most} {waits} {runs}");
    }
}

#[test]
fn counts_that_are_missing_or_mistyped_are_named() {
    for (key, first) in [("unclaimed_task_count", true), ("running_runner_tasks", false)] {
        for (body, part) in [
            (json!({}), "is missing".to_owned()),
            (json!({ key: null }), format!("{key} is null, expected a whole number")),
            (json!({ key: "7" }), format!("{key} is a text, expected a whole number")),
            (json!({ key: -1 }), format!("{key} is a number, expected a whole number")),
            (json!({ key: 1.5 }), format!("{key} is a number, expected a whole number")),
            (json!({ key: 4_294_967_296_u64 }), format!("{key} is a number, expected a number below")),
            (json!({ key: [7] }), format!("{key} is a list")),
            (json!([]), "the whole answer is a list, expected an object".to_owned()),
            (Value::Null, "the whole answer is null".to_owned()),
        ] {
            let bad = reply(200, &[], &body.to_string());
            let error = failure(if first { read([bad]) } else { read([waiting(1), bad]) });
            assert_eq!(error.kind, ErrorKind::Malformed);
            assert!(error.message.contains(&part) && error.message.contains("acme/linux"), "{error} lacks {part}");
        }
    }
}

#[test]
fn extra_keys_do_not_matter() {
    let more = |key: &str| reply(200, &[], &json!({ key: 2, "new": { "in": [2030] }, "old": null }).to_string());
    assert_eq!(read([more("unclaimed_task_count"), more("running_runner_tasks")]), Ok(counts(2, 2)));
}

#[test]
fn a_status_that_is_no_success_fails_the_reading() {
    let wait = [("retry-after", "30")];
    for (status, headers, kind, part) in [
        (201, &[][..], ErrorKind::Malformed, "not expected"),
        (302, &[], ErrorKind::Refused, "another address"),
        (304, &[], ErrorKind::Malformed, "not expected"),
        (401, &[], ErrorKind::Unauthorized, "personal API token"),
        (403, &[], ErrorKind::Forbidden, "personal API token"),
        (409, &[], ErrorKind::Refused, "settings"),
        (410, &[], ErrorKind::Refused, "switched off"),
        (422, &[], ErrorKind::Refused, "settings"),
        (429, &[], ErrorKind::Throttled(None), "too many"),
        (429, &wait, ErrorKind::Throttled(Some(Duration::from_secs(30))), "too many"),
        (500, &[], ErrorKind::Server, "asked again"),
        (503, &wait, ErrorKind::Throttled(Some(Duration::from_secs(30))), "asks to wait"),
    ] {
        let bad = || reply(status, headers, r#"{"message":"its own words"}"#);
        for error in [read([bad()]), read([waiting(1), bad()])].map(failure) {
            assert_eq!(error.kind, kind, "{status}");
            for part in [part, "its own words", "CircleCI at https://runner.circleci.com", &status.to_string()] {
                assert!(error.message.contains(part), "{error} lacks {part}");
            }
        }
    }
}

#[test]
fn an_answer_that_is_no_json_is_not_an_empty_queue() {
    for (body, part) in [
        ("<html>Sign in</html>", "a web page"),
        ("", "not JSON"),
        (r#"{"unclaimed_task_co"#, "not JSON"),
        ("7", "expected an object"),
    ] {
        let error = read([reply(200, &[], body)]).expect_err(body);
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
}

#[test]
fn no_reply_is_no_reading_and_a_new_one_begins_at_the_start() {
    let mut queue = open(settings());
    let mut replies = 0;
    let reading = complete(&mut queue, |_| {
        replies += 1;
        EffectResult::Http(if replies == 1 {
            Ok(waiting(5))
        } else {
            Err(Unreachable::Timeout(Duration::from_secs(10)))
        })
    });
    let reading = reading.expect("what waits was told");
    assert_eq!((reading.demand.queued, reading.missing.map(|missing| missing.kind)), (5, Some(ErrorKind::Unreachable)));
    let ExchangeStep::Done(Err(error)) = queue.resume(EffectId::default(), EffectResult::Http(Ok(waiting(1)))) else {
        panic!("taken as an answer")
    };
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert_eq!(script(&mut queue, [waiting(2), running(0)]).0, Ok(counts(2, 0)));
}

#[test]
fn one_class_that_is_refused_costs_only_itself() {
    let classes = list_of(&["acme/a", "acme/b", "acme/c"]);
    let mut queue = open(CircleCiQueueSettings { resource_classes: classes, ..settings() });
    let refused = || reply(403, &[], "");
    let (result, requests) = script(&mut queue, [waiting(1), running(2), refused(), waiting(4), running(8)]);
    let reading = result.expect("read in part");
    assert_eq!((reading.demand.queued, reading.demand.running), (5, Some(10)));
    assert!(reading.missing.expect("acme/b").message.contains("acme/b"));
    assert_eq!(requests.len(), 5, "the class that is refused is not asked for its other count");
    let (result, requests) = script(&mut queue, [waiting(1), running(2), reply(429, &[], "")]);
    assert_eq!(result.expect("read in part").missing.expect("the rest").kind, ErrorKind::Throttled(None));
    assert_eq!(requests.len(), 3, "it is left alone");
    assert_eq!(
        script(&mut queue, [refused(), refused(), refused()]).0.expect_err("nothing").kind,
        ErrorKind::Forbidden
    );
}

/// Classes are asked about at the same time, so that one which hangs keeps nobody waiting, and the end of the time drops nothing that was counted.
#[test]
fn one_class_that_does_not_answer_costs_only_itself() {
    let classes = list_of(&["acme/a", "acme/b", "acme/c"]);
    let mut queue = open(CircleCiQueueSettings { resource_classes: classes, ..settings() });
    let counts = |request: &Request| if request.url.contains("/running") { running(2) } else { waiting(3) };
    let reading = at_once(&mut queue, 3, |open| {
        let answered = open.iter().position(|request| !request.url.ends_with("acme%2Fa"))?;
        Some((answered, EffectResult::Http(Ok(counts(&open[answered])))))
    });
    let reading = reading.expect("something is known").expect("read in part");
    assert_eq!((reading.demand.queued, reading.demand.running), (6, Some(4)));
    let missing = reading.missing.expect("acme/a");
    assert_eq!(missing.kind, ErrorKind::TimeOver);
    assert!(missing.message.contains("acme/a") && missing.message.contains("`deadline`"), "{missing}");
    assert!(at_once(&mut queue, 3, |_| None).is_none(), "what came before is no part of this reading");
    let whole = at_once(&mut queue, 3, |open| Some((0, EffectResult::Http(Ok(counts(&open[0]))))));
    assert_eq!(whole.expect("over").expect("whole").missing, None);
}

#[test]
fn settings_that_cannot_work_are_refused_before_any_call() {
    let class = refused::<ResourceClass>;
    let url = |url: &str| base_url(url).map(drop).map_err(ExchangeError::from);
    let token = |token: &str| CircleCiQueue::new(settings(), token.into()).map(drop);
    for (found, part) in [
        (url("runner.circleci.com"), "https://"),
        (url(&format!("{CLOUD}/api/v3")), "/api"),
        (url("https://me@circleci.com"), "user name"),
        (token(" "), "personal API token"),
        (token("x\n"), "line break"),
        (class("linux"), "\"linux\" is not of the form namespace/resource-class"),
        (class("acme/"), "acme/linux"),
        (class("acme/linux/x"), "acme/linux"),
        (class("acme/li nux"), "acme/linux"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    assert_eq!(url("http://127.0.0.1:8080/"), Ok(()));
}

#[test]
fn the_token_is_never_shown() {
    let mut queue = open(settings());
    let step = format!("{:?}", queue.start());
    let echo = reply(401, &[], &format!("{{\"message\":\"bad token {TOKEN}\"}}"));
    let error = script(&mut queue, [echo]).0.expect_err("refused");
    for text in [step, format!("{queue:?}"), format!("{error} {error:?}")] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_answers_never_panic_and_never_count(status: u16, body: Vec<u8>) {
        let bad = Reply { status, body, ..waiting(0) };
        let mut queue = open(settings());
        prop_assert!(complete(&mut queue, |_| EffectResult::Http(Ok(bad.clone()))).is_err());
    }

    /// What is counted stands there as a count.
    #[test]
    fn arbitrary_json_never_makes_up_a_count(value in any_json(&["unclaimed_task_count", "running_runner_tasks", "x"])) {
        let same = reply(200, &[], &value.to_string());
        if let Ok(found) = complete(&mut open(settings()), |_| EffectResult::Http(Ok(same.clone()))) {
            prop_assert_eq!(Some(found.demand.queued.into()), value["unclaimed_task_count"].as_u64());
            if found.missing.is_none() {
                prop_assert_eq!(found.demand.running.map(u64::from), value["running_runner_tasks"].as_u64());
            }
        }
    }

    #[test]
    fn a_truncated_answer_is_never_a_count(cut in 0usize..26) {
        let whole = String::from_utf8(waiting(123).body).expect("text");
        prop_assert!(read([reply(200, &[], &whole[..cut])]).is_err());
    }
}
