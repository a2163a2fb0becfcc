//! `lightsout-agent doctor` on the embedded cloud: all is well with the fleet of `up`, until one thing is changed over the wire.

use lightsout_localcloud::fleet::JobState;
use serde_json::{Value, json};

use crate::rig::{Fleet, http, lightsout};

const AUTO_SCALING: &str = "2011-01-01";
const EC2: &str = "2016-11-15";

/// What of the findings is the cloud's and the platform's; the rest is about this machine.
const ELSEWHERE: [&str; 10] =
    ["metadata", "clock", "instance", "rights", "group", "scale-set", "hook", "launch-hook", "template", "platform"];

/// A call that makes something wrong, and one that mends it: the version of the API, and the form.
struct Drift {
    /// What is found then, and nothing else.
    id: &'static str,
    breaks: (&'static str, &'static str),
    mends: (&'static str, &'static str),
}

const fn group(id: &'static str, breaks: &'static str, mends: &'static str) -> Drift {
    Drift { id, breaks: (AUTO_SCALING, breaks), mends: (AUTO_SCALING, mends) }
}

const fn machine(id: &'static str, breaks: &'static str, mends: &'static str) -> Drift {
    Drift { id, breaks: (EC2, breaks), mends: (EC2, mends) }
}

const DRIFTS: &[Drift] = &[
    machine(
        "metadata.tokens",
        "Action=ModifyInstanceMetadataOptions&InstanceId=ID&HttpTokens=optional",
        "Action=ModifyInstanceMetadataOptions&InstanceId=ID&HttpTokens=required",
    ),
    machine(
        "metadata.hop-limit",
        "Action=ModifyInstanceMetadataOptions&InstanceId=ID&HttpPutResponseHopLimit=2",
        "Action=ModifyInstanceMetadataOptions&InstanceId=ID&HttpPutResponseHopLimit=1",
    ),
    machine(
        "metadata.tags",
        "Action=ModifyInstanceMetadataOptions&InstanceId=ID&InstanceMetadataTags=disabled",
        "Action=ModifyInstanceMetadataOptions&InstanceId=ID&InstanceMetadataTags=enabled",
    ),
    machine(
        "instance.power-off",
        "Action=ModifyInstanceAttribute&InstanceId=ID&InstanceInitiatedShutdownBehavior.Value=stop",
        "Action=ModifyInstanceAttribute&InstanceId=ID&InstanceInitiatedShutdownBehavior.Value=terminate",
    ),
    group("group.size", "Action=UpdateAutoScalingGroup&MinSize=1", "Action=UpdateAutoScalingGroup&MinSize=0"),
    group(
        "group.protection",
        "Action=UpdateAutoScalingGroup&NewInstancesProtectedFromScaleIn=false",
        "Action=UpdateAutoScalingGroup&NewInstancesProtectedFromScaleIn=true",
    ),
    group(
        "group.units",
        "Action=UpdateAutoScalingGroup&MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification.LaunchTemplateName=lightsout-demo\
         &MixedInstancesPolicy.LaunchTemplate.Overrides.member.1.InstanceType=c7i.large\
         &MixedInstancesPolicy.LaunchTemplate.Overrides.member.1.WeightedCapacity=2",
        "Action=UpdateAutoScalingGroup&LaunchTemplate.LaunchTemplateName=lightsout-demo&LaunchTemplate.Version=$Latest",
    ),
    group(
        "group.zones",
        "Action=ResumeProcesses&ScalingProcesses.member.1=AZRebalance",
        "Action=SuspendProcesses&ScalingProcesses.member.1=AZRebalance",
    ),
    group(
        "group.processes",
        "Action=SuspendProcesses&ScalingProcesses.member.1=Terminate",
        "Action=ResumeProcesses&ScalingProcesses.member.1=Terminate",
    ),
    group(
        "group.capacity-rebalancing",
        "Action=UpdateAutoScalingGroup&CapacityRebalance=true",
        "Action=UpdateAutoScalingGroup&CapacityRebalance=false",
    ),
    group(
        "group.max-lifetime",
        "Action=UpdateAutoScalingGroup&MaxInstanceLifetime=86400",
        "Action=UpdateAutoScalingGroup&MaxInstanceLifetime=0",
    ),
    group(
        "group.health-check",
        "Action=UpdateAutoScalingGroup&HealthCheckType=ELB",
        "Action=UpdateAutoScalingGroup&HealthCheckType=EC2",
    ),
    group(
        "group.other-scalers",
        "Action=PutScalingPolicy&PolicyName=cpu&PolicyType=TargetTrackingScaling",
        "Action=DeletePolicy&PolicyName=cpu",
    ),
    group(
        "group.other-scalers",
        "Action=PutScheduledUpdateGroupAction&ScheduledActionName=night&DesiredCapacity=0&Recurrence=0 0 1 1 *",
        "Action=DeleteScheduledAction&ScheduledActionName=night",
    ),
    group("group.refresh", "Action=StartInstanceRefresh", "Action=CancelInstanceRefresh"),
    group(
        "hook",
        "Action=DeleteLifecycleHook&LifecycleHookName=lightsout-drain",
        "Action=PutLifecycleHook&LifecycleHookName=lightsout-drain&HeartbeatTimeout=600&DefaultResult=CONTINUE\
         &LifecycleTransition=autoscaling:EC2_INSTANCE_TERMINATING",
    ),
    group(
        "hook",
        "Action=PutLifecycleHook&LifecycleHookName=logs&HeartbeatTimeout=600&DefaultResult=CONTINUE\
         &LifecycleTransition=autoscaling:EC2_INSTANCE_TERMINATING",
        "Action=DeleteLifecycleHook&LifecycleHookName=logs",
    ),
    group(
        "hook.time-out",
        "Action=PutLifecycleHook&LifecycleHookName=lightsout-drain&HeartbeatTimeout=300",
        "Action=PutLifecycleHook&LifecycleHookName=lightsout-drain&HeartbeatTimeout=600",
    ),
    group(
        "hook.result",
        "Action=PutLifecycleHook&LifecycleHookName=lightsout-drain&DefaultResult=ABANDON",
        "Action=PutLifecycleHook&LifecycleHookName=lightsout-drain&DefaultResult=CONTINUE",
    ),
    group(
        "launch-hook",
        "Action=PutLifecycleHook&LifecycleHookName=inventory&HeartbeatTimeout=600&DefaultResult=ABANDON\
         &LifecycleTransition=autoscaling:EC2_INSTANCE_LAUNCHING",
        "Action=DeleteLifecycleHook&LifecycleHookName=inventory",
    ),
    machine(
        "template.types",
        "Action=CreateLaunchTemplateVersion&LaunchTemplateName=lightsout-demo&SourceVersion=1&LaunchTemplateData.InstanceType=g6.xlarge",
        "Action=CreateLaunchTemplateVersion&LaunchTemplateName=lightsout-demo&SourceVersion=1&LaunchTemplateData.InstanceType=c7i.large",
    ),
    machine(
        "template.image",
        "Action=EnableImageDeprecation&ImageId=ami-0123456789abcdef0&DeprecateAt=2026-01-01T00:00:00.000Z",
        "Action=DisableImageDeprecation&ImageId=ami-0123456789abcdef0",
    ),
    // Nothing brings it back, so it is the last.
    machine(
        "template.image",
        "Action=DeregisterImage&ImageId=ami-0123456789abcdef0",
        "Action=DescribeInstances&InstanceId.1=ID",
    ),
];

