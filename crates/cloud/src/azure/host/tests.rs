use std::sync::{Arc, Mutex as Lock};

use lightsout_io::testing::{Answer, ReceivedRequest, Server};
use serde_json::{Value, json};

use super::*;
use crate::azure::tests::{SET, at, granted, refused};

/// A machine's metadata, as Azure writes those of a member.
pub(in crate::azure) fn compute(flexible: bool) -> String {
    let name = if flexible { "runners_1a2b3c4d" } else { "runners_3" };
    let id = if flexible {
        SET.replace("virtualMachineScaleSets/runners", &format!("virtualMachines/{name}"))
    } else {
        format!("{SET}/virtualMachines/3")
    };
    json!({
        "name": name, "vmId": "5c08b38e-4d57-4c23-ac45-aca61037f084", "resourceId": id, "location": "westeurope", "vmScaleSetName": "runners",
        "subscriptionId": "0b1f6471-1bf0-4dda-aec3-111122223333", "resourceGroupName": "ci", "vmSize": "Standard_D4s_v5", "priority": "Spot", "evictionPolicy": "Delete",
        "osProfile": { "computerName": "runners00000F" }, "platformFaultDomain": "0",
        "tagsList": [{ "name": "lightsout:slots", "value": "4" }, { "name": "team", "value": "ci" }]
    })
    .to_string()
}

fn event(kind: &str, resources: &[&str]) -> Value {
    json!({
        "EventId": format!("E-{kind}"), "EventType": kind, "EventStatus": "Scheduled", "ResourceType": "VirtualMachine", "Resources": resources,
        "NotBefore": "Thu, 26 Nov 2026 15:05:00 GMT", "Description": "", "EventSource": "User", "DurationInSeconds": -1
    })
}

/// A member with these events, and its scale set's answers to everything that is no question about the machine itself.
async fn member(
    flexible: bool,
    events: Vec<Value>,
    script: impl Fn(&ReceivedRequest) -> Answer + Send + Sync + 'static,
) -> (Server, AzureHost) {
    let server = Server::start(move |asked, _| {
        granted(asked).unwrap_or_else(|| match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/metadata/instance/compute?api-version=2021-12-13") => Answer::ok(compute(flexible)),
            ("GET", "/metadata/scheduledevents?api-version=2020-07-01") => {
                Answer::ok(json!({ "DocumentIncarnation": 1, "Events": events }).to_string())
            }
            ("POST", "/metadata/scheduledevents?api-version=2020-07-01") => Answer::ok(""),
            _ => script(asked),
        })
    })
    .await;
    let host = AzureHost::with(at(&server.url), Metadata::new(&server.url));
    (server, host)
}

fn sent(server: &Server, method: &str) -> Vec<ReceivedRequest> {
    server.seen().into_iter().filter(|asked| asked.method == method).collect()
}

fn state(provisioning: &str, protected: Option<bool>) -> Answer {
    let mut properties = json!({ "provisioningState": provisioning });
    if let Some(protected) = protected {
        properties["protectionPolicy"] = json!({ "protectFromScaleIn": true, "protectFromScaleSetActions": protected });
    }
    Answer::ok(json!({ "instanceId": "3", "properties": properties }).to_string())
}

#[tokio::test]
async fn its_place_is_what_azure_says_of_it() {
    for (provisioning, protected, expected) in [
        ("Creating", None, Membership::Pending { waiting: false }),
        ("Succeeded", None, Membership::InService { protected: false }),
        ("Succeeded", Some(false), Membership::InService { protected: false }),
        ("Succeeded", Some(true), Membership::InService { protected: true }),
        ("Updating", Some(true), Membership::InService { protected: true }),
        ("Failed", Some(true), Membership::InService { protected: true }),
        ("Deleting", Some(true), Membership::Terminating { waiting: false }),
    ] {
        let (_server, host) = member(false, Vec::new(), move |_| state(provisioning, protected)).await;
        assert_eq!(host.membership().await, Ok(expected), "{provisioning}");
    }
    let (_server, host) = member(false, Vec::new(), |_| refused(404, "NotFound", "gone")).await;
    assert_eq!(host.membership().await, Ok(Membership::Outside));
    let (_server, host) = member(false, Vec::new(), |_| Answer::ok("<html>")).await;
    assert!(host.membership().await.is_err(), "what is not understood is not absent");
}

