use lightsout_core::cloud::{CloudErrorKind, Machine};
use lightsout_io::testing::{Answer, Server, Sink};

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
    let identity = Identity {
        instance: "i-0123".into(),
        location: "eu-north-1".into(),
        group: group.map(str::to_owned),
        machine: Machine::default(),
        capabilities: None,
    };
    let named = HostSettings {
        termination: chosen_hook.map(str::to_owned),
        launch: Some("boot".into()),
        ..HostSettings::default()
    };
    AwsHost::with(&identity, named, towards(&server.url).await)
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
    for state in ["Pending", "Pending:Wait", "Pending:Proceed", "Quarantined", "SomethingNew"] {
        let waiting = state == "Pending:Wait";
        assert_eq!(seen(state), Membership::Pending { waiting }, "{state}");
    }
    for state in ["Warmed:Pending", "Warmed:Pending:Wait", "Warmed:Pending:Proceed"] {
        let waiting = state == "Warmed:Pending:Wait";
        assert_eq!(seen(state), Membership::Warming { waiting }, "{state}");
    }
    for state in ["Warmed:Running", "Warmed:Stopped", "Warmed:Hibernated"] {
        assert_eq!(seen(state), Membership::Warm, "{state}");
    }
    assert_eq!(seen("Terminating:Wait"), Membership::Terminating { waiting: true });
    for state in ["Terminating", "Terminating:Proceed", "Terminating:Retained", "Terminated", "Warmed:Terminating"] {
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
    assert_eq!(host.group_size().await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(host.protect(true).await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(host.find_hook().await, Ok(None));
    assert!(actions(&server).iter().all(|action| action == "DescribeAutoScalingInstances"), "{:?}", actions(&server));
}

#[tokio::test]
async fn a_detached_instance_has_no_part_in_the_room_of_the_group_that_it_had() {
    let server = service(Some("Detached")).await;
    let detached = host(&server, Some("g"), None).await;
    assert_eq!(detached.group_size().await.unwrap_err().kind, CloudErrorKind::NotFound);

    let server = service(Some("InService")).await;
    let member = host(&server, Some("g"), None).await;
    assert_eq!(member.group_size().await, Ok(GroupSize { desired: 4, min: 1, floor: 0, members: 0, rank: 0 }));
}

/// The hooks that were named in calls of this action.
fn hooks_of(server: &Server, action: &str) -> Vec<String> {
    let of_action = server.seen().into_iter().filter(|request| request.has(&format!("Action={action}")));
    let name =
        |body: &str| body.split('&').find_map(|field| field.strip_prefix("LifecycleHookName=")).map(str::to_owned);
    of_action.filter_map(|request| name(&request.body)).collect()
}

#[tokio::test]
async fn every_hook_is_extended_and_only_the_own_one_is_answered() {
    for (chosen, own, other) in [(None, "drain", "logs"), (Some("logs"), "logs", "drain")] {
        let server = service(Some("Terminating:Wait")).await;
        let host = host(&server, Some("g"), chosen).await;
        let timeout = Duration::from_secs(60);
        assert_eq!(host.find_hook().await, Ok(Some(LifecycleHook { timeout })), "the shortest counts");
        host.extend_hook().await.unwrap();
        host.complete_hook().await.unwrap();
        assert_eq!(hooks_of(&server, "RecordLifecycleActionHeartbeat"), [own, other]);
        assert_eq!(hooks_of(&server, "CompleteLifecycleAction"), [own]);
        let looks = actions(&server).iter().filter(|action| *action == "DescribeLifecycleHooks").count();
        assert_eq!(looks, 3, "asked afresh each time: somebody may have renamed or added one");
    }
}

/// The same service, in which heartbeats of these hooks are refused in this way.
async fn refusing(hooks: &'static [&'static str], status: u16, code: &'static str, text: &'static str) -> Server {
    let hook = |name: &str| {
        format!(
            "<member><LifecycleHookName>{name}</LifecycleHookName><HeartbeatTimeout>60</HeartbeatTimeout><DefaultResult>CONTINUE</DefaultResult>\
             <LifecycleTransition>autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition></member>"
        )
    };
    let found = [hook("a"), hook("b")].concat();
    Server::start(move |seen, _| {
        let action = seen.body.split('&').find_map(|field| field.strip_prefix("Action=")).unwrap();
        if action == "RecordLifecycleActionHeartbeat"
            && hooks.iter().any(|hook| seen.has(&format!("LifecycleHookName={hook}")))
        {
            return refusal(status, code, text);
        }
        let result = format!("<LifecycleHooks>{found}</LifecycleHooks>");
        Answer::ok(format!(
            "<{action}Response {NAMESPACE}><{action}Result>{result}</{action}Result></{action}Response>"
        ))
    })
    .await
}

#[tokio::test]
async fn a_hook_that_was_answered_already_holds_nothing_and_one_that_cannot_be_extended_is_said() {
    const NONE: &str = "No active Lifecycle Action found with instance ID i-0123";
    let server = refusing(&["a"], 400, "ValidationError", NONE).await;
    assert_eq!(host(&server, Some("g"), None).await.extend_hook().await, Ok(()), "the other one waits");
    let server = refusing(&["a", "b"], 400, "ValidationError", NONE).await;
    let none = host(&server, Some("g"), None).await.extend_hook().await.unwrap_err();
    assert_eq!(none.kind, CloudErrorKind::NothingHeld);
    for refused in [&["a"][..], &["b"]] {
        let server = refusing(refused, 403, "AccessDenied", "not authorized").await;
        let denied = host(&server, Some("g"), None).await.extend_hook().await.unwrap_err();
        assert_eq!(denied.kind, CloudErrorKind::Denied);
        assert_eq!(
            hooks_of(&server, "RecordLifecycleActionHeartbeat"),
            ["a", "b"],
            "the other one is extended all the same"
        );
    }
}

#[test]
fn what_may_cost_jobs_about_hooks_is_said() {
    let hook = |name: &str, abandons| Hook { name: name.into(), timeout: Duration::from_secs(60), abandons };
    let said = |hooks: &[Hook], chosen: Option<&str>| {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || doubt("g", hooks, chosen));
        sink.text()
    };
    assert_eq!(said(&[hook("drain", false)], None), "");
    assert_eq!(said(&[hook("drain", false), hook("logs", false)], Some("drain")), "");
    assert!(said(&[hook("drain", false)], Some("mistyped")).contains("correct agent.hook"));
    assert!(said(&[], Some("mistyped")).contains("correct agent.hook"));
    assert!(said(&[hook("drain", true)], None).contains("ABANDON"));
    assert!(said(&[hook("drain", false), hook("logs", false)], None).contains("name in agent.hook"));
}