fn call(fleet: &Fleet, id: &str, (version, form): (&str, &str)) {
    let group = if version == AUTO_SCALING { "&AutoScalingGroupName=lightsout-demo" } else { "" };
    let form = format!("{}&Version={version}{group}", form.replace("=ID", &format!("={id}")));
    let (status, body) =
        http::send("POST", fleet.url(), "application/x-www-form-urlencoded", &form).expect("it answers");
    assert_eq!(status, 200, "{form}: {body}");
}

/// What is not well elsewhere than on this machine, on AWS.
fn found(fleet: &Fleet, id: &str) -> Vec<Value> {
    found_of(fleet, id, 20)
}

/// The same, of more rows than so many.
pub(crate) fn found_of(fleet: &Fleet, id: &str, rows: usize) -> Vec<Value> {
    let settings = fleet.dir().join("instances").join(id).join("agent.toml");
    let output = lightsout(&fleet.dir(), &format!("agent doctor --json --config {}", settings.display()));
    let findings: Vec<Value> =
        output.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{output:?}"))).collect();
    let elsewhere = |finding: &Value| {
        let id = finding["id"].as_str().unwrap_or_default();
        ELSEWHERE.contains(&id.split('.').next().unwrap_or_default())
    };
    // That they are there at all, and not left out for want of a fact.
    assert!(findings.iter().filter(|finding| elsewhere(finding)).count() > rows, "{output:?}");
    findings.into_iter().filter(|finding| elsewhere(finding) && finding["verdict"] != "ok").collect()
}

