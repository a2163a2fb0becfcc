//! The shipped program as a user meets it: exit codes and messages. There is no cloud here; the endpoint refuses
//! connections.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

const POOL: &str = "[[pool]]\nname = 'linux'\ngroup = 'ci'\nplatform.command.queue = ['sh', '-c', 'echo 3']\n";

fn home(text: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("scaler.toml"), text).unwrap();
    home
}

/// The scaler with these settings, without any other influence of this machine.
fn scaler(home: &TempDir, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lightsout-scaler"));
    command
        .args(line.split_whitespace())
        .arg("--config")
        .arg(home.path().join("scaler.toml"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs([("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")])
        .envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y"), ("AWS_EC2_METADATA_DISABLED", "true")]);
    command
}

fn outcome(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_and_version_succeed() {
    let run = |arg: &str| outcome(Command::new(env!("CARGO_BIN_EXE_lightsout-scaler")).arg(arg).output().unwrap());
    let (code, out, _) = run("--help");
    assert!(code == Some(0) && out.contains("Usage: lightsout-scaler once|watch|check"), "{out}");
    let (code, out, _) = run("--version");
    assert_eq!((code, out), (Some(0), format!("lightsout-scaler {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_arguments_are_refused_with_2() {
    let (code, _, error) = outcome(scaler(&home(POOL), "lower").output().unwrap());
    assert_eq!(code, Some(2));
    assert!(error.contains("invalid value 'lower'") && error.contains("once, watch, check"), "{error}");
}

#[test]
fn wrong_settings_are_refused_with_2_before_any_call() {
    let home = home("[[pool]]\ngroup = 'ci'\nslots = 0\n");
    let path = home.path().join("scaler.toml");
    let (code, out, error) = outcome(scaler(&home, "once").output().unwrap());
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let path = path.display();
    let lines: Vec<_> = error.lines().collect();
    let [title, platform, slots] = lines[..] else { panic!("{error}") };
    assert_eq!(title, "lightsout-scaler: the settings have 2 problems:");
    let lacking = format!(
        "  {path}:1: pool[ci].platform is missing: no CI platform is named; add a table such as [pool.platform."
    );
    assert!(platform.starts_with(&lacking), "{platform}");
    let expected = "pool[ci].slots = 0: expected a whole number from 1 to 1000; write for example slots = 1";
    assert_eq!(slots, format!("  {path}:3: {expected}"));
}

#[test]
fn an_unknown_pool_is_refused_with_2() {
    let (code, _, error) = outcome(scaler(&home(POOL), "once --pool windows").output().unwrap());
    assert_eq!(code, Some(2));
    assert!(error.ends_with("--pool windows: there is no such pool; the settings have linux\n"), "{error}");
}

/// Where the page is stands in the log; on loopback, with no webhook that a proxy would pass on, it takes no token.
#[test]
fn without_a_webhook_there_is_the_page_alone() {
    let home = home(POOL);
    let mut child = scaler(&home, "watch --tick 1s --listen 127.0.0.1:0 --log-format json")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("live page")).unwrap();
    let place = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    let mut stream = TcpStream::connect(&place).unwrap();
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {place}\r\n\r\n").as_bytes()).unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("data-events=\"events\""), "{line}: {page}");
}

#[test]
fn once_fails_with_1_and_names_the_pool_and_the_reason() {
    let why = "1 of 1 pools failed:\n  linux: autoscaling:DescribeAutoScalingGroups failed";
    let (code, _, error) = outcome(scaler(&home(POOL), "once").output().unwrap());
    assert_eq!(code, Some(1));
    assert!(error.contains(&format!("lightsout-scaler: {why}")), "{error}");
    let (code, out, error) = outcome(scaler(&home(POOL), "once --log-format json").output().unwrap());
    assert_eq!(code, Some(1));
    assert_eq!(out.lines().count(), 1);
    assert!(out.contains("\"pool\":\"linux\"") && out.contains("\"result\":\"failed\""), "{out}");
    let said = error.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).next_back().unwrap();
    assert!(said["level"] == "ERROR" && said["message"].as_str().unwrap().starts_with(why), "{error}");
}

#[test]
fn check_fails_with_1_and_shows_what_works() {
    let (code, out, _) = outcome(scaler(&home(POOL), "check").output().unwrap());
    assert_eq!(code, Some(1));
    assert!(out.starts_with("linux: FAILED (command: 3 waiting"), "{out}");
    let (code, out, error) = outcome(scaler(&home(POOL), "check --json").output().unwrap());
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, found["pool"].as_str(), found["errors"].as_array().map(Vec::len)),
        (Some(1), Some("linux"), Some(1))
    );
    assert!(error.contains("lightsout-scaler: 1 of 1 pools failed:"), "its log is for people all the same: {error}");
}

#[test]
fn watch_goes_on_after_failures_and_stops_with_0_at_sigterm() {
    let home = home(POOL);
    let mut child = scaler(&home, "watch --tick 1s").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(" linux FAILED: autoscaling:DescribeAutoScalingGroups failed"), "{line}");
    }
    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn metrics_that_cannot_work_hold_no_raise_up() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = home(POOL);
    let mut command = scaler(&home, "once");
    command.envs([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    let (code, out, error) = outcome(command.output().unwrap());
    assert_eq!(code, Some(1), "it ticked, and the cloud did not answer: {error}");
    assert!(out.contains("linux") && error.contains("metrics are not sent"), "{out}{error}");
    let mut watch = scaler(&home, &format!("watch --tick 1s --metrics {address}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let record = BufReader::new(watch.stdout.take().unwrap()).lines().next();
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(record.is_some_and(|line| line.unwrap().contains("linux")), "it watches all the same");
}
