//! What an agent does, as metrics.

use std::{collections::BTreeMap, time::Duration};

use super::{Id, Program, Registry};
use crate::{
    activity::JobId,
    agent::{
        Status,
        event::Outcome,
        phase::{LeaveReason, PhaseName},
    },
    lanes::State,
    time::Tick,
};

/// The most jobs that are timed at once.
const MOST_JOBS: usize = 10_000;

/// How loaded an instance is, each from 0 for nothing to 1 for all; `None` where it cannot be told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Its processors since the last look.
    pub cpu: Option<f64>,
    pub memory: Option<f64>,
    /// The file system of the agent's state folder.
    pub disk: Option<f64>,
}

/// Counts what an agent does.
#[derive(Clone, Debug)]
pub struct AgentMeter {
    registry: Registry,
    pool: String,
    /// What an hour of the instance costs, where that is known.
    per_hour: Option<f64>,
    doing: Option<State>,
    since: Tick,
    jobs: BTreeMap<JobId, Tick>,
    /// Whether a probe names jobs here: then what others say of the same jobs is left out, or each would count twice.
    names: bool,
    /// Why it leaves, while it does.
    why: Option<LeaveReason>,
    departed: bool,
    /// How many jobs are about to be failed, and why.
    cutting: Option<(LeaveReason, u32)>,
}

/// What an instance in this phase does; `None` once it is gone.
fn doing(phase: PhaseName) -> Option<State> {
    match phase {
        PhaseName::Preparing | PhaseName::Booting | PhaseName::Registering => Some(State::Booting),
        PhaseName::Idle => Some(State::Idle),
        PhaseName::Busy => Some(State::Busy),
        PhaseName::Draining | PhaseName::Retiring => Some(State::Draining),
        PhaseName::Gone => None,
    }
}

/// OpenTelemetry's word.
fn worker(state: State) -> &'static str {
    if state == State::Idle { "available" } else { state.as_str() }
}

impl AgentMeter {
    /// Counts for an instance of this pool, from `now` on, of which an hour costs so much. `keeps`: what is new will be asked for by [`emf`](super::emf).
    pub fn new(pool: &str, per_hour: Option<f64>, keeps: bool, now: Tick) -> Self {
        let mut registry = Registry::new(Program::Agent, keeps);
        registry.meet(pool);
        if per_hour.is_some() {
            for doing in State::ALL {
                registry.add(Id::InstanceCost, pool, &[doing.as_str()], 0.0);
            }
        }
        Self {
            registry,
            pool: pool.to_owned(),
            per_hour,
            doing: None,
            since: now,
            jobs: BTreeMap::new(),
            names: false,
            why: None,
            departed: false,
            cutting: None,
        }
    }

    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// The agent's status is this. `ends`: the cloud has agreed to end the instance.
    pub fn saw(&mut self, status: &Status, ends: bool, now: Tick) {
        self.spend(now);
        self.doing = doing(status.phase);
        self.why = status.why.or(self.why.filter(|_| ends));
        // Until it is agreed to, a group that is at its floor may refuse, and the instance serves again.
        if let (Some(why), true, false) = (self.why, ends, self.departed) {
            self.departed = true;
            // The machine may be gone before they are.
            self.cut();
            self.registry.add(Id::Departures, &self.pool, &[why.as_str()], 1.0);
        }
        // While it is not known what runs, nothing has ended.
        if status.unknown.is_some() {
            return;
        }
        if !self.names && status.jobs.iter().any(JobId::is_of_one) {
            self.names = true;
            self.jobs.clear();
        }
        let ended: Vec<_> = self.jobs.keys().filter(|job| !status.jobs.contains(job)).cloned().collect();
        for began in ended.iter().filter_map(|job| self.jobs.remove(job)) {
            let ran = now.since(began).as_secs_f64();
            self.registry.observe(Id::JobDuration, &self.pool, &["executing", "agent"], ran);
        }
        for job in status.jobs.iter().filter(|job| !self.names || job.is_of_one()) {
            if self.jobs.len() < MOST_JOBS {
                self.jobs.entry(job.clone()).or_insert(now);
            }
        }
    }

    /// The jobs that run are about to be failed, for this reason.
    pub fn cuts(&mut self, status: &Status) {
        // As they are told apart for their times: a job that two probes see is one.
        let jobs = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
        self.cutting = status.why.map(|why| (why, jobs));
    }

    /// What was to fail them ended like this: unneeded, it was called off before any was.
    pub fn abort_ended(&mut self, outcome: &Outcome) {
        if *outcome == Outcome::Unneeded { self.cutting = None } else { self.cut() }
    }

    fn cut(&mut self) {
        if let Some((why, jobs)) = self.cutting.take() {
            self.registry.add(Id::JobsCut, &self.pool, &[why.as_str()], f64::from(jobs));
        }
    }

