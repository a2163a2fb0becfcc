//! Random walks: whatever is called in whatever order, the promises of the real service hold.

use std::time::Duration;

use lightsout_localcloud::Timestamp;
use lightsout_localcloud::aws::model::{Effect, LifecycleState};

use crate::bench::Bench;

/// A small generator, so that a failing seed can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick(&mut self, ids: &[String]) -> Option<String> {
        let sides = u64::try_from(ids.len()).ok().filter(|sides| *sides > 0)?;
        ids.get(usize::try_from(self.roll(sides)).ok()?).cloned()
    }
}

#[test]
fn promises_hold_on_random_walks() {
    for seed in 0..60 {
        walk(seed);
    }
}

fn walk(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(77).wrapping_add(1));
    let mut bench = Bench::seeded(seed);
    bench.template("t", &[]);
    let rebalance = if seed.is_multiple_of(3) { "true" } else { "false" };
    let protect = if seed.is_multiple_of(2) { "true" } else { "false" };
    bench.group(
        "g",
        2,
        6,
        &[
            ("AvailabilityZones.member.2", "eu-central-1b"),
            ("NewInstancesProtectedFromScaleIn", protect),
            ("CapacityRebalance", rebalance),
            ("LifecycleHookSpecificationList.member.1.LifecycleHookName", "out"),
            ("LifecycleHookSpecificationList.member.1.LifecycleTransition", "autoscaling:EC2_INSTANCE_TERMINATING"),
            ("LifecycleHookSpecificationList.member.1.HeartbeatTimeout", "30"),
            ("LifecycleHookSpecificationList.member.2.LifecycleHookName", "in"),
            ("LifecycleHookSpecificationList.member.2.LifecycleTransition", "autoscaling:EC2_INSTANCE_LAUNCHING"),
            ("LifecycleHookSpecificationList.member.2.HeartbeatTimeout", "40"),
            ("LifecycleHookSpecificationList.member.2.DefaultResult", "CONTINUE"),
        ],
    );
    for step in 0..250 {
        let what = act(&mut bench, &mut dice);
        check(&mut bench, &format!("seed {seed}, step {step}: {what}"));
    }
    end(&mut bench, seed);
}

/// Does one random thing; refusals are fine.
fn act(bench: &mut Bench, dice: &mut Dice) -> String {
    let ids = bench.launched.clone();
    let id = dice.pick(&ids).unwrap_or_default();
    let group = ("AutoScalingGroupName", "g");
    let flag = if dice.roll(2) == 0 { "true" } else { "false" };
    let number = dice.roll(8).to_string();
    let list = ("InstanceIds.member.1", id.as_str());
    let decrement = ("ShouldDecrementDesiredCapacity", flag);
    let hook = ("LifecycleHookName", if dice.roll(2) == 0 { "in" } else { "out" });
    let mut call = |action: &str, fields: &[(&str, &str)]| {
        let (status, body) = bench.call("2011-01-01", action, fields, None);
        assert!(status == 200 || status == 400, "{action}: {status} {body}");
        format!("{action} {fields:?}")
    };
    match dice.roll(20) {
        0 | 1 => call("SetDesiredCapacity", &[group, ("DesiredCapacity", &number)]),
        2 => call("TerminateInstanceInAutoScalingGroup", &[("InstanceId", &id), decrement]),
        3 => call("SetInstanceProtection", &[group, list, ("ProtectedFromScaleIn", flag)]),
        4 => {
            call("CompleteLifecycleAction", &[group, hook, ("InstanceId", &id), ("LifecycleActionResult", "CONTINUE")])
        }
        5 => call("CompleteLifecycleAction", &[group, hook, ("InstanceId", &id), ("LifecycleActionResult", "ABANDON")]),
        6 => call("RecordLifecycleActionHeartbeat", &[group, hook, ("InstanceId", &id)]),
        7 => call("SetInstanceHealth", &[("InstanceId", &id), ("HealthStatus", "Unhealthy")]),
        8 => call("DetachInstances", &[group, list, decrement]),
        9 => call("AttachInstances", &[group, list]),
        10 => call("EnterStandby", &[group, list, decrement]),
        11 => call("ExitStandby", &[group, list]),
        12 => call("StartInstanceRefresh", &[group, ("Preferences.ScaleInProtectedInstances", "Ignore")]),
        13 => call("UpdateAutoScalingGroup", &[group, ("MinSize", if flag == "true" { "1" } else { "0" })]),
        14 => {
            bench.power_off(&id);
            format!("power off {id}")
        }
        15 => {
            let at = bench.now + Duration::from_secs(dice.roll(120));
            let _ = bench.cloud.interrupt(&id, at, bench.now);
            format!("interrupt {id}")
        }
        16 => {
            let _ = bench.cloud.rebalance(&id, bench.now);
            format!("rebalance {id}")
        }
        17 => {
            bench.cloud.fail_launches((flag == "true").then(|| "no capacity".to_owned()));
            format!("launches fail: {flag}")
        }
        18 => {
            let running = bench.cloud.instance(&id).is_some_and(|instance| instance.ended_at.is_none());
            if running {
                bench.cloud.boot_failed(&id, "no room on the host", bench.now);
            }
            format!("{id} does not boot: {running}")
        }
        _ => {
            let millis = dice.roll(60_000);
            bench.wait_millis(millis);
            format!("{millis} ms")
        }
    }
}

