//! What calls give back: shapes, tags, who is calling, the same run again.

use lightsout_localcloud::{Timestamp, aws::query};

use crate::bench::{Bench, all, one};

#[test]
fn a_group_is_described_as_it_was_made() {
    let mut bench = Bench::with_group(
        1,
        4,
        &[
            ("NewInstancesProtectedFromScaleIn", "true"),
            ("CapacityRebalance", "true"),
            ("DefaultInstanceWarmup", "0"),
            ("MaxInstanceLifetime", "86400"),
            ("HealthCheckGracePeriod", "30"),
            ("DeletionProtection", "prevent-force-deletion"),
            ("Tags.member.1.Key", "a<b>"),
            ("Tags.member.1.Value", "x & 'y'"),
            ("Tags.member.1.PropagateAtLaunch", "true"),
        ],
    );
    bench.wait(30);
    bench.on_group("SuspendProcesses", &[("ScalingProcesses.member.1", "AZRebalance")]);
    let body = bench.asg("DescribeAutoScalingGroups", &[]);
    for (element, value) in [
        ("MinSize", "0"),
        ("MaxSize", "4"),
        ("DesiredCapacity", "1"),
        ("NewInstancesProtectedFromScaleIn", "true"),
        ("ProtectedFromScaleIn", "true"),
        ("CapacityRebalance", "true"),
        ("DefaultInstanceWarmup", "0"),
        ("MaxInstanceLifetime", "86400"),
        ("HealthCheckGracePeriod", "30"),
        ("DeletionProtection", "prevent-force-deletion"),
        ("ProcessName", "AZRebalance"),
        ("LifecycleState", "InService"),
        ("HealthStatus", "Healthy"),
        ("Value", "x & 'y'"),
        ("CreatedTime", "2027-01-15T08:00:00.000Z"),
    ] {
        assert_eq!(one(&body, element), value, "{element}");
    }
    assert!(body.contains("<Key>a&lt;b&gt;</Key>"));
    assert!(
        one(&body, "AutoScalingGroupARN")
            .starts_with("arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:")
    );
    let instance = bench.instance(&bench.launched[0]);
    assert_eq!(instance.tags["a<b>"], "x & 'y'");
    assert_eq!(instance.tags["aws:autoscaling:groupName"], "g");
    bench.on_group("UpdateAutoScalingGroup", &[("DefaultInstanceWarmup", "-1"), ("MaxInstanceLifetime", "0")]);
    let body = bench.asg("DescribeAutoScalingGroups", &[]);
    assert!(!body.contains("DefaultInstanceWarmup") && !body.contains("MaxInstanceLifetime"));
}

#[test]
fn replies_have_the_shape_of_the_service() {
    let mut bench = Bench::in_service(1, 2, &[]);
    let body = bench.on_group("SetDesiredCapacity", &[("DesiredCapacity", "1")]);
    assert!(body.starts_with(
        "<SetDesiredCapacityResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><ResponseMetadata>"
    ));
    let id = bench.launched[0].clone();
    let fields = [("InstanceIds.member.1", id.as_str()), ("ProtectedFromScaleIn", "true")];
    let body = bench.on_group("SetInstanceProtection", &fields);
    assert!(body.contains("<SetInstanceProtectionResult></SetInstanceProtectionResult>"), "{body}");
    let (_, body) = bench.call("2011-01-01", "SetDesiredCapacity", &[], None);
    assert!(body.starts_with("<ErrorResponse xmlns=\"http://autoscaling") && body.contains("<Type>Sender</Type>"));
    let (_, body) = bench.call("2016-11-15", "TerminateInstances", &[], None);
    assert!(body.contains("<Response><Errors><Error><Code>MissingParameter</Code>"), "{body}");
}