pub(crate) fn ids(found: &[Value]) -> Vec<&str> {
    found.iter().filter_map(|finding| finding["id"].as_str()).collect()
}

#[test]
fn the_fleet_of_up_is_all_ok_and_each_drift_is_found_by_its_own_name() {
    let mut fleet = Fleet::up("--jobs 1 --keep --max 2 --idle-timeout 10m");
    let id = fleet.until_phase("idle");
    // A type with accelerators is not to be had in this one.
    call(
        &fleet,
        &id,
        (
            AUTO_SCALING,
            "Action=UpdateAutoScalingGroup&AvailabilityZones.member.1=eu-central-1a&AvailabilityZones.member.2=eu-central-1c",
        ),
    );
    assert_eq!(found(&fleet, &id), Vec::<Value>::new(), "the fleet of `up`");
    for drift in DRIFTS {
        call(&fleet, &id, drift.breaks);
        let seen = found(&fleet, &id);
        assert_eq!(ids(&seen), [drift.id], "after {}: {seen:?}", drift.breaks.1);
        assert!(seen[0]["remedy"].as_str().is_some_and(|remedy| !remedy.contains("{group}")), "{seen:?}");
        call(&fleet, &id, drift.mends);
        if drift.id == "group.refresh" {
            fleet.wait("the refresh to be cancelled", |fleet| found(fleet, &id).is_empty().then_some(()));
        }
    }
}

const LAUNCH_DRIFTS: &[Drift] = &[
    group(
        "launch-hook.result",
        "Action=PutLifecycleHook&LifecycleHookName=lightsout-ready&DefaultResult=CONTINUE",
        "Action=PutLifecycleHook&LifecycleHookName=lightsout-ready&DefaultResult=ABANDON",
    ),
    group(
        "launch-hook.time-out",
        "Action=PutLifecycleHook&LifecycleHookName=lightsout-ready&HeartbeatTimeout=30",
        "Action=PutLifecycleHook&LifecycleHookName=lightsout-ready&HeartbeatTimeout=60",
    ),
    group(
        "launch-hook",
        "Action=DeleteLifecycleHook&LifecycleHookName=lightsout-ready",
        "Action=PutLifecycleHook&LifecycleHookName=lightsout-ready&HeartbeatTimeout=60&DefaultResult=ABANDON\
         &LifecycleTransition=autoscaling:EC2_INSTANCE_LAUNCHING",
    ),
];

#[test]
fn a_launch_hook_that_the_settings_name_is_looked_at_too() {
    let mut fleet = Fleet::up("--jobs 1 --keep --max 1 --idle-timeout 10m --launch-hook");
    let id = fleet.until_phase("idle");
    assert_eq!(found(&fleet, &id), Vec::<Value>::new(), "the fleet of `up`");
    for drift in LAUNCH_DRIFTS {
        call(&fleet, &id, drift.breaks);
        let seen = found(&fleet, &id);
        assert_eq!(ids(&seen), [drift.id], "after {}: {seen:?}", drift.breaks.1);
        call(&fleet, &id, drift.mends);
    }
    assert_eq!(found(&fleet, &id), Vec::<Value>::new(), "all is mended");
}

