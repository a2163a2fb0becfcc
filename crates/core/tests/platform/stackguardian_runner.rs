//! The StackGuardian runner of one machine.

mod draining;

use lightsout_core::{
    exchange::{Call, Effect, EffectId, EffectResult, ErrorKind, ExchangeError, ExchangeStep, Reply, Request, Text},
    platform::{
        Drained, Launch, RunnerPlatform,
        stackguardian::{
            OrganizationName, RunnerGroupName, StackGuardianRunner, StackGuardianRunnerSettings, base_url,
            introspection_url,
        },
    },
    settings::{BaseUrl, Problem, WholeSeconds},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    exchange::{body, header, host, output, read_as, refused, reply, url},
    stackguardian_queue::{KEY, URL, group, instance},
    wild::any_json,
};

const TOKEN: &str = "node-token-very-secret";
const STATUS: &str =
    "https://api.app.stackguardian.io/api/v1/orgs/demo-org/runnergroups/private-runners/runner_status/";
const GONE: &str = "https://api.app.stackguardian.io/api/v1/orgs/demo-org/runnergroups/private-runners/deregister/";

pub(crate) fn settings() -> StackGuardianRunnerSettings {
    StackGuardianRunnerSettings {
        url: url(URL),
        organization: read_as("demo-org"),
        runner_group: read_as("private-runners"),
        program: read_as("sg-runner"),
        register_timeout: WholeSeconds::of(300),
        introspection: Some(url("http://localhost:51678")),
    }
}

pub(crate) fn runner() -> StackGuardianRunner {
    open(settings())
}

pub(crate) fn open(settings: StackGuardianRunnerSettings) -> StackGuardianRunner {
    StackGuardianRunner::new(settings, TOKEN.into(), Some(KEY.into())).expect("settings that can work")
}

const ATTRIBUTES: &str =
    r#"ECS_INSTANCE_ATTRIBUTES={"sg_organization": "demo-org","sg_runner_id": "r-1", "sg_runner_group_id": "rg-1"}"#;

/// The journal of a machine that serves.
pub(crate) fn registered() -> String {
    format!("begin i-0abc\n{ATTRIBUTES}\nregistered\n")
}

/// Holds the whole exchange: the journal holds `journal`, then these replies come in turn.
pub(crate) fn play<T>(
    call: &mut Call<T>,
    journal: &str,
    replies: impl IntoIterator<Item = Reply>,
) -> (Result<T, ExchangeError>, Vec<Request>) {
    let mut requests = Vec::new();
    let mut replies = replies.into_iter();
    let mut step = call.start();
    loop {
        let result = match step {
            ExchangeStep::Done(result) => {
                assert_eq!(replies.next(), None, "more should have been asked than {requests:#?}");
                return (result, requests);
            }
            ExchangeStep::Perform(_, Effect::Program(program)) => {
                assert_eq!(program.argv[4], "/var/lib/lightsout/runner/registration");
                EffectResult::Program(Ok(output(0, journal, "")))
            }
            ExchangeStep::Perform(_, Effect::Http(request)) => {
                requests.push(request);
                EffectResult::Http(Ok(replies
                    .next()
                    .unwrap_or_else(|| panic!("nothing was to be asked after {requests:#?}"))))
            }
            ExchangeStep::Wait => panic!("it waits for nothing"),
            ExchangeStep::Perform(_, other @ (Effect::Clock | Effect::Sign(_))) => panic!("{other:?} was asked"),
        };
        step = call.resume(EffectId::default(), result);
    }
}

pub(crate) fn ok(body: &Value) -> Reply {
    reply(200, &[], &body.to_string())
}

pub(crate) fn done() -> Reply {
    ok(&json!({"msg": "done"}))
}

/// The group with us in it, between others.
pub(crate) fn listed(status: &str, running: u32, pending: u32) -> Reply {
    ok(&group(
        9,
        &[instance("r-10", "ACTIVE", 5, 5), instance("r-1", status, running, pending), instance("r-2", "ACTIVE", 7, 0)],
    ))
}

pub(crate) fn unlisted() -> Reply {
    ok(&group(0, &[instance("r-10", "ACTIVE", 0, 0)]))
}

fn drain(replies: impl IntoIterator<Item = Reply>) -> (Result<Drained, ExchangeError>, Vec<Request>) {
    let mut call = runner().drain_call(&host());
    play(&mut call, &registered(), replies)
}

fn register(journal: &str, replies: impl IntoIterator<Item = Reply>) -> (Result<Launch, ExchangeError>, Vec<Request>) {
    play(&mut runner().register(&host()), journal, replies)
}

/// Holds all of a launch that registers the machine, whatever came before it.
fn assert_registers(launch: &Launch) {
    let dir = "/var/lib/lightsout/runner";
    let [script, token] = [format!("{dir}/supervisor.sh"), format!("{dir}/token")];
    let argv = [
        "/bin/sh",
        &script,
        "register",
        &format!("{dir}/registration"),
        "i-0abc",
        "sg-runner",
        "demo-org",
        "private-runners",
        "300",
        &token,
    ];
    assert_eq!(launch.argv, argv);
    assert_serves(launch);
    let [(_, 0o600), (at, 0o600)] = &files(launch)[..] else { panic!("{:?}", launch.files) };
    let contents = &launch.files[1].contents;
    assert!(*at == token && matches!(contents, Text::Secret(_)) && contents.expose() == TOKEN, "{:?}", launch.files);
}

