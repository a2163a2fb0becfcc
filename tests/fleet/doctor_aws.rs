//! `lightsout doctor` on the embedded cloud, from a workstation: all is well with the group of `up`, until one thing is changed over the wire.

mod function;

use serde_json::{Value, json};

use crate::rig::{Fleet, ProgramOutput, http, lightsout_command};

const AUTO_SCALING: &str = "2011-01-01";
const EC2: &str = "2016-11-15";
const IAM: &str = "2010-05-08";
const SCALER_ROLE: &str = "arn:aws:iam::123456789012:role/ci-scaler";

/// What the launch template of `up` says, but for what a drift changes.
const TEMPLATE: &str = "Action=CreateLaunchTemplateVersion&LaunchTemplateName=lightsout-demo&SourceVersion=1";

/// Looks, as somebody with credentials of their own.
fn look(fleet: &Fleet, arguments: &str) -> (ProgramOutput, Vec<Value>) {
    let settings = fleet.dir().join("scaler.toml");
    let output: ProgramOutput =
        lightsout_command(&fleet.dir(), &format!("doctor --config {} --json {arguments}", settings.display()))
            .envs([("AWS_ENDPOINT_URL", fleet.url()), ("AWS_REGION", "eu-central-1")])
            .envs([
                ("AWS_ACCESS_KEY_ID", "PERSON"),
                ("AWS_SECRET_ACCESS_KEY", "none"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ])
            .output()
            .expect("lightsout starts")
            .into();
    let lines = output.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{output:?}")));
    let findings = lines.collect();
    (output, findings)
}

/// The id and the verdict of each finding that is not well.
fn not_ok(findings: &[Value]) -> Vec<(&str, &str)> {
    let bad = findings.iter().filter(|finding| finding["verdict"] != "ok");
    bad.map(|finding| (finding["id"].as_str().unwrap(), finding["verdict"].as_str().unwrap())).collect()
}

fn query(fleet: &Fleet, version: &str, form: &str) {
    let form = format!("{form}&Version={version}");
    let (status, body) =
        http::send("POST", fleet.url(), "application/x-www-form-urlencoded", &form).expect("it answers");
    assert_eq!(status, 200, "{form}: {body}");
}

/// A call of Lambda or of EventBridge Scheduler.
fn rest(fleet: &Fleet, service: &str, method: &str, path: &str, body: &Value) {
    let credential =
        format!("AWS4-HMAC-SHA256 Credential=PERSON/20261127/eu-central-1/{service}/aws4_request, Signature=0");
    let headers = [("content-type", "application/json"), ("authorization", credential.as_str())];
    let (status, answer) =
        http::send_with(method, &format!("{}{path}", fleet.url()), &headers, &body.to_string()).expect("it answers");
    assert_eq!(status, 200, "{method} {path}: {answer}");
}

/// A call of KMS.
fn kms(fleet: &Fleet, action: &str, body: &Value) -> Value {
    let target = format!("TrentService.{action}");
    let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
    let (status, answer) = http::send_with("POST", fleet.url(), &headers, &body.to_string()).expect("it answers");
    assert_eq!(status, 200, "{action}: {answer}");
    serde_json::from_str(&answer).expect("JSON")
}

/// A call of CloudWatch Logs.
fn logs(fleet: &Fleet, action: &str, body: &Value) {
    let target = format!("Logs_20140328.{action}");
    let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
    let (status, answer) = http::send_with("POST", fleet.url(), &headers, &body.to_string()).expect("it answers");
    assert_eq!(status, 200, "{action}: {answer}");
}

/// The version of the API and the form of a call.
type Call = (&'static str, String);

/// What is found, how bad it is, the call that makes it so and the one that mends it.
fn drifts() -> Vec<(&'static str, &'static str, Call, Call)> {
    let back = (EC2, TEMPLATE.to_owned() + "&LaunchTemplateData.InstanceType=c7i.large");
    let template = |change: &str| (EC2, format!("{TEMPLATE}&LaunchTemplateData.{change}"));
    let group = |form: &str| (AUTO_SCALING, format!("Action={form}&AutoScalingGroupName=lightsout-demo"));
    let role = |form: &str| (IAM, format!("Action={form}&RoleName=lightsout-agent"));
    let allow_all = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let deny = r#"{"Statement":{"Effect":"Deny","Action":"autoscaling:SetInstanceHealth","Resource":"*"}}"#;
    // export TOKEN=glrt-0123456789abcdef
    let user_data = "UserData=ZXhwb3J0IFRPS0VOPWdscnQtMDEyMzQ1Njc4OWFiY2RlZg==";
    vec![
        ("template.power-off", "wrong", template("InstanceInitiatedShutdownBehavior=stop"), back.clone()),
        (
            "template.metadata",
            "wrong",
            template(
                "MetadataOptions.HttpTokens=optional&LaunchTemplateData.MetadataOptions.InstanceMetadataTags=enabled",
            ),
            back.clone(),
        ),
        (
            "template.metadata",
            "warning",
            template(
                "MetadataOptions.HttpTokens=required&LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit=2&LaunchTemplateData.MetadataOptions.InstanceMetadataTags=enabled",
            ),
            back.clone(),
        ),
        ("template.user-data", "wrong", template(user_data), back.clone()),
        // Whoever makes the role has mended it for good.
        (
            "role.spot",
            "warning",
            template("InstanceMarketOptions.MarketType=spot"),
            (IAM, "Action=CreateServiceLinkedRole&AWSServiceName=spot.amazonaws.com".into()),
        ),
        ("role.instance", "warning", template("IamInstanceProfile.Name=nobody-made-it"), back.clone()),
        // 5,122 vCPUs, and the quota is 5,120.
        (
            "group.quota",
            "warning",
            group("UpdateAutoScalingGroup&MaxSize=2561"),
            group("UpdateAutoScalingGroup&MaxSize=2"),
        ),
        ("group.quota", "wrong", template("InstanceType=x2idn.16xlarge"), back.clone()),
        (
            "group.protection",
            "warning",
            group("UpdateAutoScalingGroup&NewInstancesProtectedFromScaleIn=false"),
            group("UpdateAutoScalingGroup&NewInstancesProtectedFromScaleIn=true"),
        ),
        (
            "group.other-scalers",
            "warning",
            group("PutScalingPolicy&PolicyName=cpu&PolicyType=TargetTrackingScaling"),
            group("DeletePolicy&PolicyName=cpu"),
        ),
        (
            "role.instance",
            "wrong",
            role(&format!("PutRolePolicy&PolicyName=no&PolicyDocument={deny}")),
            role("DeleteRolePolicy&PolicyName=no"),
        ),
        (
            "role.instance",
            "wrong",
            role("DeleteRolePolicy&PolicyName=lightsout"),
            role(&format!("PutRolePolicy&PolicyName=lightsout&PolicyDocument={allow_all}")),
        ),
    ]
}

#[test]
fn the_group_of_up_is_all_ok_from_a_workstation_and_each_drift_is_found_by_its_own_name() {
    let mut fleet = Fleet::up("--jobs 1 --keep --max 2 --idle-timeout 10m");
    fleet.until_phase("idle");
    let (output, findings) = look(&fleet, "");
    assert_eq!((output.code, not_ok(&findings)), (Some(0), vec![]), "{output:?}");
    let ids: Vec<_> = findings.iter().map(|finding| finding["id"].as_str().unwrap()).collect();
    for id in [
        "group",
        "group.size",
        "group.subnets",
        "group.quota",
        "group.other-scalers",
        "hook",
        "template",
        "template.power-off",
        "template.metadata",
        "template.user-data",
        "template.image",
        "template.image-age",
        "role.instance",
        "platform.secret",
        "platform.token",
    ] {
        assert!(ids.contains(&id), "{id} is not looked at: {ids:?}");
    }
    // What only an instance can tell is not there, rather than unknown.
    for id in ["metadata", "rights", "instance.member", "settings", "agent", "clock.cloud", "disk.space"] {
        assert!(!ids.contains(&id), "{id} is of an instance");
    }

    for (id, verdict, breaks, mends) in drifts() {
        query(&fleet, breaks.0, &breaks.1);
        let (output, findings) = look(&fleet, "");
        assert_eq!(not_ok(&findings), [(id, verdict)], "after {}: {output:?}", breaks.1);
        assert_eq!(output.code, Some(i32::from(verdict == "wrong")), "{output:?}");
        assert!(!output.out.contains("glrt-0123456789abcdef"), "a secret is not repeated");
        query(&fleet, mends.0, &mends.1);
    }
    let (output, findings) = look(&fleet, "");
    assert_eq!(not_ok(&findings), [], "all is mended: {output:?}");
    // More instances than addresses are more than the quota, too.
    let max = |max: u32| format!("Action=UpdateAutoScalingGroup&AutoScalingGroupName=lightsout-demo&MaxSize={max}");
    query(&fleet, AUTO_SCALING, &max(500_000));
    let (output, findings) = look(&fleet, "");
    assert_eq!(not_ok(&findings), [("group.subnets", "warning"), ("group.quota", "warning")], "{output:?}");
    query(&fleet, AUTO_SCALING, &max(2));
    keys_of_volumes_are_looked_at(&fleet);
    one_override_starts_from_a_template_of_its_own(&fleet);
}

/// A key of one's own that Auto Scaling's role may not use ends every instance at its start, and the instance's role looks right.
fn keys_of_volumes_are_looked_at(fleet: &Fleet) {
    let role = "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling";
    let found = || {
        let (output, findings) = look(fleet, "");
        let key = findings.iter().find(|finding| finding["id"] == "template.key");
        let seen = key.map(|finding| finding["seen"].as_str().unwrap_or_default().to_owned()).unwrap_or_default();
        let bad: Vec<String> = not_ok(&findings).into_iter().map(|(id, verdict)| format!("{id} {verdict}")).collect();
        assert!(bad.is_empty() || seen.contains(":key/"), "{output:?}");
        bad.join(", ")
    };
    let made = kms(fleet, "CreateKey", &json!({}));
    let key = made["KeyMetadata"]["Arn"].as_str().expect("the key has an ARN").to_owned();
    let volume = "LaunchTemplateData.BlockDeviceMapping.1";
    query(
        fleet,
        EC2,
        &format!("{TEMPLATE}&{volume}.DeviceName=/dev/xvda&{volume}.Ebs.Encrypted=true&{volume}.Ebs.KmsKeyId={key}"),
    );
    assert_eq!(found(), "template.key wrong", "nobody has allowed it to the role");
    let operations = [
        "CreateGrant",
        "Decrypt",
        "DescribeKey",
        "Encrypt",
        "GenerateDataKeyWithoutPlaintext",
        "ReEncryptFrom",
        "ReEncryptTo",
    ];
    kms(fleet, "CreateGrant", &json!({"KeyId": key, "GranteePrincipal": role, "Operations": operations}));
    assert_eq!(found(), "");
    kms(fleet, "DisableKey", &json!({"KeyId": key}));
    assert_eq!(found(), "template.key wrong", "nobody can use it");

    // The account's own default counts where the template names none.
    query(fleet, EC2, &format!("{TEMPLATE}&LaunchTemplateData.InstanceType=c7i.large"));
    assert_eq!(found(), "");
    query(fleet, EC2, "Action=EnableEbsEncryptionByDefault");
    assert_eq!(found(), "", "AWS's own key needs nothing");
    query(fleet, EC2, &format!("Action=ModifyEbsDefaultKmsKeyId&KmsKeyId={key}"));
    assert_eq!(found(), "template.key wrong");
    query(fleet, EC2, "Action=ResetEbsDefaultKmsKeyId");
    query(fleet, EC2, "Action=DisableEbsEncryptionByDefault");
}

/// An instance of a mixed-instances group may start from an override's launch template alone: what that one says counts as much.
fn one_override_starts_from_a_template_of_its_own(fleet: &Fleet) {
    let metadata = "LaunchTemplateData.MetadataOptions";
    query(
        fleet,
        EC2,
        &format!(
            "Action=CreateLaunchTemplate&LaunchTemplateName=arm&LaunchTemplateData.ImageId=ami-00000000000000001\
             &LaunchTemplateData.InstanceInitiatedShutdownBehavior=stop&{metadata}.HttpTokens=required&{metadata}.HttpPutResponseHopLimit=1\
             &{metadata}.InstanceMetadataTags=enabled&LaunchTemplateData.IamInstanceProfile.Name=nobody-made-it"
        ),
    );
    let policy = "MixedInstancesPolicy.LaunchTemplate";
    let update = "Action=UpdateAutoScalingGroup&AutoScalingGroupName=lightsout-demo";
    let specification = "LaunchTemplateSpecification.LaunchTemplateName";
    query(
        fleet,
        AUTO_SCALING,
        &format!(
            "{update}&{policy}.{specification}=lightsout-demo&{policy}.Overrides.member.1.InstanceType=c7i.large\
             &{policy}.Overrides.member.2.InstanceType=m7g.large&{policy}.Overrides.member.2.{specification}=arm"
        ),
    );
    let (output, findings) = look(fleet, "");
    assert_eq!(not_ok(&findings), [("template.power-off", "wrong"), ("role.instance", "warning")], "{output:?}");
    let seen = |id: &str| {
        let finding = findings.iter().find(|finding| finding["id"] == id).expect("it is looked at");
        finding["seen"].as_str().expect("it says what was seen").to_owned()
    };
    assert!(seen("template.power-off").starts_with("arm, version 1: stop"), "{output:?}");
    assert!(
        seen("template").contains("lightsout-demo, version") && seen("template").contains("; arm, version 1"),
        "{output:?}"
    );
    assert!(seen("role.instance").contains("nobody-made-it"), "{output:?}");
}

#[test]
fn what_a_person_may_not_see_is_a_warning_that_names_the_right() {
    let mut fleet = Fleet::up("--jobs 1 --keep --max 2 --idle-timeout 10m");
    fleet.until_phase("idle");
    for (id, verdict, action, right) in [
        ("group", "warning", "DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingGroups"),
        ("group.other-scalers", "warning", "DescribePolicies", "autoscaling:DescribePolicies"),
        ("hook", "warning", "DescribeLifecycleHooks", "autoscaling:DescribeLifecycleHooks"),
        ("template.image", "warning", "DescribeLaunchTemplateVersions", "ec2:DescribeLaunchTemplateVersions"),
        ("template.image", "warning", "DescribeImages", "ec2:DescribeImages"),
        ("group.subnets", "warning", "DescribeSubnets", "ec2:DescribeSubnets"),
        ("group.quota", "warning", "DescribeInstanceTypes", "ec2:DescribeInstanceTypes"),
        ("group.quota", "warning", "GetServiceQuota", "servicequotas:GetServiceQuota"),
        ("template.key", "warning", "GetEbsEncryptionByDefault", "ec2:GetEbsEncryptionByDefault"),
        ("role.instance", "warning", "GetInstanceProfile", "iam:GetInstanceProfile"),
        ("platform.secret", "warning", "GetParameter", "ssm:GetParameter"),
    ] {
        fleet.post("faults", &json!({"target": "aws", "action": action, "effect": {"status": {"code": 403}}}));
        let (output, findings) = look(&fleet, "");
        assert_eq!(not_ok(&findings).first(), Some(&(id, verdict)), "without {action}: {output:?}");
        assert_eq!(output.code, Some(0), "nothing is known to be wrong: {output:?}");
        let seen = findings.iter().find(|finding| finding["id"] == id).unwrap();
        assert!(seen["seen"].as_str().unwrap().contains(right), "{seen}");
        fleet.request("DELETE", "faults", &Value::Null).expect("the faults are cleared");
    }
    // Without a simulation the policies tell the same; without both nothing is claimed.
    let denied = |action: &str| json!({"target": "aws", "action": action, "effect": {"status": {"code": 403}}});
    fleet.post("faults", &denied("SimulatePrincipalPolicy"));
    let (output, findings) = look(&fleet, "");
    assert_eq!(not_ok(&findings), [], "{output:?}");
    let role = findings.iter().find(|finding| finding["id"] == "role.instance").unwrap();
    assert!(role["seen"].as_str().unwrap().contains("its policies"), "{role}");
    fleet.post("faults", &denied("GetRolePolicy"));
    let (output, findings) = look(&fleet, "");
    assert_eq!(not_ok(&findings), [("role.instance", "warning")], "{output:?}");
    fleet.request("DELETE", "faults", &Value::Null).expect("the faults are cleared");
    // The platform's refusal is the secret's, whoever asks.
    fleet.post("faults", &json!({"target": "platform", "effect": {"status": {"code": 401}}}));
    let (output, findings) = look(&fleet, "");
    assert_eq!((output.code, not_ok(&findings)), (Some(1), vec![("platform.token", "wrong")]), "{output:?}");
}

#[test]
fn settings_that_cannot_work_are_refused_before_anything_is_asked() {
    let fleet = Fleet::up("--jobs 1 --keep --max 1 --idle-timeout 10m");
    let (output, _) = look(&fleet, "--group nobody");
    assert!(
        output.code == Some(2) && output.err.contains("no pool has this group; the settings have lightsout-demo"),
        "{output:?}"
    );
    let output = fleet.lightsout("doctor --config /nowhere.toml");
    assert!(output.code == Some(2) && output.err.contains("/nowhere.toml"), "{output:?}");
}
