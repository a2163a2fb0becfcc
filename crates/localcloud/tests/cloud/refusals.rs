//! Every refusal with its code and its wording.

use lightsout_localcloud::aws::model::LifecycleState;

use crate::bench::Bench;

fn validation(message: &str) -> (String, String) {
    ("ValidationError".to_owned(), message.to_owned())
}

const UNKNOWN: &str = "i-00000000000000000";

#[test]
fn capacity_outside_the_bounds() {
    let mut bench = Bench::with_group(1, 2, &[]);
    bench.on_group("UpdateAutoScalingGroup", &[("MinSize", "1")]);
    let set = |bench: &mut Bench, value| {
        bench.refused("SetDesiredCapacity", &[("AutoScalingGroupName", "g"), ("DesiredCapacity", value)])
    };
    assert_eq!(
        set(&mut bench, "3"),
        validation("New SetDesiredCapacity value 3 is above max value 2 for the AutoScalingGroup.")
    );
    assert_eq!(
        set(&mut bench, "0"),
        validation("New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup.")
    );
    let (code, message) = set(&mut bench, "-1");
    assert_eq!(code, "ValidationError");
    assert!(message.contains("'desiredCapacity'") && message.contains("greater than or equal to 0"), "{message}");
    assert_eq!(set(&mut bench, "many").0, "MalformedInput");
    assert_eq!(bench.desired(), 1);
}

#[test]
fn a_group_that_does_not_exist() {
    let mut bench = Bench::with_group(0, 2, &[]);
    let unknown = validation("AutoScalingGroup name not found - AutoScalingGroup: nope not found");
    for action in [
        "UpdateAutoScalingGroup",
        "DeleteAutoScalingGroup",
        "SetDesiredCapacity",
        "SetInstanceProtection",
        "DescribeLifecycleHooks",
        "PutLifecycleHook",
        "CompleteLifecycleAction",
        "SuspendProcesses",
        "StartInstanceRefresh",
        "DescribeInstanceRefreshes",
    ] {
        let fields = [
            ("AutoScalingGroupName", "nope"),
            ("DesiredCapacity", "1"),
            ("ProtectedFromScaleIn", "true"),
            ("LifecycleHookName", "h"),
            ("LifecycleActionResult", "CONTINUE"),
            ("InstanceId", UNKNOWN),
            ("InstanceIds.member.1", UNKNOWN),
        ];
        assert_eq!(bench.refused(action, &fields), unknown, "{action}");
    }
}

#[test]
fn a_group_that_cannot_be() {
    let mut bench = Bench::new();
    bench.template("t", &[]);
    let mut create = |min, max, desired, zones: bool, template| {
        let mut fields = vec![
            ("AutoScalingGroupName", "x"),
            ("MinSize", min),
            ("MaxSize", max),
            ("DesiredCapacity", desired),
            ("LaunchTemplate.LaunchTemplateName", template),
        ];
        fields.extend(zones.then_some(("AvailabilityZones.member.1", "a")));
        fields.retain(|(_, value)| !value.is_empty());
        bench.refused("CreateAutoScalingGroup", &fields).1
    };
    assert_eq!(
        create("0", "1", "5", true, "t"),
        "Desired capacity:5 must be between the specified min size:0 and max size:1"
    );
    assert_eq!(create("3", "1", "2", true, "t"), "Max bound, 1, must be greater than or equal to min bound, 3");
    assert_eq!(create("0", "1", "0", false, "t"), "At least one Availability Zone or VPC Subnet is required.");
    assert!(create("0", "1", "0", true, "").starts_with("Valid requests must contain either LaunchTemplate"));
    assert!(create("0", "1", "0", true, "none").contains("launch template name, none, does not exist"));
}

#[test]
fn a_group_that_is_there_already_or_still_in_use() {
    let mut bench = Bench::in_service(1, 2, &[]);
    let again = [("AutoScalingGroupName", "g"), ("MinSize", "0"), ("MaxSize", "1")];
    assert_eq!(bench.refused("CreateAutoScalingGroup", &again).0, "AlreadyExists");
    let (code, message) = bench.refused("DeleteAutoScalingGroup", &[("AutoScalingGroupName", "g")]);
    assert_eq!(code, "ResourceInUse");
    assert!(message.starts_with("You cannot delete an AutoScalingGroup while there are instances"), "{message}");
    bench.on_group("UpdateAutoScalingGroup", &[("DeletionProtection", "prevent-force-deletion")]);
    let forced = [("AutoScalingGroupName", "g"), ("ForceDelete", "true")];
    assert!(bench.refused("DeleteAutoScalingGroup", &forced).1.contains("protected from deletion"));
}

