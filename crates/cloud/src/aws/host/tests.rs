use lightsout_core::cloud::CloudErrorKind;
use lightsout_io::testing::{Answer, Server};

use super::*;
use crate::aws::tests::{refusal, towards};

const NAMESPACE: &str = "xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"";

/// An Auto Scaling service with one group `g` that has two hooks, and this instance in it in this state, or not at all.
async fn service(state: Option<&'static str>) -> Server {
    Server::start(move |seen, _| {
        let action = seen.body.split('&').find_map(|field| field.strip_prefix("Action=")).unwrap();
        let result = match (action, state) {
            ("DescribeAutoScalingInstances", Some(state)) => format!(
                "<AutoScalingInstances><member><InstanceId>i-0123</InstanceId><AutoScalingGroupName>g</AutoScalingGroupName>\
                 <LifecycleState>{state}</LifecycleState><ProtectedFromScaleIn>true</ProtectedFromScaleIn></member></AutoScalingInstances>"
            ),
            ("DescribeAutoScalingGroups", _) => "<AutoScalingGroups><member><AutoScalingGroupName>g</AutoScalingGroupName>\
                 <MinSize>1</MinSize><MaxSize>5</MaxSize><DesiredCapacity>4</DesiredCapacity></member></AutoScalingGroups>"
                .into(),
            ("DescribeLifecycleHooks", _) => {
                let hook = |name: &str, seconds: u32| {
                    format!(
                        "<member><LifecycleHookName>{name}</LifecycleHookName><HeartbeatTimeout>{seconds}</HeartbeatTimeout>\
                         <LifecycleTransition>autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition></member>"
                    )
                };
                format!("<LifecycleHooks>{}{}</LifecycleHooks>", hook("drain", 900), hook("logs", 60))
            }
            _ => String::new(),
        };
        Answer::ok(format!("<{action}Response {NAMESPACE}><{action}Result>{result}</{action}Result></{action}Response>"))
    })
    .await
}

async fn host(server: &Server, group: Option<&str>, chosen_hook: Option<&str>) -> AwsHost {
    let identity =
        Identity { instance: "i-0123".into(), location: "eu-north-1".into(), group: group.map(str::to_owned) };
    AwsHost::with(&identity, chosen_hook.map(str::to_owned), towards(&server.url).await)
}

/// The actions that were called, in order.
fn actions(server: &Server) -> Vec<String> {
    let action = |body: &str| body.split('&').find_map(|field| field.strip_prefix("Action=")).map(str::to_owned);
    server.seen().iter().filter_map(|request| action(&request.body)).collect()
}

#[test]
fn only_in_service_is_in_service() {
    let seen =
        |state: &str| membership(&SelfView { group: Some("g".into()), state: Some(state.into()), protected: true });
    assert_eq!(seen("InService"), Membership::InService { protected: true });
    for state in [
        "Pending",
        "Pending:Wait",
        "Pending:Proceed",
        "Quarantined",
        "Warmed:Running",
        "Warmed:Pending",
        "SomethingNew",
    ] {
        assert_eq!(seen(state), Membership::Pending, "{state}");
    }
    assert_eq!(seen("Terminating:Wait"), Membership::Terminating { waiting: true });
    for state in ["Terminating", "Terminating:Proceed", "Terminating:Retained", "Terminated"] {
        assert_eq!(seen(state), Membership::Terminating { waiting: false }, "{state}");
    }
    for state in ["EnteringStandby", "Standby"] {
        assert_eq!(seen(state), Membership::Standby, "{state}");
    }
    for state in ["Detaching", "Detached"] {
        assert_eq!(seen(state), Membership::Outside, "{state}");
    }
}

#[tokio::test]
async fn the_group_that_metadata_does_not_tell_is_asked_for_once() {
    let server = service(Some("InService")).await;
    let host = host(&server, None, None).await;
    assert_eq!(host.group(), None);
    host.protect(true).await.unwrap();
    host.protect(false).await.unwrap();
    assert_eq!(host.group().as_deref(), Some("g"));
    assert_eq!(actions(&server), ["DescribeAutoScalingInstances", "SetInstanceProtection", "SetInstanceProtection"]);
}

#[tokio::test]
async fn without_a_group_there_is_no_room_no_protection_and_no_hook() {
    let server = service(None).await;
    let host = host(&server, None, None).await;
    assert_eq!(host.membership().await, Ok(Membership::Outside));
    assert_eq!(host.room().await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(host.protect(true).await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(host.lifecycle_hook().await, Ok(None));
    assert!(actions(&server).iter().all(|action| action == "DescribeAutoScalingInstances"), "{:?}", actions(&server));
}

#[tokio::test]
async fn a_detached_instance_has_no_part_in_the_room_of_the_group_that_it_had() {
    let server = service(Some("Detached")).await;
    let detached = host(&server, Some("g"), None).await;
    assert_eq!(detached.room().await.unwrap_err().kind, CloudErrorKind::NotFound);

    let server = service(Some("InService")).await;
    let member = host(&server, Some("g"), None).await;
    assert_eq!(member.room().await, Ok(Room { desired: 4, min: 1, floor: 0, members: 0 }));
}

#[tokio::test]
async fn the_hook_is_the_one_that_is_named_else_the_one_that_waits_longest() {
    for (chosen, name, seconds) in [(None, "drain", 900), (Some("logs"), "logs", 60)] {
        let server = service(Some("Terminating:Wait")).await;
        let host = host(&server, Some("g"), chosen).await;
        let timeout = std::time::Duration::from_secs(seconds);
        assert_eq!(host.lifecycle_hook().await, Ok(Some(LifecycleHook { timeout })));
        host.extend_hold().await.unwrap();
        host.complete_hold().await.unwrap();
        assert_eq!(
            actions(&server),
            ["DescribeLifecycleHooks", "RecordLifecycleActionHeartbeat", "CompleteLifecycleAction"]
        );
        let field = format!("LifecycleHookName={name}");
        assert!(server.seen()[1..].iter().all(|request| request.has(&field)), "{:?}", server.seen());
    }
}

#[tokio::test]
async fn a_hook_that_is_not_there_holds_nothing() {
    let server = service(Some("Terminating:Wait")).await;
    let host = host(&server, Some("g"), Some("mistyped")).await;
    assert_eq!(host.lifecycle_hook().await, Ok(None));
    let error = host.complete_hold().await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::NothingHeld);
    assert!(error.message.contains("agent.hook"), "{error}");
}

#[tokio::test]
async fn refused_credentials_are_forgotten() {
    let server = Server::start(|_, _| refusal(403, "ExpiredToken", "The security token is expired")).await;
    let host = host(&server, Some("g"), None).await;
    assert!(host.calls.aws().config.lock().unwrap().initialized());
    assert_eq!(host.membership().await.unwrap_err().kind, CloudErrorKind::Credentials);
    assert!(!host.calls.aws().config.lock().unwrap().initialized());
}
