use std::time::Duration;

use lightsout_core::cloud::CloudErrorKind;
use lightsout_io::testing::{Answer, SOON, Server};

use super::*;
use crate::aws::tests::{refusal, towards, towards_within};

fn member(name: &str, rest: &str) -> String {
    format!(
        "<member><AutoScalingGroupName>{name}</AutoScalingGroupName><MinSize>1</MinSize><MaxSize>5</MaxSize>\
         <DesiredCapacity>2</DesiredCapacity>{rest}</member>"
    )
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A group that was seen before.
fn seen(name: &str) -> GroupView {
    GroupView { name: name.into(), ..GroupView::default() }
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
    let groups = AwsGroups::with(towards(&server.url).await).describe(&names(&["g", "absent"])).await.unwrap();
    let text = "the group's process Launch is suspended: a raise starts nothing; resume it";
    let expected = GroupView {
        name: "g".into(),
        min: 1,
        max: 5,
        desired: 2,
        floor: 3,
        version: None,
        doubts: vec![Doubt { kind: DoubtKind::LaunchesSuspended, text: text.into() }],
    };
    assert_eq!(groups, BTreeMap::from([("g".into(), expected)]));
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].has("IncludeInstances=false"), "{}", seen[0].body);
    assert!(seen[0].has("AutoScalingGroupNames.member.1=absent"), "{}", seen[0].body);
}

#[tokio::test]
async fn a_group_whose_instances_are_born_unprotected_is_doubted() {
    let server = Server::start(|_, _| {
        let processes =
            "<SuspendedProcesses><member><ProcessName>AZRebalance</ProcessName></member></SuspendedProcesses>";
        page(&member("g", processes), None)
    })
    .await;
    let groups = AwsGroups::with(towards(&server.url).await).describe(&names(&["g"])).await.unwrap();
    let kinds: Vec<_> = groups["g"].doubts.iter().map(|doubt| doubt.kind).collect();
    assert_eq!((kinds, groups["g"].floor), (vec![DoubtKind::Unprotected], 0));
    assert!(groups["g"].doubts[0].text.contains("set NewInstancesProtectedFromScaleIn"), "{groups:?}");
}

#[tokio::test]
async fn follows_pages_also_when_one_is_empty() {
    let server = Server::start(|_, before| match before {
        0 => page(&member("a", ""), Some("t1")),
        1 => page("", Some("t2")),
        _ => page(&member("b", ""), None),
    })
    .await;
    let groups = AwsGroups::with(towards(&server.url).await).describe(&names(&["a", "b"])).await.unwrap();
    assert_eq!(groups.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(server.count(), 3);
    assert!(server.seen()[2].has("NextToken=t2"));
}

#[tokio::test]
async fn a_hundred_names_a_call() {
    let server = Server::start(|_, _| page("", None)).await;
    let names: BTreeSet<String> = (0..201).map(|number| format!("g{number:03}")).collect();
    let groups = AwsGroups::with(towards(&server.url).await).describe(&names).await.unwrap();
    assert!(groups.is_empty());
    assert_eq!(server.count(), 3);
    assert!(server.seen()[0].has("AutoScalingGroupNames.member.100=g099"));
    assert!(server.seen()[2].has("AutoScalingGroupNames.member.1=g200"));
    assert!(server.seen().iter().all(|call| call.has("MaxRecords=100")));
}

#[tokio::test]
async fn no_names_no_call() {
    let server = Server::start(|_, _| page("", None)).await;
    // Without names AWS would list every group of the account.
    assert!(AwsGroups::with(towards(&server.url).await).describe(&names(&[])).await.unwrap().is_empty());
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn raises_once_and_absolutely() {
    let server = Server::start(|_, _| Answer::ok("<SetDesiredCapacityResponse/>")).await;
    AwsGroups::with(towards(&server.url).await).raise(&seen("g"), 4).await.unwrap();
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
        let group = AwsGroups::with(towards_within(&server.url, SOON).await);
        let error = group.raise(&seen("g"), 4).await.unwrap_err();
        assert!(matches!(error.kind, CloudErrorKind::Timeout | CloudErrorKind::Other), "{error:?}");
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
            CloudErrorKind::OutOfBounds,
        ),
        (
            "ScalingActivityInProgress",
            "Scaling activity 12 is in progress and blocks this action",
            CloudErrorKind::InProgress,
        ),
    ] {
        let server = Server::start(move |_, _| refusal(400, code, message)).await;
        let error = AwsGroups::with(towards(&server.url).await).raise(&seen("g"), 9).await.unwrap_err();
        assert_eq!(error.kind, kind);
        let quoted = format!("({code}: {message})");
        assert!(
            error.message.starts_with("autoscaling:SetDesiredCapacity failed") && error.message.contains(&quoted),
            "{error}"
        );
    }
}

#[tokio::test]
async fn tags_the_group_and_not_its_instances() {
    let server = Server::start(|_, _| Answer::ok("<CreateOrUpdateTagsResponse/>")).await;
    AwsGroups::with(towards(&server.url).await).leave_floor("g", 2).await.unwrap();
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