#[test]
fn protection_in_the_wrong_state() {
    let mut bench = Bench::with_group(1, 2, &[]);
    bench.wait(5);
    let id = bench.launched[0].clone();
    let set = |bench: &mut Bench, id: &str| {
        let fields = [("AutoScalingGroupName", "g"), ("InstanceIds.member.1", id), ("ProtectedFromScaleIn", "true")];
        bench.refused("SetInstanceProtection", &fields)
    };
    let wrong = validation(&format!("The instance {id} is not in InService or EnteringStandby or Standby."));
    assert_eq!(set(&mut bench, &id), wrong);
    bench.wait(30);
    bench.terminate(&id, true);
    assert_eq!(bench.state(&id), LifecycleState::Terminating);
    assert_eq!(set(&mut bench, &id), wrong);
    assert_eq!(
        set(&mut bench, UNKNOWN),
        validation(&format!("The instance {UNKNOWN} is not part of Auto Scaling group g."))
    );
}

#[test]
fn protection_is_all_or_nothing_and_for_fifty_at_most() {
    let mut bench = Bench::in_service(1, 2, &[]);
    let id = bench.launched[0].clone();
    bench.set_desired(2);
    bench.wait(1);
    let pending = bench.launched[1].clone();
    let both = [
        ("AutoScalingGroupName", "g"),
        ("InstanceIds.member.1", id.as_str()),
        ("InstanceIds.member.2", pending.as_str()),
        ("ProtectedFromScaleIn", "true"),
    ];
    bench.refused("SetInstanceProtection", &both);
    assert!(!bench.instance(&id).protected);
    let keys: Vec<String> = (1..=51).map(|n| format!("InstanceIds.member.{n}")).collect();
    let mut many = vec![("AutoScalingGroupName", "g"), ("ProtectedFromScaleIn", "true")];
    many.extend(keys.iter().map(|key| (key.as_str(), id.as_str())));
    assert!(bench.refused("SetInstanceProtection", &many).1.ends_with("less than or equal to 50"));
}

#[test]
fn a_termination_that_cannot_be() {
    let mut bench = Bench::in_service(1, 2, &[]);
    let id = bench.launched[0].clone();
    let terminate = "TerminateInstanceInAutoScalingGroup";
    assert_eq!(
        bench.refused(terminate, &[("InstanceId", &id)]),
        validation(
            "1 validation error detected: Value null at 'shouldDecrementDesiredCapacity' failed to satisfy constraint: \
             Member must not be null"
        )
    );
    let not_found = format!("Instance Id not found - No managed instance found for instance ID {UNKNOWN}");
    let unknown = [("InstanceId", UNKNOWN), ("ShouldDecrementDesiredCapacity", "true")];
    assert_eq!(bench.refused(terminate, &unknown), validation(&not_found));

    bench.on_group("UpdateAutoScalingGroup", &[("MinSize", "1")]);
    let asked = [("InstanceId", id.as_str()), ("ShouldDecrementDesiredCapacity", "true")];
    assert_eq!(
        bench.refused(terminate, &asked),
        validation(
            "Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate group's \
             min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
        )
    );
    assert_eq!((bench.desired(), bench.state(&id)), (1, LifecycleState::InService));

    bench.terminate(&id, false);
    let activity = bench.last_activity().id.clone();
    let (code, message) = bench.refused(terminate, &asked);
    assert_eq!((code.as_str(), message), ("ScalingActivityInProgress", format!("Activity {activity} is in progress.")));
    bench.wait(60);
    assert!(bench.refused(terminate, &asked).1.starts_with("Instance Id not found"), "once it is gone");
}

