mod edges;
mod looks;
mod members;

use std::collections::VecDeque;

use super::*;
use crate::{
    cloud::ReadyCounts,
    platform::Demand,
    scaling::{Capacity, Plan, PlanHistory, ScalerPolicy, observation, plan},
};

/// Ten minutes without a job, and an instance leaves.
const IDLE: u64 = 600;

/// What an instance is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Takes jobs that somebody can take, and leaves when it is idle.
    Good { idle: u64 },
    /// Its agent never began: it takes nothing and never leaves.
    Dead,
    /// Its agent is ready, the jobs that wait are not for it, and its group keeps it.
    Ready,
    /// It leaves as broken after its boot deadline.
    Broken { age: u64 },
}

/// A pool tick by tick, every ten seconds.
struct World {
    now: u64,
    raise_history: RaiseHistory,
    /// Whether each tick is a process of its own.
    runs: bool,
    /// Whether the cloud tells who has been ready, and when that was asked.
    signs: bool,
    looks: Vec<u64>,
    instances: Vec<Kind>,
    /// What the next instances are.
    born: Kind,
    /// Jobs that wait and that an instance can take, and those that none can.
    possible: u32,
    impossible: u32,
    /// When instances were launched.
    launches: Vec<u64>,
    reason: String,
}

impl World {
    fn new(born: Kind) -> Self {
        Self {
            now: 1000,
            raise_history: RaiseHistory::default(),
            runs: false,
            signs: false,
            looks: Vec::new(),
            instances: Vec::new(),
            born,
            possible: 0,
            impossible: 0,
            launches: Vec::new(),
            reason: String::new(),
        }
    }

    fn time(&self) -> Duration {
        Duration::from_secs(86_400 + self.now)
    }

    fn tick(&mut self) {
        self.now += 10;
        if self.runs {
            let memory = serde_json::to_string(&self.raise_history).unwrap();
            self.raise_history = serde_json::from_str(&memory).unwrap();
        }
        let mut possible = self.possible;
        self.instances.retain_mut(|instance| match instance {
            // A job takes as good as no time.
            Kind::Good { idle } if possible > 0 => {
                (possible, *idle) = (possible - 1, 0);
                true
            }
            Kind::Good { idle: age } | Kind::Broken { age } => {
                *age += 10;
                *age < IDLE
            }
            Kind::Dead | Kind::Ready => true,
        });
        self.possible = possible;
        let desired = u32::try_from(self.instances.len()).unwrap();
        let (queued, now) = (self.possible + self.impossible, self.time());
        let demand = Demand { queued, running: Some(0), poll_after: None };
        self.raise_history.see(observation(&ScalerPolicy::default(), &demand, desired), now);
        let count = |kind: fn(&Kind) -> bool| self.instances.iter().filter(|it| kind(it)).count().try_into().unwrap();
        let missing = count(|kind| *kind == Kind::Dead);
        if self.raise_history.doubts_members() {
            self.looks.push(self.now);
            let ready = count(|kind| matches!(kind, Kind::Good { .. } | Kind::Ready));
            self.raise_history.learn(self.signs.then_some(ReadyCounts { ready, missing }), now);
            let silent = self.outlook().silent;
            assert!(!self.signs || silent <= missing, "{silent} of {missing}: who has been ready is never left out");
        }
        let Outlook { silent, ready, .. } = self.outlook();
        assert!(silent + ready <= desired, "{silent} + {ready} of {desired}: no instance is both");
        let past = PlanHistory { outlook: self.raise_history.outlook(now), ..PlanHistory::default() };
        let capacity = Capacity { max: 100, desired, ..Capacity::default() };
        let planned = plan(&ScalerPolicy::default(), &demand, capacity, past);
        self.reason = planned.explanation().to_string();
        if let Plan::Raise { to, .. } = planned {
            self.raise_history.raised(to);
            let more = usize::try_from(to - desired).unwrap();
            self.instances.extend(vec![self.born; more]);
            self.launches.extend(vec![self.now; more]);
        }
    }