/// Holds all of a launch of a machine that is registered.
fn assert_adopts(launch: &Launch) {
    let dir = "/var/lib/lightsout/runner";
    let (script, journal) = (format!("{dir}/supervisor.sh"), format!("{dir}/registration"));
    let argv = ["/bin/sh", &script, "adopt", &journal, "i-0abc", "sg-runner", "demo-org", "private-runners", "300"];
    assert_eq!(launch.argv, argv);
    assert_serves(launch);
    assert_eq!(launch.files.len(), 1, "it registers nothing, and needs no token");
}

/// What every launch has: where StackGuardian is, and the script.
fn assert_serves(launch: &Launch) {
    let [(base, Text::Plain(url))] = &launch.env[..] else { panic!("{:?}", launch.env) };
    assert_eq!((base.as_str(), url.as_str()), ("SG_BASE_API", "https://api.app.stackguardian.io/api/v1"));
    assert_eq!(files(launch)[0], ("/var/lib/lightsout/runner/supervisor.sh".to_owned(), 0o600));
    assert!(launch.files[0].contents.expose().starts_with("#!/bin/sh\n"));
}

fn files(launch: &Launch) -> Vec<(String, u32)> {
    launch.files.iter().map(|file| (file.path.display().to_string(), file.mode)).collect()
}

#[test]
fn a_fresh_machine_is_launched_with_the_token_in_a_file_only() {
    let (launch, requests) = register("", []);
    assert!(requests.is_empty());
    assert_registers(&launch.expect("launched"));
}

#[test]
fn a_registered_machine_is_adopted_and_not_registered_again() {
    let (launch, requests) = register(&registered(), []);
    assert!(requests.is_empty());
    assert_adopts(&launch.expect("launched"));
    // The image was made of another machine that was registered: its id is not ours.
    let image = registered().replace("i-0abc", "i-0other");
    let (launch, requests) = register(&image, []);
    assert!(requests.is_empty());
    assert_registers(&launch.expect("launched"));
}

#[test]
fn what_an_ended_registration_left_behind_is_removed_first() {
    for end in ["gone", "failed sg-runner register ended with status 1", ""] {
        let journal = format!("begin i-0abc\n{ATTRIBUTES}\n{end}\n");
        for answer in [done(), reply(404, &[], ""), reply(400, &[], "")] {
            let (launch, requests) = register(&journal, [answer]);
            assert_registers(&launch.expect("launched"));
            assert_eq!((requests[0].url.as_str(), body(&requests[0])), (GONE, "RunnerId=r-1"));
        }
        assert_eq!(register(&journal, [reply(503, &[], "")]).0.expect_err("not known").kind, ErrorKind::Server);
        assert_eq!(register(&journal, [reply(401, &[], "")]).0.expect_err("refused").kind, ErrorKind::Unauthorized);
    }
}

#[test]
fn three_failures_in_a_row_are_the_end() {
    let failure = "begin i-0abc\nfailed sg-runner register ended with status 1\n";
    assert_registers(&register(&failure.repeat(2), []).0.expect("once more"));
    let error = register(&failure.repeat(3), []).0.expect_err("the end");
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("3 times") && error.message.contains("ended with status 1"), "{error}");
    let success = format!("{}{}gone\n{failure}", failure.repeat(2), registered());
    assert!(register(&success, []).0.is_ok(), "a success begins the count anew");
    let other = failure.repeat(3).replace("i-0abc", "i-0other");
    assert!(register(&other, []).0.is_ok(), "another instance's failures do not count");
}

#[test]
fn an_unreadable_journal_is_an_error_and_not_an_absent_one() {
    for result in [
        EffectResult::Program(Ok(output(1, "", "Permission denied"))),
        EffectResult::Program(Ok(output(None, "", ""))),
        EffectResult::Program(Err("no such program".to_owned())),
        EffectResult::Http(Ok(reply(200, &[], ""))),
    ] {
        let mut call = runner().deregister(&host());
        let ExchangeStep::Perform(_, _) = call.start() else { panic!("the journal") };
        let ExchangeStep::Done(Err(error)) = call.resume(EffectId::default(), result) else {
            panic!("taken as absent")
        };
        assert_eq!(error.kind, ErrorKind::Malformed);
    }
}

