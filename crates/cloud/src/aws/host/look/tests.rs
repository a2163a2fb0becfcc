use aws_sdk_autoscaling::types::{
    InstanceRefreshStatus, InstanceReusePolicy, RefreshPreferences, ScaleInProtectedInstances, SuspendedProcess,
    WarmPoolConfiguration,
};

use super::*;
use crate::{
    HostSettings,
    aws::tests::{refusal, towards},
};
use lightsout_io::testing::{Answer, Server};

fn error(kind: AwsErrorKind, code: &str) -> AwsError {
    AwsError { code: Some(code.into()), ..AwsError::without_code(kind, "ec2:TerminateInstances", "it said".into()) }
}

#[test]
fn a_dry_run_that_is_refused_says_whether_the_right_is_there() {
    assert_eq!(tried_dry(Err(error(AwsErrorKind::Other, "DryRunOperation"))), Ok(true));
    assert_eq!(tried_dry(Err(error(AwsErrorKind::Denied, "UnauthorizedOperation"))), Ok(false));
    assert!(tried_dry(Err(error(AwsErrorKind::Throttled, "RequestLimitExceeded"))).is_err());
}

#[test]
fn a_group_is_read_for_what_agents_depend_on() {
    let process = |name: &str| SuspendedProcess::builder().process_name(name).build();
    let pool = |reuse| {
        let policy = InstanceReusePolicy::builder().reuse_on_scale_in(reuse).build();
        WarmPoolConfiguration::builder().instance_reuse_policy(policy).build()
    };
    let group = scaling::AutoScalingGroup::builder()
        .health_check_type("ELB")
        .max_instance_lifetime(0)
        .suspended_processes(process("AZRebalance"))
        .suspended_processes(process("Terminate"))
        .warm_pool_configuration(pool(true));
    let seen = view(&group.clone().build());
    assert!(!seen.balances_zones && !seen.protects_new && seen.longest_life.is_none());
    assert_eq!(seen.health_by.as_deref(), Some("ELB"));
    assert_eq!(seen.suspended, [("Terminate".to_owned(), NEEDED[1].1)]);
    assert!(seen.warm_pool.is_some_and(|doubts| doubts[0].contains("ReuseOnScaleIn")));
    assert_eq!(view(&group.warm_pool_configuration(pool(false)).build()).warm_pool, Some(vec![]));
    let plain = view(&scaling::AutoScalingGroup::builder().max_instance_lifetime(86_400).build());
    assert_eq!((plain.balances_zones, plain.warm_pool, plain.health_by), (true, None, None));
    assert_eq!(plain.longest_life, Some(Duration::from_secs(86_400)));
}

#[test]
fn a_refresh_counts_until_it_has_ended_and_waits_unless_it_is_told_otherwise() {
    let refresh = |status: &str, protected: Option<&str>| {
        let preferences = RefreshPreferences::builder()
            .set_scale_in_protected_instances(protected.map(ScaleInProtectedInstances::from))
            .build();
        let status = InstanceRefreshStatus::from(status);
        refreshing(&scaling::InstanceRefresh::builder().status(status).preferences(preferences).build())
    };
    assert_eq!(refresh("InProgress", Some("Refresh")), Some(RefreshFacts::Ends));
    assert_eq!(refresh("Pending", Some("Ignore")), Some(RefreshFacts::Skips));
    assert_eq!(refresh("InProgress", Some("Wait")), Some(RefreshFacts::Waits));
    assert_eq!(refresh("Cancelling", None), Some(RefreshFacts::Waits));
    for over in ["Successful", "Failed", "Cancelled", "RollbackSuccessful"] {
        assert_eq!(refresh(over, Some("Refresh")), None, "{over}");
    }
}

