//! Reading the queue of a StackGuardian runner group.

use std::time::Duration;

use lightsout_core::{
    exchange::{EffectResult, ErrorKind, Exchange, ExchangeError, Method, Output, Reply, Unreachable},
    platform::{
        Demand, Queue, Reading,
        stackguardian::{OrganizationName, RunnerGroupName, StackGuardianQueue, StackGuardianQueueSettings, base_url},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    exchange::{complete, header, read_as, refused, reply, script, url},
    wild::any_json,
};

pub(crate) const URL: &str = "https://api.app.stackguardian.io";
pub(crate) const KEY: &str = "sgo_very-secret";
pub(crate) const GROUP: &str =
    "https://api.app.stackguardian.io/api/v1/orgs/demo-org/runnergroups/private-runners/?getActiveWorkflows=true";

fn settings() -> StackGuardianQueueSettings {
    StackGuardianQueueSettings {
        url: url(URL),
        organization: read_as("demo-org"),
        runner_group: read_as("private-runners"),
    }
}

fn open() -> StackGuardianQueue {
    StackGuardianQueue::new(settings(), KEY.into()).expect("settings that can work")
}

fn read(answer: Reply) -> Result<Reading, ExchangeError> {
    script(&mut open(), [answer]).0
}

fn ok(body: &Value) -> Reply {
    reply(200, &[], &body.to_string())
}

/// A registered runner as the group's document lists it.
pub(crate) fn instance(id: &str, status: &str, running: u32, pending: u32) -> Value {
    json!({
        "runnerId": id, "status": status, "agentConnected": true, "runningTasksCount": running, "pendingTasksCount": pending,
        "containerInstanceArn": "arn:aws:ecs:eu-central-1:111122223333:container-instance/c/0123",
        "instanceDetails": [{"IPAddress": "10.0.3.17", "ComputerName": "ip-10-0-3-17.eu-central-1.compute.internal"}]
    })
}

pub(crate) fn group(queued: u32, instances: &[Value]) -> Value {
    json!({"msg": {"QueuedWorkflowsCount": queued, "ContainerInstances": instances, "ResourceName": "private-runners"}})
}

#[test]
fn one_call_tells_what_waits_and_what_runs() {
    let instances =
        [instance("r-1", "ACTIVE", 1, 0), instance("r-2", "DRAINING", 2, 1), instance("r-3", "ACTIVE", 0, 0)];
    let mut queue = open();
    assert_eq!(queue.platform(), "stackguardian");
    let (demand, requests) = script(&mut queue, [ok(&group(4, &instances))]);
    assert_eq!(
        demand,
        Ok(Demand { queued: 4, running: Some(4), poll_after: None }.into()),
        "draining and pending count"
    );
    assert_eq!((requests[0].method, requests[0].url.as_str()), (Method::Get, GROUP));
    assert_eq!(header(&requests[0], "authorization"), Some("apikey sgo_very-secret"));
    assert_eq!(read(ok(&group(0, &[]))), Ok(Demand { queued: 0, running: Some(0), poll_after: None }.into()));
}

#[test]
fn a_count_of_waiting_workflows_that_is_not_there_is_an_error_and_not_zero() {
    let with = |queued: Value| json!({"msg": {"QueuedWorkflowsCount": queued, "ContainerInstances": []}});
    for (body, part) in [
        (json!({"msg": {"ContainerInstances": []}}), "msg.QueuedWorkflowsCount is missing"),
        (with(Value::Null), "msg.QueuedWorkflowsCount is null, expected a whole number"),
        (with(json!("4")), "msg.QueuedWorkflowsCount is a text"),
        (with(json!(-1)), "expected a whole number of 0 or more"),
        (with(json!(1.5)), "expected a whole number of 0 or more"),
        (with(json!([])), "is a list"),
        (json!({"msg": null}), "msg is null, expected an object"),
        (json!({"msg": "Unauthorized"}), "msg is a text, expected an object"),
        (json!({}), "msg is missing"),
        (json!([]), "the whole answer is a list"),
        (Value::Null, "the whole answer is null"),
        (
            json!({"msg": {"QueuedWorkflowsCount": 1, "ContainerInstances": {}}}),
            "ContainerInstances is an object, expected a list",
        ),
        (json!({"msg": {"QueuedWorkflowsCount": 1, "ContainerInstances": [3]}}), "ContainerInstances[0] is a number"),
    ] {
        let error = read(ok(&body)).expect_err(part);
        assert_eq!(error.kind, ErrorKind::Malformed, "{part}");
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
}

#[test]
fn what_runs_is_unknown_and_not_zero_when_a_count_is_missing() {
    let mut counts = instance("r-1", "ACTIVE", 1, 1);
    for (key, value) in
        [("runningTasksCount", None), ("pendingTasksCount", None), ("pendingTasksCount", Some(Value::Null))]
    {
        let mut one = counts.clone();
        match value {
            Some(value) => one[key] = value,
            None => drop(one.as_object_mut().expect("an object").remove(key)),
        }
        let demand = read(ok(&group(2, &[instance("r-0", "ACTIVE", 3, 0), one]))).expect("understood");
        assert_eq!((demand.demand.queued, demand.demand.running), (2, None), "{key}");
    }
    for list in [
        json!({"msg": {"QueuedWorkflowsCount": 2}}),
        json!({"msg": {"QueuedWorkflowsCount": 2, "ContainerInstances": null}}),
    ] {
        assert_eq!(read(ok(&list)).expect("understood").demand.running, None);
    }
    counts["pendingTasksCount"] = json!("1");
    assert_eq!(read(ok(&group(2, &[counts]))).expect_err("mistyped").kind, ErrorKind::Malformed);
}

#[test]
fn keys_that_are_not_read_may_be_anything() {
    let mut one = instance("r-1", "ACTIVE", 1, 0);
    for (key, value) in [
        ("agentConnected", json!("true")),
        ("instanceDetails", Value::Null),
        ("new", json!([1])),
        ("runnerId", Value::Null),
    ] {
        one[key] = value;
        assert_eq!(
            read(ok(&group(1, std::slice::from_ref(&one)))).expect("understood").demand.running,
            Some(1),
            "{key}"
        );
    }
}

#[test]
fn refusals_say_what_to_do() {
    let wait = [("retry-after", "20")];
    for (status, headers, body, kind, part) in [
        (201, &[][..], "{}", ErrorKind::Malformed, "not expected"),
        (401, &[], r#"{"msg":"Invalid API key"}"#, ErrorKind::Unauthorized, "(Invalid API key); the API key is wrong"),
        (403, &[], r#"{"detail":"no permission"}"#, ErrorKind::Forbidden, "(no permission); the API key's role"),
        (404, &[], "", ErrorKind::NotFound, "correct organization and runner_group"),
        (409, &[], "", ErrorKind::Refused, "409"),
        (422, &[], "", ErrorKind::Refused, "422"),
        (429, &wait, "", ErrorKind::Throttled(Some(Duration::from_secs(20))), "too many"),
        (429, &[], "", ErrorKind::Throttled(None), "too many"),
        (500, &[], "", ErrorKind::Server, "asked again"),
        (504, &[], "<html>Gateway</html>", ErrorKind::Server, "a web page"),
        (200, &[], "<html>Sign in</html>", ErrorKind::Malformed, "a web page"),
        (200, &[], r#"{"msg":{"QueuedWorkflowsCount":4,"#, ErrorKind::Malformed, "not JSON"),
        (200, &[], "", ErrorKind::Malformed, "not JSON"),
    ] {
        let error = read(reply(status, headers, body)).expect_err(part);
        assert_eq!(error.kind, kind, "{status} {error}");
        for part in [part, "StackGuardian at https://api.app", "runner group private-runners of demo-org"] {
            assert!(error.message.contains(part), "{error} lacks {part}");
        }
    }
}

#[test]
fn no_reply_is_no_reading() {
    for unreachable in [Unreachable::Timeout(Duration::from_secs(10)), Unreachable::TooLarge(8 << 20)] {
        let mut queue = open();
        let error = complete(&mut queue, |_| EffectResult::Http(Err(unreachable.clone()))).expect_err("no reply");
        assert_eq!(error.kind, ErrorKind::Unreachable);
        let program = Output { status: Some(0), stdout: group(0, &[]).to_string().into_bytes(), stderr: Vec::new() };
        complete(&mut queue, |_| EffectResult::Program(Ok(program.clone()))).expect_err("the wrong kind");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_before_any_call() {
    let url = |url: &str| base_url(url).map(drop).map_err(ExchangeError::from);
    let name = refused::<RunnerGroupName>;
    let key = |key: &str| StackGuardianQueue::new(settings(), key.into()).map(drop);
    for (found, part) in [
        (url("api.app.stackguardian.io"), "https://api.us.stackguardian.io (US)"),
        (url("https://api.app.stackguardian.io/api/v1"), "/api/v1, which is added by itself"),
        (url("https://api.app.stackguardian.io/api/"), "added by itself"),
        (url("https://app.stackguardian.io"), "web pages"),
        (url("https://app.stackguardian.io/orchestrator/orgs/demo-org"), "web pages"),
        (url("https://me:pw@api.app.stackguardian.io"), "password"),
        (url("https://api.app.stackguardian.io?x"), "query"),
        (url("https://"), "names no host"),
        (key(""), "sgu_"),
        (key("ghp_x"), "sgo_"),
        (key("sgu_x\n"), "line break"),
        (name(""), "runner group"),
        (name("/runnergroups/x"), "such as private-runners"),
        (name(".."), "such as private-runners"),
        (refused::<OrganizationName>("demo org"), "organization"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part) && !error.message.contains("ghp_x"), "{error} lacks {part}");
    }
    for good in [URL, "https://api.us.stackguardian.io/", "http://127.0.0.1:8080"] {
        assert_eq!(url(good), Ok(()));
    }
}

#[test]
fn the_key_is_never_shown() {
    let mut queue = open();
    let step = format!("{:?}", queue.start());
    let debug = format!("{queue:?} {:?}", settings());
    let error = read(reply(401, &[], &format!(r#"{{"msg":"bad key {KEY}"}}"#))).expect_err("refused");
    for text in [step, debug, format!("{error} {error:?}")] {
        assert!(!text.contains(KEY), "{text}");
    }
}

const WORDS: &[&str] = &[
    "msg",
    "QueuedWorkflowsCount",
    "ContainerInstances",
    "runningTasksCount",
    "pendingTasksCount",
    "runnerId",
    "status",
];

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_demand(body: Vec<u8>) {
        let result = read(Reply { body, ..reply(200, &[], "") });
        prop_assert!(result.is_err());
    }

    #[test]
    fn arbitrary_json_is_demand_only_with_the_count(value in any_json(WORDS)) {
        if let Ok(demand) = read(ok(&value)) {
            prop_assert_eq!(value["msg"]["QueuedWorkflowsCount"].as_u64(), Some(demand.demand.queued.into()));
            prop_assert!(demand.demand.running.is_none() || value["msg"]["ContainerInstances"].is_array());
        }
    }

    #[test]
    fn instances_with_anything_in_them_never_make_zero_out_of_a_count(one in any_json(WORDS)) {
        if let Ok(demand) = read(ok(&group(1, std::slice::from_ref(&one)))) {
            let sum = one["runningTasksCount"].as_u64().zip(one["pendingTasksCount"].as_u64()).map(|(a, b)| a + b);
            prop_assert_eq!(demand.demand.running.map(u64::from), sum, "{}", one);
        }
    }

    #[test]
    fn a_document_that_is_cut_off_is_an_error(cut in 0usize..400) {
        let body = group(3, &[instance("r-1", "ACTIVE", 1, 0)]).to_string();
        prop_assume!(cut < body.len());
        prop_assert!(read(reply(200, &[], &body[..cut])).is_err());
    }

    #[test]
    fn any_status_but_success_is_an_error(status in 0u16..1000) {
        prop_assume!(status != 200);
        prop_assert!(read(reply(status, &[], &group(0, &[]).to_string())).is_err());
    }
}
