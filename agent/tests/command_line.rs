//! The shipped program as an operator meets it: exit codes and messages. There is no cloud here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

/// What the agent exits with and says, without any influence of this machine, beside these settings in `agent.toml`.
fn agent(home: &Path, line: &str) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lightsout-agent"))
        .args(line.split_whitespace())
        .current_dir(home)
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn home(settings: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("agent.toml"), settings).unwrap();
    home
}

#[test]
fn what_cannot_work_is_refused_with_2_and_what_fails_is_1() {
    let home = home("[agent]\nslots = \"many\"\n");
    for (line, code, said) in [
        ("--help", 0, ""),
        ("--version", 0, ""),
        ("version", 0, ""),
        ("", 2, "Usage: lightsout-agent"),
        ("rnu", 2, "unrecognized subcommand 'rnu'"),
        ("hold", 2, "<DURATION>"),
        ("hold 10", 2, "'10' for '<DURATION>': not a duration; write a number with its unit, such as \"90s\""),
        ("hold 99999999d", 2, "write a duration from 0s to 365d"),
        ("run --log-format xml", 2, "there is no log format xml: write text or json"),
        ("run --metrics here", 2, "write an address with its port, such as 127.0.0.1:9464"),
        ("run --log loud", 2, "lightsout-agent: --log: \"loud\" is no level"),
        ("run -c nowhere.toml", 2, "lightsout-agent: nowhere.toml"),
        ("run -c agent.toml", 2, "lightsout-agent: the settings have 2 problems:\n  agent.toml: platform"),
        ("settings -c agent.toml", 2, "lightsout-agent: the settings have 2 problems:\n  agent.toml: platform"),
        ("status --socket nowhere.sock", 1, "lightsout-agent: "),
        ("drain --socket nowhere.sock", 1, "lightsout-agent: "),
        ("hold 10m --socket nowhere.sock", 1, "lightsout-agent: "),
    ] {
        let (found, _, error) = agent(home.path(), line);
        assert!(found == Some(code) && error.contains(said), "{line}: {found:?} {error}");
    }
}

/// A person reads `PROGRAM: why`; who collects lines of JSON gets one.
#[test]
fn why_it_ends_is_said_as_the_log_is() {
    let state = tempfile::tempdir().unwrap();
    let home = home(&format!(
        "[agent]\nstate_dir = {:?}\n[platform.command]\nrun = [\"true\"]\nbusy = [\"true\"]\n",
        state.path()
    ));
    let other = fs::File::create(state.path().join("agent.lock")).unwrap();
    other.lock().unwrap();
    let wanted = "another lightsout-agent works with agent.state_dir";
    let (code, _, error) = agent(home.path(), "run -c agent.toml");
    let last = error.lines().last().unwrap();
    assert!(code == Some(1) && last.starts_with(&format!("lightsout-agent: {wanted}")), "{error}");
    for (line, exit, wanted) in
        [("run -c agent.toml", 1, wanted), ("run -c nowhere.toml", 2, "nowhere.toml: cannot be read")]
    {
        for flag in ["--log-format", "--format"] {
            let (code, _, error) = agent(home.path(), &format!("{line} {flag} json"));
            let said: Value = serde_json::from_str(error.lines().last().unwrap()).unwrap();
            assert_eq!((code, said["level"].as_str()), (Some(exit), Some("ERROR")), "{error}");
            assert!(said["message"].as_str().unwrap().contains(wanted), "{error}");
        }
    }
}
