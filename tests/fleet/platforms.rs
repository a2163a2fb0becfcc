//! The same fleet on each of the other platforms, with the built-in runner behaving as that vendor's does: an agent
//! crashes and an operator scales in while jobs run, and nothing is lost.

use lightsout_localcloud::fleet::{JobState, JobView};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::rig::{Fleet, hits, instance, living, phase, used_up};

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

/// How a vendor's runner comes to a job.
struct RunnerCalls {
    platform: &'static str,
    /// The call by which it registers, and those by which it asks for a job and takes it.
    registers: &'static str,
    claims: &'static [&'static str],
    /// Whether what it has open when it is told to go may be cancelled: where the platform's own word is the proof, or where a job is its
    /// own only once it has accepted it. What the genuine runner of CircleCI does with an open claim is not public.
    cancels: bool,
}

const RUNNER_CALLS: [RunnerCalls; 5] = [
    RunnerCalls { platform: "buildkite", registers: "register", claims: &["ping", "accept"], cancels: true },
    RunnerCalls { platform: "circleci", registers: "connect", claims: &["claim"], cancels: false },
    RunnerCalls { platform: "github", registers: "connect", claims: &["claim"], cancels: true },
    RunnerCalls { platform: "spacelift", registers: "connect", claims: &["claim"], cancels: true },
    RunnerCalls { platform: "stackguardian", registers: "register", claims: &["claim"], cancels: true },
];

/// The runner does what the vendors' own may do, too: its first start is refused, the answer to a claim is lost or meets a drain, it forgets
/// who started it, and its jobs leave processes behind.
fn works(platform: &str, title: &str, more: &str) {
    let claims = RUNNER_CALLS.iter().find(|claims| claims.platform == platform).expect("a row for each");
    let refused =
        json!({ "target": platform, "action": claims.registers, "effect": { "status": { "code": 401 } }, "count": 1 });
    let faults = format!("--fault rewrite-environment --fault lose-claim --fault {refused}");
    let mut fleet = Fleet::up(&format!("--platform {platform} --jobs 4 --max 3 --job-duration 3s {faults} {more}"));
    assert!(fleet.notes().iter().any(|note| note.contains(title)), "{:?}", fleet.notes());
    for fault in ["rewrite-environment", "lose-claim"] {
        fleet.wait(fault, |fleet| (hits(fleet, &json!(fault)) > 0).then_some(()));
    }
    // A runner that has started has not registered yet.
    fleet.wait("a registration to be refused", |fleet| used_up(fleet, &refused["effect"]).then_some(()));
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    fleet.post("faults", &json!({ "target": "runner", "effect": "leave-child" }));
    drains_with_a_job_on_its_way(&mut fleet, claims);
    let (id, before) = fleet.until("a busy agent", |fleet| {
        let it = living(fleet).find(|it| phase(it) == "busy" && !it.jobs.is_empty())?;
        Some((it.id.clone(), it.agent.as_ref()?.0["pid"].as_u64()?))
    });
    fleet.crash(&id);
    fleet.enqueue(4, 3.0);
    fleet.until("the next agent to know where it is", |fleet| {
        let it = instance(fleet, &id);
        let pid = it.agent.as_ref()?.0["pid"].as_u64()?;
        // Where the one before it was about to leave as idle when it was killed, this one goes on with that.
        (pid != before && !matches!(phase(it), "booting" | "registering")).then_some(())
    });
    fleet.until("more jobs to run", |fleet| (fleet.queue.running > 0 && fleet.groups[0].desired > 1).then_some(()));
    fleet.ok("scale-in 1");
    let log = std::fs::read_to_string(fleet.dir().join("instances").join(&id).join("agent.log")).expect("a log");
    assert!(log.contains(&format!("platform=\"{platform}\"")), "{log}");
    fleet.wait("leave-child", |fleet| (hits(fleet, &json!("leave-child")) > 0).then_some(()));
    says_why_it_was_refused(&fleet);
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["jobs"]["total"], 9);
    assert!(ended.events().iter().any(|event| event.contains("by an operator")), "{:?}", ended.events());
}

/// A drain is ordered when a job is handed out and its runner has not heard of it: "no job runs" is not "no job is on its way".
fn drains_with_a_job_on_its_way(fleet: &mut Fleet, claims: &RunnerCalls) {
    if claims.cancels {
        fleet.post("faults", &json!({ "target": "runner", "effect": "cancel-request" }));
    }
    for action in claims.claims {
        let late = json!({ "late": { "ms": 1500 } });
        fleet.post("faults", &json!({ "target": claims.platform, "action": action, "effect": late }));
    }
    // Not one whose answer was lost before: what CircleCI's makes of that when it is told to go is not public either.
    let before = fleet.snapshot().jobs;
    let waits = |id| before.iter().all(|job| job.id != id || job.state == JobState::Waiting);
    fleet.enqueue(1, 1.0);
    let (job, id) = fleet.until("a job that is no more than handed out", |fleet| {
        let fresh = |job: &&JobView| job.state == JobState::Running && job.ran_s < Some(0.5) && waits(job.id);
        let fresh = fleet.jobs.iter().find(fresh)?;
        Some((fresh.id, fresh.instance.clone()?))
    });
    fleet.ok(&format!("agent drain --socket {}", fleet.socket(&id).display()));
    let done = fleet.until_job(job, JobState::Done);
    assert_eq!(done.instance.as_ref(), Some(&id), "where it was handed out");
    fleet.until("the drain to be heeded", |fleet| {
        let it = instance(fleet, &id);
        (it.ended_ms.is_some() || matches!(phase(it), "draining" | "retiring" | "gone")).then_some(())
    });
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    fleet.post("faults", &json!({ "target": "runner", "effect": "leave-child" }));
}

/// A runner that cannot register says why, and its instance passes its words on.
fn says_why_it_was_refused(fleet: &Fleet) {
    let logs = std::fs::read_dir(fleet.dir().join("instances"))
        .expect("instances")
        .filter_map(|instance| std::fs::read_to_string(instance.expect("an instance").path().join("agent.log")).ok());
    let told = logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>()).filter(|line| {
        // One that is quick ends before it counts as one that runs.
        let failed = line.contains("runner_exited") || line.contains("registration_failed");
        line.starts_with("LIGHTSOUT_RECORD") && failed && line.contains("it said:")
    });
    let told: Vec<String> = told.collect();
    assert!(told.iter().any(|line| line.contains("Unauthorized")), "{told:#?}");
}
