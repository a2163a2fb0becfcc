//! The part of EC2 around a group.

use lightsout_localcloud::aws::model::{Ec2State, LifecycleState};

use crate::bench::{Bench, all, one};

#[test]
fn a_template_decides_what_an_instance_is() {
    let mut bench = Bench::new();
    bench.template(
        "t",
        &[
            ("LaunchTemplateData.InstanceType", "c7i.xlarge"),
            ("LaunchTemplateData.UserData", "aGVsbG8gPHdvcmxkPg=="),
            ("LaunchTemplateData.InstanceMarketOptions.MarketType", "spot"),
            ("LaunchTemplateData.MetadataOptions.HttpTokens", "required"),
            ("LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit", "2"),
            ("LaunchTemplateData.MetadataOptions.InstanceMetadataTags", "enabled"),
            ("LaunchTemplateData.TagSpecification.1.ResourceType", "instance"),
            ("LaunchTemplateData.TagSpecification.1.Tag.1.Key", "team"),
            ("LaunchTemplateData.TagSpecification.1.Tag.1.Value", "ci"),
        ],
    );
    bench.group("g", 1, 2, &[]);
    bench.wait(30);
    let instance = bench.instance(&bench.launched[0]);
    assert_eq!(instance.user_data, "hello <world>");
    assert_eq!(instance.instance_type, "c7i.xlarge");
    assert!(instance.spot && instance.metadata.tokens_required && instance.metadata.tags);
    assert_eq!((instance.metadata.hop_limit, instance.tags["team"].as_str()), (2, "ci"));
    let body = bench.ec2("DescribeInstances", &[]);
    assert_eq!(one(&body, "instanceLifecycle"), "spot");
    assert_eq!(one(&body, "httpTokens"), "required");
    let body = bench.ec2("DescribeLaunchTemplateVersions", &[("LaunchTemplateName", "t")]);
    assert_eq!(one(&body, "userData"), "aGVsbG8gPHdvcmxkPg==");
    assert_eq!(one(&body, "instanceInitiatedShutdownBehavior"), "terminate");
}

#[test]
fn template_versions_build_on_each_other() {
    let mut bench = Bench::new();
    bench.template("t", &[("LaunchTemplateData.InstanceType", "m7i.large")]);
    bench.ec2(
        "CreateLaunchTemplateVersion",
        &[("LaunchTemplateName", "t"), ("SourceVersion", "1"), ("LaunchTemplateData.ImageId", "ami-2")],
    );
    let of = |bench: &mut Bench, version| {
        let fields = [("LaunchTemplateName", "t"), ("LaunchTemplateVersion.1", version)];
        let body = bench.ec2("DescribeLaunchTemplateVersions", &fields);
        (one(&body, "versionNumber"), one(&body, "imageId"), one(&body, "instanceType"))
    };
    let second = ("2".to_owned(), "ami-2".to_owned(), "m7i.large".to_owned());
    assert_eq!(of(&mut bench, "$Latest"), second);
    assert_eq!(of(&mut bench, "$Default").0, "1");
    bench.ec2("ModifyLaunchTemplate", &[("LaunchTemplateName", "t"), ("SetDefaultVersion", "2")]);
    assert_eq!(of(&mut bench, "$Default"), second);
    let body = bench.ec2("DescribeLaunchTemplates", &[("LaunchTemplateName.1", "t")]);
    assert_eq!(
        (one(&body, "defaultVersionNumber"), one(&body, "latestVersionNumber")),
        ("2".to_owned(), "2".to_owned())
    );
}

#[test]
fn templates_that_cannot_be() {
    let mut bench = Bench::new();
    bench.template("t", &[]);
    let again = [("LaunchTemplateName", "t"), ("LaunchTemplateData.ImageId", "ami-1")];
    let (code, _) = bench.ec2_refused("CreateLaunchTemplate", &again, 400);
    assert_eq!(code, "InvalidLaunchTemplateName.AlreadyExistsException");
    let (code, _) = bench.ec2_refused("DescribeLaunchTemplates", &[("LaunchTemplateName.1", "no")], 400);
    assert_eq!(code, "InvalidLaunchTemplateName.NotFoundException");
    let bad = [("LaunchTemplateName", "u"), ("LaunchTemplateData.UserData", "not base64!")];
    assert_eq!(bench.ec2_refused("CreateLaunchTemplate", &bad, 400).0, "InvalidUserData.Malformed");
    let bad = [("LaunchTemplateName", "u"), ("LaunchTemplateData.InstanceInitiatedShutdownBehavior", "explode")];
    assert_eq!(bench.ec2_refused("CreateLaunchTemplate", &bad, 400).0, "InvalidParameterValue");
}

