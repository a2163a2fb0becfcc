//! How instances leave: asked, stopped, interrupted, unhealthy, detached, too old.

use std::time::Duration;

use lightsout_localcloud::aws::model::{ActivityStatus, Ec2State, LifecycleState};

use crate::bench::{Bench, all, one};

const HOOK: [(&str, &str); 4] = [
    ("LifecycleHookSpecificationList.member.1.LifecycleHookName", "out"),
    ("LifecycleHookSpecificationList.member.1.LifecycleTransition", "autoscaling:EC2_INSTANCE_TERMINATING"),
    ("LifecycleHookSpecificationList.member.1.HeartbeatTimeout", "60"),
    ("LifecycleHookSpecificationList.member.1.DefaultResult", "CONTINUE"),
];

#[test]
fn asked_with_decrement_nobody_takes_its_place() {
    let mut bench = Bench::in_service(2, 3, &[("NewInstancesProtectedFromScaleIn", "true")]);
    let id = bench.launched[1].clone();
    let body = bench.terminate(&id, true);
    assert_eq!(one(&body, "Description"), format!("Terminating EC2 instance: {id}"));
    assert!(one(&body, "Cause").ends_with("in response to a user request, shrinking the capacity from 2 to 1."));
    assert_eq!(one(&body, "StatusCode"), "InProgress");
    assert_eq!(bench.desired(), 1, "at once");
    bench.wait(60);
    assert_eq!(bench.serving(), [bench.launched[0].clone()], "protection does not stop it, and the other one stays");
    assert_eq!(bench.launched.len(), 2);
    assert_eq!(bench.instance(&id).ended_at.map(|at| at < bench.now), Some(true));
}

#[test]
fn asked_without_decrement_it_is_replaced() {
    let mut bench = Bench::in_service(1, 3, &[]);
    let id = bench.launched[0].clone();
    bench.terminate(&id, false);
    assert_eq!(bench.desired(), 1);
    bench.wait(60);
    assert_eq!(bench.launched.len(), 2);
    assert_eq!(bench.serving(), [bench.launched[1].clone()]);
}

#[test]
fn without_decrement_it_is_not_replaced_while_the_group_is_too_large() {
    let mut bench = Bench::in_service(2, 3, &[("NewInstancesProtectedFromScaleIn", "true")]);
    bench.set_desired(1);
    bench.wait(5);
    let id = bench.launched[0].clone();
    bench.terminate(&id, false);
    bench.wait(60);
    assert_eq!((bench.launched.len(), bench.desired(), bench.serving().len()), (2, 1, 1));
}

#[test]
fn several_at_once_in_the_new_form() {
    let mut bench = Bench::in_service(3, 3, &[]);
    let ids = bench.launched.clone();
    let fields = [
        ("InstanceIds.member.1", ids[0].as_str()),
        ("InstanceIds.member.2", ids[1].as_str()),
        ("ShouldDecrementDesiredCapacity", "true"),
    ];
    let body = bench.on_group("TerminateInstanceInAutoScalingGroup", &fields);
    assert_eq!(all(&body, "ActivityId").len(), 3, "one in the old place and two in the list");
    assert_eq!(bench.desired(), 1);
    bench.wait(30);
    assert_eq!(bench.serving(), [ids[2].clone()]);
}

#[test]
fn a_launch_under_way_can_be_called_off() {
    let mut bench = Bench::with_group(1, 3, &[]);
    bench.wait(5);
    let id = bench.launched[0].clone();
    bench.terminate(&id, true);
    bench.wait(60);
    assert_eq!((bench.state(&id), bench.launched.len()), (LifecycleState::Terminated, 1));
    let launch = bench.cloud.activities("g").next().unwrap();
    assert_eq!(launch.status, ActivityStatus::Cancelled);
}

#[test]
fn a_machine_that_powers_off_is_noticed_and_replaced_through_the_hook() {
    let mut bench = Bench::in_service(1, 3, &HOOK);
    let id = bench.launched[0].clone();
    bench.power_off(&id);
    assert_eq!(bench.instance(&id).ec2_state, Ec2State::Terminated, "as its template says");
    assert_eq!(bench.state(&id), LifecycleState::InService, "its group does not know yet");
    bench.wait(29);
    assert_eq!((bench.state(&id), bench.launched.len()), (LifecycleState::InService, 1));
    bench.wait(4);
    assert_eq!(bench.state(&id), LifecycleState::TerminatingWait, "the hook runs for the corpse too");
    assert!(!bench.instance(&id).healthy);
    assert_eq!((bench.launched.len(), bench.desired()), (2, 1), "replaced, and desired stays");
    bench.wait(60);
    assert_eq!(bench.state(&id), LifecycleState::Terminated);
    assert_eq!(bench.instance(&id).cause.as_deref(), Some("powered itself off"));
    let causes: Vec<_> = bench.cloud.activities("g").map(|activity| activity.cause.clone()).collect();
    assert!(causes.iter().any(|cause| cause.contains("EC2 health check indicating it has been terminated or stopped")));
}

