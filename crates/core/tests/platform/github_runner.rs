//! The runner on the instance: registration, drain, deregistration, and what it never does.

use std::{num::NonZeroU64, path::Path};

use lightsout_core::{
    exchange::{Call, EffectResult, ErrorKind, ExchangeError, Method, Reply, Request},
    platform::stackguardian::OrganizationName,
    platform::{
        DrainBy, Drained, Launch, Probe, RunnerPlatform, Signal, UndrainBy,
        github::{
            CLOUD, GitHubAuth, GitHubOwner, GitHubRegistration, GitHubRunner, GitHubRunnerSettings, Label,
            RepositoryName, RunnerProgram, base_url,
        },
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::exchange::{argv, body, complete, header, host, read_as, refused, reply, script, url};

const TOKEN: &str = "ghp_very-secret";
const BLOB: &str = "eyJ2ZXJ5IjoiI3NlY3JldCJ9";
const LIST: &str = "https://api.github.com/orgs/acme/actions/runners?name=i-0abc&per_page=100";

fn settings() -> GitHubRunnerSettings {
    GitHubRunnerSettings {
        url: url(CLOUD),
        owner: GitHubOwner::Organization(read_as("acme")),
        runner_group_id: NonZeroU64::new(3).unwrap(),
        scale_set: None,
        labels: ["linux", "Self-Hosted"].map(read_as).into(),
        work_folder: read_as("_work"),
        program: argv(&["/opt/actions-runner/run.sh"]).try_into().unwrap(),
    }
}

fn open(settings: GitHubRunnerSettings) -> Result<GitHubRunner, ExchangeError> {
    GitHubRunner::new(settings, GitHubRegistration::Api(GitHubAuth::Token(TOKEN.into())))
}

fn runner() -> GitHubRunner {
    open(settings()).expect("settings that can work")
}

fn jit(blob: &str) -> Result<GitHubRunner, ExchangeError> {
    GitHubRunner::new(settings(), GitHubRegistration::Jit(blob.into()))
}

fn ok(status: u16, body: &Value) -> Reply {
    reply(status, &[], &body.to_string())
}

fn configured(id: u64) -> Reply {
    ok(
        201,
        &json!({"runner": {"id": id, "name": "i-0abc", "os": "unknown", "status": "offline", "busy": false}, "encoded_jit_config": BLOB}),
    )
}

fn listed(runners: &[(u64, &str, &str, bool)]) -> Reply {
    let one = |(id, name, status, busy): &(u64, &str, &str, bool)| json!({"id": id, "name": name, "os": "linux", "status": status, "busy": busy});
    ok(200, &json!({"total_count": runners.len(), "runners": runners.iter().map(one).collect::<Vec<_>>()}))
}

fn empty(status: u16) -> Reply {
    reply(status, &[], "")
}

fn calls(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|request| format!("{} {}", request.method.as_str(), request.url.replace(CLOUD, ""))).collect()
}

fn register(settings: GitHubRunnerSettings, replies: Vec<Reply>) -> (Result<Launch, ExchangeError>, Vec<Request>) {
    script(&mut *open(settings).expect("settings that can work").register(&host()), replies)
}

fn drain_of(runner: &GitHubRunner) -> Call<Drained> {
    assert_eq!(runner.drain_rules().drain, DrainBy::Call, "a signal would cancel the job");
    runner.drain_call(&host())
}

fn drain(replies: Vec<Reply>) -> (Result<Drained, ExchangeError>, Vec<Request>) {
    script(&mut *drain_of(&runner()), replies)
}

#[test]
fn a_configuration_launches_the_runner_and_stays_out_of_the_arguments() {
    let (launch, requests) = register(settings(), vec![configured(23)]);
    let launch = launch.expect("registered");
    assert_eq!(calls(&requests), ["POST /orgs/acme/actions/runners/generate-jitconfig"]);
    assert_eq!(header(&requests[0], "authorization"), Some("Bearer ghp_very-secret"));
    let sent: Value = serde_json::from_str(body(&requests[0])).expect("JSON");
    assert_eq!(
        sent,
        json!({"name": "i-0abc", "runner_group_id": 3, "labels": ["self-hosted", "linux"], "work_folder": "_work"})
    );
    assert_eq!(launch.argv, ["/opt/actions-runner/run.sh"]);
    let env: Vec<_> = launch.env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let hook = "/var/lib/lightsout/runner/job-started.sh";
    assert_eq!(
        env,
        [
            ("ACTIONS_RUNNER_INPUT_JITCONFIG", BLOB),
            ("RUNNER_MANUALLY_TRAP_SIG", "1"),
            ("RUNNER_ALLOW_RUNASROOT", "1"),
            ("ACTIONS_RUNNER_HOOK_JOB_STARTED", hook)
        ]
    );
    assert_eq!((launch.files[0].path.as_path(), launch.files[0].mode), (Path::new(hook), 0o700));
    assert!(launch.files[0].contents.expose().contains("jobs='/var/lib/lightsout/runner/jobs'"));
    assert!(!format!("{launch:?}").contains(BLOB));
}

#[test]
fn a_program_that_changes_the_user_has_no_hook() {
    let program = argv(&["setpriv", "--reuid=runner", "/opt/actions-runner/run.sh"]);
    let settings = GitHubRunnerSettings { program: program.clone().try_into().unwrap(), ..settings() };
    let launch = register(settings.clone(), vec![configured(1)]).0.expect("registered");
    assert_eq!((launch.argv, launch.files.len()), (program.to_vec(), 0));
    assert!(!launch.env.iter().any(|(name, _)| name.contains("HOOK")));
    let probes = open(settings).expect("settings that can work").probes(&host());
    assert!(matches!(&probes[..], [Probe::Children(names)] if names[..] == ["Runner.Worker"]));
}

#[test]
fn a_leftover_of_this_instance_is_removed_once() {
    let taken = || ok(409, &json!({"message": "Already exists - A runner with the name already exists."}));
    let (launch, requests) = register(
        settings(),
        vec![
            taken(),
            listed(&[(4, "i-0ab", "offline", false), (5, "I-0ABC", "offline", false)]),
            empty(204),
            configured(6),
        ],
    );
    assert!(launch.is_ok());
    let post = "POST /orgs/acme/actions/runners/generate-jitconfig".to_owned();
    let list = LIST.replace(CLOUD, "GET ");
    assert_eq!(calls(&requests), [post.clone(), list, "DELETE /orgs/acme/actions/runners/5".to_owned(), post]);
    let again = vec![taken(), listed(&[(5, "i-0abc", "offline", false)]), empty(404), taken()];
    assert_eq!(register(settings(), again).0.expect_err("still taken").kind, ErrorKind::Refused);
    assert!(register(settings(), vec![taken(), listed(&[]), configured(6)]).0.is_ok(), "it went by itself");
}

#[test]
fn a_runner_that_is_busy_or_online_is_never_removed_for_its_name() {
    for (status, busy) in [("online", true), ("offline", true), ("online", false), ("a state of the future", false)] {
        let replies = vec![ok(409, &json!({})), listed(&[(5, "i-0abc", status, busy)])];
        let (result, requests) = register(settings(), replies);
        let error = result.expect_err("left alone");
        assert!(error.is_transient() && error.message.contains("ID 5"), "{error}");
        assert!(requests.iter().all(|request| request.method != Method::Delete));
    }
}

#[test]
fn a_registration_that_is_not_confirmed_does_not_launch() {
    let rights = [("x-accepted-github-permissions", "organization_self_hosted_runners=write")];
    for (answer, kind, part) in [
        (empty(401), ErrorKind::Unauthorized, "token is wrong"),
        (reply(403, &rights, "{}"), ErrorKind::Forbidden, "organization_self_hosted_runners=write"),
        (empty(403), ErrorKind::Forbidden, "organization_self_hosted_runners: write"),
        (empty(404), ErrorKind::NotFound, "runner group with the ID 3"),
        (empty(422), ErrorKind::Refused, "settings"),
        (
            reply(429, &[("retry-after", "5")], ""),
            ErrorKind::Throttled(Some(std::time::Duration::from_secs(5))),
            "too many",
        ),
        (empty(503), ErrorKind::Server, "503"),
        (ok(200, &json!({})), ErrorKind::Malformed, "not expected"),
        (reply(201, &[], "<html>"), ErrorKind::Malformed, "a web page"),
        (ok(201, &json!({"runner": {"id": 1}})), ErrorKind::Malformed, "encoded_jit_config is missing"),
        (ok(201, &json!({"runner": {"id": 1}, "encoded_jit_config": ""})), ErrorKind::Malformed, "empty"),
        (ok(201, &json!({"runner": {}, "encoded_jit_config": BLOB})), ErrorKind::Malformed, "runner.id is missing"),
        (ok(201, &json!({"runner": null, "encoded_jit_config": BLOB})), ErrorKind::Malformed, "runner is null"),
    ] {
        let error = register(settings(), vec![answer]).0.expect_err(part);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    let repository = GitHubRunnerSettings {
        owner: GitHubOwner::Repository(read_as("acme/app")),
        runner_group_id: NonZeroU64::new(1).unwrap(),
        ..settings()
    };
    let (result, requests) = register(repository, vec![empty(403)]);
    assert!(result.expect_err("forbidden").message.contains("administration: write"));
    assert_eq!(calls(&requests), ["POST /repos/acme/app/actions/runners/generate-jitconfig"]);
}

#[test]
fn the_drain_is_a_removal_that_github_proves_or_refuses() {
    let mine = || listed(&[(5, "i-0abc", "online", true)]);
    let busy = || ok(422, &json!({"message": "Bad request - Runner \"i-0abc\" is still running a job"}));
    let (result, requests) = drain(vec![mine(), empty(204)]);
    assert_eq!(result, Ok(Drained::Empty));
    assert_eq!(calls(&requests), [LIST.replace(CLOUD, "GET "), "DELETE /orgs/acme/actions/runners/5".to_owned()]);
    assert_eq!(drain(vec![mine(), busy()]).0, Ok(Drained::Refused));
    assert_eq!(drain(vec![listed(&[])]).0, Ok(Drained::Empty), "it has removed itself");
    assert_eq!(drain(vec![listed(&[(4, "i-0abcd", "online", true)])]).0, Ok(Drained::Empty), "another's is not ours");
    assert_eq!(runner().drain_rules().abort, Signal::Int);
    assert_eq!(runner().drain_rules().undrain, UndrainBy::Relaunch);
}

#[test]
fn what_was_registered_here_is_removed_by_its_number_and_a_lost_answer_is_repeated() {
    let runner = runner();
    script(&mut *runner.register(&host()), [configured(23)]).0.expect("registered");
    let mut call = drain_of(&runner);
    // The answer is lost; GitHub has removed it.
    complete(&mut *call, |_| {
        EffectResult::Http(Err(lightsout_core::exchange::Unreachable::Broken("reset".to_owned())))
    })
    .expect_err("lost");
    let (result, requests) = script(&mut *call, [empty(404), listed(&[])]);
    assert_eq!(result, Ok(Drained::Empty));
    assert_eq!(calls(&requests)[0], "DELETE /orgs/acme/actions/runners/23");
}

#[test]
fn a_404_alone_is_no_proof() {
    // GitHub says 404 also to a token that has lost its rights.
    let runner = runner();
    script(&mut *runner.register(&host()), [configured(23)]).0.expect("registered");
    let (result, _) = script(&mut *drain_of(&runner), [empty(404), empty(404)]);
    assert_eq!(result.expect_err("no proof").kind, ErrorKind::NotFound);
    let (result, _) = script(&mut *drain_of(&runner), [empty(404), listed(&[(23, "i-0abc", "online", true)])]);
    assert_eq!(result.expect_err("no proof").kind, ErrorKind::Malformed);
}

#[test]
fn only_this_instances_registration_is_removed() {
    let deregister = |replies: Vec<Reply>| script(&mut *runner().deregister(&host()), replies).0;
    let mine = || listed(&[(5, "i-0abc", "offline", false)]);
    assert_eq!(deregister(vec![mine(), empty(204)]), Ok(()));
    assert_eq!(deregister(vec![mine(), empty(404), listed(&[])]), Ok(()));
    assert_eq!(deregister(vec![listed(&[])]), Ok(()));
    for (status, kind) in [
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Forbidden),
        (422, ErrorKind::Refused),
        (500, ErrorKind::Server),
    ] {
        assert_eq!(deregister(vec![mine(), empty(status)]).expect_err("not removed").kind, kind, "{status}");
        if status != 422 {
            assert_eq!(deregister(vec![empty(status)]).expect_err("not found out").kind, kind, "{status}");
        }
    }
}

#[test]
fn a_ready_configuration_needs_no_call_and_proves_nothing() {
    let runner = jit(BLOB).expect("a ready configuration");
    let launch = script(&mut *runner.register(&host()), []).0.expect("launched");
    assert_eq!(launch.env[0].1.expose(), BLOB);
    let error = script(&mut *drain_of(&runner), []).0.expect_err("no right");
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("jobs_per_instance = 1"), "{error}");
    assert_eq!(script(&mut *runner.deregister(&host()), []).0, Ok(()));
}