#[test]
fn a_fault_of_the_server_looks_like_one_of_the_service() {
    let form = |version: &str| [("Version".to_owned(), version.to_owned())].into();
    let reply = query::refuse(&form("2011-01-01"), 400, "Throttling", "Rate exceeded");
    assert_eq!((reply.status, one(&reply.body, "Code").as_str()), (400, "Throttling"));
    let reply = query::refuse(&form("2016-11-15"), 503, "RequestLimitExceeded", "Request limit exceeded.");
    assert!(reply.status == 503 && reply.body.contains("<Response><Errors>"));
    let reply = query::refuse(&form("2011-01-01"), 500, "ResourceContention", "busy");
    assert_eq!(one(&reply.body, "Type"), "Receiver");
}

#[test]
fn tags_of_a_group_come_and_go() {
    let mut bench = Bench::with_group(0, 1, &[]);
    let tag = |value| {
        [
            ("Tags.member.1.ResourceId", "g"),
            ("Tags.member.1.ResourceType", "auto-scaling-group"),
            ("Tags.member.1.Key", "floor"),
            ("Tags.member.1.Value", value),
            ("Tags.member.1.PropagateAtLaunch", "false"),
        ]
    };
    bench.asg("CreateOrUpdateTags", &tag("1"));
    bench.asg("CreateOrUpdateTags", &tag("2"));
    assert_eq!(one(&bench.asg("DescribeTags", &[]), "Value"), "2");
    bench.asg("DeleteTags", &tag("1"));
    assert_eq!(all(&bench.asg("DescribeTags", &[]), "Value").len(), 1, "another value is left alone");
    bench.asg("DeleteTags", &tag("2"));
    assert!(all(&bench.asg("DescribeTags", &[]), "Value").is_empty());
}

#[test]
fn the_caller_is_known_by_its_instance() {
    let mut bench = Bench::with_group(0, 1, &[]);
    bench.template("p", &[("LaunchTemplateData.IamInstanceProfile.Arn", "arn:aws:iam::1:instance-profile/ci/agent")]);
    bench.on_group("UpdateAutoScalingGroup", &[("LaunchTemplate.LaunchTemplateName", "p")]);
    bench.set_desired(1);
    bench.wait(1);
    let id = bench.launched[0].clone();
    let (_, body) = bench.call("2011-06-15", "GetCallerIdentity", &[], Some(&id));
    assert_eq!(one(&body, "Arn"), format!("arn:aws:sts::123456789012:assumed-role/agent/{id}"));
    let (_, body) = bench.call("2011-06-15", "GetCallerIdentity", &[], None);
    assert!(one(&body, "Arn").ends_with(":user/localcloud"));
    let (status, body) = bench.call("2011-06-15", "AssumeRole", &[], None);
    assert!(status == 400 && body.contains("InvalidAction"));
}

#[test]
fn the_same_seed_gives_the_same_run_whatever_is_asked_in_between() {
    let run = |seed, questions: u32| {
        let mut bench = Bench::seeded(seed);
        bench.template("t", &[]);
        bench.group("g", 3, 5, &[]);
        for _ in 0..questions {
            bench.asg("DescribeAutoScalingGroups", &[]);
        }
        bench.wait(30);
        (bench.launched.clone(), bench.timeline.clone())
    };
    assert_eq!(run(5, 0), run(5, 9));
    assert_ne!(run(5, 0).0, run(6, 0).0);
}

#[test]
fn time_does_not_go_back() {
    let mut bench = Bench::in_service(1, 2, &[]);
    let before = bench.now;
    bench.now = Timestamp(0);
    bench.set_desired(2);
    bench.now = before;
    bench.wait(30);
    assert_eq!(bench.serving().len(), 2);
    let instance = bench.instance(&bench.launched[1]);
    assert!(instance.launched_at >= before);
}

#[test]
fn a_late_advance_catches_up_step_by_step() {
    let mut bench = Bench::with_group(2, 2, &[]);
    let start = bench.now;
    bench.now = Timestamp(start.0 + 3_600_000);
    bench.cloud.advance(bench.now);
    bench.wait(0);
    let since = bench.instance(&bench.launched[0]).in_service_at.unwrap();
    assert_eq!(since.since(start).as_millis(), 20_500, "each timer runs at its own time");
}
