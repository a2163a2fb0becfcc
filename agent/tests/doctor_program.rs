//! The agent becomes another program for a diagnosis: what only that needs, an agent would hold in memory for ever.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output},
};

const AGENT: &str = env!("CARGO_BIN_EXE_lightsout-agent");
const DOCTOR: &str = env!("CARGO_BIN_EXE_lightsout-doctor");
/// Where the package puts it, for tests on a machine that has the package.
const INSTALLED: &str = "/usr/lib/lightsout/lightsout-doctor";

fn run(program: impl AsRef<Path>, line: &str) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(program.as_ref())
        .args(line.split_whitespace())
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// What is loaded of a program: names that only its debug information has do not count.
fn loaded(program: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("program");
    assert!(Command::new("strip").arg("-o").args([&stripped, Path::new(program)]).status().unwrap().success());
    fs::read(stripped).unwrap()
}

fn mentions(program: &[u8], word: &str) -> bool {
    program.windows(word.len()).any(|bytes| bytes == word.as_bytes())
}

#[test]
fn the_agent_links_no_call_that_only_the_doctor_makes() {
    let (agent, doctor) = (loaded(AGENT), loaded(DOCTOR));
    for action in ["DescribeInstanceRefreshes", "DescribeLaunchTemplateVersions", "DescribeInstanceTypeOfferings"] {
        assert!(mentions(&doctor, action), "is {action} still its name?");
        assert!(!mentions(&agent, action), "{action} is a call of lightsout-agent's");
    }
    assert!(mentions(&agent, "TerminateInstanceInAutoScalingGroup"), "the agent's own calls can be seen");
}

#[test]
fn the_agent_becomes_the_doctor_with_the_same_flags_and_exit_codes() {
    let home = tempfile::tempdir().unwrap();
    let wrong = home.path().join("agent.toml");
    fs::write(&wrong, "[agent]\nslots = \"many\"\n").unwrap();
    let judged = format!("--image --json -c {}", wrong.display());
    let (code, out, _) = run(AGENT, &format!("doctor {judged}"));
    assert_eq!(code, Some(2), "wrong settings: {out}");
    assert!(out.lines().any(|line| line.contains("\"id\":\"settings\"") && line.contains("agent.slots")), "{out}");
    let ids = |out: &str| out.lines().map(|line| line.split(',').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&out), ids(&run(DOCTOR, &judged).1));
    assert_eq!(run(AGENT, "doctor --help"), run(DOCTOR, "--help"));
    let (code, _, err) = run(AGENT, "doctor --imaeg");
    assert_eq!(code, Some(2), "{err}");
    assert_eq!((code, err), { (run(DOCTOR, "--imaeg").0, run(DOCTOR, "--imaeg").2) });
}

#[test]
fn an_agent_without_the_doctor_says_where_it_looked_and_what_to_do() {
    if Path::new(INSTALLED).exists() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: an_agent_without_the_doctor_says_where_it_looked_and_what_to_do: {INSTALLED} is installed here"
        );
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let alone = home.path().join("lightsout-agent");
    // By another process: what this one had open for writing, a child that another test starts meanwhile would have, too, and it could not be run.
    assert!(Command::new("cp").args([AGENT.as_ref(), alone.as_os_str()]).status().unwrap().success());
    let (code, _, err) = run(&alone, "doctor --image");
    assert_eq!(code, Some(1), "{err}");
    let beside = home.path().join("lightsout-doctor");
    for part in [beside.to_str().unwrap(), INSTALLED, "install the package lightsout-agent again"] {
        assert!(err.contains(part), "{err}");
    }
    fs::write(&beside, "").unwrap();
    let (code, _, err) = run(&alone, "doctor --image");
    assert!(code == Some(1) && err.contains(&format!("{} cannot be started", beside.display())), "{err}");
}
