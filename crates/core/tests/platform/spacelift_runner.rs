//! The Spacelift worker of one machine.

use std::collections::BTreeMap;

use lightsout_core::{
    activity::Activity,
    agent::{draining, host::PlatformAnswer},
    exchange::{
        Call, EffectId, EffectResult, ErrorKind, ExchangeError, ExchangeStep, Reply, Request, Text, Unreachable,
    },
    platform::{
        DrainBy, Drained, HostContext, Launch, Probe, RunnerPlatform, Selection, Signal, UndrainBy,
        spacelift::{PoolSecrets, SpaceliftRunner, SpaceliftRunnerSettings, VariableName},
    },
};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    exchange::{read_as, refused, reply, script},
    spacelift_queue::{JWT, POOL, SECRET, errors, login, ok, on, pool, sent, settings as api, worker},
    wild::any_json,
};

const TOKEN: &str = "eyJicm9rZXIiOnt9fQ==";
const PRIVATE_KEY: &str = "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo=";

fn settings() -> SpaceliftRunnerSettings {
    SpaceliftRunnerSettings {
        program: read_as("spacelift-launcher"),
        env: BTreeMap::new(),
        ignore_containers: vec![read_as("datadog")],
    }
}

fn secrets() -> PoolSecrets {
    PoolSecrets { token: TOKEN.into(), private_key: PRIVATE_KEY.into() }
}

fn open(settings: SpaceliftRunnerSettings) -> Result<SpaceliftRunner, ExchangeError> {
    SpaceliftRunner::new(settings, secrets(), Some((api(), SECRET.into())))
}

fn runner() -> SpaceliftRunner {
    open(settings()).expect("settings that can work")
}

fn host() -> HostContext {
    HostContext { slots: 1, ..crate::exchange::host() }
}

fn register(settings: SpaceliftRunnerSettings, host: &HostContext) -> Result<Launch, ExchangeError> {
    script(&mut *open(settings)?.register(host), []).0
}

fn variable<'a>(launch: &'a Launch, name: &str) -> Option<&'a str> {
    launch.env.iter().find(|(found, _)| found == name).map(|(_, value)| value.expose())
}

/// The pool with our worker between others'.
fn listed(busy: bool, drained: bool) -> Reply {
    ok(&pool(
        5,
        &[
            worker("w0", true, false, &on("i-0")),
            worker("w1", busy, drained, &on("i-0abc")),
            worker("w2", true, false, &json!("{")),
        ],
    ))
}

fn unlisted() -> Reply {
    ok(&pool(0, &[worker("w0", false, false, &on("i-0abcd"))]))
}

fn drain_set(id: &str, busy: bool, drained: bool) -> Reply {
    ok(&json!({"data": {"workerDrainSet": {"id": id, "busy": busy, "drained": drained}}}))
}

fn drain_of(runner: &SpaceliftRunner) -> Call<Drained> {
    assert_eq!(runner.drain_rules().drain, DrainBy::Call);
    runner.drain_call(&host())
}

fn drain(replies: impl IntoIterator<Item = Reply>) -> (Result<Drained, ExchangeError>, Vec<Request>) {
    script(&mut *drain_of(&runner()), replies)
}

#[test]
fn the_launcher_gets_its_secrets_and_metadata_from_the_environment() {
    let env = BTreeMap::from([(read_as("SPACELIFT_LAUNCHER_RUN_TIMEOUT"), "30m".to_owned())]);
    let folded = SecretString::from("LS0tLS1CRUdJTiBS\nU0EgUFJJVkFURSBLRVktLS0tLQo=\n");
    let launch = SpaceliftRunner::new(
        SpaceliftRunnerSettings { env, ..settings() },
        PoolSecrets { private_key: folded, ..secrets() },
        None,
    )
    .expect("settings that can work");
    let launch = script(&mut *launch.register(&host()), []).0.expect("launched");
    assert_eq!(launch.argv, ["spacelift-launcher"]);
    assert!(launch.files.is_empty());
    for (name, value) in [
        ("SPACELIFT_TOKEN", TOKEN),
        ("SPACELIFT_POOL_PRIVATE_KEY", PRIVATE_KEY),
        ("SPACELIFT_METADATA_instance_id", "i-0abc"),
        ("SPACELIFT_METADATA_asg_id", "runners"),
        ("SPACELIFT_LAUNCHER_RUN_TIMEOUT", "30m"),
    ] {
        assert_eq!(variable(&launch, name), Some(value), "{name}");
    }
    for (name, value) in &launch.env {
        assert_eq!(matches!(value, Text::Plain(_)), name.starts_with("SPACELIFT_METADATA_"), "{name}");
    }
}