    /// A part of the boot took so long.
    pub fn booted(&mut self, part: &str, took: Duration) {
        self.registry.observe(Id::BootDuration, &self.pool, &[part], took.as_secs_f64());
    }

    /// A call failed: `source` and `reason` are words of the table.
    pub fn failed(&mut self, source: &'static str, reason: &'static str) {
        self.registry.add(Id::Errors, &self.pool, &[source, reason], 1.0);
    }

    /// The instance is loaded like this.
    pub fn loaded(&mut self, load: Load) {
        for (id, value) in [(Id::Cpu, load.cpu), (Id::Memory, load.memory), (Id::Disk, load.disk)] {
            self.registry.set(id, &self.pool, &[], value);
        }
    }

    /// All values as they are at `now`.
    pub fn at(&mut self, now: Tick) -> &mut Registry {
        self.spend(now);
        for doing in State::ALL {
            let is = f64::from(u8::from(self.doing == Some(doing)));
            self.registry.set(Id::Workers, &self.pool, &[worker(doing)], Some(is));
        }
        &mut self.registry
    }

    fn spend(&mut self, now: Tick) {
        let spent = now.since(self.since).as_secs_f64();
        self.since = now;
        if let Some(doing) = self.doing {
            self.registry.add(Id::InstanceTime, &self.pool, &[doing.as_str()], spent);
            if let Some(per_hour) = self.per_hour {
                self.registry.add(Id::InstanceCost, &self.pool, &[doing.as_str()], spent / 3600.0 * per_hour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Value, metric};

    fn status(phase: PhaseName, why: Option<LeaveReason>, jobs: &[&str]) -> Status {
        Status {
            phase,
            why,
            jobs: jobs.iter().map(|job| JobId((*job).to_owned())).collect(),
            unknown: None,
            protected: None,
            served: 0,
            note: None,
            held: false,
            deadline: None,
        }
    }

    fn values(meter: &mut AgentMeter, now: Tick, id: Id) -> Vec<(String, f64)> {
        let registry = meter.at(now);
        let samples = registry.samples(metric(id), None).map(|sample| {
            let labels: Vec<_> = sample.labels.iter().map(|(_, value)| *value).collect();
            let value = match sample.value {
                Value::Number(number) => number,
                Value::Histogram(histogram) => histogram.sum(),
            };
            (labels.join(" "), value)
        });
        samples.filter(|(_, value)| *value != 0.0).collect()
    }

    fn at(seconds: u64) -> Tick {
        Tick(seconds * 1000)
    }

    #[test]
    fn time_is_spent_on_what_the_instance_does() {
        let mut meter = AgentMeter::new("ci", None, false, at(0));
        meter.saw(&status(PhaseName::Booting, None, &[]), false, at(0));
        meter.saw(&status(PhaseName::Registering, None, &[]), false, at(4));
        meter.saw(&status(PhaseName::Idle, None, &[]), false, at(5));
        meter.saw(&status(PhaseName::Busy, None, &["1"]), false, at(10));
        meter.saw(&status(PhaseName::Draining, Some(LeaveReason::Idle), &[]), false, at(40));
        let spent = values(&mut meter, at(42), Id::InstanceTime);
        let expected = [("booting", 5.0), ("idle", 5.0), ("busy", 30.0), ("draining", 2.0)];
        assert_eq!(spent, expected.map(|(state, value)| (state.to_owned(), value)));
        assert_eq!(values(&mut meter, at(42), Id::Workers), [("draining".to_owned(), 1.0)]);
    }

    #[test]
    fn time_costs_its_price_and_without_one_nobody_says_that_it_cost_nothing() {
        let mut meter = AgentMeter::new("ci", Some(7.2), false, at(0));
        meter.saw(&status(PhaseName::Idle, None, &[]), false, at(0));
        meter.saw(&status(PhaseName::Busy, None, &["1"]), false, at(500));
        let cost = values(&mut meter, at(3_500), Id::InstanceCost);
        assert_eq!(cost, [("idle".to_owned(), 1.0), ("busy".to_owned(), 6.0)]);
        let series = |meter: &mut AgentMeter| meter.at(at(3_600)).samples(metric(Id::InstanceCost), None).count();
        assert_eq!(series(&mut meter), 4, "who has a price begins at 0, or the first step is seen by nobody");
        let mut meter = AgentMeter::new("ci", None, true, at(0));
        meter.saw(&status(PhaseName::Busy, None, &["1"]), false, at(0));
        assert_eq!(series(&mut meter), 0);
        let lines = crate::metrics::emf::lines(meter.at(at(3_600)), "ci", 0);
        assert!(lines[0].contains("lightsout.instance.time.busy") && !lines[0].contains("cost"), "{lines:?}");
    }

    #[test]
    fn jobs_are_timed_and_named_nowhere() {
        let mut meter = AgentMeter::new("ci", None, false, at(0));
        meter.saw(&status(PhaseName::Busy, None, &["1", "2"]), false, at(10));
        meter.saw(&status(PhaseName::Busy, None, &["2"]), false, at(15));
        // Nobody knows what runs: the second may.
        meter.saw(&Status { unknown: Some("no answer".into()), ..status(PhaseName::Busy, None, &[]) }, false, at(20));
        meter.saw(&status(PhaseName::Idle, None, &[]), false, at(40));
        assert_eq!(values(&mut meter, at(40), Id::JobDuration), [("executing agent".to_owned(), 35.0)]);
    }

    /// A gitlab-runner says how many run, and its child process that one does.
    #[test]
    fn a_job_that_two_probes_see_counts_once() {
        let mut meter = AgentMeter::new("ci", None, false, at(0));
        for (second, jobs) in [
            (1, &["gitlab_runner_jobs=1"][..]),
            (2, &["gitlab_runner_jobs=1", "sh:7"]),
            (12, &["gitlab_runner_jobs=1"]),
            (13, &["gitlab_runner_jobs=1", "sh:8"]),
            (33, &["gitlab_runner_jobs=1"]),
            (34, &[]),
        ] {
            meter.saw(
                &status(if jobs.is_empty() { PhaseName::Idle } else { PhaseName::Busy }, None, jobs),
                false,
                at(second),
            );
        }
        assert_eq!(values(&mut meter, at(40), Id::JobDuration), [("executing agent".to_owned(), 30.0)]);
        // Where nothing else is told, the number has to do.
        let mut meter = AgentMeter::new("ci", None, false, at(0));
        meter.saw(&status(PhaseName::Busy, None, &["gitlab_runner_jobs=1"]), false, at(1));
        meter.saw(&status(PhaseName::Idle, None, &[]), false, at(9));
        assert_eq!(values(&mut meter, at(9), Id::JobDuration), [("executing agent".to_owned(), 8.0)]);
    }

    #[test]
    fn a_departure_counts_once_and_a_drain_that_was_taken_back_never() {
        let mut meter = AgentMeter::new("ci", None, false, at(0));
        meter.saw(&status(PhaseName::Draining, Some(LeaveReason::Operator), &[]), false, at(1));
        meter.saw(&status(PhaseName::Idle, None, &[]), false, at(2));
        assert!(values(&mut meter, at(2), Id::Departures).is_empty());
        for (phase, ends) in [
            (PhaseName::Draining, false),
            (PhaseName::Retiring, false),
            (PhaseName::Retiring, true),
            (PhaseName::Gone, true),
        ] {
            meter.saw(&status(phase, Some(LeaveReason::Idle), &[]), ends, at(3));
        }
        assert_eq!(values(&mut meter, at(4), Id::Departures), [("idle".to_owned(), 1.0)]);
    }

    #[test]
    fn a_departure_that_the_group_refuses_counts_never_and_the_later_one_by_its_own_reason() {
        let mut meter = AgentMeter::new("ci", None, false, at(0));
        meter.saw(&status(PhaseName::Retiring, Some(LeaveReason::Idle), &[]), false, at(1));
        meter.saw(&status(PhaseName::Idle, None, &[]), false, at(2));
        assert!(values(&mut meter, at(2), Id::Departures).is_empty());
        meter.saw(&status(PhaseName::Retiring, Some(LeaveReason::Spot), &[]), false, at(3));
        // What is gone may say no reason any more.
        meter.saw(&status(PhaseName::Gone, None, &[]), true, at(4));
        assert_eq!(values(&mut meter, at(4), Id::Departures), [("spot".to_owned(), 1.0)]);
    }

    #[test]
    fn jobs_that_are_cut_count_once_and_those_of_each_deadline() {
        let mut meter = AgentMeter::new("ci", None, false, at(0));
        let maintenance = status(PhaseName::Draining, Some(LeaveReason::Maintenance), &["1"]);
        meter.saw(&maintenance, false, at(0));
        meter.cuts(&maintenance);
        meter.abort_ended(&Outcome::Unneeded);
        assert!(values(&mut meter, at(1), Id::JobsCut).is_empty(), "it was called off");
        let spot = status(PhaseName::Draining, Some(LeaveReason::Spot), &["tasks=2", "2", "3"]);
        meter.saw(&spot, false, at(1));
        meter.cuts(&spot);
        meter.cuts(&spot);
        for _ in 0..2 {
            meter.abort_ended(&Outcome::Done);
            assert_eq!(values(&mut meter, at(1), Id::JobsCut), [("spot".to_owned(), 2.0)]);
        }
        let last = status(PhaseName::Draining, Some(LeaveReason::Spot), &["4"]);
        meter.saw(&last, false, at(2));
        meter.cuts(&last);
        meter.saw(&status(PhaseName::Retiring, Some(LeaveReason::Spot), &["4"]), true, at(3));
        assert_eq!(values(&mut meter, at(3), Id::JobsCut), [("spot".to_owned(), 3.0)], "its end comes first");
    }
}