/// A role with the README's rights, and none of those that only a diagnosis needs.
#[tokio::test]
async fn what_the_role_may_not_see_is_not_known_and_nothing_else_is_lost_with_it() {
    let server = Server::start(|seen, _| {
        let action = seen.body.split('&').find_map(|field| field.strip_prefix("Action=")).unwrap();
        let result = match action {
            "DescribeAutoScalingInstances" => {
                "<AutoScalingInstances><member><InstanceId>i-0123</InstanceId><AutoScalingGroupName>g</AutoScalingGroupName>\
                 <LifecycleState>InService</LifecycleState><ProtectedFromScaleIn>true</ProtectedFromScaleIn></member></AutoScalingInstances>"
            }
            "DescribeAutoScalingGroups" => {
                "<AutoScalingGroups><member><AutoScalingGroupName>g</AutoScalingGroupName><MinSize>0</MinSize><MaxSize>5</MaxSize>\
                 </member></AutoScalingGroups>"
            }
            "DescribeLifecycleHooks" => {
                "<LifecycleHooks><member><LifecycleHookName>ready</LifecycleHookName>\
                 <LifecycleTransition>autoscaling:EC2_INSTANCE_LAUNCHING</LifecycleTransition><HeartbeatTimeout>30</HeartbeatTimeout>\
                 <DefaultResult>CONTINUE</DefaultResult></member></LifecycleHooks>"
            }
            _ => return refusal(403, "AccessDenied", "not authorized"),
        };
        let space = "xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"";
        Answer::ok(format!("<{action}Response {space}><{action}Result>{result}</{action}Result></{action}Response>"))
    })
    .await;
    let identity = crate::Identity {
        instance: "i-0123".into(),
        location: "eu-north-1".into(),
        group: None,
        machine: lightsout_core::cloud::Machine::default(),
        capabilities: None,
    };
    let facts = Box::pin(AwsHost::with(&identity, HostSettings::default(), towards(&server.url).await).look()).await;
    assert!(facts.membership.is_some_and(|membership| membership.is_ok()));
    assert!(facts.group.is_some_and(|group| group.is_ok_and(|group| group.max == 5)));
    assert_eq!(facts.termination_hooks, Some(Ok(vec![])));
    let (timeout, longest) = (Duration::from_secs(30), Duration::from_secs(3000));
    let hook = HookFacts { name: "ready".into(), timeout, abandons: false, longest };
    assert_eq!(facts.launch_hooks, Some(Ok(vec![hook])), "a launch hook is none that holds endings off");
    for unknown in [facts.hop_limit.map(|it| it.map(drop)), facts.other_scalers.map(|it| it.map(drop))] {
        assert!(unknown.is_some_and(|unknown| unknown.is_err()));
    }
    // Nothing was changed: each call only reads, or is a dry run.
    for request in server.seen() {
        let reads = request.body.contains("Action=Describe") || request.has("DryRun=true");
        assert!(reads, "{}", request.body);
    }
}

/// In the words of the API reference. What a launch configuration has no word for is not called wrong.
#[tokio::test]
async fn what_a_launch_configuration_says_is_looked_at_as_what_a_template_says() {
    let server = Server::start(|seen, _| {
        let action = seen.body.split('&').find_map(|field| field.strip_prefix("Action="));
        let Some(action) = action else { return refusal(403, "AccessDenied", "not authorized") };
        let result = match action {
            "DescribeAutoScalingGroups" => {
                "<AutoScalingGroups><member><AutoScalingGroupName>g</AutoScalingGroupName><MinSize>0</MinSize><MaxSize>5</MaxSize>\
                 <LaunchConfigurationName>old</LaunchConfigurationName></member></AutoScalingGroups>"
            }
            // export TOKEN=glrt-0123456789abcdef
            "DescribeLaunchConfigurations" => {
                assert!(seen.body.contains("LaunchConfigurationNames.member.1=old"), "{}", seen.body);
                "<LaunchConfigurations><member><LaunchConfigurationName>old</LaunchConfigurationName><ImageId>ami-1</ImageId>\
                 <InstanceType>c7i.large</InstanceType><SpotPrice>0.1</SpotPrice>\
                 <IamInstanceProfile>arn:aws:iam::1:instance-profile/team/ci</IamInstanceProfile>\
                 <UserData>ZXhwb3J0IFRPS0VOPWdscnQtMDEyMzQ1Njc4OWFiY2RlZg==</UserData>\
                 <MetadataOptions><HttpTokens>required</HttpTokens><HttpPutResponseHopLimit>1</HttpPutResponseHopLimit></MetadataOptions>\
                 </member></LaunchConfigurations>"
            }
            "DescribeImages" => {
                return Answer::ok(
                    "<DescribeImagesResponse><imagesSet><item><imageId>ami-1</imageId><imageState>available</imageState>\
                     <creationDate>2025-01-01T00:00:00.000Z</creationDate></item></imagesSet></DescribeImagesResponse>",
                );
            }
            "GetRole" => return refusal(404, "NoSuchEntity", "The role cannot be found."),
            _ => return refusal(403, "AccessDenied", "not authorized"),
        };
        let space = "xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"";
        Answer::ok(format!("<{action}Response {space}><{action}Result>{result}</{action}Result></{action}Response>"))
    })
    .await;
    let facts = Box::pin(look_at_group(towards(&server.url).await, "g")).await;
    assert_eq!(facts.starts_otherwise.as_deref(), Some("the launch configuration old"));
    let [said] = &facts.templates[..] else { panic!("{facts:?}") };
    assert_eq!((said.name.as_str(), said.profile.as_deref()), ("launch configuration old", Some("ci")));
    assert_eq!((said.tokens_required, said.hop_limit), (true, Some(1)));
    assert_eq!((said.power_off_ends, said.tags_told), (None, None));
    assert!(said.secrets.as_ref().unwrap().as_ref().is_ok_and(|found| found[0].contains("glrt-")), "{said:?}");
    let image = facts.next_images[0].as_ref().unwrap();
    assert!(image.usable && image.created.is_some(), "{image:?}");
    assert_eq!(facts.spot_role, Some(Ok(false)), "it bids for Spot, and there is no role for that");
}