#[test]
fn a_job_is_seen_by_its_process_and_by_its_mark() {
    let probes = runner().probes(&host());
    let [Probe::Children(names), Probe::Files { folder }] = &probes[..] else { panic!("other probes") };
    assert_eq!(
        (names[..].to_vec(), folder.to_str()),
        (vec!["Runner.Worker".to_owned()], Some("/var/lib/lightsout/runner/jobs"))
    );
}

#[test]
fn settings_that_cannot_work_are_refused_before_any_call() {
    for (found, part) in [
        (base_url("https://github.com").map(drop).map_err(ExchangeError::from), "not of the API"),
        (jit("not base64!").map(drop), "encoded_jit_config"),
        (jit("").map(drop), "encoded_jit_config"),
        (refused::<OrganizationName>(""), "organization"),
        (refused::<RepositoryName>("acme"), "OWNER/REPO"),
        (refused::<Label>(" "), "GitHub label"),
        (RunnerProgram::try_from(argv(&["run.sh"])).map(drop).map_err(ExchangeError::from), "absolute path"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    open(settings()).expect("settings that can work");
}

#[test]
fn secrets_are_never_shown() {
    for runner in [runner(), jit(BLOB).expect("a ready configuration")] {
        let debug = format!("{runner:?} {:?}", runner.registration(&host())(None).start());
        assert!(!debug.contains(TOKEN) && !debug.contains(BLOB), "{debug}");
    }
    let echo = register(settings(), vec![ok(403, &json!({"message": format!("bad {TOKEN}")}))]).0.expect_err("refused");
    assert!(!format!("{echo:?}").contains(TOKEN));
}

proptest! {
    /// Whatever a server says: no configuration and no proof comes of anything but the answers that mean it.
    #[test]
    fn arbitrary_answers_never_launch_and_never_prove(status: u16, bytes: Vec<u8>) {
        let answer = || Reply { status, body: bytes.clone(), ..empty(200) };
        let mut call = runner().register(&host());
        prop_assert!(complete(&mut *call, |_| EffectResult::Http(Ok(answer()))).is_err());
        let mut call = drain_of(&runner());
        prop_assert!(complete(&mut *call, |_| EffectResult::Http(Ok(answer()))).is_err());
    }

    /// Only a 204 or a list without the name is a proof; only our own number is ever deleted.
    #[test]
    fn only_the_own_number_is_deleted(statuses in prop::collection::vec(prop_oneof![Just(204u16), Just(404), Just(422), any::<u16>()], 1..4), id in 1u64..9) {
        let mut statuses = statuses.into_iter();
        let mut deleted = Vec::new();
        let mut proof = false;
        let result = complete(&mut *drain_of(&runner()), |request| {
            if request.method == Method::Delete {
                deleted.push(request.url.clone());
                let status = statuses.next().unwrap_or(500);
                proof |= status == 204;
                return EffectResult::Http(Ok(empty(status)));
            }
            EffectResult::Http(Ok(listed(&[(id + 1, "i-0abd", "offline", false), (id, "i-0abc", "online", false)])))
        });
        prop_assert_eq!(matches!(result, Ok(Drained::Empty)), proof);
        prop_assert!(deleted.iter().all(|url| url.ends_with(&format!("/{id}"))), "{:?}", deleted);
    }
}
