//! What `lightsout simulate` plays is what a fleet does: for the same trace, settings and bounds both raise and leave in the same order.
//!
//! A trace is steps here. In the simulation each is an hour after the one before; a real fleet is given the next as soon as it has come to rest, and
//! its jobs end when they are told to, so that no machine is too slow for it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use lightsout_core::{agent::policy::AgentPolicy, record::Record, scaling::Plan};
use lightsout_localcloud::{Snapshot, fleet::InstanceView};
use lightsout_simulate::{Fleet as Kept, Job, LightsoutSettings, Setup, Trace, Turn, simulate};
use serde_json::{Value, json};

use crate::rig::{Ended, Fleet, Home, living, phase};

/// From one step to the next, in the simulation: much longer than any of the fleet's times.
const HOUR: Duration = Duration::from_secs(3_600);

/// How long a real instance idles. A runner that is ready must be given the job that waits for it before that, however slow the machine: else it leaves,
/// and another is raised, as none does in the simulation.
const IDLE_TIMEOUT: &str = "5s";

enum Step {
    /// So many jobs come at once.
    Come(u32),
    /// These end, by the order in which they came.
    End(&'static [usize]),
}

use Step::{Come, End};

struct Case {
    steps: &'static [Step],
    min: u32,
    max: u32,
    jobs_per_instance: Option<u32>,
}

impl Case {
    /// What the simulation says: raises and departures, and how many instances were launched.
    fn simulated(&self, seed: u64, settings: LightsoutSettings) -> (Vec<Turn>, usize) {
        let policy = AgentPolicy { jobs_per_instance: self.jobs_per_instance, ..settings.agent };
        let setup = Setup { seed, min: self.min, max: self.max, ..Setup::default() };
        let outcome =
            simulate(&self.trace(), &setup, &Kept::Lightsout(LightsoutSettings { agent: policy, ..settings }));
        assert_eq!((outcome.cut, outcome.unserved, outcome.violation), (0, 0, None), "{outcome:?}");
        (outcome.turns, outcome.launched)
    }

    fn trace(&self) -> Trace {
        let mut jobs: Vec<Job> = Vec::new();
        for (step, hour) in self.steps.iter().zip(0..) {
            match step {
                Come(count) => {
                    jobs.extend((0..*count).map(|_| Job { arrives: HOUR * hour, runs: Duration::ZERO }));
                }
                End(which) => {
                    for job in *which {
                        jobs[*job].runs = (HOUR * hour).saturating_sub(jobs[*job].arrives);
                    }
                }
            }
        }
        Trace::new(jobs)
    }

    /// What a fleet of real agents and a real scaler does.
    fn real(&self) -> (Vec<Turn>, usize) {
        let home = Home::new();
        let ends = home.root().join("ends");
        fs::create_dir(&ends).expect("a folder");
        let limit = self.jobs_per_instance.map(|jobs| format!("[agent]\njobs_per_instance = {jobs}\n"));
        let settings = home.root().join("more.toml");
        fs::write(&settings, limit.unwrap_or_default()).expect("a file");
        let mut fleet = home.up(&format!(
            "--jobs 0 --keep --no-docker --idle-timeout {IDLE_TIMEOUT} --min {} --max {} --agent-settings {}",
            self.min,
            self.max,
            settings.display()
        ));
        assert_eq!(fleet.notes()[0], "jobs run as plain processes: --no-docker");
        let (mut jobs, mut ended): (Vec<u64>, u32) = (Vec::new(), 0);
        self.rest(&mut fleet, 0, 0);
        for step in self.steps {
            match step {
                Come(count) => jobs.extend(come(&fleet, *count, &ends)),
                End(which) => {
                    which.iter().for_each(|job| fs::write(ends.join(jobs[*job].to_string()), "").expect("a file"));
                    ended += u32::try_from(which.len()).expect("a few");
                }
            }
            self.rest(&mut fleet, u32::try_from(jobs.len()).expect("a few"), ended);
        }
        let launched = fleet.snapshot().launched();
        fleet.ok("down");
        let (ended, home) = fleet.ended_in();
        ended.well();
        (turns(&ended, &home), launched)
    }

