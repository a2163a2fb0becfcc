//! The Buildkite agent of one machine.

use std::{collections::BTreeMap, path::PathBuf};

use lightsout_core::{
    exchange::{ErrorKind, ExchangeError, Text},
    platform::{
        DrainBy, HostContext, Launch, Probe, RunnerPlatform, Signal, UndrainBy,
        buildkite::{
            AgentFolder, AgentProgram, AgentTag, BuildkiteRunner, BuildkiteRunnerSettings, CLOUD, QueueKey, base_url,
        },
    },
    settings::WholeSeconds,
};
use proptest::prelude::*;

use crate::exchange::{host, output, read_as, refused, run, script, url};

const TOKEN: &str = "bkct_very-secret";

fn settings() -> BuildkiteRunnerSettings {
    BuildkiteRunnerSettings::new(url(CLOUD), read_as("linux"))
}

fn register(settings: BuildkiteRunnerSettings, host: &HostContext) -> Result<Launch, ExchangeError> {
    script(&mut *BuildkiteRunner::new(settings, TOKEN.into())?.register(host), []).0
}

/// The configuration as the agent reads it: what stands between the quotes, without escapes.
fn config(launch: &Launch) -> BTreeMap<String, String> {
    let lines = launch.files[0].contents.expose().lines().map(|line| {
        let (key, value) = line.split_once('=').expect("a key and its value");
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).expect("quotes");
        assert!(!value.contains(['"', '\'', '#', '\\', '$', '~']), "{value}");
        (key.to_owned(), value.to_owned())
    });
    lines.collect()
}

#[test]
fn registering_writes_the_configuration_and_the_script_that_marks_jobs() {
    let launch = register(settings(), &host()).expect("registered");
    let dir = "/var/lib/lightsout/runner";
    assert_eq!(launch.argv, ["buildkite-agent", "start", "--config", &format!("{dir}/buildkite-agent.cfg")]);
    let files: Vec<_> = launch.files.iter().map(|file| (file.path.to_str().expect("UTF-8"), file.mode)).collect();
    assert_eq!(files, [(launch.argv[3].as_str(), 0o600), (&format!("{dir}/lightsout-job"), 0o700)]);
    assert!(matches!(launch.files[0].contents, Text::Secret(_)));
    let script = launch.files[1].contents.expose();
    assert!(script.contains(&format!("\nsecret='{dir}/buildkite-agent.cfg'\n")), "no job finds it: {script}");
    assert_eq!(
        launch.files[0].contents.expose(),
        format!(
            "token=\"{TOKEN}\"\nname=\"i-0abc-%spawn\"\ntags=\"queue=linux\"\nspawn=\"4\"\nbuild-path=\"{dir}/builds\"\n\
             plugins-path=\"{dir}/plugins\"\nhooks-path=\"/etc/buildkite-agent/hooks\"\n\
             bootstrap-script=\"{dir}/lightsout-job buildkite-agent bootstrap\"\ncancel-grace-period=\"8\"\n\
             health-check-addr=\"127.0.0.1:9252\"\n"
        )
    );
}

#[test]
fn each_setting_has_its_key() {
    let settings = BuildkiteRunnerSettings {
        url: url("http://127.0.0.1:8080/"),
        tags: ["os=linux", "size=xl"].map(read_as).into(),
        program: read_as("/opt/buildkite-agent"),
        disconnect_after_job: true,
        cancel_grace_period: WholeSeconds::of(60),
        build_path: Some(read_as("/srv/builds")),
        hooks_path: read_as("/srv/hooks"),
        ..settings()
    };
    let launch = register(settings, &HostContext { metrics: None, slots: 0, ..host() }).expect("registered");
    assert_eq!(launch.argv[0], "/opt/buildkite-agent");
    let config = config(&launch);
    for (key, expected) in [
        ("endpoint", "http://127.0.0.1:8080/v3"),
        ("tags", "queue=linux,os=linux,size=xl"),
        ("spawn", "1"),
        ("disconnect-after-job", "true"),
        ("cancel-grace-period", "60"),
        ("build-path", "/srv/builds"),
        ("hooks-path", "/srv/hooks"),
        ("bootstrap-script", "/var/lib/lightsout/runner/lightsout-job /opt/buildkite-agent bootstrap"),
    ] {
        assert_eq!(config[key], expected, "{key}");
    }
    assert!(!config.contains_key("health-check-addr"), "no port is opened");
}