    fn run(&mut self, hours: u64) {
        for _ in 0..hours * 360 {
            self.tick();
        }
    }

    fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let begun = self.now;
        while !holds(self) {
            self.tick();
            assert!(self.now < begun + 4 * 3600, "waited for {what}: {}", self.reason);
        }
    }

    fn until_braked(&mut self) {
        self.until("a pause", |world| world.outlook().pause_ms >= 60_000);
    }

    fn until_served(&mut self) {
        self.until("the jobs to be taken", |world| world.possible == 0);
    }

    fn outlook(&self) -> Outlook {
        self.raise_history.outlook(self.time())
    }
}

const GOOD: Kind = Kind::Good { idle: 0 };
const BROKEN: Kind = Kind::Broken { age: 0 };

#[test]
fn demand_that_nobody_can_meet_is_tried_ever_more_rarely() {
    for (name, born) in [("no agent takes it", GOOD), ("every instance is broken", BROKEN)] {
        let mut world = World::new(born);
        world.impossible = 1;
        world.run(24);
        // Without a brake it is one every ten minutes: 144.
        let launched = world.launches.len();
        assert!((20..45).contains(&launched), "{name}: {launched} launches a day");
        let pauses: Vec<u64> = world.launches.windows(2).map(|pair| pair[1] - pair[0] - IDLE).collect();
        assert!(pauses.is_sorted(), "{name}: {pauses:?}");
        assert_eq!(pauses.last(), Some(&1800), "{name}: {pauses:?}");
        assert!(world.reason.contains("raises were in vain"), "{name}: {}", world.reason);
    }
}

#[test]
fn runs_that_remember_one_another_decide_as_a_loop_does() {
    for (name, born, possible, impossible) in [
        ("no agent takes it", GOOD, 0, 3),
        ("broken", BROKEN, 0, 1),
        ("silent", Kind::Dead, 4, 0),
        ("good", GOOD, 9, 0),
    ] {
        let launches = |runs| {
            let mut world = World::new(born);
            (world.runs, world.possible, world.impossible) = (runs, possible, impossible);
            world.run(12);
            world.launches
        };
        assert_eq!(launches(true), launches(false), "{name}");
    }
    let nothing = RaiseHistory::default();
    assert_eq!(serde_json::from_str::<RaiseHistory>(&serde_json::to_string(&nothing).unwrap()).unwrap(), nothing);
}

#[test]
fn many_such_jobs_are_tried_with_one_instance() {
    let mut world = World::new(GOOD);
    world.impossible = 50;
    world.run(24);
    assert!(world.launches.len() < 100 + 45, "{} launches", world.launches.len());
}

#[test]
fn other_jobs_are_served_as_ever() {
    let mut world = World::new(GOOD);
    world.impossible = 3;
    world.run(6);
    let before = world.launches.len();
    assert!(world.outlook().in_vain > 2);
    world.until_braked();
    world.possible = 5;
    world.tick();
    assert_eq!(world.launches.len(), before + 5, "{}", world.reason);
    world.tick();
    assert_eq!(world.possible, 0);
    assert!(world.outlook().in_vain > 2, "and what nobody can take stays braked");
}

#[test]
fn one_success_resets_it() {
    let mut world = World::new(GOOD);
    world.impossible = 2;
    world.run(6);
    world.until_braked();
    let before = world.launches.len();
    // Somebody mends the tag of one of them: it is taken by the next instance that is tried.
    (world.impossible, world.possible) = (1, 1);
    world.until_served();
    assert_eq!(world.launches.len(), before + 1);
    assert_eq!(world.outlook(), Outlook::default());
}

#[test]
fn a_herd_that_leaves_just_when_a_job_comes_brakes_nothing() {
    let mut world = World::new(GOOD);
    world.possible = 20;
    world.until("the herd to leave", |world| world.now > 1200 && world.instances.is_empty());
    world.possible = 1;
    let before = world.now;
    world.until_served();
    assert!(world.now - before <= 30, "raised at once");
    assert_eq!(world.outlook(), Outlook::default());
}

