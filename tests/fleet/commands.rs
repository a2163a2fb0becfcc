//! The commands of the second terminal, with and without a fleet, and the agent's own.

use lightsout_localcloud::{Snapshot, fleet::JobState};
use serde_json::Value;

use crate::rig::{Fleet, instance, lightsout, living, phase};

#[test]
fn without_a_fleet_each_command_says_so_and_what_to_do() {
    let temp = tempfile::tempdir().expect("a directory");
    let dir = temp.path().join("fleet");
    for command in [
        "ps",
        "ps --json",
        "explain x",
        "enqueue",
        "interrupt i-1",
        "rebalance i-1",
        "crash i-1",
        "drain i-1",
        "undrain i-1",
        "hold i-1",
        "release i-1",
        "scale-in 1",
        "refresh",
        "down",
    ] {
        let output = lightsout(&dir, command);
        assert_eq!((output.code, output.out.as_str()), (Some(1), ""), "{command}: {output:?}");
        let wanted = format!("lightsout: no fleet is running in {}; start one with `lightsout up`", dir.display());
        assert!(output.err.starts_with(&wanted), "{command}: {}", output.err);
    }
    let output = lightsout(&dir, "explain x");
    assert!(output.err.contains("--records") && output.err.contains("--log-group"), "{}", output.err);
    let output = lightsout(&dir, "logs i-1");
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("no log of `i-1`"), "{}", output.err);
    assert!(!dir.exists(), "asking leaves nothing behind");
}

#[test]
fn the_second_terminal_sees_and_steers_the_fleet() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 2");
    assert!(fleet.ok("ps").ends_with("no instances\n"));
    let output = fleet.lightsout("crash i-0");
    assert_eq!(
        (output.code, output.err.as_str()),
        (Some(1), "lightsout: no instance `i-0`: none has been launched yet\n")
    );

    assert_eq!(fleet.ok("enqueue --job-duration 4s"), "job 1001 waits\n");
    let answer: Value = serde_json::from_str(&fleet.ok("enqueue --count 2 --json -- true")).expect("JSON");
    assert_eq!(answer["ids"], serde_json::json!([1002, 1003]));
    let id = fleet.until_phase("busy");
    let table = fleet.ok("ps");
    assert!(
        table.contains("group lightsout-demo: desired ") && table.contains(&id) && table.contains("busy"),
        "{table}"
    );
    let snapshot: Snapshot = serde_json::from_str(&fleet.ok("ps --json")).expect("a snapshot");
    assert!(living(&snapshot).any(|it| it.id == id));

    let start = &id[..12];
    assert!(fleet.ok(&format!("logs {start}")).contains("lightsout-agent starts"));
    let line: Value =
        serde_json::from_str(fleet.ok(&format!("logs {start} --json")).lines().next().expect("a line")).expect("JSON");
    assert_eq!(line["log"], id.as_str());
    assert!(fleet.ok("logs scaler").contains("watching"));

    // An id may be shortened, also without its prefix.
    assert_eq!(fleet.ok(&format!("crash {}", &id[2..12])), format!("the agent of {id} is killed\n"));
    let output = fleet.lightsout("crash i-nobody");
    assert_eq!(
        (output.code, output.err.as_str()),
        (Some(1), "lightsout: no instance `i-nobody`; `lightsout ps` lists them\n")
    );

    fleet.until("all jobs to be done", |fleet| (fleet.queue.done == 3).then_some(()));
    fleet.until("all instances to end", |fleet| living(fleet).next().is_none().then_some(()));
    assert!(fleet.ok("ps --all").contains("Terminated"), "{}", fleet.ok("ps --all"));
    let output = fleet.lightsout(&format!("crash {id}"));
    assert_eq!((output.code, output.err.as_str()), (Some(1), format!("lightsout: {id} has ended already\n").as_str()));
    assert_eq!(fleet.ok("down --json"), "{\"down\":true}\n");
    fleet.ended().all_done();
}

#[test]
fn a_job_that_fails_by_itself_is_failed_and_not_lost() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1");
    fleet.ok("enqueue -- false");
    let job = fleet.until_job(1001, JobState::Failed);
    assert_eq!(job.failure.as_deref(), Some("script_failure"));
    fleet.ok("enqueue -- true");
    fleet.until_job(1002, JobState::Done);
    fleet.ok("down");
    let ended = fleet.ended();
    let jobs = &ended.well()["jobs"];
    assert_eq!((&jobs["done"], &jobs["failed"]), (&1.into(), &1.into()), "{jobs}");
}

#[test]
fn an_operator_on_the_instance_holds_and_drains_and_takes_it_back() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1 --idle-timeout 2s");
    let first = fleet.enqueue(1, 0.5)[0];
    let id = fleet.until_phase("idle");
    let socket = fleet.socket(&id);
    let agent = |fleet: &Fleet, what: &str| {
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        fleet.lightsout(&format!("agent {verb} --socket {} {rest}", socket.display()))
    };
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).expect("a socket").permissions());
    assert_eq!(mode & 0o777, 0o660, "only its owner and group may give orders");

    let output = agent(&fleet, "hold 10m");
    assert_eq!(output.code, Some(0), "{output:?}");
    fleet.until_job(first, JobState::Done);
    let status: Value = serde_json::from_str(&agent(&fleet, "status --json").out).expect("JSON");
    assert_eq!((&status["instance"], &status["held"]), (&id.as_str().into(), &true.into()), "{status}");
    let text = agent(&fleet, "status").out;
    assert!(text.contains(&format!("instance  {id}\n")) && text.contains("phase  "), "{text}");

    // A drain while a job runs: the job goes on, and the drain can be taken back.
    let second = fleet.enqueue(1, 5.0)[0];
    fleet.until_job(second, JobState::Running);
    let output = agent(&fleet, "drain");
    assert!(output.code == Some(0) && output.out.starts_with("draining: no more jobs"), "{output:?}");
    fleet.until_phase("draining");
    let output = agent(&fleet, "undrain");
    assert_eq!((output.code, output.out.as_str()), (Some(0), "serving again\n"), "{output:?}");
    let third = fleet.enqueue(1, 0.5)[0];
    for job in [second, third] {
        assert_eq!(fleet.until_job(job, JobState::Done).instance.as_ref(), Some(&id), "the same instance serves on");
    }
    fleet.until_phase("idle");
    let output = agent(&fleet, "undrain");
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("cannot undrain: the agent is idle"), "{output:?}");

    let output = agent(&fleet, "hold 0s");
    assert_eq!(output.code, Some(0), "{output:?}");
    fleet.until_ended(&id);
    let output = agent(&fleet, "status");
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("no agent answers at "), "{output:?}");
    fleet.ok("down");
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["instances"]["launched"], 1);
}

#[test]
fn an_idle_instance_that_is_drained_leaves_at_once() {
    let mut fleet = Fleet::up("--jobs 1 --keep --max 1 --idle-timeout 10m");
    fleet.until_job(1001, JobState::Done);
    let id = fleet.until_phase("idle");
    fleet.ok(&format!("agent drain --socket {}", fleet.socket(&id).display()));
    fleet.until_ended(&id);
    let snapshot = fleet.snapshot();
    assert_eq!(phase(instance(&snapshot, &id)), "gone");
    fleet.ok("down");
    fleet.ended().all_done();
}
