//! What a group does when it has too few or too many.

use std::time::Duration;

use lightsout_localcloud::aws::model::{ActivityStatus, LifecycleState};

use crate::bench::Bench;

const BORN_PROTECTED: (&str, &str) = ("NewInstancesProtectedFromScaleIn", "true");

#[test]
fn pending_counts_and_the_same_value_changes_nothing() {
    let mut bench = Bench::with_group(0, 5, &[]);
    bench.set_desired(2);
    assert!(bench.launched.is_empty(), "the call only takes note");
    bench.wait(1);
    bench.set_desired(2);
    bench.wait(1);
    assert_eq!(bench.launched.len(), 2);
    bench.set_desired(3);
    bench.wait(60);
    assert_eq!((bench.launched.len(), bench.serving().len()), (3, 3));
}

#[test]
fn bounds_move_desired() {
    let mut bench = Bench::with_group(3, 5, &[]);
    bench.on_group("UpdateAutoScalingGroup", &[("MaxSize", "2")]);
    assert_eq!(bench.desired(), 2);
    bench.on_group("UpdateAutoScalingGroup", &[("MinSize", "4"), ("MaxSize", "9")]);
    assert_eq!(bench.desired(), 4);
    let too_much = [("AutoScalingGroupName", "g"), ("DesiredCapacity", "10")];
    assert_eq!(
        bench.refused("UpdateAutoScalingGroup", &too_much).1,
        "Desired capacity:10 must be between the specified min size:4 and max size:9"
    );
}

#[test]
fn scale_in_takes_the_oldest_from_the_fullest_zone() {
    let zones = [("AvailabilityZones.member.1", "za"), ("AvailabilityZones.member.2", "zb")];
    let mut bench = Bench::in_service(3, 5, &zones);
    let ids = bench.launched.clone();
    let zone = |bench: &Bench, at: usize| bench.instance(&ids[at]).availability_zone.clone();
    assert_eq!([zone(&bench, 0), zone(&bench, 1), zone(&bench, 2)], ["za", "zb", "za"]);
    bench.set_desired(2);
    bench.wait(5);
    assert_eq!(bench.state(&ids[0]), LifecycleState::Terminated);
    bench.set_desired(1);
    bench.wait(5);
    assert_eq!(bench.serving(), [ids[2].clone()], "the oldest of equally full zones");
    assert!(bench.last_activity().cause.contains("shrinking the capacity from 2 to 1"));
}

#[test]
fn scale_in_prefers_an_older_launch_template_version() {
    let mut bench = Bench::with_group(1, 5, &[("LaunchTemplate.Version", "$Latest")]);
    bench.wait(30);
    bench.ec2("CreateLaunchTemplateVersion", &[("LaunchTemplateName", "t"), ("LaunchTemplateData.ImageId", "ami-2")]);
    bench.set_desired(2);
    bench.wait(30);
    assert_eq!(bench.instance(&bench.launched[1]).template_version, 2);
    bench.on_group("UpdateAutoScalingGroup", &[("TerminationPolicies.member.1", "NewestInstance")]);
    bench.set_desired(1);
    bench.wait(5);
    assert_eq!(bench.serving(), [bench.launched[0].clone()], "as the policy says");
    bench.on_group("UpdateAutoScalingGroup", &[("TerminationPolicies.member.1", "Default")]);
    bench.set_desired(2);
    bench.wait(30);
    bench.set_desired(1);
    bench.wait(5);
    assert_eq!(bench.serving(), [bench.launched[2].clone()], "the old version goes");
}

#[test]
fn scale_in_leaves_protected_instances_alone_and_says_so_once() {
    let mut bench = Bench::in_service(2, 5, &[BORN_PROTECTED]);
    bench.set_desired(0);
    bench.wait(600);
    assert_eq!((bench.desired(), bench.serving().len()), (0, 2), "desired goes down all the same");
    let message = "Could not scale to desired capacity because all remaining instances are protected from scale-in.";
    let told: Vec<_> =
        bench.cloud.activities("g").filter(|activity| activity.message.as_deref() == Some(message)).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].status, ActivityStatus::Cancelled);
    assert!(told[0].cause.contains("changing the desired capacity from 2 to 0"));

    let id = bench.launched[1].clone();
    bench.protect(&id, false);
    bench.wait(5);
    assert_eq!(bench.state(&id), LifecycleState::Terminated, "without protection it is taken");
    assert_eq!(bench.serving(), [bench.launched[0].clone()]);
}

