use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use lightsout_core::{
    cloud::{CapacityChange, ChangeKind, CloudErrorKind},
    record::{FailedLaunch, LaunchTrouble},
};
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
    let groups = AwsGroups::with(towards(&server.url).await).read(&names(&["g", "absent"])).await.unwrap();
    let text = "the group's process Launch is suspended: a raise starts nothing; resume it";
    let expected = GroupView {
        name: "g".into(),
        min: 1,
        max: 5,
        desired: 2,
        floor: Floor { instances: 3, written: None },
        version: None,
        unscalable: None,
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
    let groups = AwsGroups::with(towards(&server.url).await).read(&names(&["g"])).await.unwrap();
    let kinds: Vec<_> = groups["g"].doubts.iter().map(|doubt| doubt.kind).collect();
    assert_eq!((kinds, groups["g"].floor), (vec![DoubtKind::Unprotected], Floor::default()));
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
    let groups = AwsGroups::with(towards(&server.url).await).read(&names(&["a", "b"])).await.unwrap();
    assert_eq!(groups.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(server.count(), 3);
    assert!(server.seen()[2].has("NextToken=t2"));
}

#[tokio::test]
async fn a_hundred_names_a_call() {
    let server = Server::start(|_, _| page("", None)).await;
    let names: BTreeSet<String> = (0..201).map(|number| format!("g{number:03}")).collect();
    let groups = AwsGroups::with(towards(&server.url).await).read(&names).await.unwrap();
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
async fn a_group_that_counts_other_units_than_instances_says_so() {
    let mixed = |overrides: &str| {
        format!(
            "<MixedInstancesPolicy><LaunchTemplate><Overrides>{overrides}</Overrides></LaunchTemplate></MixedInstancesPolicy>"
        )
    };
    let kind = |kind: &str, weight: &str| {
        format!("<member><InstanceType>{kind}</InstanceType><WeightedCapacity>{weight}</WeightedCapacity></member>")
    };
    for (rest, expected) in [
        (String::new(), None),
        ("<DesiredCapacityType>units</DesiredCapacityType>".into(), None),
        (mixed("<member><InstanceType>c7i.large</InstanceType></member>"), None),
        (mixed(&kind("c7i.large", "1")), None),
        (mixed(&(kind("c7i.large", "1") + &kind("c7i.xlarge", "2"))), Some("c7i.xlarge has the weight 2")),
        ("<DesiredCapacityType>vcpu</DesiredCapacityType>".into(), Some("counts vcpu (DesiredCapacityType)")),
    ] {
        let server = Server::start(move |_, _| page(&member("g", &rest), None)).await;
        let groups = AwsGroups::with(towards(&server.url).await).read(&names(&["g"])).await.unwrap();
        let told = groups["g"].unscalable.as_deref();
        assert_eq!(told.is_some(), expected.is_some(), "{told:?} where {expected:?}");
        assert!(told.unwrap_or_default().contains(expected.unwrap_or_default()), "{told:?} where {expected:?}");
    }
}

#[tokio::test]
async fn the_history_tells_who_set_what_and_who_left() {
    let set = "At 2026-11-21T09:18:16Z a user request explicitly set group desired capacity changing the desired capacity from 3 to 5.  ";
    let limits = "At 2026-11-21T09:10:00Z a user request update of AutoScalingGroup constraints to min: 0, max: 9, desired: 3 changing \
                  the desired capacity from 1 to 3.  ";
    let launched = "At 2026-11-21T09:18:18Z an instance was started in response to a difference between desired and actual capacity, \
                    increasing the capacity from 3 to 5.";
    let shrunk = "At 2026-11-21T09:20:00Z instance i-1 was taken out of service in response to a user request, shrinking the capacity \
                  from 5 to 4.";
    let replaced = "At 2026-11-21T09:20:00Z instance i-2 was taken out of service in response to a user request.";
    let fewer = "At 2026-11-21T09:21:00Z an instance was taken out of service in response to a difference between desired and actual \
                 capacity, shrinking the capacity from 5 to 4.";
    let failed = "<member><ActivityId>2</ActivityId><AutoScalingGroupName>g</AutoScalingGroupName><Description>Launching a new EC2 \
                  instance.  Status Reason: We currently do not have sufficient c7i.large capacity.</Description><Cause>At noon</Cause>\
                  <StartTime>2026-11-21T09:22:00Z</StartTime><StatusCode>Failed</StatusCode><StatusMessage>We currently do not have \
                  sufficient c7i.large capacity.</StatusMessage></member>";
    let causes = [
        shrunk.to_owned(),
        format!("{set}{launched}"),
        format!("{set}{launched}"),
        format!("{limits}{launched}"),
        replaced.into(),
        fewer.into(),
        "At noon".into(),
        "changing the desired capacity from".into(),
    ];
    let members: String = causes
        .iter()
        .map(|cause| {
            format!(
                "<member><ActivityId>1</ActivityId><AutoScalingGroupName>g</AutoScalingGroupName><Cause>{cause}</Cause>\
                 <StartTime>2026-11-21T09:20:00.500Z</StartTime><StatusCode>Successful</StatusCode></member>"
            )
        })
        .collect();
    let server = Server::start(move |_, _| {
        Answer::ok(format!(
            "<DescribeScalingActivitiesResponse><DescribeScalingActivitiesResult><Activities>{failed}{members}<member><Description>Launching a new EC2 instance: i-1</Description>\
             <StatusCode>Successful</StatusCode></member>{failed}</Activities>\
             <NextToken>more</NextToken></DescribeScalingActivitiesResult></DescribeScalingActivitiesResponse>"
        ))
    })
    .await;
    let history = AwsGroups::with(towards(&server.url).await).history("g").await.unwrap();
    let change = |at: &str, kind| CapacityChange { at: at.parse().unwrap(), kind };
    assert_eq!(
        history.changes,
        [
            change("2026-11-21T09:20:00.5Z", ChangeKind::Left),
            change("2026-11-21T09:18:16Z", ChangeKind::Set { to: 5 }),
            change("2026-11-21T09:10:00Z", ChangeKind::Set { to: 3 }),
        ]
    );
    let launch = FailedLaunch {
        time: "2026-11-21T09:22:00.000Z".into(),
        trouble: LaunchTrouble::Capacity,
        message: "We currently do not have sufficient c7i.large capacity.".into(),
    };
    assert_eq!(history.failed_launches, [launch]);
    let seen = server.seen();
    assert_eq!(seen.len(), 1, "what matters is on the newest page");
    assert!(
        seen[0].has("Action=DescribeScalingActivities") && seen[0].has("AutoScalingGroupName=g"),
        "{}",
        seen[0].body
    );
}

/// A machine's clock may be off by minutes before AWS refuses its signatures. What the history tells of the last half minute must not look old by
/// that, nor what is old look new.
#[tokio::test]
async fn a_history_is_told_by_this_machines_clock() {
    for ahead in [-240, 0, 240] {
        let clouds = Timestamp::now() - SignedDuration::from_secs(ahead);
        let set = clouds - SignedDuration::from_secs(10);
        let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&clouds).unwrap();
        let body = format!(
            "<DescribeScalingActivitiesResponse><DescribeScalingActivitiesResult><Activities><member><ActivityId>1</ActivityId>\
             <AutoScalingGroupName>g</AutoScalingGroupName><Cause>At {set:.0} a user request update of AutoScalingGroup constraints to min: 0, max: 9, \
             desired: 5 changing the desired capacity from 0 to 5.</Cause><StatusCode>Successful</StatusCode></member></Activities>\
             </DescribeScalingActivitiesResult></DescribeScalingActivitiesResponse>"
        );
        let server = Server::start(move |_, _| Answer::with(200, ("date", &date), &body)).await;
        let history = AwsGroups::with(towards(&server.url).await).history("g").await.unwrap();
        let ago = Timestamp::now().duration_since(history.changes[0].at).as_secs();
        assert!((5..=20).contains(&ago), "{ago} s ago by a clock that is {ahead} s ahead");
    }
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
    let floor = Floor { instances: 2, written: Some("2026-11-26T15:00:00Z".parse().unwrap()) };
    let server = Server::start(|_, _| Answer::ok("<CreateOrUpdateTagsResponse/>")).await;
    AwsGroups::with(towards(&server.url).await).leave_floor("g", floor).await.unwrap();
    let seen = server.seen();
    for field in [
        "Action=CreateOrUpdateTags",
        "Tags.member.1.ResourceId=g",
        "Tags.member.1.ResourceType=auto-scaling-group",
        "Tags.member.1.Key=lightsout%3Afloor",
        "Tags.member.1.Value=2%202026-11-26T15%3A00%3A00Z",
        "Tags.member.1.PropagateAtLaunch=false",
    ] {
        assert!(seen[0].has(field), "{field} in {}", seen[0].body);
    }
}
