//! Lifecycle hooks: waiting, heartbeats, time-outs.

use lightsout_localcloud::aws::model::{ActivityStatus, Ec2State, LifecycleState};

use crate::bench::{Bench, Fields, one};

const TERMINATING: &str = "autoscaling:EC2_INSTANCE_TERMINATING";
const LAUNCHING: &str = "autoscaling:EC2_INSTANCE_LAUNCHING";

fn hook(bench: &mut Bench, name: &str, transition: &str, more: Fields<'_>) {
    let fields = [("LifecycleHookName", name), ("LifecycleTransition", transition), ("HeartbeatTimeout", "60")];
    bench.on_group("PutLifecycleHook", &[&fields, more].concat());
}

fn beat(bench: &mut Bench, id: &str, name: &str) {
    bench.on_group("RecordLifecycleActionHeartbeat", &[("InstanceId", id), ("LifecycleHookName", name)]);
}

#[test]
fn a_launch_hook_holds_the_instance_before_service() {
    let mut bench = Bench::with_group(0, 3, &[("NewInstancesProtectedFromScaleIn", "true")]);
    hook(&mut bench, "in", LAUNCHING, &[]);
    bench.set_desired(1);
    bench.wait(1);
    let id = bench.launched[0].clone();
    assert_eq!((bench.state(&id), bench.instance(&id).target_state), (LifecycleState::Pending, None));
    bench.wait(11);
    assert_eq!(bench.instance(&id).target_state, Some("InService"), "IMDS shows the target while it is pending");
    assert_eq!(bench.instance(&id).ec2_state, Ec2State::Running);
    bench.wait(10);
    assert_eq!(bench.state(&id), LifecycleState::PendingWait);
    assert_eq!(bench.last_activity().status, ActivityStatus::MidLifecycleAction);
    assert!(!bench.instance(&id).protected, "protection begins in service");
    bench.complete(&id, "in", "CONTINUE");
    assert_eq!(bench.state(&id), LifecycleState::PendingProceed);
    bench.wait(1);
    assert_eq!(bench.state(&id), LifecycleState::InService);
    assert!(bench.instance(&id).protected);
    assert_eq!(bench.last_activity().status, ActivityStatus::Successful);
}

#[test]
fn an_abandoned_launch_ends_and_is_replaced() {
    let mut bench = Bench::with_group(0, 3, &[]);
    hook(&mut bench, "in", LAUNCHING, &[]);
    hook(&mut bench, "out", TERMINATING, &[]);
    bench.set_desired(1);
    bench.wait(22);
    let id = bench.launched[0].clone();
    bench.complete(&id, "in", "ABANDON");
    assert_eq!(bench.state(&id), LifecycleState::Terminating);
    let launch = bench.cloud.activities("g").find(|activity| activity.instance.as_deref() == Some(&id)).unwrap();
    assert_eq!(launch.status, ActivityStatus::Cancelled);
    let message = launch.message.clone().unwrap();
    assert!(message.contains("was abandoned: Lifecycle Action Completed with ABANDON Result"), "{message}");
    bench.wait(2);
    assert_eq!(bench.state(&id), LifecycleState::Terminated, "it never served, so no termination hook runs");
    assert_eq!((bench.launched.len(), bench.desired()), (2, 1));
}

#[test]
fn a_launch_hook_that_times_out_abandons_by_default() {
    let mut bench = Bench::with_group(0, 3, &[]);
    hook(&mut bench, "in", LAUNCHING, &[]);
    bench.set_desired(1);
    bench.wait(22);
    let id = bench.launched[0].clone();
    assert_eq!(bench.state(&id), LifecycleState::PendingWait);
    bench.wait(60);
    assert_eq!(bench.state(&id), LifecycleState::Terminated);
    assert!(bench.told("ABANDON (Heartbeat Timeout)"));
    assert_eq!(bench.launched.len(), 2);
}

#[test]
fn a_launch_hook_may_continue_by_default() {
    let mut bench = Bench::with_group(0, 3, &[]);
    hook(&mut bench, "in", LAUNCHING, &[("DefaultResult", "CONTINUE")]);
    bench.set_desired(1);
    bench.wait(83);
    assert_eq!(bench.serving(), bench.launched);
}

#[test]
fn a_termination_hook_holds_the_machine_until_completed() {
    for result in ["CONTINUE", "ABANDON"] {
        let mut bench = Bench::in_service(1, 3, &[]);
        hook(&mut bench, "out", TERMINATING, &[]);
        let id = bench.launched[0].clone();
        bench.terminate(&id, true);
        assert_eq!(bench.state(&id), LifecycleState::Terminating);
        assert_eq!(bench.instance(&id).target_state, Some("Terminated"));
        let early = [
            ("AutoScalingGroupName", "g"),
            ("LifecycleHookName", "out"),
            ("LifecycleActionResult", result),
            ("InstanceId", id.as_str()),
        ];
        let (_, message) = bench.refused("CompleteLifecycleAction", &early);
        assert!(message.starts_with("No active Lifecycle Action found"), "the wait is not registered yet: {message}");
        bench.wait(1);
        assert_eq!(bench.state(&id), LifecycleState::TerminatingWait);
        bench.wait(50);
        assert_eq!(bench.instance(&id).ec2_state, Ec2State::Running, "its machine works on");
        bench.complete(&id, "out", result);
        assert_eq!(bench.state(&id), LifecycleState::TerminatingProceed);
        bench.wait(1);
        assert_eq!(bench.state(&id), LifecycleState::Terminated, "{result} ends it either way");
        assert_eq!(bench.instance(&id).target_state, Some("Terminated"));
        assert_eq!((bench.desired(), bench.launched.len()), (0, 1));
        assert_eq!(bench.last_activity().status, ActivityStatus::Successful);
    }
}