#[test]
fn a_backlog_whose_instances_leave_after_each_job_is_no_doubt() {
    let mut raise_history = RaiseHistory::default();
    let mut now = Duration::from_secs(1000);
    for round in 0..500_u32 {
        now += Duration::from_secs(10);
        // Ten at work, one of which was replaced: as many jobs came as were taken.
        for desired in [10, 9] {
            let demand = Demand { queued: 30 + round % 2, running: Some(desired), poll_after: None };
            raise_history.see(observation(&ScalerPolicy::default(), &demand, desired), now);
        }
        raise_history.raised(10);
        assert_eq!(raise_history.outlook(now), Outlook::default(), "round {round}");
    }
}

#[test]
fn a_raise_for_which_no_job_waited_or_past_which_others_went_was_not_in_vain() {
    for (name, queued, grows, seen) in
        [("spare ones", 0, 0, [1, 0]), ("others raised further, and one left", 1, 3, [4, 3])]
    {
        let mut raise_history = RaiseHistory::default();
        let mut now = Duration::from_secs(1000);
        let mut see = |raise_history: &mut RaiseHistory, desired| {
            now += Duration::from_secs(10);
            let demand = Demand { queued, running: Some(0), poll_after: None };
            raise_history.see(observation(&ScalerPolicy::default(), &demand, desired), now);
            now
        };
        for round in 0..5 {
            let before = 1 + grows * round;
            see(&mut raise_history, before);
            raise_history.raised(before + 1);
            see(&mut raise_history, before + seen[0]);
            let now = see(&mut raise_history, before + seen[1]);
            assert_eq!(raise_history.outlook(now), Outlook::default(), "{name}, round {round}");
        }
    }
}

#[test]
fn an_instance_whose_agent_never_began_hides_no_job() {
    let mut world = World::new(GOOD);
    world.instances = vec![Kind::Dead; 2];
    world.possible = 1;
    world.until_served();
    assert_eq!(world.launches.len(), 1, "past both");
    assert_eq!((world.outlook().silent, world.outlook().in_vain), (2, 0));
    // They stay left out, and the next job waits for nothing.
    world.run(1);
    assert_eq!(world.instances.len(), 2, "the good one has left");
    let begun = world.now;
    world.possible = 1;
    world.until_served();
    assert!(world.now <= begun + 20, "{}", world.reason);
}

/// Whatever the time is counted from.
#[test]
fn nobody_has_been_silent_before_the_first_look() {
    for now in [Duration::ZERO, Duration::from_secs(7 * 86_400)] {
        let mut raise_history = RaiseHistory::default();
        let demand = Demand { queued: 40, running: Some(0), poll_after: None };
        raise_history.see(observation(&ScalerPolicy::default(), &demand, 2), now);
        assert_eq!(raise_history.outlook(now), Outlook::default(), "{now:?}");
    }
}

#[test]
fn instances_that_all_are_silent_cost_a_few_an_hour() {
    let mut world = World::new(Kind::Dead);
    world.possible = 4;
    world.run(10);
    let after = |hours: u64| world.launches.iter().filter(|at| **at < 1000 + hours * 3600).count();
    assert!(after(1) <= 4 + 3 && after(10) <= 8, "{:?}", world.launches);
    assert!(world.reason.contains("took no job and did not leave"), "{}", world.reason);
}

#[test]
fn a_silent_instance_and_a_job_that_nobody_can_take_are_told_apart() {
    let mut world = World::new(GOOD);
    world.instances = vec![Kind::Dead];
    world.impossible = 1;
    world.run(12);
    let outlook = world.outlook();
    assert_eq!(outlook.silent, 1, "the dead one: {}", world.reason);
    assert!(outlook.in_vain > 3, "those that came and left again: {}", world.reason);
    assert!(world.launches.len() < 25, "and they became rare: {}", world.launches.len());
}
