use lightsout_io::testing::{Answer, ReceivedRequest, SOON, Server, rerun};

use super::*;
use crate::aws::{
    AwsErrorKind,
    tests::{refusal, towards, towards_within},
};

const NAMESPACE: &str = "xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"";

async fn me(server: &Server) -> Calls {
    Calls::new("i-0123", towards(&server.url).await)
}

async fn empty() -> Server {
    Server::start(|seen, _| {
        let action = seen.body.split('&').find_map(|field| field.strip_prefix("Action=")).unwrap();
        Answer::ok(format!("<{action}Response {NAMESPACE}><{action}Result/></{action}Response>"))
    })
    .await
}

fn assert_fields(seen: &ReceivedRequest, fields: &[&str]) {
    for field in fields {
        assert!(seen.has(field), "{field} in {}", seen.body);
    }
}

fn described(members: &str, next: &str) -> Answer {
    Answer::ok(format!(
        "<DescribeAutoScalingInstancesResponse {NAMESPACE}><DescribeAutoScalingInstancesResult><AutoScalingInstances>\
         {members}</AutoScalingInstances>{next}</DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>"
    ))
}

const MEMBER: &str = "<member><InstanceId>i-0123</InstanceId><AutoScalingGroupName>g</AutoScalingGroupName>\
     <AvailabilityZone>a</AvailabilityZone><LifecycleState>Terminating:Wait</LifecycleState>\
     <HealthStatus>HEALTHY</HealthStatus><ProtectedFromScaleIn>true</ProtectedFromScaleIn></member>";

#[tokio::test]
async fn sees_itself_also_on_a_later_page() {
    let server = Server::start(|_, before| match before {
        0 => described("", "<NextToken>t</NextToken>"),
        _ => described(MEMBER, ""),
    })
    .await;
    let view = me(&server).await.describe().await.unwrap().unwrap();
    assert_eq!(view, SelfView { group: Some("g".into()), state: Some("Terminating:Wait".into()), protected: true });
    assert_fields(&server.seen()[0], &["InstanceIds.member.1=i-0123"]);
}

#[tokio::test]
async fn in_no_group() {
    let server = Server::start(|_, _| described("", "")).await;
    assert_eq!(me(&server).await.describe().await, Ok(None));
}

fn group(tags: &str) -> Answer {
    let places = [("i-0", "InService"), ("i-0123", "Pending:Wait"), ("i-00", "Terminating:Wait"), ("i-2", "Standby")];
    let instances: String = places
        .map(|(id, state)| {
            format!("<member><InstanceId>{id}</InstanceId><LifecycleState>{state}</LifecycleState></member>")
        })
        .concat();
    Answer::ok(format!(
        "<DescribeAutoScalingGroupsResponse {NAMESPACE}><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>\
         <AutoScalingGroupName>g</AutoScalingGroupName><MinSize>1</MinSize><MaxSize>5</MaxSize>\
         <DesiredCapacity>4</DesiredCapacity><Instances>{instances}</Instances><Tags>{tags}</Tags></member></AutoScalingGroups>\
         </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
    ))
}

#[tokio::test]
async fn room_reads_the_scalers_floor() {
    for (tags, floor) in [
        ("<member><Key>lightsout:floor</Key><Value>2</Value></member>", 2),
        ("<member><Key>lightsout:floor</Key><Value>many</Value></member>", 0),
        ("<member><Key>lightsout:floor</Key><Value>2 2026-01-01T00:00:00Z</Value></member>", 0),
        ("<member><Key>lightsout:floor</Key><Value>2 2999-01-01T00:00:00Z</Value></member>", 0),
        ("<member><Key>lightsout:floor</Key><Value>-1</Value></member>", 0),
        ("", 0),
    ] {
        let server = Server::start(move |_, _| group(tags)).await;
        assert_eq!(
            me(&server).await.group_size("g").await,
            Ok(GroupSize { desired: 4, min: 1, floor, members: 2, rank: 1 })
        );
        assert_fields(&server.seen()[0], &["AutoScalingGroupNames.member.1=g", "IncludeInstances=true"]);
    }
}

#[tokio::test]
async fn no_room_in_a_group_that_does_not_exist() {
    let server = Server::start(|_, _| group("")).await;
    let error = me(&server).await.group_size("other").await.unwrap_err();
    assert_eq!(error.kind, AwsErrorKind::NotFound);
    assert!(error.to_string().contains("no group other"), "{error}");
}

#[tokio::test]
async fn finds_the_termination_hooks() {
    let server = Server::start(|_, _| {
        let hook = |name: &str, transition: &str, timeout: u32| {
            format!(
                "<member><LifecycleHookName>{name}</LifecycleHookName><AutoScalingGroupName>g</AutoScalingGroupName>\
                 <LifecycleTransition>autoscaling:EC2_INSTANCE_{transition}</LifecycleTransition>\
                 <HeartbeatTimeout>{timeout}</HeartbeatTimeout>{}</member>",
                // Without a word it is ABANDON.
                if name == "logs" { "" } else { "<DefaultResult>CONTINUE</DefaultResult>" }
            )
        };
        Answer::ok(format!(
            "<DescribeLifecycleHooksResponse {NAMESPACE}><DescribeLifecycleHooksResult><LifecycleHooks>{}{}{}\
             </LifecycleHooks></DescribeLifecycleHooksResult></DescribeLifecycleHooksResponse>",
            hook("boot", "LAUNCHING", 7200),
            hook("logs", "TERMINATING", 60),
            hook("drain", "TERMINATING", 900),
        ))
    })
    .await;
    let hooks = me(&server).await.hooks("g", ENDING).await.unwrap();
    let hook = |name: &str, seconds| Hook {
        name: name.into(),
        timeout: Duration::from_secs(seconds),
        abandons: name == "logs",
    };
    assert_eq!(hooks, [hook("logs", 60), hook("drain", 900)]);
    assert_eq!(me(&server).await.hooks("g", LAUNCH).await, Ok(vec![hook("boot", 7200)]));

    let server = empty().await;
    assert_eq!(me(&server).await.hooks("g", ENDING).await, Ok(Vec::new()));
}