#[test]
fn a_machine_that_only_stops_is_ended_by_its_group() {
    let mut bench = Bench::with_group(0, 3, &[]);
    bench.template("stops", &[("LaunchTemplateData.InstanceInitiatedShutdownBehavior", "stop")]);
    bench.on_group("UpdateAutoScalingGroup", &[("LaunchTemplate.LaunchTemplateName", "stops")]);
    bench.set_desired(2);
    bench.wait(30);
    let ids = bench.launched.clone();
    bench.power_off(&ids[0]);
    bench.ec2("StopInstances", &[("InstanceId.1", &ids[1])]);
    assert_eq!(bench.instance(&ids[0]).ec2_state, Ec2State::Stopped);
    assert_eq!(bench.instance(&ids[1]).ec2_state, Ec2State::Stopped);
    bench.wait(90);
    for id in &ids {
        assert_eq!((bench.state(id), bench.instance(id).ec2_state), (LifecycleState::Terminated, Ec2State::Terminated));
    }
    assert_eq!(bench.serving().len(), 2);
}

#[test]
fn power_off_while_it_boots_is_a_failed_launch() {
    let mut bench = Bench::with_group(1, 3, &[]);
    bench.wait(15);
    let id = bench.launched[0].clone();
    bench.power_off(&id);
    bench.wait(90);
    assert_eq!(bench.serving(), [bench.launched[1].clone()]);
    let launch = bench.cloud.activities("g").next().unwrap();
    assert_eq!(
        launch.message.as_deref(),
        Some(
            "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: \
             Client.InstanceInitiatedShutdown: Instance initiated shutdown"
        )
    );
}

#[test]
fn ended_through_ec2_it_is_replaced() {
    let mut bench = Bench::in_service(1, 3, &[]);
    let id = bench.launched[0].clone();
    bench.ec2("TerminateInstances", &[("InstanceId.1", &id)]);
    bench.wait(90);
    assert_eq!((bench.state(&id), bench.launched.len(), bench.desired()), (LifecycleState::Terminated, 2, 1));
}

#[test]
fn a_spot_interruption_waits_for_nobody() {
    let mut bench = Bench::in_service(1, 3, &HOOK);
    let id = bench.launched[0].clone();
    bench.protect(&id, true);
    let at = bench.now + Duration::from_secs(120);
    bench.cloud.interrupt(&id, at, bench.now).unwrap();
    assert!(bench.cloud.interrupt(&id, at, bench.now).unwrap_err().contains("already has a Spot notice"));
    let notice = bench.instance(&id).spot_notice.unwrap();
    assert_eq!((notice.action, notice.time), ("terminate", at));
    bench.wait(119);
    assert_eq!(bench.instance(&id).ec2_state, Ec2State::Running);
    assert_eq!(bench.instance(&id).target_state, Some("InService"), "without rebalancing the group does nothing");
    bench.wait(1);
    assert_eq!(bench.instance(&id).ec2_state, Ec2State::Terminated);
    assert_eq!(bench.instance(&id).cause.as_deref(), Some("Spot interruption"));
    bench.wait(32);
    assert_eq!(bench.state(&id), LifecycleState::TerminatingWait);
    assert_eq!((bench.launched.len(), bench.desired()), (2, 1));
    assert!(bench.cloud.interrupt(&id, at, bench.now).unwrap_err().contains("does not run"));
    assert!(bench.cloud.interrupt("i-1", at, bench.now).unwrap_err().contains("no instance"));
}

#[test]
fn a_spot_interruption_cuts_a_hook_short_of_its_machine() {
    let mut bench = Bench::in_service(1, 3, &HOOK);
    let id = bench.launched[0].clone();
    bench.terminate(&id, true);
    bench.wait(1);
    bench.cloud.interrupt(&id, bench.now + Duration::from_secs(10), bench.now).unwrap();
    bench.wait(10);
    assert_eq!(bench.instance(&id).ec2_state, Ec2State::Terminated);
    assert_eq!(bench.state(&id), LifecycleState::TerminatingWait, "the group still waits for an answer");
    bench.complete(&id, "out", "CONTINUE");
    bench.wait(1);
    assert_eq!(bench.state(&id), LifecycleState::Terminated);
}

#[test]
fn retiring_hardware_stops_the_instance() {
    let mut bench = Bench::in_service(1, 3, &[]);
    let id = bench.launched[0].clone();
    let at = bench.now + Duration::from_secs(600);
    bench.cloud.maintenance(&id, at, bench.now).unwrap();
    let event = bench.instance(&id).maintenance[0].clone();
    assert_eq!((event.code, event.not_before, event.state), ("instance-retirement", at, "active"));
    bench.wait(601);
    assert!(!bench.instance(&id).ec2_state.is_up());
    bench.wait(90);
    assert_eq!((bench.state(&id), bench.serving().len()), (LifecycleState::Terminated, 1));
}

