//! The move from another system's scaler to ours and back, on one group with jobs at work: first its rule alone, then both, then
//! ours alone, then its rule alone again. Each rule is written from the description of that system, and it lowers as that one
//! does. Whatever it does to the group, the instances are protected and behind a hook, so it ends nobody's job.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use lightsout_localcloud::{Snapshot, fleet::InstanceView};
use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{Fleet, http, living, phase};

const GROUP: &str = "lightsout-demo";
const AUTO_SCALING: &str = "2011-01-01";
const MAX: u32 = 4;

/// What the rule of another system does with what it sees, once a minute there and several times a second here.
type Rule = fn(&mut Old, &Snapshot);

/// Another system's scaler.
struct Old {
    url: String,
    rule: Rule,
    /// StackGuardian's: the runners that it has told to take no more jobs.
    draining: BTreeSet<String>,
    /// How often it lowered the group or ended an instance while jobs ran.
    lowered: u32,
}

impl Old {
    fn new(fleet: &Fleet, rule: Rule) -> Self {
        Self { url: fleet.url().to_owned(), rule, draining: BTreeSet::new(), lowered: 0 }
    }

    fn tick(&mut self, fleet: &Snapshot) {
        (self.rule)(self, fleet);
    }

    /// Sets the desired capacity within the group's bounds, which the API wants.
    fn set(&mut self, fleet: &Snapshot, to: u32) {
        let to = to.min(MAX);
        let desired = fleet.groups[0].desired;
        if to != desired {
            self.call(&format!("Action=SetDesiredCapacity&DesiredCapacity={to}"));
        }
        if to < desired && fleet.queue.running > 0 {
            self.lowered += 1;
        }
    }

    fn protect(&mut self, id: &str, protected: bool) {
        let form = format!("Action=SetInstanceProtection&InstanceIds.member.1={id}&ProtectedFromScaleIn={protected}");
        self.call(&form);
    }

    fn terminate(&mut self, fleet: &Snapshot, id: &str) {
        self.call(&format!(
            "Action=TerminateInstanceInAutoScalingGroup&InstanceId={id}&ShouldDecrementDesiredCapacity=true"
        ));
        if fleet.queue.running > 0 {
            self.lowered += 1;
        }
    }

    /// What the group refuses, such as an instance that has just left, is the old scaler's to bear, too.
    fn call(&mut self, form: &str) {
        let group =
            if form.contains("TerminateInstance") { String::new() } else { format!("&AutoScalingGroupName={GROUP}") };
        let form = format!("{form}&Version={AUTO_SCALING}{group}");
        let (status, body) =
            http::send("POST", &self.url, "application/x-www-form-urlencoded", &form).expect("the cloud answers");
        assert!(status < 500, "{form}: {status} {body}");
    }
}

// ---- the rules ---------------------------------------------------------------------------------------------------------------

/// More by one when three jobs wait or when nobody is there to take one; with one or none waiting, one runner after the other is
/// told to take no more jobs; and those that were told and run none lose their protection, and the desired capacity is lowered by their
/// number, whoever is then picked.
fn stackguardian(old: &mut Old, fleet: &Snapshot) {
    let runners: Vec<_> = serving(fleet).collect();
    let members = u32::try_from(members(fleet).count()).expect("few");
    let waiting = fleet.queue.waiting;
    if waiting >= 3 || (waiting > 0 && runners.is_empty()) {
        match old.draining.pop_first() {
            Some(_) => {}
            None => old.set(fleet, members + 1),
        }
    } else if waiting <= 1 {
        for runner in &runners {
            old.protect(&runner.id, true);
        }
        let next = runners.iter().find(|it| !old.draining.contains(&it.id)).map(|it| it.id.clone());
        old.draining.extend(next);
    }
    let drained: Vec<_> = runners
        .iter()
        .filter(|it| old.draining.contains(&it.id) && it.jobs.is_empty())
        .map(|it| it.id.clone())
        .collect();
    for id in &drained {
        old.protect(id, false);
        old.draining.remove(id);
    }
    if !drained.is_empty() {
        old.set(fleet, members - u32::try_from(drained.len()).expect("few"));
    }
}

