//! The built-in runners do on request what the vendors' own do at the worst moment. What lightsout makes of it is for the
//! other tests; these see to it that the stand-ins are no kinder than the genuine programs.

use std::{fs, path::PathBuf, thread};

use lightsout_localcloud::fleet::JobState;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};

use crate::rig::{Fleet, Home, engine_or_skip, hits, instance, living};

/// The process of an instance's runner.
fn runner(fleet: &Fleet, id: &str) -> Option<Pid> {
    let file = fleet.dir().join("instances").join(id).join("state/runner.pid");
    Pid::from_raw(fs::read_to_string(file).ok()?.split_ascii_whitespace().next()?.parse().ok()?)
}

fn environment(process: Pid) -> String {
    let path = PathBuf::from(format!("/proc/{}/environ", process.as_raw_nonzero()));
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\0', "\n")
}

/// gitlab-runner cancels its open request at SIGQUIT; a job that the answer brings is nobody's.
#[test]
fn a_request_that_is_cancelled_takes_the_job_with_it_that_was_handed_out() {
    let mut fleet = Fleet::up("--jobs 0 --keep --min 1 --max 1 --fault cancel-request");
    let id = fleet.until_phase("idle");
    fleet.post(
        "faults",
        &json!({ "target": "gitlab", "action": "jobs/request", "effect": { "late": { "ms": 60000 } } }),
    );
    let job = fleet.enqueue(1, 0.5)[0];
    fleet.until_job(job, JobState::Running);
    let process = fleet.wait("the runner", |fleet| runner(fleet, &id));
    kill_process(process, Signal::QUIT).expect("it runs");
    fleet.wait("the request to be cancelled", |fleet| (hits(fleet, &json!("cancel-request")) == 1).then_some(()));
    // It is no more than handed out, for as long as its machine is there.
    assert_eq!(fleet.until_job(job, JobState::Running).ran_s.map(|ran| ran < 60.0), Some(true));
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    fleet.ok("down");
    assert_eq!(fleet.ended().summary()["jobs"]["done"], 0);
}

/// The agent has a runner ask for no more jobs, and tells it to go when none is on its way.
#[test]
fn a_drain_loses_no_job_that_is_on_its_way() {
    let mut fleet = Fleet::up("--jobs 0 --keep --min 1 --max 1 --fault cancel-request");
    let id = fleet.until_phase("idle");
    let late = json!({ "target": "gitlab", "action": "jobs/request", "effect": { "late": { "ms": 4000 } } });
    fleet.post("faults", &late);
    let job = fleet.enqueue(1, 0.5)[0];
    // No more than handed out: the answer is on its way.
    fleet.until_job(job, JobState::Running);
    fleet.ok(&format!("agent drain --socket {}", fleet.socket(&id).display()));
    fleet.until_job(job, JobState::Done);
    fleet.until_ended(&id);
    assert_eq!(hits(&fleet, &json!("cancel-request")), 0, "when it was told to go nothing was on its way");
    fleet.ok("down");
    assert_eq!(fleet.ended().summary()["jobs"]["done"], 1);
}

/// GitLab counts a job as running whose answer its runner never heard. No instance is kept for it, and it is told as lost.
#[test]
fn a_job_whose_answer_nobody_heard_keeps_no_instance_and_is_told_as_lost() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1 --no-docker --fault lose-claim");
    let job = fleet.enqueue(1, 0.5)[0];
    let id = fleet.until_job(job, JobState::Running).instance.expect("an instance");
    fleet.wait("the answer to be lost", |fleet| (hits(fleet, &json!("lose-claim")) == 1).then_some(()));
    fleet.until_phase("idle");
    fleet.ok(&format!("agent drain --socket {}", fleet.socket(&id).display()));
    fleet.until_ended(&id);
    fleet.until_job(job, JobState::Lost);
    fleet.ok("down");
    let ended = fleet.ended();
    let jobs = &ended.summary()["jobs"];
    assert_eq!((&jobs["done"], &jobs["lost"]), (&json!(0), &json!(1)));
}

/// A platform's built-in runner, and what becomes of a deaf job on it.
struct DeafJob {
    platform: &'static str,
    /// Where jobs run, as arguments of `up`.
    place: &'static str,
    /// Whether the job's command is a shell's, which would hear the signal and so is replaced.
    in_shell: bool,
    /// How the platform shows the end of which it was told.
    told: JobState,
}

