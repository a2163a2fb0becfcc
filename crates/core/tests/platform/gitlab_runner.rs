//! The GitLab runner of one machine.

use lightsout_core::{
    exchange::{ErrorKind, ExchangeError, Method, Reply, Request, Text},
    platform::{
        Config, DrainBy, HostContext, Launch, Probe, RunnerConfig, RunnerPlatform, Selection, Signal, UndrainBy,
        gitlab::{Executor, Extra, GitLabRunner, GitLabRunnerSettings, base_url, system_id},
    },
    settings::WholeSeconds,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use toml::Table;

use crate::exchange::{body, host, read_as, refused, reply, script, url};

const TOKEN: &str = "glrt-very-secret";
const OURS: &str = "r_6b9f8adbef4e";

fn settings() -> GitLabRunnerSettings {
    GitLabRunnerSettings {
        url: url("https://gitlab.example.com/"),
        program: read_as("gitlab-runner"),
        executor: Executor::Docker,
        image: read_as("debian:12"),
        extra: Extra::default(),
        check_interval: WholeSeconds::of(3),
    }
}

fn verified() -> Reply {
    reply(200, &[], r#"{"id":9171,"token":"glrt-very-secret","token_expires_at":null}"#)
}

fn register(
    settings: GitLabRunnerSettings,
    host: &HostContext,
    replies: Vec<Reply>,
) -> (Result<Launch, ExchangeError>, Vec<Request>) {
    script(&mut *open(settings).register(host), replies)
}

fn open(settings: GitLabRunnerSettings) -> GitLabRunner {
    GitLabRunner::new(settings, TOKEN.into()).expect("settings that can work")
}

fn deregister(replies: impl IntoIterator<Item = Reply>) -> (Result<(), ExchangeError>, Vec<Request>) {
    script(&mut *open(settings()).deregister(&host()), replies)
}

fn config(launch: &Launch) -> Table {
    launch.files[0].contents.expose().parse().expect("TOML")
}

#[test]
fn the_system_id_is_one_that_gitlab_runner_keeps() {
    assert_eq!(system_id("i-0abc"), OURS);
    assert_ne!(system_id("i-0abc"), system_id("i-0abd"));
    // common/system_id_state.go: ^[sr]_[0-9a-zA-Z]{12}$
    for id in ["", "i-0123456789abcdef0", "ü", &"x".repeat(1000)] {
        let system_id = system_id(id);
        let digits = system_id.strip_prefix("r_").expect("the prefix of an id that is not the machine's own");
        assert!(digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{system_id}");
    }
}

#[test]
fn registering_verifies_the_token_and_writes_two_files() {
    let (launch, requests) = register(settings(), &host(), vec![verified()]);
    let launch = launch.expect("registered");
    assert_eq!(
        (requests[0].method, requests[0].url.as_str()),
        (Method::Post, "https://gitlab.example.com/api/v4/runners/verify")
    );
    let sent: Value = serde_json::from_str(body(&requests[0])).expect("JSON");
    assert_eq!(sent, json!({"token": TOKEN, "system_id": OURS}));

    let dir = "/var/lib/lightsout/runner";
    let config_path = format!("{dir}/config.toml");
    assert_eq!(launch.argv, ["gitlab-runner", "run", "--config", &config_path, "--working-directory", dir]);
    let files: Vec<_> = launch.files.iter().map(|file| (file.path.to_str().expect("UTF-8"), file.mode)).collect();
    assert_eq!(files, [(config_path.as_str(), 0o600), (&format!("{dir}/.runner_system_id"), 0o600)]);
    assert_eq!(launch.files[1].contents.expose(), OURS);
    assert!(matches!(launch.files[0].contents, Text::Secret(_)));

    let expected = r#"
        concurrent = 4
        check_interval = 3
        shutdown_timeout = 20
        listen_address = "127.0.0.1:9252"
        [[runners]]
        name = "i-0abc"
        url = "https://gitlab.example.com"
        id = 9171
        token = "glrt-very-secret"
        executor = "docker"
        request_concurrency = 4
        unhealthy_requests_limit = 1000000
        [runners.docker]
        image = "debian:12"
    "#;
    assert_eq!(config(&launch), expected.parse::<Table>().expect("TOML"));
}

#[test]
fn it_is_quiesced_by_a_configuration_without_entries() {
    let config = Config { settings: settings(), secrets: Vec::new() };
    assert!(config.drain_rules().quiesce, "SIGQUIT cancels a request that is on its way");
    let quiesce = config.quiesce(&host()).expect("how");
    assert_eq!(quiesce.signal, Signal::Hup);
    let [file] = &quiesce.files[..] else { panic!("{:?}", quiesce.files) };
    assert_eq!((file.path.to_str(), file.mode), (Some("/var/lib/lightsout/runner/config.toml"), 0o600));
    let expected = "concurrent = 4\ncheck_interval = 3\nshutdown_timeout = 20\nlisten_address = \"127.0.0.1:9252\"\n";
    assert_eq!(file.contents.expose().parse::<Table>(), expected.parse(), "the rest stays, for the jobs that it has");
}

#[test]
fn without_metrics_no_port_is_opened_and_a_shell_has_no_image() {
    let host = HostContext { metrics: None, slots: 0, ..host() };
    let settings =
        GitLabRunnerSettings { executor: Executor::Shell, check_interval: WholeSeconds::of(10), ..settings() };
    let config = config(&register(settings, &host, vec![verified()]).0.expect("registered"));
    assert!(!config.contains_key("listen_address"));
    assert_eq!(config["concurrent"].as_integer(), Some(1), "0 would mean no job at all");
    assert_eq!(config["check_interval"].as_integer(), Some(10));
    assert!(config["runners"][0].get("docker").is_none());
}

#[test]
fn extra_toml_is_merged_into_the_entry() {
    for tables in ["[docker]", "[runners.docker]"] {
        let extra = format!("limit = 2\n{tables}\npull_policy = \"if-not-present\"\nimage = \"mine\"\n");
        let settings = GitLabRunnerSettings { extra: read_as(&extra), ..settings() };
        let config = config(&register(settings, &host(), vec![verified()]).0.expect("registered"));
        let entry = &config["runners"][0];
        assert_eq!(entry["limit"].as_integer(), Some(2));
        let docker: Table = "image = \"mine\"\npull_policy = \"if-not-present\"".parse().expect("TOML");
        assert_eq!(entry["docker"].as_table(), Some(&docker));
        assert_eq!(entry["token"].as_str(), Some(TOKEN));
    }
}

#[test]
fn settings_that_cannot_work_are_refused_before_any_call() {
    let token = |token: &str| GitLabRunner::new(settings(), token.into()).map(drop);
    let extra = refused::<Extra>;
    for (found, part) in [
        (token("GR1348941abc"), "glrt-"),
        (token(""), "glrt-"),
        (token("glrt-x\n"), "line break"),
        (base_url("gitlab.example.com").map(drop).map_err(ExchangeError::from), "https://"),
        (extra("limit = 1\nsecret_key = hunter2"), "line 2"),
        (extra("token = \"glrt-other\""), "token"),
        (extra("[runners]\nurl = \"x\""), "url"),
        (extra("[[runners]]\nname = \"x\""), "[[runners]]"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part) && !error.message.contains("hunter2"), "{error} lacks {part}");
    }
    GitLabRunner::new(settings(), TOKEN.into()).expect("settings that can work");
}

#[test]
fn a_registration_that_is_not_confirmed_does_not_launch() {
    let ok = |body: &str| reply(200, &[], body);
    for (answer, kind, part) in [
        (reply(403, &[], r#"{"message":"403 Forbidden"}"#), ErrorKind::Unauthorized, "Settings > CI/CD > Runners"),
        (reply(401, &[], ""), ErrorKind::Unauthorized, "runner token is not valid"),
        (reply(404, &[], ""), ErrorKind::NotFound, "check the url"),
        (reply(410, &[], ""), ErrorKind::Refused, "switched off"),
        (reply(422, &[], r#"{"message":"422 Runner is orphaned"}"#), ErrorKind::Refused, "Runner is orphaned"),
        (
            reply(429, &[("retry-after", "5")], ""),
            ErrorKind::Throttled(Some(std::time::Duration::from_secs(5))),
            "too many",
        ),
        (reply(500, &[], ""), ErrorKind::Server, "500"),
        (reply(503, &[], "<html>"), ErrorKind::Server, "a web page"),
        (reply(201, &[], "{}"), ErrorKind::Malformed, "not expected"),
        (ok("<html>Sign in</html>"), ErrorKind::Malformed, "a web page"),
        (ok(""), ErrorKind::Malformed, "not JSON"),
        (ok("null"), ErrorKind::Malformed, "expected an object"),
        (ok("{}"), ErrorKind::Malformed, "id is missing"),
        (ok(r#"{"id":"9"}"#), ErrorKind::Malformed, "id is a text"),
        (ok(r#"{"id":9"#), ErrorKind::Malformed, "not JSON"),
    ] {
        let error = register(settings(), &host(), vec![answer]).0.expect_err(part);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
}

#[test]
fn the_runner_drains_by_quit_and_proves_it_by_its_exit() {
    let runner = open(settings());
    assert_eq!(runner.platform(), "gitlab");
    assert_eq!(runner.drain_rules().drain, DrainBy::Signal(Signal::Quit));
    assert_eq!(runner.drain_rules().undrain, UndrainBy::Relaunch);
    assert_eq!(runner.drain_rules().abort, Signal::Term);
}

#[test]
fn only_this_machines_manager_is_removed() {
    for (gone, replies) in [("removed", vec![reply(204, &[], "")]), ("was gone", vec![reply(404, &[], "")])] {
        let (result, requests) = deregister(replies);
        assert_eq!(result, Ok(()), "{gone}");
        assert_eq!(requests[0].method, Method::Delete);
        assert_eq!(requests[0].url, "https://gitlab.example.com/api/v4/runners/managers");
        let sent: Value = serde_json::from_str(body(&requests[0])).expect("JSON");
        assert_eq!(sent, json!({"token": TOKEN, "system_id": OURS}));
    }
}

#[test]
fn a_forbidden_removal_is_success_only_when_the_token_is_good() {
    let forbidden = || reply(403, &[], r#"{"message":"403 Forbidden"}"#);
    for last in [reply(204, &[], ""), reply(404, &[], ""), forbidden()] {
        let (result, requests) = deregister([forbidden(), verified(), last]);
        assert_eq!(result, Ok(()));
        assert!(requests[1].url.ends_with("/runners/verify"));
        assert!(requests[2].url.ends_with("/runners/managers"), "verifying creates the manager again");
    }
    for (answer, kind) in [
        (forbidden(), ErrorKind::Unauthorized),
        (reply(200, &[], "<html>"), ErrorKind::Malformed),
        (reply(502, &[], ""), ErrorKind::Server),
    ] {
        assert_eq!(deregister([forbidden(), answer]).0.expect_err("not removed").kind, kind);
    }
    assert_eq!(
        deregister([forbidden(), verified(), reply(500, &[], "")]).0.expect_err("not removed").kind,
        ErrorKind::Server
    );
}

#[test]
fn a_removal_can_be_begun_anew_in_the_middle() {
    let mut call = open(settings()).deregister(&host());
    script(&mut *call, [reply(403, &[], ""), reply(502, &[], "")]).0.expect_err("the token is not known to be good");
    let (result, requests) = script(&mut *call, [reply(204, &[], "")]);
    assert_eq!((result, requests[0].method), (Ok(()), Method::Delete));
}

#[test]
fn other_answers_to_a_removal_are_errors() {
    for (status, kind) in [
        (200, ErrorKind::Malformed),
        (401, ErrorKind::Unauthorized),
        (410, ErrorKind::Refused),
        (422, ErrorKind::Refused),
        (429, ErrorKind::Throttled(None)),
        (500, ErrorKind::Server),
    ] {
        assert_eq!(deregister([reply(status, &[], "")]).0.expect_err("not removed").kind, kind, "{status}");
    }
}

proptest! {
    /// Nothing that any server answers makes us send anything but these two requests: never `DELETE /runners`.
    #[test]
    fn the_fleets_runner_is_never_deleted(statuses in prop::collection::vec(prop_oneof![Just(403u16), Just(200), Just(204), any::<u16>()], 3)) {
        let mut statuses = statuses.into_iter();
        let mut call = open(settings()).deregister(&host());
        let mut requests = Vec::new();
        let _ = crate::exchange::complete(&mut *call, |request| {
            requests.push((request.method, request.url.clone()));
            lightsout_core::exchange::EffectResult::Http(Ok(Reply { status: statuses.next().unwrap_or(403), ..verified() }))
        });
        for (method, url) in requests {
            let expected = if method == Method::Delete { "/runners/managers" } else { "/runners/verify" };
            prop_assert!(url.ends_with(expected), "{method:?} {url}");
        }
    }

    #[test]
    fn any_text_survives_in_the_configuration(name in ".*", image in ".+", address in ".*") {
        prop_assume!(!image.trim().is_empty());
        let host = HostContext { instance_id: name.clone(), metrics: Some(address.clone()), ..host() };
        let settings = GitLabRunnerSettings { image: read_as(&image), ..settings() };
        let config = config(&register(settings, &host, vec![verified()]).0.expect("registered"));
        let entry = &config["runners"][0];
        prop_assert_eq!(entry["name"].as_str(), Some(name.as_str()));
        prop_assert_eq!(entry["docker"]["image"].as_str(), Some(image.as_str()));
        prop_assert_eq!(config["listen_address"].as_str(), Some(address.as_str()));
    }

    #[test]
    fn arbitrary_answers_never_panic_and_never_launch(status: u16, bytes: Vec<u8>) {
        let answer = Reply { status, body: bytes, ..verified() };
        prop_assert!(register(settings(), &host(), vec![answer]).0.is_err());
    }
}

#[test]
fn the_probes_cover_containers_metrics_and_a_shells_children() {
    let probes = open(settings()).probes(&host());
    let [Probe::Containers(Selection { labels, except, job_label }), Probe::Runner(_)] = &probes[..] else {
        panic!("other probes")
    };
    let label = |name: &str, value: &str| (format!("com.gitlab.gitlab-runner.{name}"), Some(value.to_owned()));
    assert_eq!(labels[..], [label("managed", "true"), label("runner.system_id", OURS)]);
    assert!(except.is_empty());
    assert_eq!(job_label.as_deref(), Some("com.gitlab.gitlab-runner.job.id"));

    let shell = GitLabRunnerSettings { executor: Executor::Shell, ..settings() };
    let probes = open(shell).probes(&HostContext { metrics: None, ..host() });
    assert!(matches!(&probes[..], [Probe::Containers(_), Probe::Children(any)] if any.is_empty()));
}

#[test]
fn the_token_and_the_extra_toml_are_never_shown() {
    let settings = GitLabRunnerSettings { extra: read_as("environment = [\"KEY=hunter2\"]"), ..settings() };
    let runner = open(settings.clone());
    let debug = format!(
        "{settings:?} {runner:?} {:?} {:?}",
        runner.registration(&host())(None).start(),
        runner.deregister(&host()).start()
    );
    let launch = format!("{:?}", register(settings, &host(), vec![verified()]).0.expect("registered"));
    let echo = reply(403, &[], &format!("{{\"message\":\"unknown token {TOKEN}\"}}"));
    let error = register(self::settings(), &host(), vec![echo]).0.expect_err("refused");
    for text in [debug, launch, format!("{error:?} {error}")] {
        assert!(!text.contains(TOKEN) && !text.contains("hunter2"), "{text}");
    }
}