#[test]
fn instances_are_found_by_id_tag_and_state() {
    let mut bench = Bench::in_service(
        2,
        3,
        &[("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v1"), ("Tags.member.1.PropagateAtLaunch", "true")],
    );
    let ids = bench.launched.clone();
    bench.ec2("TerminateInstances", &[("InstanceId.1", &ids[0])]);
    let by = |bench: &mut Bench, name, value| {
        all(&bench.ec2("DescribeInstances", &[("Filter.1.Name", name), ("Filter.1.Value.1", value)]), "instanceId")
    };
    assert_eq!(by(&mut bench, "instance-state-name", "running"), [ids[1].clone()]);
    assert_eq!(by(&mut bench, "instance-state-name", "terminated"), [ids[0].clone()]);
    assert_eq!(by(&mut bench, "tag:k", "v*").len(), 2);
    assert_eq!(by(&mut bench, "tag:aws:autoscaling:groupName", "g").len(), 2);
    assert_eq!(by(&mut bench, "tag-key", "no").len(), 0);
    let unknown = [("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")];
    assert_eq!(bench.ec2_refused("DescribeInstances", &unknown, 400).1, "The filter 'colour' is invalid");
    bench.wait(3600);
    assert!(by(&mut bench, "instance-state-name", "terminated").is_empty(), "an hour later it is no longer shown");
}

#[test]
fn terminating_is_idempotent_and_says_what_it_did() {
    let mut bench = Bench::in_service(1, 1, &[]);
    let id = bench.launched[0].clone();
    let body = bench.ec2("TerminateInstances", &[("InstanceId.1", &id)]);
    assert_eq!(all(&body, "name"), ["shutting-down", "running"]);
    let body = bench.ec2("TerminateInstances", &[("InstanceId.1", &id)]);
    assert_eq!(all(&body, "name"), ["terminated", "terminated"]);
    assert_eq!(bench.instance(&id).cause.as_deref(), Some("terminated through EC2"));
    let dead = [("InstanceId.1", id.as_str())];
    assert_eq!(bench.ec2_refused("StopInstances", &dead, 400).0, "IncorrectInstanceState");
}

#[test]
fn an_instance_that_is_rebooted_runs_all_the_while() {
    let mut bench = Bench::in_service(1, 1, &[]);
    let id = bench.launched[0].clone();
    assert_eq!(one(&bench.ec2("RebootInstances", &[("InstanceId.1", &id)]), "return"), "true");
    bench.wait(600);
    assert_eq!((bench.state(&id), bench.launched.len()), (LifecycleState::InService, 1), "nobody replaces it");
    assert!(bench.told("rebooted through EC2"));
    bench.ec2("TerminateInstances", &[("InstanceId.1", &id)]);
    let dead = [("InstanceId.1", id.as_str())];
    assert_eq!(bench.ec2_refused("RebootInstances", &dead, 400).0, "IncorrectInstanceState");
}

#[test]
fn ids_that_nothing_has() {
    let mut bench = Bench::new();
    let (a, b) = ("i-00000000000000001", "i-00000000000000002");
    let refused = |bench: &mut Bench, ids: &[&str]| {
        let keys: Vec<_> = (1..=ids.len()).map(|n| format!("InstanceId.{n}")).collect();
        let fields: Vec<_> = keys.iter().map(String::as_str).zip(ids.iter().copied()).collect();
        bench.ec2_refused("TerminateInstances", &fields, 400)
    };
    let not_found = |message: &str| ("InvalidInstanceID.NotFound".to_owned(), message.to_owned());
    assert_eq!(refused(&mut bench, &[a]), not_found(&format!("The instance ID '{a}' does not exist")));
    assert_eq!(refused(&mut bench, &[a, b]), not_found(&format!("The instance IDs '{a}, {b}' do not exist")));
    assert_eq!(
        refused(&mut bench, &["me"]),
        ("InvalidInstanceID.Malformed".to_owned(), "Invalid id: \"me\"".to_owned())
    );
    let dry = [("InstanceId.1", a), ("DryRun", "true")];
    assert_eq!(bench.ec2_refused("TerminateInstances", &dry, 412).0, "DryRunOperation");
}

#[test]
fn instances_carry_tags() {
    let mut bench = Bench::in_service(1, 1, &[]);
    let id = bench.launched[0].clone();
    let tag = [("ResourceId.1", id.as_str()), ("Tag.1.Key", "ci:state"), ("Tag.1.Value", "drained")];
    bench.ec2("CreateTags", &tag);
    assert_eq!(bench.instance(&id).tags["ci:state"], "drained");
    let filter = [("Filter.1.Name", "key"), ("Filter.1.Value.1", "ci:state")];
    let body = bench.ec2("DescribeTags", &filter);
    assert_eq!((one(&body, "resourceId"), one(&body, "value")), (id.clone(), "drained".to_owned()));
    let reserved = [("ResourceId.1", id.as_str()), ("Tag.1.Key", "aws:x"), ("Tag.1.Value", "")];
    assert!(bench.ec2_refused("CreateTags", &reserved, 400).1.contains("reserved for internal use"));
    bench.ec2("DeleteTags", &tag);
    assert!(!bench.instance(&id).tags.contains_key("ci:state"));
}