/// The key of an image is that of its snapshots, which alone tell it.
#[tokio::test]
async fn the_key_of_an_encrypted_image_is_told_by_its_snapshot_and_what_may_be_done_with_it_by_the_key() {
    let server = Server::start(|seen, _| {
        let target = seen.headers.get("x-amz-target").map_or("", String::as_str);
        match target {
            "TrentService.DescribeKey" => {
                let arn = "arn:aws:kms:eu-north-1:123456789012:key/1";
                return Answer::ok(format!(
                    r#"{{"KeyMetadata": {{"Arn": "{arn}", "KeyManager": "CUSTOMER", "KeyState": "PendingDeletion"}}}}"#
                ));
            }
            "TrentService.GetKeyPolicy" => return Answer::ok(r#"{"Policy": "{}"}"#),
            "TrentService.ListGrants" => {
                let first = !seen.body.contains("Marker");
                return Answer::ok(if first {
                    r#"{"Grants": [{"Operations": ["Decrypt"]}, {"Operations": ["Encrypt"], "Constraints": {"EncryptionContextSubset": {"a": "b"}}}],
                       "Truncated": true, "NextMarker": "m"}"#
                } else {
                    r#"{"Grants": [{"Operations": ["CreateGrant"]}], "Truncated": false}"#
                });
            }
            _ => {}
        }
        if seen.body.contains("Action=GetEbsDefaultKmsKeyId") {
            return Answer::ok("<r><kmsKeyId>by-default</kmsKeyId></r>");
        }
        assert!(seen.body.contains("Action=DescribeSnapshots") && seen.body.contains("SnapshotId.1=snap-1"), "{}", seen.body);
        Answer::ok("<r><snapshotSet><item><encrypted>true</encrypted><ownerId>123456789012</ownerId><kmsKeyId>of-image</kmsKeyId></item></snapshotSet></r>")
    })
    .await;
    let ebs = ec2::EbsBlockDevice::builder().snapshot_id("snap-1").encrypted(true).build();
    let device = ec2::BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(ebs).build();
    let volumes: Vec<_> =
        key::volumes(&[device], &[]).into_iter().map(|volume| ("ci".to_owned(), "ami-1".to_owned(), volume)).collect();
    let calls = Calls::of_nobody(towards(&server.url).await);
    let keys = calls.keys(&volumes, "arn:aws:iam::123456789012:role/x").await.unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!((keys[0].by.as_str(), keys[0].of_cloud), ("the image ami-1", false));
    assert_eq!(keys[0].unusable.as_deref(), Some("its state is PendingDeletion"));
    let shared = calls.keys(&volumes, "arn:aws:iam::210987654321:role/x").await.unwrap();
    let by: Vec<_> = shared.iter().map(|key| key.by.as_str()).collect();
    assert_eq!(by, ["the account's default", "the image ami-1"], "what another account shares is encrypted anew");
    let granted = keys[0].granted.as_ref().unwrap();
    assert_eq!(granted.iter().map(String::as_str).collect::<Vec<_>>(), ["CreateGrant", "Decrypt"], "{granted:?}");
}