#[tokio::test]
async fn an_ending_that_is_announced_waits_and_another_machines_does_not_concern_it() {
    let serving = |_: &ReceivedRequest| state("Succeeded", Some(true));
    let (_server, host) = member(false, vec![event("Terminate", &["runners_3"])], serving).await;
    assert_eq!(host.membership().await, Ok(Membership::Terminating { waiting: true }));
    for events in [vec![event("Terminate", &["runners_4"])], vec![event("Reboot", &["runners_3"])]] {
        let (_server, host) = member(false, events, serving).await;
        assert_eq!(host.membership().await, Ok(Membership::InService { protected: true }));
    }
}

#[tokio::test]
async fn protection_is_all_that_is_sent_and_one_that_goes_is_told_so() {
    for (flexible, member_id) in [(false, "3"), (true, "runners_1a2b3c4d")] {
        let (server, host) = member(flexible, Vec::new(), |_| Answer::ok("{}")).await;
        host.protect(true).await.unwrap();
        let [put] = &sent(&server, "PUT")[..] else { panic!("one call") };
        assert_eq!(put.path, format!("{SET}/virtualMachines/{member_id}?api-version=2024-07-01"));
        let body: Value = serde_json::from_str(&put.body).unwrap();
        assert_eq!(
            body,
            json!({ "properties": { "protectionPolicy": { "protectFromScaleIn": true, "protectFromScaleSetActions": true } } })
        );
    }
    let inactive = "The provided instanceId 3 is not an active Virtual Machine Scale Set VM instanceId.";
    let (_server, host) = member(false, Vec::new(), |_| refused(400, "InvalidParameter", inactive)).await;
    assert_eq!(
        host.protect(true).await.unwrap_err().kind,
        CloudErrorKind::NotFound,
        "it leaves, and is not asked again"
    );
}

#[tokio::test]
async fn it_leaves_by_deleting_itself_and_nobody_else() {
    for (flexible, member_id) in [(false, "3"), (true, "runners_1a2b3c4d")] {
        let (server, host) = member(flexible, Vec::new(), |_| Answer::status(202, "")).await;
        host.leave(Leave::Decrement).await.unwrap();
        let deleted: Vec<String> = sent(&server, "DELETE").into_iter().map(|asked| asked.path).collect();
        assert_eq!(deleted, [format!("{SET}/virtualMachines/{member_id}?api-version=2024-07-01")], "sent once");
    }
}

#[tokio::test]
async fn past_its_scale_set_it_deletes_its_own_machine_and_one_that_is_gone_has_ended() {
    let answers = Arc::new(Lock::new(vec![Answer::status(404, ""), Answer::status(202, "")]));
    let (server, host) = member(true, Vec::new(), move |_| answers.lock().unwrap().pop().unwrap()).await;
    assert_eq!((host.terminate().await, host.terminate().await), (Ok(()), Ok(())));
    let path = &sent(&server, "DELETE")[0].path;
    assert!(
        path.contains("/Microsoft.Compute/virtualMachines/runners_1a2b3c4d?") && path.ends_with("&forceDeletion=true"),
        "{path}"
    );
}

#[tokio::test]
async fn a_delete_by_force_that_is_refused_names_the_right_that_it_needs() {
    for (flexible, right) in [
        (true, "Microsoft.Compute/virtualMachines/delete on the machine's resource group"),
        (false, "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/delete on the scale set"),
    ] {
        let (_server, host) = member(flexible, Vec::new(), |_| refused(403, "AuthorizationFailed", "no")).await;
        let error = host.terminate().await.unwrap_err();
        assert!(error.kind == CloudErrorKind::Denied && error.message.contains(right), "{error}");
    }
}

#[tokio::test]
async fn a_conflict_is_looked_at_and_what_waits_for_this_machine_alone_is_let_go_on() {
    let conflict = |_: &ReceivedRequest| refused(409, "Conflict", "another operation is in progress");
    for (resources, agreed) in [(vec!["runners_3"], 1), (vec!["runners_3", "runners_4"], 0), (vec!["runners_4"], 0)] {
        let (server, host) = member(false, vec![event("Reboot", &resources)], conflict).await;
        assert_eq!(host.leave(Leave::Decrement).await.unwrap_err().kind, CloudErrorKind::InProgress);
        assert_eq!(sent(&server, "POST").len(), agreed, "{resources:?}");
    }
}

