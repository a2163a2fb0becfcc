//! What is not understood, or not allowed, is an error that says what to do; never zero demand.

use std::time::Duration;

use lightsout_core::{
    exchange::{EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Output, Reply, Unreachable},
    platform::gitlab::{self, GitLabQueueSettings, Scope, base_url},
    settings::NonBlank,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    exchange::{complete, list_of, refused, reply, script},
    gitlab_queue::{JOBS_12, TOKEN, URL, job, list, open, project, read, settings},
};

/// One job with a key replaced or (by `None`) removed.
fn spoilt(key: &str, value: Option<Value>) -> String {
    let mut one: Value = serde_json::from_str(&job(2, "running", &["docker"], Some(7))).expect("a job");
    let object = one.as_object_mut().expect("an object");
    match value {
        Some(value) => object.insert(key.to_owned(), value),
        None => object.remove(key),
    };
    list([job(1, "pending", &["docker"], None), one.to_string()])
}

#[test]
fn a_job_with_a_missing_or_mistyped_key_is_named() {
    for (key, value, part) in [
        ("id", None, "[1].id is missing"),
        ("id", Some(Value::Null), "[1].id is null, expected a whole number"),
        ("id", Some(json!("2")), "[1].id is a text, expected a whole number"),
        ("id", Some(json!(-2)), "[1].id is a number, expected a whole number"),
        ("id", Some(json!(2.5)), "[1].id is a number, expected a whole number"),
        ("status", None, "[1].status is missing"),
        ("status", Some(Value::Null), "[1].status is null, expected a text"),
        ("status", Some(json!(1)), "[1].status is a number, expected a text"),
        ("tag_list", None, "[1].tag_list is missing"),
        ("tag_list", Some(Value::Null), "[1].tag_list is null, expected a list"),
        ("tag_list", Some(json!("docker")), "[1].tag_list is a text, expected a list"),
        ("tag_list", Some(json!(["docker", 3])), "[1].tag_list[1] is a number, expected a text"),
        ("runner", None, "[1].runner is missing"),
        ("runner", Some(json!(7)), "[1].runner is a number, expected an object"),
        ("runner", Some(json!({"description": "x"})), "[1].runner.id is missing"),
        ("runner", Some(json!({"id": "7"})), "[1].runner.id is a text, expected a whole number"),
    ] {
        let settings = GitLabQueueSettings { runner_id: Some(7), ..settings(project("team/app")) };
        let error = read(settings, [reply(200, &[], &spoilt(key, value))]).expect_err(part);
        assert_eq!(error.kind, ErrorKind::Malformed, "{part}");
        assert!(error.message.contains(part) && error.message.contains("project team/app"), "{error} lacks {part}");
    }
}

#[test]
fn extra_keys_and_unread_keys_do_not_matter() {
    for (key, value) in [("new_in_gitlab_20", json!({"a": [1]})), ("pipeline", Value::Null), ("name", json!(3))] {
        let found = read(settings(project("12")), [reply(200, &[], &spoilt(key, Some(value)))]).expect("understood");
        assert_eq!((found.demand.queued, found.demand.running), (1, Some(1)));
    }
    // Without a runner id nothing is read from `runner`.
    read(settings(project("12")), [reply(200, &[], &spoilt("runner", None))]).expect("understood");
}