#[test]
fn an_instance_that_boots_is_not_protected_yet() {
    let mut bench = Bench::in_service(1, 5, &[BORN_PROTECTED]);
    bench.set_desired(2);
    bench.wait(5);
    bench.set_desired(1);
    bench.wait(60);
    assert_eq!(bench.state(&bench.launched[1]), LifecycleState::Terminated);
    assert_eq!(bench.serving(), [bench.launched[0].clone()]);
}

#[test]
fn failed_launches_keep_desired_and_are_retried_ever_more_slowly() {
    let mut bench = Bench::with_group(0, 5, &[]);
    let why = "There is no Spot capacity available that matches your request. Launching EC2 instance failed.";
    bench.cloud.fail_launches(Some(why.to_owned()));
    bench.set_desired(2);
    bench.wait(200);
    let failed: Vec<_> = bench
        .cloud
        .activities("g")
        .map(|activity| {
            assert_eq!((activity.status, activity.message.as_deref()), (ActivityStatus::Failed, Some(why)));
            activity.start
        })
        .collect();
    let pauses: Vec<_> = failed.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect();
    assert_eq!(pauses, [15, 30, 60]);
    assert_eq!((bench.desired(), bench.launched.len()), (2, 0));
    bench.cloud.fail_launches(None);
    bench.wait(240);
    assert_eq!(bench.serving().len(), 2, "the next try works");
}

#[test]
fn a_machine_that_does_not_boot_is_a_failed_launch() {
    let mut bench = Bench::with_group(1, 5, &[]);
    for pause in [15, 30] {
        bench.wait(1);
        let id = bench.launched.last().expect("a launch").clone();
        bench.cloud.boot_failed(&id, "no room on the host", bench.now);
        let launch = bench.cloud.activities("g").last().expect("an activity");
        assert_eq!((launch.status, launch.message.as_deref()), (ActivityStatus::Failed, Some("no room on the host")));
        assert_eq!(launch.instance.as_deref(), Some(id.as_str()));
        assert_eq!(bench.state(&id), LifecycleState::Terminated);
        let before = bench.launched.len();
        bench.wait(pause - 1);
        assert_eq!(bench.launched.len(), before, "nothing is launched for {pause} s");
    }
    bench.wait(30);
    assert_eq!(bench.serving().len(), 1, "the next one boots");
    let id = bench.serving()[0].clone();
    bench.cloud.boot_failed(&id, "too slow", bench.now);
    assert_eq!(bench.instance(&id).cause.as_deref(), Some("powered itself off"));
}

#[test]
fn suspended_processes_do_not_run() {
    let mut bench = Bench::in_service(2, 5, &[]);
    let suspend = |bench: &mut Bench, action, name| bench.on_group(action, &[("ScalingProcesses.member.1", name)]);
    suspend(&mut bench, "SuspendProcesses", "Launch");
    bench.set_desired(3);
    bench.wait(60);
    assert_eq!(bench.launched.len(), 2);
    suspend(&mut bench, "ResumeProcesses", "Launch");
    bench.wait(30);
    assert_eq!(bench.serving().len(), 3);

    suspend(&mut bench, "SuspendProcesses", "Terminate");
    bench.set_desired(2);
    bench.wait(60);
    assert_eq!(bench.serving().len(), 3);
    suspend(&mut bench, "ResumeProcesses", "Terminate");
    bench.wait(5);
    assert_eq!(bench.serving().len(), 2);

    suspend(&mut bench, "SuspendProcesses", "ReplaceUnhealthy");
    let id = bench.serving()[0].clone();
    bench.power_off(&id);
    bench.wait(120);
    assert_eq!((bench.state(&id), bench.instance(&id).healthy), (LifecycleState::InService, false));
    suspend(&mut bench, "ResumeProcesses", "ReplaceUnhealthy");
    bench.wait(60);
    assert_eq!((bench.state(&id), bench.serving().len()), (LifecycleState::Terminated, 2));

    suspend(&mut bench, "SuspendProcesses", "HealthCheck");
    let id = bench.serving()[0].clone();
    bench.power_off(&id);
    bench.wait(120);
    assert_eq!((bench.state(&id), bench.instance(&id).healthy), (LifecycleState::InService, true));
    bench.on_group("ResumeProcesses", &[]);
    bench.wait(90);
    assert_eq!((bench.state(&id), bench.serving().len()), (LifecycleState::Terminated, 2));
}

#[test]
fn rebalancing_brings_the_new_one_first() {
    let mut bench = Bench::in_service(2, 2, &[("CapacityRebalance", "true")]);
    let id = bench.launched[0].clone();
    bench.cloud.rebalance(&id, bench.now).unwrap();
    assert_eq!(bench.instance(&id).rebalance, Some(bench.now));
    bench.wait(10);
    assert_eq!((bench.launched.len(), bench.state(&id)), (3, LifecycleState::InService), "above the maximum");
    bench.wait(20);
    assert_eq!((bench.state(&id), bench.serving().len(), bench.desired()), (LifecycleState::Terminated, 2, 2));
}