#[tokio::test]
async fn a_hook_that_is_mistyped_does_not_hide_those_that_are_there() {
    let server = service(Some("Terminating:Wait")).await;
    let host = host(&server, Some("g"), Some("mistyped")).await;
    host.extend_hook().await.unwrap();
    assert_eq!(hooks_of(&server, "RecordLifecycleActionHeartbeat"), ["drain", "logs"]);
    let error = host.complete_hook().await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::NothingHeld, "which of them is ours is not known");
    assert_eq!(hooks_of(&server, "CompleteLifecycleAction"), [""; 0]);
}

#[tokio::test]
async fn refused_credentials_are_forgotten() {
    let server = Server::start(|_, _| refusal(403, "ExpiredToken", "The security token is expired")).await;
    let host = host(&server, Some("g"), None).await;
    assert!(host.calls.aws().config.lock().unwrap().initialized());
    assert_eq!(host.membership().await.unwrap_err().kind, CloudErrorKind::Credentials);
    assert!(!host.calls.aws().config.lock().unwrap().initialized());
}

#[tokio::test]
async fn only_the_launch_hook_that_is_named_is_extended_and_answered() {
    let server = service(Some("Pending:Wait")).await;
    let named = host(&server, Some("g"), None).await;
    let unknown = LifecycleHook { timeout: Duration::from_secs(30) };
    assert_eq!(named.extend_launch_hook().await, Ok(unknown), "the group does not tell of it");
    named.complete_launch_hook().await.unwrap();
    named.abandon_launch().await.unwrap();
    assert_eq!(hooks_of(&server, "RecordLifecycleActionHeartbeat"), ["boot"]);
    assert_eq!(hooks_of(&server, "CompleteLifecycleAction"), ["boot", "boot"]);
    let results: Vec<bool> = server
        .seen()
        .iter()
        .filter(|request| request.has("Action=CompleteLifecycleAction"))
        .map(|request| request.has("LifecycleActionResult=CONTINUE"))
        .collect();
    assert_eq!(results, [true, false]);

    let server = service(Some("Pending:Wait")).await;
    let identity = Identity {
        instance: "i-0123".into(),
        location: "eu-north-1".into(),
        group: Some("g".into()),
        machine: Machine::default(),
        capabilities: None,
    };
    let unnamed = AwsHost::with(&identity, HostSettings::default(), towards(&server.url).await);
    assert_eq!(unnamed.extend_launch_hook().await.unwrap_err().kind, CloudErrorKind::NothingHeld);
    assert_eq!(unnamed.complete_launch_hook().await.unwrap_err().kind, CloudErrorKind::NothingHeld);
    assert_eq!(unnamed.abandon_launch().await.unwrap_err().kind, CloudErrorKind::NothingHeld);
    assert_eq!(server.seen().len(), 0, "what somebody else waits for is not touched");
}