#[test]
fn a_machine_that_never_reports_its_end_is_given_up() {
    use lightsout_localcloud::aws::{
        model::{Cloud, CloudOptions},
        query,
    };
    // The bench obeys at once, so this one does not use it to drain effects.
    let mut bench = Bench::in_service(1, 1, &[]);
    let id = bench.launched[0].clone();
    let form = [("Action", "TerminateInstances"), ("Version", "2016-11-15"), ("InstanceId.1", id.as_str())];
    let form = form.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let mut cloud: Cloud = bench.cloud.clone();
    query::call(&mut cloud, &form, None, bench.now);
    assert_eq!(cloud.instance(&id).unwrap().ec2_state, Ec2State::ShuttingDown);
    bench.now = bench.now + CloudOptions::default().shutdown;
    cloud.advance(bench.now);
    assert_eq!(cloud.instance(&id).unwrap().ec2_state, Ec2State::Terminated);
}

/// What waiters and dashboards ask.
#[test]
fn the_status_of_an_instance_tells_its_checks_and_its_events() {
    let mut bench = Bench::with_group(1, 1, &[]);
    bench.wait(5);
    let id = bench.launched[0].clone();
    assert!(!bench.ec2("DescribeInstanceStatus", &[]).contains(&id), "it does not run yet");
    let all = bench.ec2("DescribeInstanceStatus", &[("IncludeAllInstances", "true")]);
    assert!(all.contains("<status>initializing</status>"), "{all}");
    bench.wait(20);
    let now = bench.now;
    bench.cloud.maintenance(&id, now + std::time::Duration::from_secs(3600), now).unwrap();
    let status = bench.ec2("DescribeInstanceStatus", &[("InstanceId.1", &id)]);
    assert!(status.contains("<status>ok</status>") && status.contains("<status>passed</status>"), "{status}");
    assert!(status.contains("<code>instance-retirement</code>") && status.contains("<notAfter>"), "{status}");
    let (code, _) = bench.ec2_refused("DescribeInstanceStatus", &[("InstanceId.1", "i-0000000000000000f")], 400);
    assert_eq!(code, "InvalidInstanceID.NotFound");
}

#[test]
fn attributes_of_an_instance_are_told_and_changed() {
    let mut bench = Bench::in_service(1, 1, &[]);
    let id = bench.launched[0].clone();
    let about = |attribute| [("InstanceId", id.as_str()), ("Attribute", attribute)];
    let told = bench.ec2("DescribeInstanceAttribute", &about("instanceInitiatedShutdownBehavior"));
    assert!(told.contains("<value>terminate</value>"), "{told}");
    let stop = [("InstanceId", id.as_str()), ("InstanceInitiatedShutdownBehavior.Value", "stop")];
    bench.ec2("ModifyInstanceAttribute", &stop);
    bench.power_off(&id);
    assert_eq!(bench.instance(&id).ec2_state.as_str(), "stopped");
    bench.ec2("ModifyInstanceMetadataOptions", &[("InstanceId", &id), ("HttpTokens", "required")]);
    let metadata = bench.instance(&id).metadata;
    assert!(metadata.tokens_required && metadata.enabled, "{metadata:?}");
    bench.ec2("ModifyInstanceMetadataOptions", &[("InstanceId", &id), ("HttpPutResponseHopLimit", "2")]);
    assert_eq!(bench.hop_limits, [(id.clone(), 1), (id.clone(), 2)], "the machine's network is told");
    bench.ec2_refused("DescribeInstanceAttribute", &about("kernel"), 400);
    bench.ec2("GetConsoleOutput", &[("InstanceId", &id)]);
}

#[test]
fn what_lies_around_instances_is_what_groups_and_templates_name() {
    let mut bench = Bench::new();
    bench.template("t", &[]);
    bench.group("g", 0, 1, &[("VPCZoneIdentifier", "subnet-1,subnet-2")]);
    let subnets = ["subnet-0default0a", "subnet-0default0b", "subnet-0default0c", "subnet-1", "subnet-2"];
    assert_eq!(all(&bench.ec2("DescribeSubnets", &[]), "subnetId"), subnets, "the account's own, and the named ones");
    bench.ec2_refused("DescribeSubnets", &[("SubnetId.1", "subnet-3")], 400);
    assert_eq!(all(&bench.ec2("DescribeImages", &[]), "imageId"), ["ami-1"]);
    let zones = bench.ec2("DescribeAvailabilityZones", &[("Filter.1.Name", "zone-name"), ("Filter.1.Value.1", "*b")]);
    assert_eq!(all(&zones, "zoneName"), ["eu-central-1b"]);
    for action in ["DescribeSecurityGroups", "DescribeVolumes", "DescribeSpotPriceHistory"] {
        bench.ec2(action, &[]);
    }
    bench.ec2_refused("DescribeVolumes", &[("VolumeId.1", "vol-1")], 400);
    let limits = bench.asg("DescribeAccountLimits", &[]);
    assert!(limits.contains("<NumberOfAutoScalingGroups>1<"), "{limits}");
    bench.asg("DescribeNotificationConfigurations", &[]);
}