#[test]
fn rebalancing_waits_for_protection_to_go() {
    let mut bench = Bench::in_service(1, 2, &[("CapacityRebalance", "true"), BORN_PROTECTED]);
    let id = bench.launched[0].clone();
    bench.cloud.rebalance(&id, bench.now).unwrap();
    bench.wait(3600);
    assert_eq!((bench.launched.len(), bench.state(&id)), (2, LifecycleState::InService));
    bench.protect(&id, false);
    bench.wait(5);
    assert_eq!((bench.state(&id), bench.serving().len()), (LifecycleState::Terminated, 1));
}

#[test]
fn without_rebalancing_a_recommendation_is_only_shown() {
    let mut bench = Bench::in_service(1, 2, &[]);
    let id = bench.launched[0].clone();
    bench.cloud.rebalance(&id, bench.now).unwrap();
    bench.wait(3600);
    assert_eq!((bench.launched.len(), bench.instance(&id).rebalance.is_some()), (1, true));
}

#[test]
fn under_rebalancing_the_final_notice_starts_the_way_out_at_once() {
    let mut bench = Bench::in_service(1, 2, &[("CapacityRebalance", "true")]);
    let id = bench.launched[0].clone();
    bench.cloud.interrupt(&id, bench.now + Duration::from_secs(120), bench.now).unwrap();
    assert_eq!(bench.instance(&id).target_state, Some("Terminated"));
    bench.wait(1);
    assert_eq!(bench.launched.len(), 2);
}

#[test]
fn a_mixed_group_buys_as_it_is_told() {
    let mut bench = Bench::new();
    bench.template("t", &[]);
    bench.asg(
        "CreateAutoScalingGroup",
        &[
            ("AutoScalingGroupName", "g"),
            ("MinSize", "0"),
            ("MaxSize", "5"),
            ("DesiredCapacity", "5"),
            ("VPCZoneIdentifier", "subnet-1,subnet-2"),
            ("MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification.LaunchTemplateName", "t"),
            ("MixedInstancesPolicy.LaunchTemplate.Overrides.member.1.InstanceType", "m7i.large"),
            ("MixedInstancesPolicy.InstancesDistribution.OnDemandBaseCapacity", "1"),
            ("MixedInstancesPolicy.InstancesDistribution.OnDemandPercentageAboveBaseCapacity", "50"),
        ],
    );
    bench.wait(1);
    let spot = bench.launched.iter().filter(|id| bench.instance(id).spot).count();
    assert_eq!(spot, 2);
    let first = bench.instance(&bench.launched[0]);
    assert_eq!((first.spot, first.instance_type.as_str()), (false, "m7i.large"));
    assert_eq!((first.subnet.as_deref(), first.availability_zone.as_str()), (Some("subnet-1"), "eu-central-1a"));
    let second = bench.instance(&bench.launched[1]);
    assert_eq!((second.subnet.as_deref(), second.availability_zone.as_str()), (Some("subnet-2"), "eu-central-1b"));
}

/// EC2 Auto Scaling API reference, `LaunchTemplateOverrides`: an override may name a launch template of its own.
#[test]
fn an_override_starts_instances_from_its_own_launch_template() {
    let mut bench = Bench::new();
    bench.template("t", &[]);
    bench.template("arm", &[("LaunchTemplateData.InstanceType", "m7g.large")]);
    let policy = "MixedInstancesPolicy.LaunchTemplate";
    let own = format!("{policy}.LaunchTemplateSpecification.LaunchTemplateName");
    let first = format!("{policy}.Overrides.member.1.LaunchTemplateSpecification.LaunchTemplateName");
    bench.asg(
        "CreateAutoScalingGroup",
        &[
            ("AutoScalingGroupName", "g"),
            ("MinSize", "0"),
            ("MaxSize", "5"),
            ("DesiredCapacity", "1"),
            ("VPCZoneIdentifier", "subnet-1"),
            (own.as_str(), "t"),
            (first.as_str(), "arm"),
        ],
    );
    bench.wait(1);
    let started = bench.instance(&bench.launched[0]);
    assert_eq!((started.template_name.as_str(), started.instance_type.as_str()), ("arm", "m7g.large"));
    let group = bench.asg("DescribeAutoScalingGroups", &[]);
    assert!(group.contains("<LaunchTemplateName>t<") && group.contains("<LaunchTemplateName>arm<"), "{group}");
}