/// What must hold after each step.
fn check(bench: &mut Bench, after: &str) {
    // Effects of interrupt and rebalance are drained with the next call at the latest.
    bench.wait(0);
    let group = bench.cloud.group("g").unwrap();
    let bounds = group.bounds;
    assert!(bounds.min <= bounds.desired && bounds.desired <= bounds.max, "{after}: {bounds:?}");
    for instance in bench.cloud.instances() {
        let id = &instance.id;
        let gone = instance.state == LifecycleState::Terminated;
        assert!(!gone || instance.ended_at.is_some(), "{after}: {id} is gone but its machine runs");
        assert_eq!(instance.ended_at.is_some(), instance.ec2_state.as_str() == "terminated", "{after}: {id}");
        let leaving = instance.state.is_terminating() || gone;
        assert!(!leaving || instance.target_state == Some("Terminated"), "{after}: {id} was not told");
        assert!(!leaving || instance.cause.is_some(), "{after}: {id} left without a cause");
        assert!(!instance.protected || instance.in_service_at.is_some(), "{after}: {id} is protected before service");
    }
    for activity in bench.cloud.activities("g") {
        let picked = activity.cause.contains("was selected for termination");
        let id = activity.instance.as_deref().unwrap_or_default();
        assert!(!(picked && bench.instance(id).protected), "{after}: scale-in took {id}, which is protected");
    }
    let due = bench.cloud.next_timer();
    assert!(due.is_none_or(|due| due > bench.now), "{after}: a timer that is over was not run");
}

/// Left alone, a group comes to rest at its desired capacity; told to go, everything goes.
fn end(bench: &mut Bench, seed: u64) {
    bench.cloud.fail_launches(None);
    bench.wait(2 * 3600);
    let counted = bench.cloud.instances().filter(|instance| instance.state.is_counted()).count();
    let protected =
        bench.cloud.instances().filter(|instance| instance.state.is_counted() && instance.protected).count();
    let desired = usize::try_from(bench.desired()).unwrap();
    // Protected instances, and those that wait for protection to go before they are replaced, may exceed it.
    assert!(counted >= desired && (counted == desired || protected > 0), "seed {seed}: {counted} of {desired}");
    assert!(
        bench.cloud.instances().all(|instance| !instance.state.is_terminating()),
        "seed {seed}: stuck on its way out"
    );

    let rest: Vec<_> =
        bench.launched.iter().filter(|id| bench.state(id) == LifecycleState::Detached).cloned().collect();
    for id in rest {
        bench.ec2("TerminateInstances", &[("InstanceId.1", &id)]);
    }
    bench.on_group("DeleteAutoScalingGroup", &[("ForceDelete", "true")]);
    bench.wait(60);
    assert!(bench.cloud.group("g").is_none(), "seed {seed}: the group is still there");
    assert!(bench.cloud.instances().all(|instance| instance.ended_at.is_some()), "seed {seed}: something still runs");
    assert_eq!(bench.cloud.next_timer(), None, "seed {seed}: something is still due");
}

#[test]
fn a_long_sleep_does_not_spin() {
    let mut bench = Bench::in_service(3, 5, &[("MaxInstanceLifetime", "86400")]);
    bench.cloud.advance(Timestamp(bench.now.0 + 30 * 86_400_000));
    let mut launches = 0;
    while let Some(effect) = bench.cloud.poll_effect() {
        launches += u32::from(matches!(effect, Effect::Launch { .. }));
    }
    assert!((60..=100).contains(&launches), "{launches} replacements in thirty days");
}
