//! The same fleet on each of the other platforms, with the built-in runner behaving as that vendor's does: an agent
//! crashes and an operator scales in while jobs run, and nothing is lost.

use lightsout_localcloud::fleet::JobState;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::rig::{Fleet, hits, instance, lightsout, living, phase};

#[test]
fn stackguardian_loses_nothing() {
    works("stackguardian", "StackGuardian", "--slots 2");
}

#[test]
fn spacelift_loses_nothing() {
    works("spacelift", "Spacelift", "");
}

#[test]
fn spacelift_loses_nothing_without_containers() {
    works("spacelift", "Spacelift", "--no-docker");
}

#[test]
fn circleci_loses_nothing() {
    works("circleci", "CircleCI", "");
}

#[test]
fn github_loses_nothing() {
    works("github", "GitHub Actions", "");
}

#[test]
fn buildkite_loses_nothing() {
    works("buildkite", "Buildkite", "--slots 2");
}

/// What makes the runs above worth something: a runner that is told to stop in the wrong way loses its job, and that is
/// seen.
#[test]
fn a_signal_to_githubs_runner_cancels_its_job_and_is_seen() {
    let mut fleet = Fleet::up("--platform github --jobs 0 --keep --max 1");
    let job = fleet.enqueue(1, 60.0)[0];
    let id = fleet.until_phase("busy");
    let file = fleet.dir().join("instances").join(&id).join("state/runner.pid");
    let record = std::fs::read_to_string(file).expect("a runner");
    let pid = record.split(' ').next().and_then(|pid| pid.parse().ok()).expect("a number");
    kill_process(Pid::from_raw(pid).expect("an id"), Signal::TERM).expect("it runs");
    fleet.until_job(job, JobState::Lost);
    // The agent registers a new runner, which works.
    for job in fleet.enqueue(1, 0.5) {
        fleet.until_job(job, JobState::Done);
    }
    fleet.ok("down");
    let ended = fleet.ended();
    assert_eq!((ended.code, &ended.summary()["jobs"]["lost"]), (Some(1), &1.into()));
}

#[test]
fn what_a_platform_does_not_have_is_refused() {
    let home = TempDir::new().expect("a temporary directory");
    for (arguments, expected) in [
        ("up --platform gitlob", "gitlob"),
        ("up --platform github --slots 2", "--slots"),
        ("up --platform circleci --slots 2", "--slots"),
        ("up --platform spacelift --slots 2", "--slots"),
        ("up --platform github --runner /bin/true", "--platform gitlab or buildkite"),
    ] {
        let output = lightsout(&home.path().join("fleet"), arguments);
        assert_eq!(output.code, Some(2), "{arguments}: {output:?}");
        assert!(output.err.contains(expected), "{arguments}: {output:?}");
    }
}

/// The runner does what the vendors' own may do, too: it forgets who started it, and its jobs leave processes behind.
fn works(platform: &str, title: &str, more: &str) {
    let faults = "--fault rewrite-environment --fault leave-child";
    let mut fleet = Fleet::up(&format!("--platform {platform} --jobs 4 --max 3 --job-seconds 3 {faults} {more}"));
    assert!(fleet.notes().iter().any(|note| note.contains(title)), "{:?}", fleet.notes());
    let (id, before) = fleet.until("a busy agent", |fleet| {
        let it = living(fleet).find(|it| phase(it) == "busy" && !it.jobs.is_empty())?;
        Some((it.id.clone(), it.agent.as_ref()?.0["pid"].as_u64()?))
    });
    fleet.crash(&id);
    fleet.enqueue(4, 3.0);
    fleet.until("the next agent to know where it is", |fleet| {
        let it = instance(fleet, &id);
        let pid = it.agent.as_ref()?.0["pid"].as_u64()?;
        (pid != before && matches!(phase(it), "busy" | "idle")).then_some(())
    });
    fleet.until("more jobs to run", |fleet| (fleet.queue.running > 0 && fleet.groups[0].desired > 1).then_some(()));
    fleet.ok("scale-in 1");
    let log = std::fs::read_to_string(fleet.dir().join("instances").join(&id).join("agent.log")).expect("a log");
    assert!(log.contains(&format!("platform=\"{platform}\"")), "{log}");
    for fault in ["rewrite-environment", "leave-child"] {
        fleet.wait(fault, |fleet| (hits(fleet, &json!(fault)) > 0).then_some(()));
    }
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["jobs"]["total"], 8);
    assert!(ended.events().iter().any(|event| event.contains("by an operator")), "{:?}", ended.events());
}