#[tokio::test]
async fn an_ending_is_let_go_on_only_where_it_ends_nobody_else() {
    let (server, host) = member(false, vec![event("Terminate", &["runners_3"])], |_| Answer::ok("{}")).await;
    host.complete_hook().await.unwrap();
    let body: Value = serde_json::from_str(&sent(&server, "POST")[0].body).unwrap();
    assert_eq!(body, json!({ "StartRequests": [{ "EventId": "E-Terminate" }] }));
    for events in
        [vec![event("Terminate", &["runners_3", "runners_4"])], vec![event("Preempt", &["runners_3"])], vec![]]
    {
        let (server, host) = member(false, events, |_| Answer::ok("{}")).await;
        assert_eq!(host.complete_hook().await.unwrap_err().kind, CloudErrorKind::NothingHeld);
        assert_eq!(sent(&server, "POST").len(), 0);
    }
}

#[tokio::test]
async fn the_room_counts_who_counts_over_all_pages() {
    let (_server, host) = member(false, Vec::new(), |asked| {
        let one = |id: &str, state: &str| json!({ "instanceId": id, "properties": { "provisioningState": state } });
        let host = &asked.headers["host"];
        match asked.path.as_str() {
            "/page2" => Answer::ok(json!({ "value": [one("3", "Succeeded"), one("5", "Creating")] }).to_string()),
            path if path.contains("/virtualMachines?") => Answer::ok(
                json!({ "value": [one("1", "Succeeded"), one("2", "Deleting")], "nextLink": format!("http://{host}/page2") }).to_string(),
            ),
            _ => Answer::ok(json!({ "sku": { "capacity": 4 }, "tags": { "lightsout:floor": "2" } }).to_string()),
        }
    })
    .await;
    assert_eq!(host.group_size().await, Ok(GroupSize { desired: 4, min: 0, floor: 2, members: 3, rank: 1 }));
}

#[tokio::test]
async fn what_it_is_told_before_somebody_deletes_it_is_what_its_scale_set_says() {
    for (profile, seconds) in [
        (json!({ "enable": true, "notBeforeTimeout": "PT12M" }), Some(720)),
        (json!({ "enable": true }), Some(300)),
        (json!({ "enable": false, "notBeforeTimeout": "PT12M" }), None),
        (json!({ "enable": true, "notBeforeTimeout": "soon" }), None),
    ] {
        let set = json!({ "sku": { "capacity": 1 }, "properties": { "virtualMachineProfile": { "scheduledEventsProfile": { "terminateNotificationProfile": profile } } } });
        let (_server, host) = member(false, Vec::new(), move |_| Answer::ok(set.to_string())).await;
        let hook = host.find_hook().await.unwrap();
        assert_eq!(hook.map(|hook| hook.timeout.as_secs()), seconds);
    }
}

#[tokio::test]
async fn what_no_scale_set_has_is_held_by_nothing_and_asks_nobody() {
    let (server, host) = member(false, Vec::new(), |_| Answer::ok("{}")).await;
    for error in [
        host.extend_hook().await.unwrap_err(),
        host.complete_launch_hook().await.unwrap_err(),
        host.abandon_launch().await.unwrap_err(),
    ] {
        assert_eq!(error.kind, CloudErrorKind::NothingHeld);
    }
    assert!(host.report_unhealthy().await.is_err());
    host.record_reason("idle").await.unwrap();
    host.record_ready().await.unwrap();
    assert_eq!(sent(&server, "PATCH").len(), 0, "a member of a Uniform scale set has no tags");
}

/// Under the name that documents, the operator's commands and the settings from tags know.
#[tokio::test]
async fn a_member_of_a_flexible_scale_set_has_its_reason_as_a_tag_beside_its_others() {
    let (server, host) = member(true, Vec::new(), |_| Answer::ok("{}")).await;
    host.record_reason("idle: no job for 10m").await.unwrap();
    let [patch] = &sent(&server, "PATCH")[..] else { panic!("one call") };
    assert!(patch.path.contains("virtualMachines/runners_1a2b3c4d/providers/Microsoft.Resources/tags/default"));
    let body: Value = serde_json::from_str(&patch.body).unwrap();
    let tags = json!({ "tags": { "lightsout:why": "idle: no job for 10m" } });
    assert_eq!(body, json!({ "operation": "Merge", "properties": tags }));
    host.record_ready().await.unwrap();
    let body: Value = serde_json::from_str(&sent(&server, "PATCH")[1].body).unwrap();
    let at = body["properties"]["tags"]["lightsout:ready"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(Timestamp::now().duration_since(at).as_secs() < 60, "{body}");
}