#[test]
fn hooks_and_lifecycle_actions() {
    let mut bench = Bench::in_service(1, 2, &[]);
    let id = bench.launched[0].clone();
    let put = |timeout| {
        [
            ("AutoScalingGroupName", "g"),
            ("LifecycleHookName", "h"),
            ("LifecycleTransition", "autoscaling:EC2_INSTANCE_TERMINATING"),
            ("HeartbeatTimeout", timeout),
        ]
    };
    assert!(bench.refused("PutLifecycleHook", &put("29")).1.ends_with("greater than or equal to 30"));
    assert!(bench.refused("PutLifecycleHook", &put("7201")).1.ends_with("less than or equal to 7200"));
    bench.asg("PutLifecycleHook", &put("30"));

    let complete = |key, value| {
        [("AutoScalingGroupName", "g"), ("LifecycleHookName", "h"), ("LifecycleActionResult", "CONTINUE"), (key, value)]
    };
    let none = validation(&format!("No active Lifecycle Action found with instance ID {id}"));
    assert_eq!(bench.refused("CompleteLifecycleAction", &complete("InstanceId", &id)), none);
    assert_eq!(bench.refused("RecordLifecycleActionHeartbeat", &complete("InstanceId", &id)), none);
    assert_eq!(
        bench.refused("CompleteLifecycleAction", &complete("LifecycleActionToken", "abc")).1,
        "No active Lifecycle Action found with token abc"
    );
    let (code, _) = bench.refused("DeleteLifecycleHook", &[("AutoScalingGroupName", "g"), ("LifecycleHookName", "no")]);
    assert_eq!(code, "ValidationError");
}

#[test]
fn standby_and_detach_in_the_wrong_state_or_at_the_floor() {
    let mut bench = Bench::with_group(1, 50, &[]);
    bench.wait(5);
    let id = bench.launched[0].clone();
    let go = |bench: &mut Bench, action| {
        let fields = [
            ("AutoScalingGroupName", "g"),
            ("InstanceIds.member.1", id.as_str()),
            ("ShouldDecrementDesiredCapacity", "true"),
        ];
        bench.refused(action, &fields).1
    };
    assert_eq!(go(&mut bench, "EnterStandby"), format!("The instance {id} is not in InService."));
    assert_eq!(go(&mut bench, "DetachInstances"), format!("The instance {id} is not in InService or Standby."));
    assert_eq!(go(&mut bench, "ExitStandby"), format!("The instance {id} is not in Standby."));
    bench.wait(30);
    bench.on_group("UpdateAutoScalingGroup", &[("MinSize", "1")]);
    assert_eq!(
        go(&mut bench, "DetachInstances"),
        "AutoScalingGroup g has min-size=1, max-size=50, and desired-size=1. To detach 1 instance, please update the \
         AutoScalingGroup sizes appropriately."
    );
    bench.on_group("DetachInstances", &[("InstanceIds.member.1", &id), ("ShouldDecrementDesiredCapacity", "false")]);
    bench.wait(5);
    assert!(go(&mut bench, "DetachInstances").contains("is not part of Auto Scaling group"));
}

#[test]
fn a_cooldown_is_honoured_only_on_request() {
    let mut bench = Bench::with_group(1, 5, &[]);
    bench.wait(5);
    let activity = bench.last_activity().id.clone();
    let honour = |desired| [("AutoScalingGroupName", "g"), ("DesiredCapacity", desired), ("HonorCooldown", "true")];
    let blocked = (
        "ScalingActivityInProgress".to_owned(),
        format!("Scaling activity {activity} is in progress and blocks this action"),
    );
    assert_eq!(bench.refused("SetDesiredCapacity", &honour("2")), blocked, "while it boots");
    bench.wait(30);
    assert_eq!(bench.refused("SetDesiredCapacity", &honour("2")), blocked, "while it cools down");
    bench.asg("SetDesiredCapacity", &honour("1"));
    bench.wait(301);
    bench.asg("SetDesiredCapacity", &honour("2"));
    bench.set_desired(3);
    assert_eq!(bench.desired(), 3);
}

#[test]
fn names_that_mean_nothing() {
    let mut bench = Bench::with_group(0, 1, &[]);
    assert_eq!(bench.refused("MakeCoffee", &[]).0, "InvalidAction");
    assert_eq!(bench.ec2_refused("MakeCoffee", &[], 400).0, "InvalidAction");
    let process = [("AutoScalingGroupName", "g"), ("ScalingProcesses.member.1", "Lunch")];
    assert!(bench.refused("SuspendProcesses", &process).1.contains("Lunch"));
    let tag = [("Tags.member.1.ResourceId", "nope"), ("Tags.member.1.Key", "k")];
    assert_eq!(
        bench.refused("CreateOrUpdateTags", &tag).1,
        "AutoScalingGroup not found - AutoScaling Group nope not found"
    );
    let (status, body) = bench.call("1999-01-01", "DescribeTags", &[], None);
    assert!(status == 400 && body.contains("NoSuchVersion"));
    let (code, _) = bench.refused("DescribeAutoScalingGroups", &[("NextToken", "%%%")]);
    assert_eq!(code, "InvalidNextToken");
}