#[test]
fn marked_unhealthy_it_is_replaced_after_the_grace_period() {
    let mut bench = Bench::in_service(1, 3, &[("HealthCheckGracePeriod", "300")]);
    let id = bench.launched[0].clone();
    let mark = |bench: &mut Bench, respect| {
        let fields =
            [("InstanceId", id.as_str()), ("HealthStatus", "Unhealthy"), ("ShouldRespectGracePeriod", respect)];
        bench.asg("SetInstanceHealth", &fields);
        bench.wait(1);
    };
    mark(&mut bench, "true");
    assert_eq!(bench.state(&id), LifecycleState::InService, "it is too young");
    mark(&mut bench, "false");
    bench.wait(30);
    assert_eq!((bench.state(&id), bench.serving().len()), (LifecycleState::Terminated, 1));
    assert!(bench.cloud.activities("g").any(|activity| activity.cause.contains("user health-check")));
}

#[test]
fn detached_it_lives_on_alone() {
    let mut bench = Bench::in_service(2, 3, &[("NewInstancesProtectedFromScaleIn", "true")]);
    let id = bench.launched[0].clone();
    let detach = [("InstanceIds.member.1", id.as_str()), ("ShouldDecrementDesiredCapacity", "true")];
    bench.on_group("DetachInstances", &detach);
    assert_eq!((bench.desired(), bench.state(&id)), (1, LifecycleState::Detaching));
    bench.wait(60);
    let instance = bench.instance(&id);
    assert_eq!((instance.state, instance.target_state), (LifecycleState::Detached, Some("Detached")));
    assert!(!instance.protected && instance.group.is_none());
    assert!(!instance.tags.contains_key("aws:autoscaling:groupName"));
    assert_eq!((instance.ec2_state, bench.launched.len()), (Ec2State::Running, 2));

    bench.on_group("AttachInstances", &[("InstanceIds.member.1", &id)]);
    bench.wait(5);
    assert_eq!((bench.desired(), bench.serving().len()), (2, 2));
    assert!(bench.instance(&id).protected);
    bench.power_off(&id);
    bench.wait(90);
    assert_eq!(bench.launched.len(), 3, "it is a member again, and so replaced");
}

#[test]
fn standby_is_not_counted_and_not_looked_at() {
    let mut bench = Bench::in_service(1, 3, &[]);
    let id = bench.launched[0].clone();
    let enter = [("InstanceIds.member.1", id.as_str()), ("ShouldDecrementDesiredCapacity", "false")];
    bench.on_group("EnterStandby", &enter);
    assert_eq!(bench.state(&id), LifecycleState::EnteringStandby);
    bench.protect(&id, true);
    bench.wait(30);
    assert_eq!((bench.state(&id), bench.launched.len()), (LifecycleState::Standby, 2), "somebody takes its place");
    assert_eq!(bench.instance(&id).target_state, Some("Standby"));
    bench.on_group("ExitStandby", &[("InstanceIds.member.1", &id)]);
    bench.wait(5);
    assert_eq!((bench.desired(), bench.serving().len()), (2, 2));
    assert!(bench.instance(&id).protected);

    bench.on_group("EnterStandby", &enter);
    bench.wait(1);
    bench.power_off(&id);
    bench.wait(300);
    assert_eq!(bench.state(&id), LifecycleState::Standby, "dead, and nobody looks");
    bench
        .asg("TerminateInstanceInAutoScalingGroup", &[("InstanceId", &id), ("ShouldDecrementDesiredCapacity", "true")]);
    bench.wait(5);
    assert_eq!((bench.state(&id), bench.desired()), (LifecycleState::Terminated, 2));
}

#[test]
fn a_lifetime_ends_but_protection_postpones_it() {
    let mut bench = Bench::in_service(2, 3, &[("MaxInstanceLifetime", "86400")]);
    let (first, second) = (bench.launched[0].clone(), bench.launched[1].clone());
    bench.protect(&first, true);
    bench.wait(86_400 - 60);
    assert_eq!(bench.launched.len(), 2);
    bench.wait(120);
    assert_eq!((bench.state(&second), bench.launched.len()), (LifecycleState::Terminated, 3));
    bench.wait(3600);
    assert_eq!(bench.state(&first), LifecycleState::InService);
    bench.protect(&first, false);
    bench.wait(60);
    assert_eq!((bench.state(&first), bench.serving().len()), (LifecycleState::Terminated, 2));
}

#[test]
fn a_group_deleted_by_force_ends_everything_without_hooks() {
    let mut bench = Bench::in_service(2, 3, &HOOK);
    bench.terminate(&bench.launched[0].clone(), true);
    bench.wait(1);
    bench.on_group("DeleteAutoScalingGroup", &[("ForceDelete", "true")]);
    assert_eq!(one(&bench.asg("DescribeAutoScalingGroups", &[]), "Status"), "Delete in progress");
    bench.wait(5);
    assert!(bench.cloud.group("g").is_none());
    assert_eq!(bench.in_state(LifecycleState::Terminated).len(), 2);
}
