//! The CircleCI runner of one machine.

use std::path::PathBuf;

use lightsout_core::{
    exchange::{ErrorKind, ExchangeError, Text},
    platform::{
        DrainBy, HostContext, Launch, Probe, RunnerPlatform, Signal, UndrainBy,
        circleci::{CLOUD, CircleCiRunner, CircleCiRunnerSettings, PrefixWord, base_url},
    },
    settings::{AbsolutePath, WholeSeconds},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::exchange::{host, read_as, refused, script, url};

const TOKEN: &str = "0123456789abcdef-very-secret";

fn settings() -> CircleCiRunnerSettings {
    CircleCiRunnerSettings::new(url(CLOUD))
}

fn one_slot() -> HostContext {
    HostContext { slots: 1, ..host() }
}

fn register(settings: CircleCiRunnerSettings, host: &HostContext) -> Result<Launch, ExchangeError> {
    script(&mut *CircleCiRunner::new(settings, TOKEN.into())?.register(host), []).0
}

/// The configuration as (section, key, value); each value is JSON, as this YAML's are.
fn config(launch: &Launch) -> Vec<(String, String, Value)> {
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in launch.files[0].contents.expose().lines() {
        match line.strip_prefix("  ") {
            Some(entry) => {
                let (key, value) = entry.split_once(": ").expect("a key and its value");
                found.push((section.clone(), key.to_owned(), serde_json::from_str(value).expect("a JSON value")));
            }
            None => line.strip_suffix(':').expect("a section").clone_into(&mut section),
        }
    }
    found
}

fn value(launch: &Launch, name: &str) -> Value {
    let found = config(launch).into_iter().find(|(_, key, _)| key == name);
    found.unwrap_or_else(|| panic!("no {name}")).2
}

#[test]
fn registering_writes_the_configuration_and_the_script_that_marks_tasks() {
    let launch = register(settings(), &one_slot()).expect("registered");
    let dir = "/var/lib/lightsout/runner";
    assert_eq!(launch.argv, ["circleci-runner", "machine", "--config", &format!("{dir}/circleci-runner-config.yaml")]);
    let files: Vec<_> = launch.files.iter().map(|file| (file.path.to_str().expect("UTF-8"), file.mode)).collect();
    assert_eq!(files, [(launch.argv[3].as_str(), 0o600), (&format!("{dir}/lightsout-job"), 0o700)]);
    assert!(matches!(launch.files[0].contents, Text::Secret(_)));
    assert_eq!(
        launch.files[0].contents.expose(),
        format!(
            "api:\n  auth_token: \"{TOKEN}\"\n  url: \"https://runner.circleci.com\"\n\
             runner:\n  name: \"i-0abc\"\n  mode: \"continuous\"\n  max_run_time: \"18000s\"\n  working_directory: \"{dir}/work\"\n  \
             cleanup_working_directory: true\n  task_agent_directory: \"{dir}/task-agent\"\n  command_prefix: [\"{dir}/lightsout-job\"]\n"
        )
    );
}

#[test]
fn a_single_use_runner_and_the_users_own_prefix() {
    let settings = CircleCiRunnerSettings {
        url: url("https://circleci.example.com/"),
        program: read_as("/opt/circleci-runner"),
        single_task: true,
        max_run_time: WholeSeconds::of(90),
        working_directory: Some(read_as("/srv/work")),
        cleanup_working_directory: false,
        task_agent_directory: Some(read_as("/srv/task agent")),
        command_prefix: ["sudo", "-niHu", "circleci", "--"].map(read_as).into(),
    };
    let launch = register(settings, &one_slot()).expect("registered");
    assert_eq!(launch.argv[0], "/opt/circleci-runner");
    for (key, expected) in [
        ("url", json!("https://circleci.example.com")),
        ("mode", json!("single-task")),
        ("max_run_time", json!("90s")),
        ("working_directory", json!("/srv/work")),
        ("cleanup_working_directory", json!(false)),
        ("task_agent_directory", json!("/srv/task agent")),
        ("command_prefix", json!(["/var/lib/lightsout/runner/lightsout-job", "sudo", "-niHu", "circleci", "--"])),
    ] {
        assert_eq!(value(&launch, key), expected, "{key}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_before_the_start() {
    let token = |token: &str| CircleCiRunner::new(settings(), token.into()).map(drop);
    for (found, part) in [
        (token(""), "resource-class create"),
        (token("a\nb"), "line break"),
        (base_url("circleci.com").map(drop).map_err(ExchangeError::from), "https://"),
        (refused::<AbsolutePath>("work"), "absolute"),
        (refused::<PrefixWord>(""), "empty word"),
        (refused::<PrefixWord>("su\ndo"), "control character"),
        (refused::<PrefixWord>("su\u{2028}do"), "control character"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    assert!(register(settings(), &one_slot()).is_ok());
}

#[test]
fn a_machine_that_cannot_be_circlecis_is_refused() {
    for (host, part) in [
        (HostContext { slots: 2, ..host() }, "one task at a time"),
        (HostContext { instance_id: String::new(), ..one_slot() }, "cannot be a CircleCI runner's name"),
        (HostContext { instance_id: "i 0".to_owned(), ..one_slot() }, ".()-_"),
        (HostContext { runner_dir: PathBuf::from("/srv/a\nb"), ..one_slot() }, "control character"),
    ] {
        let error = register(settings(), &host).expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
}

#[test]
fn the_runner_drains_by_one_term_is_aborted_by_the_next_and_leaves_nothing_to_deregister() {
    let runner = CircleCiRunner::new(settings(), TOKEN.into()).expect("settings that can work");
    assert_eq!(runner.platform(), "circleci");
    assert_eq!(runner.drain_rules().drain, DrainBy::Signal(Signal::Term));
    assert_eq!(runner.drain_rules().undrain, UndrainBy::Relaunch);
    assert_eq!(runner.drain_rules().abort, Signal::Term);
    assert_eq!(script(&mut *runner.deregister(&one_slot()), []).0, Ok(()));
    let probes = runner.probes(&one_slot());
    let [Probe::Files { folder }, Probe::Children(any)] = &probes[..] else { panic!("other probes") };
    assert_eq!((folder.to_str(), any.len()), (Some("/var/lib/lightsout/runner/jobs"), 0));
}

#[test]
fn the_token_is_never_shown() {
    let runner = CircleCiRunner::new(settings(), TOKEN.into()).expect("settings that can work");
    let launch = register(settings(), &one_slot()).expect("registered");
    let mut call = runner.registration(&one_slot())(None);
    for text in [format!("{:?} {runner:?}", settings()), format!("{launch:?}"), format!("{:?}", call.start())] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_survives_in_the_configuration_or_is_refused(name in ".{0,12}", folder in "/.{0,20}", word in ".{1,12}") {
        let Ok(prefix) = word.parse() else { return Ok(()) };
        let settings = CircleCiRunnerSettings {
            working_directory: Some(read_as(&folder)),
            task_agent_directory: Some(read_as("/srv/agent")),
            command_prefix: vec![prefix],
            ..settings()
        };
        if let Ok(launch) = register(settings, &HostContext { instance_id: name.clone(), ..one_slot() }) {
            prop_assert_eq!(config(&launch).len(), 9);
            prop_assert_eq!(value(&launch, "name"), json!(name));
            prop_assert_eq!(value(&launch, "working_directory"), json!(folder));
            prop_assert_eq!(&value(&launch, "command_prefix")[1], &json!(word));
        }
    }
}
