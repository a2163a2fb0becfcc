//! Agents that are killed with SIGKILL. The jobs do not notice, and the next agent finds out where the last one was.

use std::collections::BTreeMap;

use lightsout_localcloud::fleet::JobState;

use crate::rig::{Fleet, UNKIND, agent_field, instance, living, phase};

#[test]
fn a_crash_while_booting_only_delays() {
    let mut fleet = Fleet::up("--jobs 1 --boot 4s");
    let id = fleet.until_phase("booting");
    fleet.crash(&id);
    fleet.until("the next agent to be ready", |fleet| {
        matches!(phase(instance(fleet, &id)), "idle" | "busy").then_some(())
    });
    assert_eq!(fleet.ended().all_done()["instances"]["launched"], 1);
}

#[test]
fn a_crash_while_idle_keeps_the_runner_and_takes_the_next_job() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1 --idle-timeout 6s");
    let first = fleet.enqueue(1, 0.5)[0];
    fleet.until_job(first, JobState::Done);
    let id = fleet.until_phase("idle");
    let runner = std::fs::read_to_string(fleet.dir().join("instances").join(&id).join("state/runner.pid"));
    fleet.crash(&id);
    let second = fleet.enqueue(1, 0.5)[0];
    assert_eq!(fleet.until_job(second, JobState::Done).instance.as_ref(), Some(&id));
    let after = std::fs::read_to_string(fleet.dir().join("instances").join(&id).join("state/runner.pid"));
    assert_eq!(runner.expect("a runner"), after.expect("a runner"), "the runner that ran is kept");
    fleet.until_ended(&id);
    fleet.ok("down");
    assert_eq!(fleet.ended().all_done()["instances"]["launched"], 1);
}

#[test]
fn a_crash_while_busy_does_not_touch_the_job() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1");
    let job = fleet.enqueue(1, 5.0)[0];
    let id = fleet.until_phase("busy");
    let before = agent_pid(&mut fleet, &id);
    fleet.crash(&id);
    // The next agent sees the job that it has not started.
    fleet.until("the next agent to see the job", |fleet| {
        let it = instance(fleet, &id);
        let pid = it.agent.as_ref()?.0["pid"].as_u64()?;
        assert_eq!(it.jobs, [job], "the job still runs");
        (pid != before && phase(it) == "busy").then_some(())
    });
    fleet.until_job(job, JobState::Done);
    fleet.until_ended(&id);
    fleet.ok("down");
    fleet.ended().all_done();
}

#[test]
fn a_crash_while_draining_goes_on_draining() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1");
    let job = fleet.enqueue(1, 6.0)[0];
    let id = fleet.until_phase("busy");
    let socket = fleet.socket(&id);
    fleet.ok(&format!("agent drain --socket {}", socket.display()));
    let journal = fleet.dir().join("instances").join(&id).join("state/journal.json");
    fleet.until("the drain to be on disk", |_| {
        std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("\"leaving\"")).then_some(())
    });
    let before = agent_pid(&mut fleet, &id);
    fleet.crash(&id);
    // More work waits, and must not reach the instance that leaves.
    let later = fleet.enqueue(1, 0.5)[0];
    fleet.until("the next agent to drain", |fleet| {
        let it = instance(fleet, &id);
        let pid = it.agent.as_ref()?.0["pid"].as_u64()?;
        (pid != before && phase(it) == "draining").then(|| assert_eq!(agent_field(it, "why"), "operator"))
    });
    assert_eq!(fleet.until_job(job, JobState::Done).instance.as_ref(), Some(&id));
    assert_ne!(fleet.until_job(later, JobState::Done).instance.as_ref(), Some(&id));
    fleet.until("all instances to end", |fleet| living(fleet).next().is_none().then_some(()));
    fleet.ok("down");
    fleet.ended().all_done();
}

/// Each agent is killed once, at a moment that the seed chooses.
#[test]
fn every_agent_crashes_once_and_no_job_is_lost() {
    const MOMENTS: [&str; 3] = ["booting", "busy", "idle"];
    let mut fleet = Fleet::up(&format!("--jobs 8 --max 4 --seed 11 --boot 1s --job-duration 3s {UNKIND}"));
    let mut crashed: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let next = fleet.until("an agent to be at its moment, or the end of the jobs", |fleet| {
            let due = living(fleet).find(|it| {
                let number = it.id.bytes().fold(11_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
                // Whoever never reaches its moment, because no job is left for it, is killed when it is idle.
                let moment = MOMENTS[number % MOMENTS.len()];
                let due = phase(it) == moment || (phase(it) == "idle" && fleet.queue.waiting == 0);
                due && !crashed.contains_key(&it.id)
            });
            match due {
                Some(it) => Some(Some((it.id.clone(), phase(it).to_owned()))),
                None if living(fleet).all(|it| crashed.contains_key(&it.id)) && fleet.queue.done == 8 => Some(None),
                None => None,
            }
        });
        let Some((id, phase)) = next else { break };
        fleet.crash(&id);
        crashed.insert(id, phase);
    }
    let ended = fleet.ended();
    let launched = ended.all_done()["instances"]["launched"].as_u64();
    assert_eq!(launched, u64::try_from(crashed.len()).ok(), "{crashed:?}");
    eprintln!("crashed: {crashed:?}");
}

fn agent_pid(fleet: &mut Fleet, id: &str) -> u64 {
    fleet.until("the agent's process id", |fleet| instance(fleet, id).agent.as_ref()?.0["pid"].as_u64())
}
