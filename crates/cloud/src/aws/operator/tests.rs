use lightsout_core::cloud::CloudErrorKind;
use lightsout_io::testing::{Answer, ReceivedRequest, Server};

use super::*;
use crate::aws::tests::towards;

/// What a call asks for: the action of the query protocols, or the target of the JSON one.
fn action(seen: &ReceivedRequest) -> String {
    let target = seen.headers.get("x-amz-target").and_then(|target| target.rsplit('.').next());
    let of_form = || seen.body.split('&').find_map(|pair| pair.strip_prefix("Action="));
    target.or_else(of_form).unwrap_or_default().to_owned()
}

async fn service(script: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> (AwsOperator, Server) {
    let server = Server::start(move |seen, _| script(&action(seen), &seen.body)).await;
    (AwsOperator::with(towards(&server.url).await), server)
}

const GROUPS: &str = r"<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>
<AutoScalingGroupName>ci</AutoScalingGroupName><MinSize>1</MinSize><MaxSize>9</MaxSize><DesiredCapacity>2</DesiredCapacity><Instances>
<member><InstanceId>i-1</InstanceId><LifecycleState>Terminating:Wait</LifecycleState><ProtectedFromScaleIn>true</ProtectedFromScaleIn></member>
<member><InstanceId>i-2</InstanceId><LifecycleState>InService</LifecycleState><ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>
<member><InstanceId>i-3</InstanceId><LifecycleState>Terminating:Proceed</LifecycleState></member>
</Instances></member></AutoScalingGroups></DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>";
const INSTANCES: &str = r"<DescribeInstancesResponse><reservationSet>
<item><instancesSet><item><instanceId>i-2</instanceId><instanceState><code>16</code><name>running</name></instanceState>
<instanceType>c7i.large</instanceType><launchTime>2026-11-27T02:00:00.000Z</launchTime><instanceLifecycle>spot</instanceLifecycle>
<metadataOptions><instanceMetadataTags>enabled</instanceMetadataTags></metadataOptions></item></instancesSet></item>
<item><instancesSet><item><instanceId>i-1</instanceId><instanceState><code>16</code><name>running</name></instanceState>
<instanceType>c7i.xlarge</instanceType><launchTime>2026-11-27T01:00:00.000Z</launchTime>
<tagSet><item><key>lightsout:why</key><value>idle: no job for 10m</value></item><item><key>lightsout:order</key><value>drain</value></item>
<item><key>aws:autoscaling:groupName</key><value>ci</value></item></tagSet>
<metadataOptions><instanceMetadataTags>disabled</instanceMetadataTags></metadataOptions></item></instancesSet></item>
</reservationSet></DescribeInstancesResponse>";

#[tokio::test]
async fn a_group_is_told_with_what_is_written_on_its_members() {
    let (operator, _server) = service(|action, _| match action {
        "DescribeAutoScalingGroups" => Answer::ok(GROUPS),
        _ => Answer::ok(INSTANCES),
    })
    .await;
    let group = operator.group("ci").await.unwrap();
    assert_eq!((group.min, group.max, group.desired), (1, 9, 2));
    let [old, young] = &group.members[..] else { panic!("{group:?}") };
    assert_eq!((old.id.as_str(), old.state.as_str(), old.protected), ("i-1", "Terminating:Wait", Some(true)));
    assert_eq!((old.why.as_deref(), old.order.as_deref()), (Some("idle: no job for 10m"), Some("drain")));
    assert!(!old.sees_orders && !old.spot && old.group.as_deref() == Some("ci"), "{old:?}");
    assert_eq!((young.id.as_str(), young.kind.as_str(), young.protected), ("i-2", "c7i.large", Some(false)));
    assert!(young.sees_orders && young.spot && young.order.is_none(), "{young:?}");
    assert_eq!(young.launched, Some("2026-11-27T02:00:00Z".parse().unwrap()));

    let ids = ["i-1", "i-2", "i-9"].map(str::to_owned);
    let error = operator.instances(&ids).await.unwrap_err();
    assert!(error.kind == CloudErrorKind::NotFound && error.message.contains("i-9"), "{error}");
    assert_eq!(operator.instances(&ids[..2]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_group_that_is_not_there_is_an_error() {
    let empty = "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups/>\
                 </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>";
    let (operator, _server) = service(move |_, _| Answer::ok(empty)).await;
    let error = operator.group("none").await.unwrap_err();
    assert!(error.kind == CloudErrorKind::NotFound && error.message.contains("none"), "{error}");
}

#[tokio::test]
async fn only_those_that_are_online_are_reachable() {
    let (operator, server) = service(|_, _| {
        Answer::ok(
            r#"{"InstanceInformationList":[{"InstanceId":"i-1","PingStatus":"Online"},{"InstanceId":"i-2","PingStatus":"ConnectionLost"}]}"#,
        )
    })
    .await;
    let ids: Vec<String> = (1..=60).map(|number| format!("i-{number}")).collect();
    assert_eq!(operator.reachable(&ids).await.unwrap(), BTreeSet::from(["i-1".to_owned()]));
    assert_eq!(server.count(), 2, "a filter holds fifty");
}

#[tokio::test]
async fn what_came_of_a_command_is_told_apart() {
    let invocation = |status: &str, code: i32, details: &str| {
        format!(
            r#"{{"Status":"{status}","StatusDetails":"{details}","ResponseCode":{code},"StandardOutputContent":"out","StandardErrorContent":"err"}}"#
        )
    };
    let ended = |code| Run::Ended { code, out: "out".into(), err: "err".into() };
    for (answer, wanted) in [
        (invocation("Pending", -1, "Pending"), Run::Pending),
        (invocation("InProgress", -1, "InProgress"), Run::Pending),
        (invocation("Success", 0, "Success"), ended(0)),
        (invocation("Failed", 1, "Failed"), ended(1)),
        (
            invocation("TimedOut", -1, "DeliveryTimedOut"),
            Run::Undelivered("Run Command says DeliveryTimedOut err".into()),
        ),
        (invocation("Failed", -1, "Undeliverable"), Run::Undelivered("Run Command says Undeliverable err".into())),
    ] {
        let (operator, _server) = service(move |_, _| Answer::ok(answer.clone())).await;
        assert_eq!(operator.ran("c-1", "i-1").await, Ok(wanted));
    }
    let refused = |code: &str| {
        let body = format!(r#"{{"__type":"{code}","message":"no"}}"#);
        service(move |_, _| Answer::status(400, body.clone()))
    };
    let (operator, _server) = refused("InvocationDoesNotExist").await;
    assert_eq!(operator.ran("c-1", "i-1").await, Ok(Run::Pending), "it is known a moment later");
    let (operator, _server) = refused("AccessDeniedException").await;
    let error = operator.ran("c-1", "i-1").await.unwrap_err();
    assert!(error.kind == CloudErrorKind::Denied && error.message.contains("ssm:GetCommandInvocation"), "{error}");
}

#[tokio::test]
async fn a_command_is_a_script_for_a_shell_and_bounded() {
    let (operator, _server) = service(|action, body| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let wanted = json!({
            "DocumentName": "AWS-RunShellScript", "InstanceIds": ["i-1", "i-2"], "Comment": "lightsout", "TimeoutSeconds": 30,
            "Parameters": { "commands": ["lightsout-agent drain"], "executionTimeout": ["60"] },
        });
        if (action, &body) == ("SendCommand", &wanted) {
            Answer::ok(r#"{"Command":{"CommandId":"c-1"}}"#)
        } else {
            Answer::status(400, body.to_string())
        }
    })
    .await;
    let ids = ["i-1", "i-2"].map(str::to_owned);
    assert_eq!(operator.run(&ids, "lightsout-agent drain").await, Ok("c-1".to_owned()));
}

#[tokio::test]
async fn an_order_is_a_tag_and_none_is_no_tag() {
    let (operator, _server) = service(|action, body| {
        let written = |id: &str| {
            let tag = "Tag.1.Key=lightsout%3Aorder&Tag.1.Value=hold%20until%202026-11-27T03%3A00%3A00Z";
            body.ends_with(&format!("ResourceId.1={id}&{tag}%20for%20{id}"))
        };
        let right = match action {
            "CreateTags" => written("i-1") || written("i-2"),
            _ => body.ends_with("Tag.1.Key=lightsout%3Aorder") && body.contains("ResourceId.2=i-2"),
        };
        if right { Answer::ok("<R><return>true</return></R>") } else { Answer::status(400, body.to_owned()) }
    })
    .await;
    let ids = ["i-1", "i-2"].map(str::to_owned);
    let until = "2026-11-27T03:00:00Z".parse().unwrap();
    assert_eq!(operator.order(&ids, Some(StandingOrder::Hold { until })).await, Ok(()));
    assert_eq!(operator.order(&ids, None).await, Ok(()));
}