/// On each platform the agent ends a deaf job before its reporter, and leaves that one the time to report.
#[test]
fn before_a_spot_deadline_each_platform_hears_of_a_deaf_job() {
    const PROCESSES: &str = "--no-docker";
    const CONTAINERS: &str = "";
    let job = |platform, place, in_shell, told| DeafJob { platform, place, in_shell, told };
    let mut all = vec![
        job("gitlab", PROCESSES, true, JobState::Interrupted),
        job("github", PROCESSES, false, JobState::Interrupted),
        job("buildkite", PROCESSES, true, JobState::Interrupted),
        job("circleci", PROCESSES, false, JobState::Interrupted),
        // The launcher fails no run: it waits for it, and tells how it ended.
        job("spacelift", PROCESSES, false, JobState::Failed),
    ];
    if engine_or_skip("deaf jobs in containers (those in processes are tested)") {
        all.extend([
            job("gitlab", CONTAINERS, true, JobState::Interrupted),
            job("spacelift", CONTAINERS, false, JobState::Failed),
            job("stackguardian", CONTAINERS, false, JobState::Interrupted),
        ]);
    }
    let home = Home::new();
    thread::scope(|scope| {
        for job in &all {
            let home = Home::beside(&home);
            scope.spawn(move || job.is_reported(home));
        }
    });
}

impl DeafJob {
    fn is_reported(&self, home: Home) {
        let Self { platform, place, in_shell, told } = *self;
        let mut fleet =
            home.up(&format!("--platform {platform} --jobs 0 --keep --max 1 {place} --fault patient-abort"));
        let shell = ["exec", "sh", "-c", "trap '' TERM INT QUIT; while :; do sleep 1; done"];
        let argv = if in_shell { &shell[..] } else { &shell[1..] };
        let job = fleet.post("jobs", &json!({ "argv": argv }))["ids"][0].as_u64().expect("an id");
        let id = fleet.until_job(job, JobState::Running).instance.expect("an instance");
        fleet.until_phase("busy");
        fleet.ok(&format!("interrupt {id} --in 15s"));
        let ended = fleet.until(&format!("{platform} {place}: the job to end"), |fleet| {
            fleet.jobs.iter().find(|it| it.id == job && it.state != JobState::Running).cloned()
        });
        assert_eq!(ended.state, told, "{platform} {place}: {ended:?}");
        let log = fleet.dir().join("instances").join(&id).join("agent.log");
        let log = fs::read_to_string(log).expect("a log");
        assert!(log.contains("does not heed its runner"), "{platform} {place}: it was not deaf: {log}");
        fleet.until_ended(&id);
        fleet.ok("down");
        assert_eq!(fleet.ended().summary()["jobs"]["lost"], 0, "{platform} {place}");
    }
}

/// gitlab-runner's shell executor reports nothing while the job's processes live, and at once when somebody ends them.
#[test]
fn a_patient_runner_reports_a_deaf_job_when_that_has_ended() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1 --no-docker --fault patient-abort");
    let file = fleet.dir().join("job.pid");
    let line = format!("trap '' TERM INT; echo $$ >{0}.new; mv {0}.new {0}; while :; do sleep 1; done", file.display());
    // The shell that GitLab's script runs in would hear the signal, so it is replaced.
    let argv = ["exec", "sh", "-c", &line];
    let job = fleet.post("jobs", &json!({ "argv": argv }))["ids"][0].as_u64().expect("an id");
    let head = fleet.wait("the job's process", |_| fs::read_to_string(&file).ok());
    let id = fleet.until_job(job, JobState::Running).instance.expect("an instance");
    let process = fleet.wait("the runner", |fleet| runner(fleet, &id));
    kill_process(process, Signal::TERM).expect("it runs");
    fleet.wait("the runner to hear it", |fleet| (hits(fleet, &json!("patient-abort")) == 1).then_some(()));
    fleet.until("the time in which an impatient runner kills", |fleet| {
        (fleet.jobs[0].ran_s? > 4.0).then(|| assert_eq!(fleet.jobs[0].state, JobState::Running))
    });
    kill_process_group(Pid::from_raw(head.trim().parse().expect("a number")).expect("an id"), Signal::KILL)
        .expect("the job runs");
    let failure = fleet.until_job(job, JobState::Lost).failure;
    assert_eq!(failure.as_deref(), Some("runner_system_failure"), "its runner said so");
    fleet.ok("down");
    fleet.ended();
}

/// Programs that change their title overwrite their environment; and jobs leave daemons behind.
#[test]
fn a_runner_forgets_who_started_it_and_a_job_leaves_a_process_behind() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1 --fault rewrite-environment --fault leave-child");
    let job = fleet.enqueue(1, 2.0)[0];
    let id = fleet.until_job(job, JobState::Running).instance.expect("an instance");
    let process = fleet.wait("the runner", |fleet| runner(fleet, &id));
    let found = environment(process);
    assert!(found.contains("LIGHTSOUT_ENVIRONMENT_REPLACED=1"), "{found}");
    assert!(!found.contains("LIGHTSOUT_RUNNER="), "{found}");
    fleet.until_job(job, JobState::Done);
    fleet.wait("a process to be left", |fleet| (hits(fleet, &json!("leave-child")) == 1).then_some(()));
    fleet.until_ended(&id);
    assert_eq!(instance(&fleet.snapshot(), &id).jobs, [0; 0]);
    fleet.until("all instances to end", |fleet| living(fleet).next().is_none().then_some(()));
    fleet.ok("down");
    fleet.ended().all_done();
}