    /// Waits until nothing will happen any more: what can run does, whoever is not needed has gone, and each agent has seen it.
    fn rest(&self, fleet: &mut Fleet, came: u32, ended: u32) {
        let running = (came - ended).min(self.max);
        let there = running.max(self.min);
        let count = |fleet: &Snapshot, which: fn(&InstanceView) -> bool| {
            u32::try_from(living(fleet).filter(|it| which(it)).count()).expect("a few")
        };
        fleet.until(&format!("{running} of {there} instances to work after {ended} of {came} jobs"), |fleet| {
            let jobs = (fleet.queue.done, fleet.queue.running) == (ended, running);
            let agents = (count(fleet, has_jobs), count(fleet, |it| phase(it) == "idle"));
            let group = (fleet.groups[0].desired, count(fleet, |_| true));
            (jobs && agents == (running, there - running) && group == (there, there)).then_some(())
        });
    }
}

/// Whether its agent sees a job. It may be draining meanwhile, with its last one.
fn has_jobs(instance: &InstanceView) -> bool {
    let jobs = instance.agent.as_ref().and_then(|agent| agent.0["jobs"].as_array());
    jobs.is_some_and(|jobs| !jobs.is_empty())
}

/// Queues jobs at once, each of which ends when there is a file that bears its number.
fn come(fleet: &Fleet, count: u32, ends: &Path) -> Vec<u64> {
    let script = format!("until [ -e '{}'/$CI_JOB_ID ]; do sleep 0.05; done", ends.display());
    let answer = fleet.post("jobs", &json!({ "count": count, "argv": ["sh", "-c", script] }));
    answer["ids"].as_array().expect("ids").iter().filter_map(Value::as_u64).collect()
}

/// Raises and departures of a fleet, from its first job until it was told to end. What it had at first nobody raised.
fn turns(ended: &Ended, home: &Home) -> Vec<Turn> {
    let why = reasons(&home.dir().join("records.jsonl"));
    let events = ended.lines.iter().filter_map(|line| line.get("event"));
    let what = |event: &Value| event["what"].as_str().unwrap_or_default().to_owned();
    let events = events.skip_while(|event| what(event) != "queued").take_while(|event| what(event) != "told to end");
    let turn = |event: &Value| {
        let what = what(event);
        if what == "gone" {
            return Some(Turn::Left { why: why.get(event["instance"].as_str()?).copied() });
        }
        let (_, to) = what.strip_prefix("desired capacity ")?.split_once(" -> ")?;
        // What a leaving instance lowers has more words behind it.
        Some(Turn::Raised { to: to.parse().ok()? })
    };
    events.filter_map(turn).collect()
}

/// Why each instance left, as its last certificate says.
fn reasons(records: &PathBuf) -> BTreeMap<String, lightsout_core::agent::phase::LeaveReason> {
    let text = fs::read_to_string(records).expect("records");
    let departure = |line| match Record::find(line)? {
        Record::Departure(departure) => Some((departure.instance.clone(), departure.reason)),
        Record::Decision(_) | Record::Incident(_) => None,
    };
    text.lines().filter_map(departure).collect()
}

/// Whatever chance decides in the simulation, its turns are those of the fleet; and those of a changed rule are not.
fn same(case: &Case) {
    let real = case.real();
    for seed in 1..=20 {
        assert_eq!(case.simulated(seed, LightsoutSettings::default()), real, "simulated with seed {seed}, and real");
    }
    let changed = LightsoutSettings {
        plan: |policy, demand, capacity, past| match lightsout_core::scaling::plan(policy, demand, capacity, past) {
            Plan::Raise { to, explanation } => Plan::Raise { to: to - 1, explanation },
            hold @ Plan::Hold(_) => hold,
        },
        ..LightsoutSettings::default()
    };
    assert_ne!(case.simulated(1, changed).0, real.0, "a comparison that cannot fail is none");
}

/// Raises to what is needed and to no more than the most, departures while others work, and the floor.
#[test]
fn idle_instances_leave_in_a_fleet_as_they_do_in_the_simulation() {
    same(&Case {
        steps: &[Come(3), End(&[0, 1]), Come(5), End(&[2]), End(&[3, 4, 5, 6, 7])],
        min: 1,
        max: 5,
        jobs_per_instance: None,
    });
}

/// Who has to leave is replaced where the group is at its floor, and nowhere else.
#[test]
fn instances_that_have_served_leave_in_a_fleet_as_they_do_in_the_simulation() {
    same(&Case { steps: &[Come(1), End(&[0]), Come(3), End(&[1, 2, 3])], min: 1, max: 4, jobs_per_instance: Some(1) });
}
