//! The fleet's group on the embedded cloud, made over the wire as a real one is.

pub(super) mod azure;

use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use form_urlencoded::Serializer;
use hyper::Method;

use lightsout_core::iam::{Account, Group, of_any_agent, policy};
use lightsout_localcloud::aws::model::CloudOptions;
use lightsout_localrunner::http::Http;
use serde_json::json;

use crate::fleet_client::REGION;

/// The group's name.
pub(super) const GROUP: &str = "lightsout-demo";

const TEMPLATE: &str = "lightsout-demo";
const AUTO_SCALING: &str = "2011-01-01";
const EC2: &str = "2016-11-15";

const IAM: &str = "2010-05-08";

/// The role of the instances, and their profile's name.
const ROLE: &str = "lightsout-agent";
/// Who may take it on: instances.
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"Service": "ec2.amazonaws.com"}}]}"#;
/// The parameters in which the tokens of the fleet's platform are.
const PARAMETERS: &str = "parameter/lightsout/demo/*";

/// The launch hook's name, where the group has one.
pub(super) const LAUNCH_HOOK: &str = "lightsout-ready";

/// Creates the launch template and the group: new instances are protected from scale-in, a termination hook gives the
/// agent ten minutes at a time, and nothing is rebalanced between zones. With `launch_hook` each launch is held off until
/// the agent is ready, and given up when it is not heard of for a minute.
pub(super) async fn create(url: &str, min: u32, max: u32, launch_hook: bool) -> Result<()> {
    let http = Http::new(Duration::from_secs(10));
    let call = async |version: &str, action: &str, parameters: &[(&str, &str)]| -> Result<()> {
        let head = [("Action", action), ("Version", version)];
        let form = Serializer::new(String::new()).extend_pairs(head).extend_pairs(parameters).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let reply = http.send(Method::POST, &format!("{url}/"), &headers, Bytes::from(form)).await?;
        if !reply.status.is_success() {
            bail!("the embedded cloud refuses {action}: HTTP {}: {}", reply.status, reply.text());
        }
        Ok(())
    };
    call(
        EC2,
        "CreateLaunchTemplate",
        &[
            ("LaunchTemplateName", TEMPLATE),
            ("LaunchTemplateData.ImageId", "ami-0123456789abcdef0"),
            ("LaunchTemplateData.InstanceType", "c7i.large"),
            ("LaunchTemplateData.IamInstanceProfile.Name", ROLE),
            ("LaunchTemplateData.InstanceInitiatedShutdownBehavior", "terminate"),
            ("LaunchTemplateData.MetadataOptions.HttpTokens", "required"),
            ("LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit", "1"),
            ("LaunchTemplateData.MetadataOptions.InstanceMetadataTags", "enabled"),
        ],
    )
    .await?;
    let role = [("RoleName", ROLE)];
    call(IAM, "CreateRole", &[role[0], ("AssumeRolePolicyDocument", TRUST)]).await?;
    call(IAM, "PutRolePolicy", &[role[0], ("PolicyName", "lightsout"), ("PolicyDocument", &rights()?)]).await?;
    call(IAM, "CreateInstanceProfile", &[("InstanceProfileName", ROLE)]).await?;
    call(IAM, "AddRoleToInstanceProfile", &[("InstanceProfileName", ROLE), role[0]]).await?;
    let (min, max) = (min.to_string(), max.to_string());
    call(
        AUTO_SCALING,
        "CreateAutoScalingGroup",
        &[
            ("AutoScalingGroupName", GROUP),
            ("MinSize", &min),
            ("MaxSize", &max),
            ("LaunchTemplate.LaunchTemplateName", TEMPLATE),
            ("LaunchTemplate.Version", "$Latest"),
            ("AvailabilityZones.member.1", &format!("{REGION}a")),
            ("AvailabilityZones.member.2", &format!("{REGION}b")),
            ("NewInstancesProtectedFromScaleIn", "true"),
            ("HealthCheckType", "EC2"),
            ("DefaultInstanceWarmup", "0"),
            ("Tags.member.1.Key", "ci-fleet"),
            ("Tags.member.1.Value", GROUP),
            ("Tags.member.1.PropagateAtLaunch", "true"),
            ("LifecycleHookSpecificationList.member.1.LifecycleHookName", "lightsout-drain"),
            ("LifecycleHookSpecificationList.member.1.LifecycleTransition", "autoscaling:EC2_INSTANCE_TERMINATING"),
            ("LifecycleHookSpecificationList.member.1.HeartbeatTimeout", "600"),
            ("LifecycleHookSpecificationList.member.1.DefaultResult", "CONTINUE"),
        ],
    )
    .await?;
    if launch_hook {
        call(
            AUTO_SCALING,
            "PutLifecycleHook",
            &[
                ("AutoScalingGroupName", GROUP),
                ("LifecycleHookName", LAUNCH_HOOK),
                ("LifecycleTransition", "autoscaling:EC2_INSTANCE_LAUNCHING"),
                ("HeartbeatTimeout", "60"),
                ("DefaultResult", "ABANDON"),
            ],
        )
        .await?;
    }
    let processes = [("AutoScalingGroupName", GROUP), ("ScalingProcesses.member.1", "AZRebalance")];
    call(AUTO_SCALING, "SuspendProcesses", &processes).await
}

/// The least policy for the group's agents, as `lightsout iam` makes it, with all of the fleet's parameters.
fn rights() -> Result<String> {
    let account = Account { id: Some(CloudOptions::default().account), region: Some(REGION.to_owned()) };
    let mut policy = policy(&of_any_agent(&Group::parse(GROUP)?, &account)?);
    if let Some(statements) = policy["Statement"].as_array_mut() {
        let parameters = format!("arn:aws:ssm:{REGION}:{}:{PARAMETERS}", CloudOptions::default().account);
        statements.push(json!({ "Effect": "Allow", "Action": "ssm:GetParameter", "Resource": parameters }));
    }
    Ok(policy.to_string())
}