#[test]
fn settings_that_cannot_work_are_refused_before_the_start() {
    let tag = refused::<AgentTag>;
    let token = |token: &str| BuildkiteRunner::new(settings(), token.into()).map(drop);
    for (found, part) in [
        (token(""), "Agent Tokens"),
        (token("bkua_x"), "API access token"),
        (base_url("buildkite.com").map(drop).map_err(ExchangeError::from), "https://"),
        (refused::<QueueKey>("queue=linux"), "write the key alone"),
        (refused::<QueueKey>(""), "write the key alone"),
        (tag("queue=other"), "remove it"),
        (tag("linux"), "key=value"),
        (tag("a=b,c=d"), "key=value"),
        (tag("a=\"b\""), "key=value"),
        (refused::<AgentProgram>(""), "buildkite-agent"),
        (refused::<AgentProgram>("buildkite agent"), "a space"),
        (refused::<AgentFolder>("builds"), "absolute path"),
        (refused::<AgentFolder>("/srv/my builds"), "knows no escapes"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part) && !error.message.contains("bkua_x"), "{error} lacks {part}");
    }
    assert!(register(settings(), &host()).is_ok());
}

#[test]
fn what_the_file_cannot_carry_is_refused() {
    for host in [
        HostContext { instance_id: "i%spawn".to_owned(), ..host() },
        HostContext { instance_id: String::new(), ..host() },
        HostContext { runner_dir: PathBuf::from("/srv/my runner"), ..host() },
        HostContext { runner_dir: PathBuf::from("/srv/$HOME"), ..host() },
        HostContext { metrics: Some("127.0.0.1:1\"\ntoken=".to_owned()), ..host() },
    ] {
        let error = register(settings(), &host).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains("cannot stand in buildkite-agent.cfg"), "{error}");
    }
}

#[test]
fn the_runner_drains_by_term_is_aborted_by_quit_and_leaves_nothing_to_deregister() {
    let runner = BuildkiteRunner::new(settings(), TOKEN.into()).expect("settings that can work");
    assert_eq!(runner.platform(), "buildkite");
    assert_eq!(runner.drain_rules().drain, DrainBy::Signal(Signal::Term));
    assert_eq!(runner.drain_rules().undrain, UndrainBy::Relaunch);
    assert_eq!(runner.drain_rules().abort, Signal::Quit);
    assert_eq!(script(&mut *runner.deregister(&host()), []).0, Ok(()));
    let probes = runner.probes(&host());
    let [Probe::Files { folder }, Probe::Children(any)] = &probes[..] else { panic!("other probes") };
    assert_eq!((folder.to_str(), any.len()), (Some("/var/lib/lightsout/runner/jobs"), 0));
}

#[test]
fn the_token_is_never_shown() {
    let runner = BuildkiteRunner::new(settings(), TOKEN.into()).expect("settings that can work");
    let launch = register(settings(), &host()).expect("registered");
    let mut call = runner.registration(&host())(Some(3));
    for text in [format!("{:?} {runner:?}", settings()), format!("{launch:?}"), format!("{:?}", call.start())] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_survives_in_the_configuration_or_is_refused(name in ".{0,12}", folder in "/.{0,20}", tag in "[a-z]=.{1,8}") {
        let settings = BuildkiteRunnerSettings { tags: tag.parse().into_iter().collect(), ..settings() };
        let host = HostContext { instance_id: name.clone(), runner_dir: PathBuf::from(&folder), ..host() };
        if let Ok(launch) = register(settings, &host) {
            let config = config(&launch);
            prop_assert_eq!(config.len(), 10);
            prop_assert_eq!(&config["name"], &format!("{name}-%spawn"));
            let with_tag = format!("queue=linux,{tag}");
            prop_assert!(config["tags"] == "queue=linux" || config["tags"] == with_tag);
            let command = config["bootstrap-script"].split(' ').count();
            prop_assert_eq!(command, 3);
        }
    }
}

/// The configuration for a runner that says this of its version, and the doubts about it.
fn configured_for(says: &str) -> (String, Vec<String>) {
    let runner = BuildkiteRunner::new(settings(), TOKEN.into()).expect("settings that can work");
    let (program, launch) = run(&mut *runner.register(&host()), Ok(output(0, says, "")));
    assert_eq!(program.argv, ["buildkite-agent", "--version"]);
    let launch = launch.expect("registered");
    (launch.files[0].contents.expose().to_owned(), launch.doubts)
}

#[test]
fn a_cancelled_jobs_time_is_written_as_the_version_knows_it() {
    let (three, doubts) = configured_for("buildkite-agent version 3.137.0+11");
    assert!(three.contains("cancel-grace-period=\"8\"") && !three.contains("timeout") && doubts.is_empty(), "{three}");
    let (four, doubts) = configured_for("buildkite-agent version 4.0.0-beta.15");
    assert!(!four.contains("grace") && doubts.is_empty(), "{four}");
    assert!(
        four.contains("cancel-signal-timeout=\"6s\"\ncancel-cleanup-timeout=\"2s\"\n"),
        "the same time in all: {four}"
    );
    let (both, doubts) = configured_for("who knows");
    assert!(both.contains("cancel-grace-period") && both.contains("cancel-signal-timeout") && doubts.len() == 1);
    let (five, doubts) = configured_for("buildkite-agent version 5.0.1");
    assert!(five.contains("cancel-signal-timeout") && doubts[0].contains("5.0.1"), "{doubts:?}");
}