/// With an encrypted volume whose key the group may not use, each launch fails at once, and the group tries for ever.
#[test]
fn a_key_that_the_group_may_not_use_is_found_by_its_failed_launches() {
    let mut fleet = Fleet::up("--jobs 1 --keep --max 2 --idle-timeout 10m");
    let id = fleet.until_phase("idle");
    assert_eq!(found(&fleet, &id), Vec::<Value>::new(), "its own launch succeeded");
    let message = "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: \
                   Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state";
    fleet.post("faults", &json!({"target": "cloud", "effect": {"launch-failures": {"message": message}}}));
    let jobs = fleet.enqueue(2, 3.0);
    let seen = fleet.wait("a launch to fail", |fleet| {
        let found = found(fleet, &id);
        (!found.is_empty()).then_some(found)
    });
    assert_eq!(ids(&seen), ["group.launches"]);
    assert!(
        seen[0]["remedy"].as_str().is_some_and(|remedy| remedy.contains("AWSServiceRoleForAutoScaling")),
        "{seen:?}"
    );
    fleet.request("DELETE", "faults", &Value::Null).expect("the faults are cleared");
    for job in jobs {
        fleet.until_job(job, JobState::Done);
    }
}

#[test]
fn what_cloud_and_platform_refuse_is_found() {
    let mut fleet = Fleet::up("--jobs 1 --keep --max 2 --idle-timeout 10m");
    let id = fleet.until_phase("idle");
    for (name, fault) in [
        ("rights", json!({"target": "aws", "action": "TerminateInstances", "effect": {"status": {"code": 403}}})),
        (
            "rights",
            json!({"target": "aws", "action": "RecordLifecycleActionHeartbeat", "effect": {"status": {"code": 403}}}),
        ),
        (
            "instance.power-off",
            json!({"target": "aws", "action": "DescribeInstanceAttribute", "effect": {"status": {"code": 403}}}),
        ),
        (
            "platform.token",
            json!({"target": "platform", "action": "runners/verify", "effect": {"status": {"code": 403}}}),
        ),
    ] {
        fleet.post("faults", &fault);
        let seen = found(&fleet, &id);
        assert_eq!(ids(&seen), [name], "{fault}: {seen:?}");
        fleet.request("DELETE", "faults", &Value::Null).expect("the faults are cleared");
    }
    assert_eq!(found(&fleet, &id), Vec::<Value>::new());
}

#[test]
fn a_good_and_a_refused_secret_are_told_apart_on_github() {
    tells_secrets_apart("github");
}

#[test]
fn a_good_and_a_refused_secret_are_told_apart_on_buildkite() {
    tells_secrets_apart("buildkite");
}

#[test]
fn a_good_and_a_refused_secret_are_told_apart_on_spacelift() {
    tells_secrets_apart("spacelift");
}

#[test]
fn a_good_and_a_refused_secret_are_told_apart_on_stackguardian() {
    tells_secrets_apart("stackguardian");
}

fn tells_secrets_apart(platform: &str) {
    let mut fleet = Fleet::up(&format!("--platform {platform} --jobs 1 --keep --max 1 --idle-timeout 10m"));
    let id = fleet.until_phase("idle");
    assert_eq!(found(&fleet, &id), Vec::<Value>::new(), "{platform}");
    let settings = fleet.dir().join("instances").join(&id).join("agent.toml");
    let output = lightsout(&fleet.dir(), &format!("agent doctor --config {}", settings.display()));
    assert!(output.out.lines().any(|line| line.starts_with("ok       platform.token ")), "it was asked: {output:?}");
    fleet.post("faults", &json!({"target": "platform", "effect": {"status": {"code": 401}}}));
    let seen = found(&fleet, &id);
    assert_eq!(ids(&seen), ["platform.token"], "{platform}: {seen:?}");
    assert_eq!(seen[0]["verdict"], "wrong");
}
