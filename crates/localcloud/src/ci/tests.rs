//! The private runner API, which is the same on every platform that has it, and the table of platforms.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::{
    Ci, KINDS,
    contract::{CiState, FailureTexts, Platform, PlatformKind, RetentionRules, RunnerApiError},
    jobs::{Cause, Job, JobEventKind, JobOutcome},
    protocol::Connect,
    testing::{Bench, INSTANCE, NOW, URL, body, later},
    workers::Worker,
};
use crate::{
    fleet::JobState,
    http::{Request, Response},
    refusal::Refusal,
    time::Timestamp,
};

const TOKEN: &str = "token";

/// A platform without an API of its own.
struct Plain;

impl Platform for Plain {
    fn kind(&self) -> PlatformKind {
        PlatformKind::new("plain", "Plain", || unreachable!("nobody asks for it by name"))
    }

    fn route(&self, _: &Request) -> &'static str {
        "other"
    }

    fn handle(&mut self, _: &Request, _: &mut CiState, _: Timestamp) -> Response {
        Response::empty(404)
    }

    fn refuse(&self, _: Refusal, _: Timestamp) -> Response {
        Response::empty(503)
    }

    fn connect(&mut self, connect: &Connect, state: &mut CiState, now: Timestamp) -> Result<u64, RunnerApiError> {
        if connect.token != TOKEN {
            return Err(RunnerApiError(401, "wrong token".into()));
        }
        Ok(state.workers.add(Worker::new(connect.name.clone(), now)))
    }

    fn tags_of(&self, _: &Job) -> Vec<String> {
        Vec::new()
    }

    fn environment(&self, _: &Job, worker: &Worker) -> BTreeMap<String, String> {
        BTreeMap::from([("RUNNER_NAME".to_owned(), worker.name.clone())])
    }

    fn failure_texts(&self) -> FailureTexts {
        FailureTexts { failed: "failed", system_failure: "broken", gone: "gone" }
    }

    fn retention(&self) -> RetentionRules {
        RetentionRules { keeps: false, forgets_used: false, lost_after: Duration::from_secs(240) }
    }
}

fn bench() -> Bench {
    Bench { ci: Ci::new(Box::new(Plain), URL, None, None), now: NOW }
}

#[test]
fn a_job_goes_from_queue_to_success() {
    let mut bench = bench();
    bench.enqueue(1, &[]);
    let runner = bench.connect(TOKEN, &json!({}));
    bench.now = later(5);
    let job = body(&bench.claim(&runner))["job"].clone();
    assert_eq!((&job["id"], &job["argv"], &job["image"]), (&json!(1001), &json!(["sleep", "3"]), &json!(null)));
    assert_eq!(job["env"]["RUNNER_NAME"], INSTANCE);
    assert_eq!(bench.ci.jobs().next().and_then(|job| job.machine.as_deref()), Some(INSTANCE));
    let running = bench.json(
        "POST",
        &format!("/_lightsout/runner/{runner}/jobs/1001"),
        &[],
        &json!({"state": "running", "trace": "hello "}),
    );
    assert_eq!((running.status, body(&running)), (200, json!({"state": "running"})));
    bench.now = later(9);
    assert_eq!(body(&bench.report(&runner, 1001, "success")), json!({"state": "done"}));
    // The report came twice, because its answer was lost: nothing changes.
    assert_eq!(body(&bench.report(&runner, 1001, "failed")), json!({"state": "done"}));
    let view = bench.ci.jobs().next().expect("the job").view(None, later(99));
    assert_eq!((view.waited_s, view.ran_s), (5.0, Some(4.0)));
    assert_eq!(bench.claim(&runner).status, 204);
}

#[test]
fn a_lost_answer_to_a_claim_is_repeated_and_slots_hold() {
    let mut bench = bench();
    bench.enqueue(3, &[]);
    let runner = bench.connect(TOKEN, &json!({"slots": 2}));
    assert_eq!((bench.take(&runner), bench.take(&runner)), (1001, 1002));
    assert_eq!(bench.take(&runner), 1002, "nobody ever reported on it");
    bench.report(&runner, 1001, "running");
    bench.report(&runner, 1002, "running");
    assert_eq!(bench.claim(&runner).status, 204, "both slots are taken");
    bench.report(&runner, 1001, "success");
    assert_eq!(bench.take(&runner), 1003);
}

/// Whoever says what it has needs no full slots and no serving platform to hear of the rest: it was given before.
#[test]
fn a_runner_that_says_what_it_has_is_given_again_what_it_never_heard_of() {
    let mut bench = bench();
    bench.enqueue(3, &[]);
    let runner = bench.connect(TOKEN, &json!({"slots": 3}));
    let claim = |bench: &mut Bench, has: &[u64]| {
        let path = format!("/_lightsout/runner/{runner}/claim");
        let response = bench.json("POST", &path, &[], &json!({"has": has}));
        (response.status == 200).then(|| body(&response)["job"]["id"].as_u64().expect("an id"))
    };
    assert_eq!((claim(&mut bench, &[]), claim(&mut bench, &[])), (Some(1001), Some(1001)));
    assert_eq!(claim(&mut bench, &[1001]), Some(1002), "not yet reported on, and known all the same");
    let drained = bench.ci.state.workers.get_mut(runner.parse().expect("a number")).expect("the runner");
    drained.drain = super::workers::DrainState::Drained;
    assert_eq!(claim(&mut bench, &[1001]), Some(1002));
    assert_eq!(claim(&mut bench, &[1001, 1002]), None, "a drained one gets no other");
}

