//! Warm pools: instances that wait outside of the capacity until they are needed.

use lightsout_localcloud::aws::model::{Ec2State, LifecycleState};

use crate::bench::Bench;

const HOOK: &[(&str, &str)] = &[
    ("LifecycleHookSpecificationList.member.1.LifecycleHookName", "boot"),
    ("LifecycleHookSpecificationList.member.1.LifecycleTransition", "autoscaling:EC2_INSTANCE_LAUNCHING"),
    ("LifecycleHookSpecificationList.member.1.HeartbeatTimeout", "60"),
    ("LifecycleHookSpecificationList.member.1.DefaultResult", "CONTINUE"),
];

fn states(bench: &Bench) -> Vec<&'static str> {
    bench.launched.iter().map(|id| bench.cloud.instance(id).unwrap().state.as_str()).collect()
}

#[test]
fn an_instance_is_warmed_stopped_and_started_again_for_service() {
    let mut bench = Bench::with_group(0, 2, &[("NewInstancesProtectedFromScaleIn", "true")]);
    bench.on_group("PutWarmPool", &[("MinSize", "0"), ("MaxGroupPreparedCapacity", "1")]);
    bench.wait(1);
    assert_eq!(states(&bench), ["Warmed:Pending"]);
    let id = bench.launched[0].clone();
    bench.wait(11);
    assert_eq!(bench.cloud.instance(&id).unwrap().target_state, Some("Warmed:Stopped"));
    // The machine is told to power off, and its end is no failure.
    bench.wait(70);
    let warm = bench.cloud.instance(&id).unwrap();
    assert_eq!((warm.state, warm.ec2_state), (LifecycleState::WarmedStopped, Ec2State::Stopped));
    assert!(warm.healthy && warm.cause.is_none() && !warm.protected, "{warm:?}");
    assert_eq!(bench.cloud.group("g").unwrap().bounds.desired, 0);

    let listed = bench.asg("DescribeAutoScalingGroups", &[]);
    assert!(!listed.contains(&id), "{listed}");
    assert!(listed.contains("<WarmPoolSize>1</WarmPoolSize>"), "{listed}");
    let described = bench.asg("DescribeAutoScalingInstances", &[]);
    assert!(described.contains("<LifecycleState>Warmed:Stopped</LifecycleState>"), "{described}");
    let pool = bench.on_group("DescribeWarmPool", &[]);
    assert!(pool.contains(&id) && pool.contains("<PoolState>Stopped</PoolState>"), "{pool}");

    bench.on_group("SetDesiredCapacity", &[("DesiredCapacity", "1")]);
    bench.wait(1);
    assert_eq!(states(&bench), ["Pending"]);
    assert_eq!(bench.cloud.instance(&id).unwrap().target_state, Some("InService"));
    bench.wait(20);
    let serving = bench.cloud.instance(&id).unwrap();
    assert!(serving.state == LifecycleState::InService && serving.protected, "{serving:?}");
    // The most that is prepared is in service, so that nothing is warmed any more.
    assert_eq!(bench.launched.len(), 1);
    assert!(bench.timeline.iter().any(|line| line.contains("taken from the warm pool")), "{:?}", bench.timeline);
}

#[test]
fn a_launch_hook_runs_on_the_way_into_the_pool_and_again_on_the_way_out() {
    let mut bench = Bench::with_group(0, 1, HOOK);
    bench.on_group("PutWarmPool", &[("PoolState", "Running")]);
    bench.wait(21);
    assert_eq!(states(&bench), ["Warmed:Pending:Wait"]);
    let id = bench.launched[0].clone();
    let complete = [("LifecycleHookName", "boot"), ("InstanceId", id.as_str()), ("LifecycleActionResult", "CONTINUE")];
    bench.on_group("CompleteLifecycleAction", &complete);
    bench.wait(1);
    assert_eq!(states(&bench), ["Warmed:Running"]);
    assert_eq!(bench.cloud.instance(&id).unwrap().target_state, Some("Warmed:Running"));
    bench.on_group("SetDesiredCapacity", &[("DesiredCapacity", "1")]);
    bench.wait(2);
    assert_eq!(states(&bench), ["Pending:Wait"]);
    bench.on_group("CompleteLifecycleAction", &complete);
    bench.wait(1);
    assert_eq!(states(&bench), ["InService"]);
}

#[test]
fn members_of_the_pool_are_refused_what_only_members_in_service_take() {
    let mut bench = Bench::with_group(0, 1, &[]);
    bench.on_group("PutWarmPool", &[("PoolState", "Running")]);
    bench.wait(22);
    let id = bench.launched[0].clone();
    let group = ("AutoScalingGroupName", "g");
    let (code, message) = bench
        .refused("SetInstanceProtection", &[group, ("InstanceIds.member.1", &id), ("ProtectedFromScaleIn", "true")]);
    assert_eq!(code, "ValidationError");
    assert!(message.contains("is not in InService"), "{message}");
    let leave = [("InstanceId", id.as_str()), ("ShouldDecrementDesiredCapacity", "true")];
    let (_, message) = bench.refused("TerminateInstanceInAutoScalingGroup", &leave);
    assert!(message.contains("warm pool"), "{message}");
    for (field, value) in
        [("PoolState", "Hibernated"), ("PoolState", "Warm"), ("InstanceReusePolicy.ReuseOnScaleIn", "true")]
    {
        bench.refused("PutWarmPool", &[group, (field, value)]);
    }
}

#[test]
fn the_pool_replaces_what_ends_in_it_and_goes_with_its_last_instance() {
    let mut bench = Bench::with_group(0, 3, &[]);
    bench.on_group("PutWarmPool", &[("PoolState", "Running"), ("MaxGroupPreparedCapacity", "2")]);
    bench.wait(22);
    assert_eq!(states(&bench), ["Warmed:Running", "Warmed:Running"]);
    // One switches itself off.
    let first = bench.launched[0].clone();
    bench.power_off(&first);
    bench.wait(60);
    assert_eq!(states(&bench), ["Terminated", "Warmed:Running", "Warmed:Running"]);
    bench.on_group("DeleteWarmPool", &[("ForceDelete", "false")]);
    assert!(bench.on_group("DescribeWarmPool", &[]).contains("<Status>PendingDelete</Status>"));
    bench.wait(40);
    assert_eq!(states(&bench), ["Terminated"; 3]);
    assert!(!bench.on_group("DescribeWarmPool", &[]).contains("WarmPoolConfiguration"));
    assert_eq!(bench.launched.len(), 3, "nothing is launched for a pool that goes");
}

/// Whoever keeps the disks of stopped machines learns when one is gone for good.
#[test]
fn the_disk_of_a_stopped_instance_goes_when_the_instance_ends() {
    let mut bench = Bench::with_group(0, 1, &[]);
    bench.on_group("PutWarmPool", &[]);
    bench.wait(21);
    let id = bench.launched[0].clone();
    assert_eq!(states(&bench), ["Warmed:Stopped"]);
    bench.on_group("DeleteWarmPool", &[("ForceDelete", "true")]);
    bench.wait(5);
    assert_eq!(states(&bench), ["Terminated"]);
    assert_eq!(bench.discarded, [id]);
}
