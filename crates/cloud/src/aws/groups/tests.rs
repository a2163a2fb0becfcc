use std::time::Duration;

use lightsout_io::testing::{Answer, SOON, Server};

use super::*;
use crate::aws::{
    AwsErrorKind,
    tests::{refusal, towards, towards_within},
};

fn member(name: &str, rest: &str) -> String {
    format!(
        "<member><AutoScalingGroupName>{name}</AutoScalingGroupName><MinSize>1</MinSize><MaxSize>5</MaxSize>\
         <DesiredCapacity>2</DesiredCapacity>{rest}</member>"
    )
}

fn page(members: &str, next: Option<&str>) -> Answer {
    let next = next.map(|token| format!("<NextToken>{token}</NextToken>")).unwrap_or_default();
    Answer::ok(format!(
        "<DescribeAutoScalingGroupsResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">\
         <DescribeAutoScalingGroupsResult><AutoScalingGroups>{members}</AutoScalingGroups>{next}\
         </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
    ))
}

#[tokio::test]
async fn reads_everything_but_the_instances() {
    let server = Server::start(|_, _| {
        page(
            &member(
                "g",
                "<NewInstancesProtectedFromScaleIn>true</NewInstancesProtectedFromScaleIn>\
                 <SuspendedProcesses><member><ProcessName>Launch</ProcessName></member></SuspendedProcesses>\
                 <Tags><member><Key>lightsout:floor</Key><Value>3</Value></member>\
                 <member><Key>bare</Key></member></Tags>",
            ),
            None,
        )
    })
    .await;
    let groups = AwsGroup::with(towards(&server.url).await).describe(&["g".into(), "absent".into()]).await.unwrap();
    let expected = GroupView {
        name: "g".into(),
        min: 1,
        max: 5,
        desired: 2,
        new_instances_protected: true,
        suspended: vec!["Launch".into()],
        tags: BTreeMap::from([("lightsout:floor".into(), "3".into()), ("bare".into(), String::new())]),
    };
    assert_eq!(expected.floor(), 3);
    assert_eq!(groups, BTreeMap::from([("g".into(), expected)]));
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].has("IncludeInstances=false"), "{}", seen[0].body);
    assert!(seen[0].has("AutoScalingGroupNames.member.2=absent"), "{}", seen[0].body);
}

#[tokio::test]
async fn follows_pages_also_when_one_is_empty() {
    let server = Server::start(|_, before| match before {
        0 => page(&member("a", ""), Some("t1")),
        1 => page("", Some("t2")),
        _ => page(&member("b", ""), None),
    })
    .await;
    let groups = AwsGroup::with(towards(&server.url).await).describe(&["a".into(), "b".into()]).await.unwrap();
    assert_eq!(groups.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(server.count(), 3);
    assert!(server.seen()[2].has("NextToken=t2"));
}

#[tokio::test]
async fn a_hundred_names_a_call() {
    let server = Server::start(|_, _| page("", None)).await;
    let names: Vec<String> = (0..201).map(|number| format!("g{number}")).collect();
    let groups = AwsGroup::with(towards(&server.url).await).describe(&names).await.unwrap();
    assert!(groups.is_empty());
    assert_eq!(server.count(), 3);
    assert!(server.seen()[0].has("AutoScalingGroupNames.member.100=g99"));
    assert!(server.seen()[2].has("AutoScalingGroupNames.member.1=g200"));
    assert!(server.seen().iter().all(|call| call.has("MaxRecords=100")));
}

#[tokio::test]
async fn no_names_no_call() {
    let server = Server::start(|_, _| page("", None)).await;
    // Without names AWS would list every group of the account.
    assert!(AwsGroup::with(towards(&server.url).await).describe(&[]).await.unwrap().is_empty());
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn raises_once_and_absolutely() {
    let server = Server::start(|_, _| Answer::ok("<SetDesiredCapacityResponse/>")).await;
    AwsGroup::with(towards(&server.url).await).raise("g", 4).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    for field in ["Action=SetDesiredCapacity", "AutoScalingGroupName=g", "DesiredCapacity=4", "HonorCooldown=false"] {
        assert!(seen[0].has(field), "{field} in {}", seen[0].body);
    }
    assert!(!seen[0].headers["authorization"].is_empty());
}

#[tokio::test]
async fn a_raise_without_an_answer_is_not_sent_again() {
    for script in [|| Answer::Silence, || Answer::HeadOnly, || Answer::Reset, || Answer::status(500, "")] {
        let server = Server::start(move |_, _| script()).await;
        let group = AwsGroup::with(towards_within(&server.url, SOON).await);
        let error = group.raise("g", 4).await.unwrap_err();
        assert!(matches!(error.kind, AwsErrorKind::Timeout | AwsErrorKind::Other), "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.count(), 1, "{error}");
    }
}

#[tokio::test]
async fn refusals_of_a_raise() {
    for (code, message, kind) in [
        (
            "ValidationError",
            "New SetDesiredCapacity value 9 is above max value 5 for the AutoScalingGroup.",
            AwsErrorKind::AboveMax,
        ),
        (
            "ScalingActivityInProgress",
            "Scaling activity 12 is in progress and blocks this action",
            AwsErrorKind::InProgress,
        ),
    ] {
        let server = Server::start(move |_, _| refusal(400, code, message)).await;
        let error = AwsGroup::with(towards(&server.url).await).raise("g", 9).await.unwrap_err();
        assert_eq!(
            error,
            AwsError {
                kind,
                action: "autoscaling:SetDesiredCapacity",
                code: Some(code.into()),
                message: message.into()
            }
        );
    }
}

#[tokio::test]
async fn tags_the_group_and_not_its_instances() {
    let server = Server::start(|_, _| Answer::ok("<CreateOrUpdateTagsResponse/>")).await;
    AwsGroup::with(towards(&server.url).await).set_tag("g", aws::FLOOR_TAG, "2").await.unwrap();
    let seen = server.seen();
    for field in [
        "Action=CreateOrUpdateTags",
        "Tags.member.1.ResourceId=g",
        "Tags.member.1.ResourceType=auto-scaling-group",
        "Tags.member.1.Key=lightsout%3Afloor",
        "Tags.member.1.Value=2",
        "Tags.member.1.PropagateAtLaunch=false",
    ] {
        assert!(seen[0].has(field), "{field} in {}", seen[0].body);
    }
}