/// One at a time to what waits and runs, and only when every instance has a worker; and one of the idle ones, the oldest first, is
/// drained and ended by name when there are more than that.
fn spacelift(old: &mut Old, fleet: &Snapshot) {
    let desired = fleet.groups[0].desired;
    let workers: Vec<_> = serving(fleet).collect();
    if u32::try_from(workers.len()).expect("few") != desired {
        return;
    }
    let wanted = fleet.queue.waiting + fleet.queue.running;
    if wanted > desired {
        old.set(fleet, desired + 1);
    } else if wanted < desired
        && let Some(idle) = workers.iter().find(|it| it.jobs.is_empty())
    {
        old.terminate(fleet, &idle.id);
    }
}

/// The minimum, the maximum and what waits and runs are written each time, upwards and downwards.
fn circleci(old: &mut Old, fleet: &Snapshot) {
    let wanted = (fleet.queue.waiting + fleet.queue.running).min(MAX);
    let desired = fleet.groups[0].desired;
    old.call(&format!("Action=UpdateAutoScalingGroup&MinSize=0&MaxSize={MAX}&DesiredCapacity={wanted}"));
    if wanted < desired && fleet.queue.running > 0 {
        old.lowered += 1;
    }
}

/// CircleCI's as it was first: it counted what waits alone. An agent protects its instance where the group does not, so that is
/// taken away as well.
fn unprotected(old: &mut Old, fleet: &Snapshot) {
    for member in members(fleet) {
        old.protect(&member.id, false);
    }
    old.set(fleet, fleet.queue.waiting);
}

/// A webhook makes one of none; an instance that is full adds one; an instance that is idle ends itself.
fn lean_delivery(old: &mut Old, fleet: &Snapshot) {
    let desired = fleet.groups[0].desired;
    let runners: Vec<_> = serving(fleet).collect();
    if fleet.queue.waiting > 0 && (desired == 0 || runners.iter().any(|it| !it.jobs.is_empty())) {
        old.set(fleet, desired + 1);
    } else if let Some(idle) = runners.iter().find(|it| it.jobs.is_empty()) {
        old.terminate(fleet, &idle.id);
    }
}

/// To what waits and runs, and down to it as well where that is not switched off.
fn buildkite(old: &mut Old, fleet: &Snapshot) {
    old.set(fleet, fleet.queue.waiting + fleet.queue.running);
}

// ---- the moves ---------------------------------------------------------------------------------------------------------------

#[test]
fn moving_from_stackguardians_scaler_and_back_loses_nothing() {
    over_and_back("stackguardian", stackguardian);
}

#[test]
fn moving_from_spacelifts_scaler_and_back_loses_nothing() {
    over_and_back("spacelift", spacelift);
}

#[test]
fn moving_from_circlecis_scaler_and_back_loses_nothing() {
    over_and_back("circleci", circleci);
}

#[test]
fn moving_from_lean_deliverys_scaler_and_back_loses_nothing() {
    over_and_back("gitlab", lean_delivery);
}

#[test]
fn moving_from_buildkites_scaler_and_back_loses_nothing() {
    over_and_back("buildkite", buildkite);
}

/// What makes the runs above worth something: without protection and hook such a rule ends a job, and that is seen.
#[test]
fn a_scaler_that_lowers_loses_jobs_where_nothing_is_protected() {
    let mut fleet = Fleet::up(&format!("--platform circleci --jobs 0 --keep --max {MAX}"));
    let ours = Scaler::of(&mut fleet);
    ours.off();
    let mut old = Old::new(&fleet, unprotected);
    old.call("Action=UpdateAutoScalingGroup&NewInstancesProtectedFromScaleIn=false");
    old.call("Action=DeleteLifecycleHook&LifecycleHookName=lightsout-drain");
    fleet.enqueue(1, 120.0);
    // Its runner may still say that it failed, or be cut off before it can.
    drive(&mut fleet, &mut old, "the job to be lost", |fleet| {
        (fleet.queue.lost + fleet.queue.failed == 1).then_some(())
    });
    assert!(old.lowered > 0);
    ours.on();
    fleet.ok("down");
    let ended = fleet.ended();
    assert!(ended.events().iter().any(|event| event.ends_with("terminating: scale-in")), "{:?}", ended.events());
    assert_eq!(ended.summary()["jobs"]["done"], 0);
}