#[tokio::test]
async fn says_what_the_api_wants_to_hear() {
    let server = empty().await;
    let me = me(&server).await;
    me.protect("g", false).await.unwrap();
    me.heartbeat("g", "h").await.unwrap();
    me.complete("g", "h", true).await.unwrap();
    me.complete("g", "h", false).await.unwrap();
    me.terminate(true).await.unwrap();
    me.terminate(false).await.unwrap();
    me.unhealthy().await.unwrap();
    me.ec2_terminate().await.unwrap();
    me.tag("lightsout:why", "idle").await.unwrap();

    let seen = server.seen();
    assert_eq!(seen.len(), 9);
    assert_fields(
        &seen[0],
        &[
            "Action=SetInstanceProtection",
            "InstanceIds.member.1=i-0123",
            "AutoScalingGroupName=g",
            "ProtectedFromScaleIn=false",
        ],
    );
    let hook = ["AutoScalingGroupName=g", "LifecycleHookName=h", "InstanceId=i-0123"];
    assert_fields(&seen[1], &[&hook[..], &["Action=RecordLifecycleActionHeartbeat"]].concat());
    assert_fields(
        &seen[2],
        &[&hook[..], &["Action=CompleteLifecycleAction", "LifecycleActionResult=CONTINUE"]].concat(),
    );
    assert_fields(
        &seen[3],
        &[&hook[..], &["Action=CompleteLifecycleAction", "LifecycleActionResult=ABANDON"]].concat(),
    );
    let terminate = ["Action=TerminateInstanceInAutoScalingGroup", "InstanceId=i-0123"];
    assert_fields(&seen[4], &[&terminate[..], &["ShouldDecrementDesiredCapacity=true"]].concat());
    assert_fields(&seen[5], &[&terminate[..], &["ShouldDecrementDesiredCapacity=false"]].concat());
    assert_fields(
        &seen[6],
        &["Action=SetInstanceHealth", "InstanceId=i-0123", "HealthStatus=Unhealthy", "ShouldRespectGracePeriod=false"],
    );
    assert_fields(&seen[7], &["Action=TerminateInstances", "InstanceId.1=i-0123"]);
    assert_fields(
        &seen[8],
        &["Action=CreateTags", "ResourceId.1=i-0123", "Tag.1.Key=lightsout%3Awhy", "Tag.1.Value=idle"],
    );
}

#[tokio::test]
async fn a_terminate_without_an_answer_is_not_sent_again() {
    for script in [|| Answer::Silence, || Answer::HeadOnly, || Answer::Reset] {
        let server = Server::start(move |_, _| script()).await;
        let me = Calls::new("i-0123", towards_within(&server.url, SOON).await);
        let error = me.terminate(true).await.unwrap_err();
        assert_eq!(error.kind, AwsErrorKind::Timeout, "{error}");
        assert!(error.to_string().contains("it may have been applied"), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.count(), 1);
    }
    for status in [500, 503] {
        let server = Server::start(move |_, _| refusal(status, "ResourceContention", "pending update")).await;
        let error = me(&server).await.terminate(true).await.unwrap_err();
        assert_eq!(error.kind, AwsErrorKind::InProgress);
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn refusals_of_a_terminate() {
    let floor = "Currently, desiredSize equals minSize (3). Terminating instance without replacement will violate group's min \
                 size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.";
    for (code, message, kind) in [
        ("ValidationError", floor, AwsErrorKind::AtFloor),
        (
            "ValidationError",
            "Instance Id not found - No managed instance found for instance ID i-0123",
            AwsErrorKind::NotFound,
        ),
        ("ScalingActivityInProgress", "Activity 12 is in progress.", AwsErrorKind::InProgress),
    ] {
        let server = Server::start(move |_, _| refusal(400, code, message)).await;
        let error = me(&server).await.terminate(true).await.unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (kind, message));
    }
}

#[tokio::test]
async fn ec2_errors_come_in_their_own_shape() {
    let server = Server::start(|_, _| {
        Answer::status(
            403,
            "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized</Message></Error>\
             </Errors><RequestID>r</RequestID></Response>",
        )
    })
    .await;
    let error = me(&server).await.ec2_terminate().await.unwrap_err();
    assert_eq!(error.kind, AwsErrorKind::Denied);
    assert!(error.to_string().contains("lack the right ec2:TerminateInstances"), "{error}");
}

#[tokio::test]
async fn costs_nothing_until_it_is_used() {
    rerun("aws::host::calls::tests::made_but_not_used", &[]).await;
}

#[tokio::test]
#[ignore = "costs_nothing_until_it_is_used runs it alone, so that only its own memory counts"]
async fn made_but_not_used() {
    // Of its own: how many pages of the program the kernel maps around a fault is not ours to say.
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    resident();
    let before = resident();
    let me = Calls::new("i-0123", Aws::new(Some("eu-north-1".into())));
    let driver = lightsout_io::http::Driver::new("test");
    let grown = resident().saturating_sub(before);
    assert!(grown < 256, "{grown} kB for nothing");
    drop((me, driver));
}
