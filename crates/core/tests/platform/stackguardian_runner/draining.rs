//! The drain: what proves that no task runs, and what does not.

use std::time::Duration;

use lightsout_core::{
    exchange::{EffectId, EffectResult, ErrorKind, ExchangeStep, Method, Reply, Unreachable},
    platform::{DrainBy, DrainRules, Drained, RunnerPlatform, Signal, UndrainBy},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    exchange::{body, header, host, output, reply},
    stackguardian_queue::{GROUP, KEY, group, instance},
};

#[test]
fn draining_with_nothing_running_and_nothing_pending_twice_is_the_proof() {
    let (result, requests) = drain([done(), listed("DRAINING", 0, 0), listed("DRAINING", 0, 0)]);
    assert_eq!(result, Ok(Drained::Empty));
    assert_eq!(
        (requests[0].method, requests[0].url.as_str(), body(&requests[0])),
        (Method::Post, STATUS, "Status=DRAINING&RunnerId=r-1")
    );
    assert_eq!(header(&requests[0], "content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(header(&requests[0], "authorization"), Some(format!("apikey {KEY}").as_str()));
    assert_eq!([requests[1].url.as_str(), requests[2].url.as_str()], [GROUP, GROUP]);
}

#[test]
fn a_task_that_runs_or_is_only_placed_makes_it_still_busy() {
    assert_eq!(drain([done(), listed("DRAINING", 1, 0)]).0, Ok(Drained::StillBusy));
    assert_eq!(drain([done(), listed("DRAINING", 0, 1)]).0, Ok(Drained::StillBusy));
    // It was placed between the poll and the drain, and shows in the second reading only.
    assert_eq!(drain([done(), listed("DRAINING", 0, 0), listed("DRAINING", 0, 1)]).0, Ok(Drained::StillBusy));
    assert_eq!(drain([done(), listed("ACTIVE", 2, 0)]).0, Ok(Drained::StillBusy));
}

#[test]
fn without_the_proof_there_is_an_error() {
    let mut uncounted = instance("r-1", "DRAINING", 0, 0);
    uncounted["pendingTasksCount"] = Value::Null;
    let nameless = || ok(&group(0, &[json!({"status": "ACTIVE", "runningTasksCount": 1, "pendingTasksCount": 0})]));
    for (replies, kind, part) in [
        (vec![done(), listed("ACTIVE", 0, 0)], ErrorKind::Server, "still shown as ACTIVE"),
        (vec![done(), listed("DRAINING", 0, 0), listed("ACTIVE", 0, 0)], ErrorKind::Server, "still shown as ACTIVE"),
        (vec![done(), listed("REGISTERING", 0, 0)], ErrorKind::Server, "REGISTERING"),
        (vec![done(), unlisted()], ErrorKind::Malformed, "not in the group's list"),
        (vec![done(), ok(&group(0, &[uncounted]))], ErrorKind::Malformed, "task counts"),
        (vec![done(), nameless()], ErrorKind::Malformed, "no runnerId"),
        (vec![done(), ok(&json!({"msg": null}))], ErrorKind::Malformed, "msg is null"),
        (
            vec![done(), ok(&json!({"msg": {"QueuedWorkflowsCount": 0}}))],
            ErrorKind::Malformed,
            "ContainerInstances is missing",
        ),
        (vec![done(), reply(404, &[], "")], ErrorKind::NotFound, "404"),
        (vec![done(), reply(200, &[], "<html>")], ErrorKind::Malformed, "a web page"),
        (
            vec![reply(400, &[], r#"{"msg":"instance is not ACTIVE"}"#), listed("REGISTERING", 0, 0)],
            ErrorKind::Refused,
            "instance is not ACTIVE",
        ),
        (vec![reply(404, &[], ""), unlisted(), listed("ACTIVE", 0, 0)], ErrorKind::NotFound, "404"),
        (vec![reply(401, &[], "")], ErrorKind::Unauthorized, "api_key"),
        (vec![reply(403, &[], "")], ErrorKind::Forbidden, "runner_status"),
        (vec![reply(409, &[], "")], ErrorKind::Refused, "409"),
        (vec![reply(422, &[], "")], ErrorKind::Refused, "422"),
        (vec![reply(429, &[("retry-after", "3")], "")], ErrorKind::Throttled(Some(Duration::from_secs(3))), "too many"),
        (vec![reply(502, &[], "")], ErrorKind::Server, "502"),
    ] {
        let error = drain(replies).0.expect_err(part);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
}

#[test]
fn a_runner_that_nobody_knows_any_more_takes_no_task() {
    for status in [400, 404] {
        assert_eq!(drain([reply(status, &[], ""), unlisted(), unlisted()]).0, Ok(Drained::Empty));
    }
}

#[test]
fn a_drain_whose_answer_was_lost_is_repeated() {
    let runner = runner();
    let mut call = runner.drain_call(&host());
    let ExchangeStep::Perform(_, _) = call.start() else { panic!("the journal") };
    let ExchangeStep::Perform(_, _) =
        call.resume(EffectId::default(), EffectResult::Program(Ok(output(0, &registered(), ""))))
    else {
        panic!("the status")
    };
    let ExchangeStep::Done(Err(lost)) =
        call.resume(EffectId::default(), EffectResult::Http(Err(Unreachable::Timeout(Duration::from_secs(10)))))
    else {
        panic!("lost")
    };
    assert_eq!(lost.kind, ErrorKind::Unreachable);
    let (result, requests) =
        play(&mut call, &registered(), [done(), listed("DRAINING", 0, 0), listed("DRAINING", 0, 0)]);
    assert_eq!((result, body(&requests[0])), (Ok(Drained::Empty), "Status=DRAINING&RunnerId=r-1"));
}

#[test]
fn a_machine_without_an_id_is_never_drained_by_a_blank_one() {
    let attributes = |id: &str| format!("begin i-0abc\n{}\nregistered\n", ATTRIBUTES.replace("r-1", id));
    for journal in [
        "",
        "begin i-0abc\n",
        &registered().replace("i-0abc", "i-0other"),
        &attributes(""),
        &attributes("null"),
        &attributes("a b"),
    ] {
        for mut call in [runner().drain_call(&host()), runner().drain_call(&host())] {
            let (result, requests) = play(&mut call, journal, []);
            assert!(result.expect_err("no id").is_transient() && requests.is_empty(), "{journal}");
        }
        assert_eq!(play(&mut runner().deregister(&host()), journal, []).0, Ok(()), "nothing of ours to remove");
    }
}

#[test]
fn a_drain_is_taken_back_by_active() {
    let mut call = runner().undrain_call(&host());
    let (result, requests) = play(&mut call, &registered(), [done()]);
    assert_eq!((result, body(&requests[0])), (Ok(()), "Status=ACTIVE&RunnerId=r-1"));
    assert_eq!(play(&mut call, &registered(), [reply(500, &[], "")]).0.expect_err("not done").kind, ErrorKind::Server);
    let rules = DrainRules { drain: DrainBy::Call, undrain: UndrainBy::Call, abort: Signal::Term, quiesce: false };
    assert_eq!(runner().drain_rules(), rules);
}

#[test]
fn already_gone_is_removed() {
    let deregister = |replies: Vec<Reply>| play(&mut runner().deregister(&host()), &registered(), replies);
    let (result, requests) = deregister(vec![done()]);
    assert_eq!((result, requests[0].url.as_str(), body(&requests[0])), (Ok(()), GONE, "RunnerId=r-1"));
    for status in [400, 404] {
        assert_eq!(deregister(vec![reply(status, &[], ""), unlisted()]).0, Ok(()));
        deregister(vec![reply(status, &[], ""), listed("DRAINING", 0, 0)]).0.expect_err("it is still there");
        deregister(vec![reply(status, &[], ""), reply(404, &[], "")]).0.expect_err("the group is not found");
    }
    for (status, kind) in [(401, ErrorKind::Unauthorized), (403, ErrorKind::Forbidden), (500, ErrorKind::Server)] {
        assert_eq!(deregister(vec![reply(status, &[], "")]).0.expect_err("not done").kind, kind);
    }
}