fn over_and_back(platform: &str, rule: Rule) {
    let mut fleet = Fleet::up(&format!("--platform {platform} --jobs 0 --keep --max {MAX} --idle-timeout 4s"));
    let ours = Scaler::of(&mut fleet);
    ours.off();
    let mut old = Old::new(&fleet, rule);

    // The old one alone, up and down under jobs of different lengths.
    fleet.enqueue(1, 12.0);
    fleet.enqueue(3, 3.0);
    drive(&mut fleet, &mut old, "the old scaler to lower while a job runs", |fleet| {
        (fleet.queue.done >= 2 && fleet.queue.running > 0).then_some(())
    });
    // Both.
    ours.on();
    fleet.enqueue(1, 10.0);
    fleet.enqueue(3, 3.0);
    drive(&mut fleet, &mut old, "six to be done beside ours", |fleet| {
        (fleet.queue.done >= 6 && fleet.queue.running > 0).then_some(())
    });
    // Ours alone: with jobs at work, and some that need more instances than there are.
    fleet.enqueue(1, 10.0);
    fleet.enqueue(3, 3.0);
    fleet.until("ten to be done by ours alone", |fleet| (fleet.queue.done >= 10).then_some(()));
    // And back.
    ours.off();
    fleet.enqueue(4, 3.0);
    drive(&mut fleet, &mut old, "all to be done by the old one again", |fleet| (fleet.queue.done == 16).then_some(()));
    assert!(old.lowered > 0, "a rule that never lowers shows nothing");
    ours.on();
    fleet.until("all to leave", |fleet| living(fleet).next().is_none().then_some(()));
    fleet.ok("down");
    assert_eq!(fleet.ended().all_done()["jobs"]["done"], 16);
}

/// Lets the old scaler tick until this gives something.
fn drive<T>(fleet: &mut Fleet, old: &mut Old, what: &str, mut poll: impl FnMut(&Snapshot) -> Option<T>) -> T {
    let mut last: Option<Instant> = None;
    fleet.until(what, |fleet| {
        if last.is_none_or(|last| last.elapsed() > Duration::from_millis(300)) {
            old.tick(fleet);
            last = Some(Instant::now());
        }
        poll(fleet)
    })
}

/// Those in the group that it counts.
fn members(fleet: &Snapshot) -> impl Iterator<Item = &InstanceView> {
    living(fleet).filter(|it| !it.state.starts_with("Terminating"))
}

/// Those whose runner the platform knows.
fn serving(fleet: &Snapshot) -> impl Iterator<Item = &InstanceView> {
    members(fleet).filter(|it| it.state == "InService" && matches!(phase(it), "idle" | "busy"))
}

/// Our scaler's process, which can be stopped and let go on.
struct Scaler(Pid);

impl Scaler {
    fn of(fleet: &mut Fleet) -> Self {
        Self(fleet.wait("our scaler", |fleet| {
            let place = format!("LIGHTSOUT_TEST_FLEET={}", fleet.dir().display());
            fs::read_dir("/proc").expect("Linux").find_map(|entry| {
                let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
                let environment = fs::read_to_string(format!("/proc/{id}/environ")).ok()?;
                let mut variables = environment.split('\0');
                let is_scaler =
                    variables.clone().any(|it| it.starts_with("LIGHTSOUT_MACHINE=") && it.ends_with("/scaler"));
                (is_scaler && variables.any(|it| it == place)).then(|| Pid::from_raw(id))?
            })
        }))
    }

    fn off(&self) {
        kill_process(self.0, Signal::STOP).expect("it runs");
    }

    fn on(&self) {
        kill_process(self.0, Signal::CONT).expect("it is there");
    }
}