#[test]
fn who_is_to_blame_decides_between_failed_and_lost() {
    let mut bench = bench();
    bench.enqueue(3, &[]);
    let runner = bench.connect(TOKEN, &json!({"slots": 3}));
    for state in ["failed", "system_failure", "canceled"] {
        let job = bench.take(&runner);
        bench.report(&runner, job, state);
    }
    let causes: Vec<Cause> = std::iter::from_fn(|| bench.ci.poll_event())
        .filter_map(|job_event| match job_event.kind {
            JobEventKind::Ended(JobOutcome::Failed { cause, .. } | JobOutcome::Canceled(cause)) => Some(cause),
            JobEventKind::Queued | JobEventKind::Picked | JobEventKind::Ended(JobOutcome::Success) => None,
        })
        .collect();
    assert_eq!(causes, [Cause::Job, Cause::Runner, Cause::Runner]);
    // With nobody to say what became of the machine they are only failed.
    assert_eq!(bench.states(), [JobState::Failed; 3]);
}

#[test]
fn strangers_are_refused() {
    let mut bench = bench();
    bench.enqueue(1, &[]);
    assert_eq!(bench.try_connect("wrong", &json!({})).status, 401);
    assert_eq!(bench.try_connect(TOKEN, &json!({"platform": KINDS[0]})).status, 403);
    assert_eq!(bench.try_connect(TOKEN, &json!({"platform": "none"})).status, 400);
    assert_eq!(bench.try_connect(TOKEN, &json!({"slots": 0})).status, 400);
    assert_eq!(bench.claim("7").status, 404);
    assert_eq!(bench.claim("x").status, 404);
    let runner = bench.connect(TOKEN, &json!({}));
    assert_eq!(bench.report(&runner, 1001, "success").status, 404, "it does not have this job");
    assert_eq!(bench.report(&runner, 9, "success").status, 404);
    assert_eq!(bench.call("GET", "/_lightsout/runner/connect", &[], "").status, 404);
}

#[test]
fn a_runner_that_leaves_or_falls_silent_loses_its_job() {
    let mut bench = bench();
    bench.enqueue(2, &[]);
    let first = bench.connect(TOKEN, &json!({}));
    bench.take(&first);
    assert_eq!(bench.disconnect(&first).status, 200);
    assert_eq!(bench.claim(&first).status, 404);
    let second = bench.connect(TOKEN, &json!({}));
    bench.take(&second);
    assert_eq!(bench.ci.next_timer(), Some(later(240)));
    bench.ci.advance(later(239));
    assert_eq!(bench.states(), [JobState::Failed, JobState::Running]);
    bench.ci.advance(later(240));
    let gone = JobOutcome::Failed { reason: "gone".into(), cause: Cause::Machine };
    let last = std::iter::from_fn(|| bench.ci.poll_event()).last().expect("an event");
    assert_eq!((last.kind, last.machine.as_deref()), (JobEventKind::Ended(gone), Some(INSTANCE)));
    bench.now = later(241);
    assert_eq!(bench.report(&second, 1002, "success").status, 200);
    assert_eq!(bench.states(), [JobState::Failed; 2], "too late");
}

#[test]
fn how_long_a_runner_may_be_silent_can_be_set() {
    let ci = Ci::new(Box::new(Plain), URL, Some(Duration::from_secs(2)), None);
    let mut bench = Bench { ci, now: NOW };
    assert_eq!(bench.ci.next_timer(), None);
    bench.connect(TOKEN, &json!({}));
    assert_eq!(bench.ci.next_timer(), Some(later(2)));
}

#[test]
fn the_instance_is_told_or_found() {
    let mut bench = bench();
    let cases = [
        (json!({"name": "agent"}), None),
        (json!({"name": format!("agent-{INSTANCE}-1")}), Some(INSTANCE)),
        (json!({"metadata": {"instance_id": "i-00000000"}}), Some("i-00000000")),
        (json!({"metadata": {"instance_id": "i-00000000"}, "instance_id": "i-11111111"}), Some("i-11111111")),
    ];
    for (special, expected) in cases {
        let id = bench.connect(TOKEN, &special).parse().expect("a number");
        let worker = bench.ci.state.workers.get(id).expect("the worker");
        assert_eq!(worker.instance.as_deref(), expected, "{special}");
        assert_eq!(worker.heard_at, NOW);
    }
}

#[test]
fn a_platforms_name_is_the_same_in_settings_and_in_json() {
    for &kind in KINDS {
        assert_eq!(kind.as_str().parse(), Ok(kind));
        assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
        assert_eq!(kind.options().open().kind(), kind);
    }
    let refusal = "nobody".parse::<PlatformKind>().expect_err("no such platform").to_string();
    assert!(refusal.contains("\"nobody\"") && refusal.contains(KINDS[5].as_str()), "{refusal}");
}