#[test]
fn an_answer_that_is_no_list_is_not_an_empty_one() {
    for (body, part) in [
        ("null", "the whole answer is null, expected a list"),
        ("{}", "the whole answer is an object, expected a list"),
        (r#"{"message":"401 Unauthorized"}"#, "expected a list"),
        ("0", "expected a list"),
        ("[null]", "[0] is null, expected an object"),
        ("", "not JSON"),
        ("[", "not JSON"),
        (r#"[{"id":1,"status":"pend"#, "not JSON"),
        ("[] trailing", "not JSON"),
        ("<!DOCTYPE html><html><title>Sign in · GitLab</title></html>", "a web page"),
    ] {
        for scope in [project("12"), Scope::Group("team".parse().unwrap())] {
            let error = read(settings(scope), [reply(200, &[], body)]).expect_err(body);
            assert_eq!(error.kind, ErrorKind::Malformed, "{body}");
            assert!(error.message.contains(part), "{error} lacks {part}");
        }
    }
}

#[test]
fn a_status_that_is_no_success_fails_the_reading_and_names_the_project() {
    let wait = [("retry-after", "30")];
    for (status, headers, kind, part) in [
        (201, &[][..], ErrorKind::Malformed, "not expected"),
        (204, &[], ErrorKind::Malformed, "not expected"),
        (302, &[], ErrorKind::Refused, "another address"),
        (304, &[], ErrorKind::Malformed, "not expected"),
        (401, &[], ErrorKind::Unauthorized, "scope read_api"),
        (403, &[], ErrorKind::Forbidden, "role Reporter"),
        (404, &[], ErrorKind::NotFound, "the token may not see it"),
        (410, &[], ErrorKind::Refused, "switched off"),
        (422, &[], ErrorKind::Refused, "settings"),
        (429, &[], ErrorKind::Throttled(None), "too many"),
        (429, &wait, ErrorKind::Throttled(Some(Duration::from_secs(30))), "too many"),
        (500, &[], ErrorKind::Server, "asked again"),
        (502, &[], ErrorKind::Server, "asked again"),
        (503, &[], ErrorKind::Server, "asked again"),
        (503, &wait, ErrorKind::Throttled(Some(Duration::from_secs(30))), "asks to wait"),
    ] {
        let scope = Scope::Projects(list_of(&["12", "team/app"]));
        let good = reply(200, &[], &list([job(1, "pending", &["docker"], None)]));
        let reading = read(settings(scope), [good, reply(status, headers, "")]).expect("read in part");
        assert_eq!((reading.demand.queued, reading.demand.running), (1, Some(0)), "what was counted stays counted");
        let error = reading.missing.expect("no success");
        assert_eq!(error.kind, kind, "{status}");
        for part in [part, "project team/app", "GitLab at https://gitlab.example.com", &status.to_string()] {
            assert!(error.message.contains(part), "{error} lacks {part}");
        }
        let group = Scope::Group("team".parse().unwrap());
        let error = read(settings(group), [reply(status, headers, "")]).expect_err("no success");
        assert_eq!(error.kind, kind, "group, {status}");
        assert!(error.message.contains("group team"), "{error}");
    }
}

#[test]
fn a_project_of_a_group_without_a_name_or_with_an_odd_switch_is_not_skipped() {
    for body in [
        json!([{"path_with_namespace": "a"}]),
        json!([{"id": 1}]),
        json!([{"id": "1", "path_with_namespace": "a"}]),
        json!([{"id": 1, "path_with_namespace": "a", "builds_access_level": true}]),
        json!([{"id": 1, "path_with_namespace": "a", "jobs_enabled": "false"}]),
    ] {
        let error = read(settings(Scope::Group("team".parse().unwrap())), [reply(200, &[], &body.to_string())]);
        assert_eq!(error.expect_err("malformed").kind, ErrorKind::Malformed, "{body}");
    }
}

#[test]
fn no_reply_is_no_reading() {
    for unreachable in [
        Unreachable::Timeout(Duration::from_secs(10)),
        Unreachable::Connect("refused".to_owned()),
        Unreachable::TooLarge(8 << 20),
        Unreachable::Broken("reset".to_owned()),
    ] {
        let mut queue = open(settings(project("12")));
        let error = complete(&mut queue, |_| EffectResult::Http(Err(unreachable.clone()))).expect_err("no reply");
        let too_large = matches!(unreachable, Unreachable::TooLarge(_));
        assert_eq!(error.kind, if too_large { ErrorKind::Malformed } else { ErrorKind::Unreachable });
        let part = if too_large { "one item alone is longer than".to_owned() } else { unreachable.to_string() };
        assert!(error.message.contains(&part), "{error}");
    }
}

#[test]
fn the_token_never_follows_a_link_to_another_host() {
    let jobs = list([job(1, "pending", &["docker"], None)]);
    for target in [
        "https://evil.example/api/v4/projects/12/jobs",
        "http://gitlab.example.com/x",
        "https://gitlab.example.com:8443/x",
    ] {
        let link = format!("<{target}>; rel=\"next\"");
        let (result, requests) = script(&mut open(settings(project("12"))), [reply(200, &[("link", &link)], &jobs)]);
        let error = result.expect_err("refused");
        assert_eq!((error.kind, requests.len()), (ErrorKind::Malformed, 1));
        assert!(error.message.contains("external_url"), "{error}");
    }
}

#[test]
fn endless_pages_end_with_an_error() {
    let jobs = list([job(1, "pending", &["docker"], None)]);
    let same = format!("<{JOBS_12}>; rel=\"next\"");
    let mut queue = open(settings(project("12")));
    let mut requests = 0;
    let error = complete(&mut queue, |_| {
        requests += 1;
        EffectResult::Http(Ok(reply(200, &[("link", &same), ("etag", "\"x\"")], &jobs)))
    });
    assert_eq!(requests, 100);
    let error = error.expect("the pages that came count").missing.expect("endless");
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert!(error.message.contains("after 100 pages"), "{error}");
    // Also when every page is unchanged, and for the list of a group.
    let unchanged = complete(&mut queue, |_| EffectResult::Http(Ok(reply(304, &[], "")))).expect("as before");
    assert!(unchanged.missing.expect("endless").message.contains("after 100 pages"));
    let mut group = open(settings(Scope::Group("team".parse().unwrap())));
    let projects = json!([{"id": 1, "path_with_namespace": "a"}]).to_string();
    complete(&mut group, |request| {
        let jobs = request.url.contains("/jobs");
        EffectResult::Http(Ok(if jobs { reply(500, &[], "") } else { reply(200, &[("link", &same)], &projects) }))
    })
    .expect_err("endless, and no jobs");
}

#[test]
fn an_answer_that_nobody_asked_for_is_refused() {
    let mut queue = open(settings(project("12")));
    let ExchangeStep::Done(Err(error)) =
        queue.resume(EffectId::default(), EffectResult::Http(Ok(reply(200, &[], "[]"))))
    else {
        panic!("taken as an answer")
    };
    assert_eq!(error.kind, ErrorKind::Malformed);
    let program = Output { status: Some(0), stdout: b"[]".to_vec(), stderr: Vec::new() };
    let error = complete(&mut queue, |_| EffectResult::Program(Ok(program.clone()))).expect_err("the wrong kind");
    assert_eq!(error.kind, ErrorKind::Malformed);
}

#[test]
fn settings_that_cannot_work_are_refused_before_any_call() {
    let base = || settings(project("12"));
    let token = |token: &str| gitlab::queue(base(), token.into()).map(drop);
    let url = |url: &str| base_url(url).map(drop).map_err(ExchangeError::from);
    for (found, part) in [
        (url("gitlab.example.com"), "https://"),
        (url("https://"), "names no host"),
        (url(&format!("{URL}/api/v4")), "/api"),
        (url(&format!("{URL}/api/")), "/api"),
        (url("https://me:pw@gitlab.example.com"), "password"),
        (url(&format!("{URL}?x=1")), "query"),
        (token(""), "token is empty"),
        (token("glpat-x\n"), "line break"),
        (refused::<NonBlank>(" "), "not empty"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    for good in ["http://127.0.0.1:8080", "https://example.com/gitlab/", URL] {
        assert_eq!(url(good), Ok(()));
    }
}

#[test]
fn the_token_is_never_shown() {
    let mut queue = open(settings(project("12")));
    let step = format!("{:?}", queue.start());
    let debug = format!("{queue:?} {:?}", settings(project("12")));
    let echo = format!("{{\"message\":\"bad token {TOKEN}\"}}");
    let error = script(&mut queue, [reply(401, &[], &echo)]).0.expect_err("refused");
    for text in [step, debug, format!("{error} {error:?}")] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just("pending"), Just("running"), Just("docker"), Just("x")].prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof![
            Just("id"),
            Just("status"),
            Just("tag_list"),
            Just("runner"),
            Just("path_with_namespace"),
            Just("k")
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Whether this is a list of jobs with all that we read.
fn well_formed(value: &Value) -> bool {
    let well_formed = |job: &Value| {
        job["id"].is_u64()
            && job["status"].is_string()
            && job["tag_list"].as_array().is_some_and(|tags| tags.iter().all(Value::is_string))
    };
    value.as_array().is_some_and(|jobs| jobs.iter().all(well_formed))
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_zero_demand(body: Vec<u8>, group: bool) {
        let scope = if group { Scope::Group("team".parse().unwrap()) } else { project("12") };
        let result = read(settings(scope), [Reply { body: body.clone(), ..reply(200, &[], "") }]);
        prop_assert!(result.is_err() || serde_json::from_slice::<Value>(&body).is_ok_and(|value| value.is_array()));
    }

    #[test]
    fn arbitrary_json_is_demand_only_when_well_formed(value in any_json()) {
        let result = read(settings(project("12")), [reply(200, &[], &value.to_string())]);
        prop_assert_eq!(result.is_ok(), well_formed(&value), "{}", value);
    }

    #[test]
    fn a_list_that_is_cut_off_is_an_error(cut in 0usize..200) {
        let jobs = list([job(1, "pending", &["docker"], None), job(2, "running", &["docker"], None)]);
        prop_assume!(cut < jobs.len());
        prop_assert!(read(settings(project("12")), [reply(200, &[], &jobs[..cut])]).is_err());
    }

    #[test]
    fn any_status_but_success_is_an_error(status in 0u16..1000, body in ".{0,40}") {
        prop_assume!(status != 200);
        prop_assert!(read(settings(project("12")), [reply(status, &[], &body)]).is_err());
    }
}