#[test]
fn a_termination_hook_ends_without_an_answer() {
    let mut bench = Bench::in_service(1, 3, &[]);
    hook(&mut bench, "out", TERMINATING, &[("DefaultResult", "CONTINUE")]);
    let id = bench.launched[0].clone();
    bench.terminate(&id, true);
    bench.wait(60);
    assert_eq!(bench.state(&id), LifecycleState::TerminatingWait);
    bench.wait(2);
    assert_eq!(bench.state(&id), LifecycleState::Terminated);
    assert!(bench.told("CONTINUE (Heartbeat Timeout)"));
}

#[test]
fn heartbeats_start_the_time_anew_up_to_the_global_timeout() {
    let mut bench = Bench::in_service(1, 3, &[]);
    hook(&mut bench, "out", TERMINATING, &[]);
    let described = bench.on_group("DescribeLifecycleHooks", &[]);
    assert_eq!(one(&described, "GlobalTimeout"), "6000");
    let id = bench.launched[0].clone();
    bench.terminate(&id, true);
    bench.wait(1);
    for _ in 0..119 {
        bench.wait(50);
        assert_eq!(bench.state(&id), LifecycleState::TerminatingWait);
        beat(&mut bench, &id, "out");
    }
    assert_eq!(bench.state(&id), LifecycleState::TerminatingWait, "5,950 s went by");
    bench.wait(51);
    assert_eq!(bench.state(&id), LifecycleState::Terminated, "100 heartbeats are the limit");
}

#[test]
fn a_long_hook_waits_for_no_more_than_two_days() {
    let mut bench = Bench::with_group(0, 1, &[]);
    bench.on_group(
        "PutLifecycleHook",
        &[("LifecycleHookName", "h"), ("LifecycleTransition", TERMINATING), ("HeartbeatTimeout", "7200")],
    );
    assert_eq!(one(&bench.on_group("DescribeLifecycleHooks", &[]), "GlobalTimeout"), "172800");
}

#[test]
fn all_hooks_have_to_continue_but_one_can_abandon() {
    let mut bench = Bench::in_service(2, 3, &[]);
    hook(&mut bench, "one", TERMINATING, &[]);
    hook(&mut bench, "two", TERMINATING, &[]);
    let ids = bench.launched.clone();
    bench.terminate(&ids[0], true);
    bench.terminate(&ids[1], true);
    bench.wait(1);
    bench.complete(&ids[0], "one", "CONTINUE");
    bench.wait(1);
    assert_eq!(bench.state(&ids[0]), LifecycleState::TerminatingWait);
    bench.complete(&ids[0], "two", "CONTINUE");
    bench.complete(&ids[1], "two", "ABANDON");
    bench.wait(1);
    assert_eq!(bench.in_state(LifecycleState::Terminated), ids);
}

#[test]
fn a_changed_hook_keeps_what_was_not_said() {
    let mut bench = Bench::with_group(0, 1, &[]);
    hook(&mut bench, "h", TERMINATING, &[("DefaultResult", "CONTINUE"), ("NotificationMetadata", "m")]);
    bench.on_group("PutLifecycleHook", &[("LifecycleHookName", "h"), ("HeartbeatTimeout", "90")]);
    let body = bench.on_group("DescribeLifecycleHooks", &[]);
    assert_eq!(one(&body, "HeartbeatTimeout"), "90");
    assert_eq!(one(&body, "DefaultResult"), "CONTINUE");
    assert_eq!(one(&body, "NotificationMetadata"), "m");
    assert_eq!(one(&body, "LifecycleTransition"), TERMINATING);
}

#[test]
fn a_deleted_hook_lets_go() {
    let mut bench = Bench::in_service(1, 3, &[]);
    hook(&mut bench, "out", TERMINATING, &[]);
    let id = bench.launched[0].clone();
    bench.terminate(&id, true);
    bench.wait(1);
    bench.on_group("DeleteLifecycleHook", &[("LifecycleHookName", "out")]);
    bench.wait(1);
    assert_eq!(bench.state(&id), LifecycleState::Terminated);
}

#[test]
fn a_group_is_born_with_hooks() {
    let mut bench = Bench::with_group(
        0,
        1,
        &[
            ("LifecycleHookSpecificationList.member.1.LifecycleHookName", "out"),
            ("LifecycleHookSpecificationList.member.1.LifecycleTransition", TERMINATING),
            ("LifecycleHookSpecificationList.member.1.HeartbeatTimeout", "300"),
        ],
    );
    let body = bench.on_group("DescribeLifecycleHooks", &[]);
    assert_eq!(one(&body, "LifecycleHookName"), "out");
    assert_eq!(one(&body, "DefaultResult"), "ABANDON");
}