#[test]
fn without_an_api_key_the_groups_token_is_tried_and_its_refusal_says_so() {
    let runner = StackGuardianRunner::new(settings(), TOKEN.into(), None).expect("settings that can work");
    let mut call = runner.drain_call(&host());
    let (result, requests) = play(&mut call, &registered(), [reply(403, &[], "")]);
    assert_eq!(header(&requests[0], "authorization"), Some(format!("apikey {TOKEN}").as_str()));
    let error = result.expect_err("refused");
    assert!(error.kind == ErrorKind::Forbidden && error.message.contains("sgo_...) as api_key"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused_before_any_call() {
    let with = |settings| StackGuardianRunner::new(settings, TOKEN.into(), None).map(drop);
    let token = |token: &str| StackGuardianRunner::new(settings(), token.into(), None).map(drop);
    let key = |key: &str| StackGuardianRunner::new(settings(), TOKEN.into(), Some(key.into())).map(drop);
    let url = |url: Result<BaseUrl, Problem>| url.map(drop).map_err(ExchangeError::from);
    for (found, part) in [
        (url(base_url("https://app.stackguardian.io")), "api.app.stackguardian.io"),
        (token(""), "--sg-node-token"),
        (token("a b"), "--sg-node-token"),
        (key("x"), "sgu_"),
        (refused::<OrganizationName>(""), "organization"),
        (refused::<RunnerGroupName>("a/b"), "runner group"),
        (url(introspection_url("localhost")), "http://localhost:51678"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    assert_eq!(with(settings()), Ok(()));
}

#[test]
fn the_token_and_the_key_are_never_shown() {
    let launch = register("", []).0.expect("launched");
    let echo = format!(r#"{{"msg":"bad key {KEY}"}}"#);
    let (result, requests) = drain([reply(403, &[], &echo)]);
    let error = result.expect_err("refused");
    for text in [format!("{:?} {:?} {launch:?}", settings(), runner()), format!("{requests:?} {error} {error:?}")] {
        assert!(!text.contains(TOKEN) && !text.contains(KEY), "{text}");
    }
    assert!(!launch.argv.join(" ").contains(TOKEN));
    assert!(!launch.files[0].contents.expose().contains(TOKEN));
}

const WORDS: &[&str] = &["msg", "ContainerInstances", "runningTasksCount", "pendingTasksCount", "runnerId", "status"];

proptest! {
    #[test]
    fn arbitrary_answers_are_never_a_proof(status in prop_oneof![Just(200), any::<u16>()], bytes: Vec<u8>, value in any_json(WORDS), json: bool) {
        let answer = Reply { body: if json { value.to_string().into_bytes() } else { bytes }, ..reply(status, &[], "") };
        let first = drain_with(|at| if at == 0 { done() } else { answer.clone() });
        prop_assert!(first != Ok(Drained::Empty) && first != Ok(Drained::StillBusy), "{answer:?}");
        let always = drain_with(|_| answer.clone());
        prop_assert!(always != Ok(Drained::Empty) && always != Ok(Drained::StillBusy), "{answer:?}");
    }

    #[test]
    fn a_member_with_anything_in_it_is_empty_only_with_two_zeros(one in any_json(WORDS), status in prop::sample::select(vec!["ACTIVE", "DRAINING", "x"])) {
        let mut one = one;
        if let Some(object) = one.as_object_mut() {
            object.insert("runnerId".to_owned(), json!("r-1"));
            object.insert("status".to_owned(), json!(status));
        }
        let answer = ok(&group(0, &[one.clone()]));
        let zeros = one["runningTasksCount"] == 0 && one["pendingTasksCount"] == 0;
        let drained = drain_with(|at| if at == 0 { done() } else { answer.clone() });
        prop_assert_eq!(drained == Ok(Drained::Empty), zeros && status == "DRAINING", "{}", one);
    }

    #[test]
    fn an_arbitrary_journal_never_panics_and_never_sends_a_blank_id(text in "(begin i-0abc\n)?(.{0,60}\n){0,4}(ECS_INSTANCE_ATTRIBUTES=\\{\"sg_runner_id\": ?\".{0,5}\"\\}\n)?") {
        let ExchangeStep::Perform(_, Effect::Program(_)) = runner().deregister(&host()).start() else { panic!("the journal") };
        let mut call = runner().deregister(&host());
        let _ = call.start();
        if let ExchangeStep::Perform(_, Effect::Http(request)) = call.resume(EffectId::default(), EffectResult::Program(Ok(output(0, &text, "")))) {
            let id = body(&request).strip_prefix("RunnerId=").expect("an id");
            prop_assert!(!id.is_empty() && id != "null" && !id.contains('%'), "{}", id);
        }
    }
}

/// A drain with as many replies as it asks for.
fn drain_with(server: impl Fn(usize) -> Reply) -> Result<Drained, ExchangeError> {
    let mut call = runner().drain_call(&host());
    let (mut step, mut at) = (call.start(), 0);
    loop {
        step = match step {
            ExchangeStep::Done(result) => return result,
            ExchangeStep::Perform(_, Effect::Program(_)) => {
                call.resume(EffectId::default(), EffectResult::Program(Ok(output(0, &registered(), ""))))
            }
            ExchangeStep::Perform(_, Effect::Http(_)) => {
                at += 1;
                assert!(at < 10, "the conversation does not end");
                call.resume(EffectId::default(), EffectResult::Http(Ok(server(at - 1))))
            }
            ExchangeStep::Wait => panic!("it waits for nothing"),
            ExchangeStep::Perform(_, other @ (Effect::Clock | Effect::Sign(_))) => panic!("{other:?} was asked"),
        };
    }
}