#[test]
fn a_worker_never_gets_a_name_that_metadata_could_not_tell() {
    for unknown in ["", " ", "null", "None"] {
        let error =
            register(settings(), &HostContext { instance_id: unknown.to_owned(), ..host() }).expect_err("no name");
        assert!(error.is_transient(), "it is asked again: {error}");
        let launch =
            register(settings(), &HostContext { group: Some(unknown.to_owned()), ..host() }).expect("launched");
        assert_eq!(variable(&launch, "SPACELIFT_METADATA_asg_id"), None);
    }
    let launch = register(settings(), &HostContext { group: None, ..host() }).expect("launched");
    assert_eq!(variable(&launch, "SPACELIFT_METADATA_asg_id"), None);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let env = refused::<VariableName>;
    let token = |token: &str| {
        SpaceliftRunner::new(settings(), PoolSecrets { token: token.into(), ..secrets() }, None).map(drop)
    };
    let private_key = |key: &str| {
        SpaceliftRunner::new(settings(), PoolSecrets { private_key: key.into(), ..secrets() }, None).map(drop)
    };
    for (found, part) in [
        (token(""), "SPACELIFT_TOKEN"),
        (token("{\"broker\":{}}"), "not base64"),
        (private_key("-----BEGIN RSA PRIVATE KEY-----"), "base64 -w0"),
        (private_key("\n"), "base64 -w0"),
        (env("SPACELIFT_TOKEN"), "set from the other settings"),
        (env("SPACELIFT_METADATA_instance_id"), "set from the other settings"),
        (env("A=B"), "no name of a variable"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    let error = register(settings(), &HostContext { slots: 4, ..host() }).expect_err("one run at a time");
    assert!(error.kind == ErrorKind::Refused && error.message.contains("set slots to 1"), "{error}");
}

#[test]
fn a_drained_worker_that_is_not_busy_is_the_proof() {
    let (result, requests) = drain([login(), listed(false, false), drain_set("w1", false, true)]);
    assert_eq!(result, Ok(Drained::Empty));
    assert_eq!(sent(&requests[2])["variables"], json!({"pool": POOL, "worker": "w1", "on": true}));
    assert!(
        sent(&requests[2])["query"]
            .as_str()
            .is_some_and(|query| query.contains("workerDrainSet") && !query.contains("availableAt"))
    );
    // The pool said quiet, but a run came in between: the answer to the drain tells.
    assert_eq!(drain([login(), listed(false, false), drain_set("w1", true, true)]).0, Ok(Drained::StillBusy));
    assert_eq!(
        drain([login(), listed(true, true), drain_set("w1", false, true)]).0,
        Ok(Drained::Empty),
        "and the other way round"
    );
}

#[test]
fn each_worker_of_this_machine_is_drained() {
    let two = || ok(&pool(0, &[worker("w1", false, false, &on("i-0abc")), worker("old", true, false, &on("i-0abc"))]));
    let (result, requests) = drain([login(), two(), drain_set("old", true, true), drain_set("w1", false, true)]);
    assert_eq!((result, requests.len()), (Ok(Drained::StillBusy), 4));
    assert_eq!(
        drain([login(), two(), drain_set("old", false, true), drain_set("w1", false, true)]).0,
        Ok(Drained::Empty)
    );
}

#[test]
fn without_the_proof_there_is_an_error() {
    let set = |answer: Value| ok(&json!({"data": {"workerDrainSet": answer}}));
    for (answer, kind, part) in [
        (set(Value::Null), ErrorKind::NotFound, "Worker Pool: Drain Worker"),
        (ok(&errors("not found")), ErrorKind::NotFound, "Worker Pool: Drain Worker"),
        (ok(&errors("you do not have permission")), ErrorKind::Forbidden, "Worker Pool: Drain Worker"),
        (set(json!({"id": "w1", "busy": false, "drained": false})), ErrorKind::Malformed, "otherwise"),
        (set(json!({"id": "w0", "busy": false, "drained": true})), ErrorKind::Malformed, "another worker"),
        (set(json!({"id": "w1", "drained": true})), ErrorKind::Malformed, "busy is missing"),
        (set(json!({"id": "w1", "busy": null, "drained": true})), ErrorKind::Malformed, "busy is null"),
        (ok(&json!({"data": {}})), ErrorKind::Malformed, "workerDrainSet is missing"),
        (ok(&json!({"data": null})), ErrorKind::Malformed, "data is null"),
        (reply(403, &[], ""), ErrorKind::Forbidden, "Worker Pool: Drain Worker"),
        (reply(500, &[], ""), ErrorKind::Server, "500"),
        (reply(200, &[], "<html>"), ErrorKind::Malformed, "a web page"),
    ] {
        let error = drain([login(), listed(false, false), answer]).0.expect_err(part);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    assert_eq!(
        drain([login(), ok(&json!({"data": {"workerPool": null}}))]).0.expect_err("no pool").kind,
        ErrorKind::NotFound
    );
}

#[test]
fn a_drain_whose_answer_was_lost_is_repeated_with_the_same_token() {
    let runner = runner();
    let mut call = drain_of(&runner);
    let mut step = call.start();
    for answer in [login(), listed(false, false)] {
        let ExchangeStep::Perform(_, _) = step else { panic!("asked") };
        step = call.resume(EffectId::default(), EffectResult::Http(Ok(answer)));
    }
    let ExchangeStep::Done(Err(_)) =
        call.resume(EffectId::default(), EffectResult::Http(Err(Unreachable::Broken("reset".to_owned()))))
    else {
        panic!("lost")
    };
    let (result, requests) = script(&mut *drain_of(&runner), [listed(false, true), drain_set("w1", false, true)]);
    assert_eq!((result, requests.len()), (Ok(Drained::Empty), 2));
}

#[test]
fn a_drain_is_taken_back() {
    let runner = runner();
    script(&mut *drain_of(&runner), [login(), listed(false, false), drain_set("w1", true, true)])
        .0
        .expect("refused by a run");
    let mut call = runner.undrain_call(&host());
    let (result, requests) = script(&mut *call, [listed(true, true), drain_set("w1", true, false)]);
    assert_eq!(
        (result, &sent(&requests[1])["variables"]),
        (Ok(()), &json!({"pool": POOL, "worker": "w1", "on": false}))
    );
    script(&mut *call, [listed(true, true), drain_set("w1", true, true)]).0.expect_err("it is still drained");
}

#[test]
fn what_the_platform_says_of_a_drain_is_the_answer_to_the_agent() {
    let runner = runner();
    let (answer, requests) =
        script(&mut *draining::drain(&runner, &host()), [login(), listed(true, false), drain_set("w1", true, true)]);
    assert_eq!((answer, requests.len()), (Ok(PlatformAnswer::Drained(Drained::StillBusy)), 3));
    let mut undrain = draining::undrain(&runner, &host());
    assert_eq!(script(&mut *undrain, [listed(true, true), drain_set("w1", true, false)]).0, Ok(PlatformAnswer::Done));
    let error =
        script(&mut *draining::drain(&runner, &host()), [unlisted()]).0.expect_err("it may be about to connect");
    assert_eq!(error.kind, ErrorKind::NoRunner);
}

#[test]
fn a_worker_that_is_not_in_the_pool_is_drained_by_a_signal_in_the_end() {
    let runner = runner();
    for first in std::iter::once(true).chain(std::iter::repeat_n(false, 59)) {
        let replies: Vec<_> = first.then(login).into_iter().chain([unlisted()]).collect();
        let error = script(&mut *drain_of(&runner), replies).0.expect_err("it may be about to connect");
        assert!(error.is_transient() && error.message.contains("i-0abc"), "{error}");
    }
    assert!(
        runner.drain_rules().drain == DrainBy::Signal(Signal::Term),
        "the launcher must not be waited for for ever"
    );
    assert_eq!(runner.drain_rules().undrain, UndrainBy::Relaunch);
    for mut call in [draining::drain(&runner, &host()), draining::undrain(&runner, &host())] {
        let (answer, requests) = script(&mut *call, []);
        assert_eq!((answer, requests.len()), (Ok(PlatformAnswer::BySignal(Signal::Term)), 0), "nobody is asked");
    }
    script(&mut *runner.register(&host()), []).0.expect("launched anew");
    assert_eq!(runner.drain_rules().drain, DrainBy::Call);
    for answers in
        [vec![unlisted()], vec![unlisted()], vec![listed(false, false), drain_set("w1", false, true)], vec![unlisted()]]
    {
        let _ = script(&mut *drain_of(&runner), answers);
    }
    assert_eq!(runner.drain_rules().drain, DrainBy::Call, "only misses in a row count");
}

#[test]
fn without_a_key_the_exit_is_the_proof() {
    let runner = SpaceliftRunner::new(settings(), secrets(), None).expect("settings that can work");
    assert_eq!(runner.platform(), "spacelift");
    assert_eq!(runner.drain_rules().drain, DrainBy::Signal(Signal::Term));
    assert_eq!(runner.drain_rules().undrain, UndrainBy::Relaunch);
    assert_eq!(runner.drain_rules().abort, Signal::Term);
    assert_eq!(script(&mut *runner.deregister(&host()), []).0, Ok(()));
    let probes = runner.probes(&host());
    let [Probe::Containers(Selection { labels, except, job_label: None })] = &probes[..] else {
        panic!("other probes")
    };
    assert!(labels.is_empty(), "any container is a run");
    assert_eq!(except[..], ["datadog"]);
}

fn busy_probe() -> Call<Activity> {
    let mut probes = runner().probes(&host());
    let (Some(Probe::Runner(call)), 1) = (probes.pop(), probes.len()) else { panic!("other probes") };
    call
}

fn seen(answer: Reply) -> Activity {
    script(&mut *busy_probe(), [login(), answer]).0.expect("a probe answers what it sees")
}

#[test]
fn our_workers_busy_is_a_probe() {
    assert_eq!(seen(listed(false, false)), Activity::Quiet);
    assert_eq!(seen(listed(true, false)), Activity::busy("worker:w1"));
    let odd = [
        json!(3),
        Value::Null,
        json!("[]"),
        json!("{\"instance_id\":3}"),
        json!("{\"instance_id\":\"\"}"),
        json!({"instance_id": "i-0abc"}),
    ];
    for metadata in odd {
        let activity = seen(ok(&pool(0, &[worker("w1", false, false, &metadata)])));
        assert!(matches!(activity, Activity::Unknown(why) if why.contains("no worker of the pool")), "{metadata}");
    }
    for answer in [
        unlisted(),
        reply(403, &[], ""),
        reply(502, &[], ""),
        ok(&errors("x")),
        ok(&json!({"data": {"workerPool": null}})),
    ] {
        assert!(matches!(seen(answer), Activity::Unknown(_)));
    }
    assert!(matches!(script(&mut *busy_probe(), [reply(401, &[], "")]).0, Ok(Activity::Unknown(_))));
    let mut probe = busy_probe();
    script(&mut *probe, [login(), listed(true, false)]).0.expect("busy");
    for _ in 1..15 {
        assert_eq!(script(&mut *probe, []).0, Ok(Activity::busy("worker:w1")), "busy is believed for a while");
    }
    assert_eq!(script(&mut *probe, [listed(false, false)]).0, Ok(Activity::Quiet));
    assert_eq!(script(&mut *probe, [listed(true, false)]).0, Ok(Activity::busy("worker:w1")), "quiet is not");
}

#[test]
fn secrets_are_never_shown() {
    let env = BTreeMap::from([(read_as("AWS_SECRET"), "hunter2".to_owned())]);
    let settings = SpaceliftRunnerSettings { env, ..settings() };
    let runner = open(settings.clone()).expect("settings that can work");
    let launch = register(settings.clone(), &host()).expect("launched");
    let (result, requests) = script(&mut *drain_of(&runner), [login(), ok(&errors(&format!("bad {JWT}")))]);
    let error = result.expect_err("refused");
    let text = format!("{settings:?} {runner:?} {launch:?} {requests:?} {error:?}");
    for secret in [TOKEN, PRIVATE_KEY, SECRET, JWT, "hunter2"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

const WORDS: &[&str] =
    &["data", "workerPool", "workerDrainSet", "pendingRuns", "workers", "busy", "drained", "id", "metadata", "errors"];

proptest! {
    #[test]
    fn arbitrary_answers_are_never_a_proof_and_never_quiet(
        status in prop_oneof![Just(200), any::<u16>()], bytes: Vec<u8>, value in any_json(WORDS), json: bool) {
        prop_assume!(status != 401);
        let answer = Reply { body: if json { value.to_string().into_bytes() } else { bytes }, ..reply(status, &[], "") };
        prop_assert!(drain([login(), answer.clone()]).0.is_err());
        prop_assert!(drain([login(), listed(false, false), answer.clone()]).0.is_err());
        prop_assert!(matches!(seen(answer), Activity::Unknown(_)));
    }

    #[test]
    fn a_drain_answer_with_anything_in_it_is_empty_only_as_it_says(inside in any_json(WORDS)) {
        let mut inside = inside;
        if let Some(object) = inside.as_object_mut() {
            object.insert("id".to_owned(), json!("w1"));
        }
        let answer = ok(&json!({"data": {"workerDrainSet": inside}}));
        let empty = inside["drained"] == true && inside["busy"] == false;
        prop_assert_eq!(drain([login(), listed(false, false), answer]).0 == Ok(Drained::Empty), empty, "{}", inside);
    }
}
