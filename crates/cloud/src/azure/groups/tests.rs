use lightsout_core::{cloud::Membership, record::LaunchTrouble, redact};
use lightsout_io::testing::{Answer, ReceivedRequest, Server};
use serde_json::{Value, json};

use super::*;
use crate::azure::tests::{SET, at, granted, refused};

/// A scale set as the Resource Manager describes one that suits.
fn set(capacity: u32) -> Value {
    json!({
        "name": "runners", "id": SET, "type": "Microsoft.Compute/virtualMachineScaleSets", "location": "westeurope",
        "etag": "\"7\"", "tags": { "team": "ci", "lightsout:floor": "3 2026-11-26T15:00:00Z" },
        "sku": { "name": "Standard_D4s_v5", "tier": "Standard", "capacity": capacity },
        "properties": {
            "orchestrationMode": "Flexible", "provisioningState": "Succeeded", "platformFaultDomainCount": 1,
            "virtualMachineProfile": { "priority": "Spot", "evictionPolicy": "Delete" }
        }
    })
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn look(groups: &AzureGroups) -> GroupView {
    groups.describe(&names(&[SET])).await.unwrap().remove(SET).unwrap().unwrap()
}

/// Answers everything but tokens so.
async fn answering(script: impl Fn(&ReceivedRequest) -> Answer + Send + Sync + 'static) -> (Server, AzureGroups) {
    let server = Server::start(move |asked, _| granted(asked).unwrap_or_else(|| script(asked))).await;
    let groups = AzureGroups::with(at(&server.url));
    (server, groups)
}

#[tokio::test]
async fn reads_what_a_raise_needs_to_know() {
    let (server, groups) = answering(|_| Answer::ok(set(2).to_string())).await;
    let floor = "3 2026-11-26T15:00:00Z".parse().unwrap();
    let expected = GroupView {
        name: SET.into(),
        max: 1000,
        desired: 2,
        floor,
        version: Some("\"7\"".into()),
        ..GroupView::default()
    };
    assert_eq!(look(&groups).await, expected);
    let asked = &server.seen()[1];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", format!("{SET}?api-version=2024-07-01").as_str()));
}

#[tokio::test]
async fn one_that_cannot_be_read_says_nothing_of_the_others() {
    let other = |name: &str| SET.replace("runners", name);
    let (_server, groups) = answering(|asked| match asked.path.as_str() {
        path if path.contains("/absent?") => refused(404, "ResourceNotFound", "no"),
        path if path.contains("/secret?") => refused(403, "AuthorizationFailed", "no"),
        path if path.contains("/odd?") => Answer::ok("{\"sku\":{}}"),
        _ => Answer::ok(set(2).to_string()),
    })
    .await;
    let (absent, secret, odd) = (other("absent"), other("secret"), other("odd"));
    let found = groups.describe(&names(&[SET, &absent, &secret, &odd, "no id"])).await.unwrap();
    assert!(!found.contains_key(&absent));
    assert_eq!(found[SET].as_ref().unwrap().desired, 2);
    assert_eq!(found[&secret].as_ref().unwrap_err().kind, CloudErrorKind::Denied);
    assert!(found[&odd].as_ref().unwrap_err().message.contains("no sku.capacity"), "an unreadable reply is not zero");
    assert!(found["no id"].as_ref().unwrap_err().message.contains("is no resource id of a scale set"));
}

#[test]
fn what_others_may_do_to_its_instances_is_doubted() {
    let doubts = |change: fn(&mut Value)| {
        let mut set = set(1);
        change(&mut set);
        let found: ScaleSet = serde_json::from_value(set).unwrap();
        let view = found.view(SET, None).unwrap();
        view.doubts.into_iter().map(|doubt| doubt.text).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(doubts(|_| {}), "");
    let uniform: fn(&mut Value) = |set| set["properties"]["orchestrationMode"] = "Uniform".into();
    assert!(doubts(uniform).contains("overprovision = false"), "it is on unless it says otherwise");
    for (change, said) in [
        (
            (|set| set["properties"]["upgradePolicy"] = json!({ "mode": "Rolling" })) as fn(&mut Value),
            "upgradePolicy.mode",
        ),
        (|set| set["properties"]["automaticRepairsPolicy"] = json!({ "enabled": true }), "automatic repairs"),
        (|set| set["properties"]["virtualMachineProfile"] = json!({ "priority": "Spot" }), "evictionPolicy = Delete"),
    ] {
        assert!(doubts(change).contains(said), "{said}");
    }
}

#[test]
fn how_large_it_may_be_is_known_and_that_it_goes_away() {
    let view = |properties: Value| {
        let found: ScaleSet =
            serde_json::from_value(json!({ "sku": { "capacity": 0 }, "properties": properties })).unwrap();
        found.view(SET, Some("\"header\"")).unwrap()
    };
    assert_eq!(view(json!({ "singlePlacementGroup": true })).max, 100);
    assert_eq!(view(json!({ "singlePlacementGroup": false })).max, 1000);
    assert_eq!(view(json!({})).version.as_deref(), Some("\"header\""));
    assert!(view(json!({ "provisioningState": "Deleting" })).unscalable.is_some());
    assert_eq!(view(json!({ "provisioningState": "Updating" })).unscalable, None, "no news");
}

#[tokio::test]
async fn a_raise_holds_only_for_what_was_seen() {
    let (server, groups) = answering(|asked| match asked.method.as_str() {
        "PATCH" if asked.headers["if-match"] != "\"7\"" => refused(412, "PreconditionFailed", "changed"),
        _ => Answer::ok(set(2).to_string()),
    })
    .await;
    let seen = look(&groups).await;
    groups.raise(&seen, 5).await.unwrap();
    let sent = server.seen().pop().unwrap();
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!(
        body,
        json!({ "sku": { "name": "Standard_D4s_v5", "tier": "Standard", "capacity": 5 } }),
        "nothing else is written"
    );
    let stale = GroupView { version: Some("\"6\"".into()), ..seen.clone() };
    assert_eq!(groups.raise(&stale, 5).await.unwrap_err().kind, CloudErrorKind::InProgress);
    let count = server.count();
    let unknown = GroupView { version: None, ..seen };
    assert!(groups.raise(&unknown, 5).await.unwrap_err().message.contains("etag"));
    assert_eq!(server.count(), count, "nothing was sent");
}

#[tokio::test]
async fn a_raise_that_fails_after_its_answer_is_found_out() {
    for (code, trouble) in [
        ("AllocationFailed", LaunchTrouble::Capacity),
        ("OverconstrainedZonalAllocationRequest", LaunchTrouble::Capacity),
        ("SkuNotAvailable", LaunchTrouble::Capacity),
        ("QuotaExceeded", LaunchTrouble::Quota),
        ("OSProvisioningTimedOut", LaunchTrouble::Other),
    ] {
        // The reason stands at the end of much.
        let words = format!("{}in zone 2", "words ".repeat(200));
        let message = redact(&format!("{code}: {words}"), 300);
        let (server, groups) = answering(move |asked| {
            let host = &asked.headers["host"];
            match (asked.method.as_str(), asked.path.as_str()) {
                ("PATCH", _) => Answer::with(202, ("azure-asyncoperation", &format!("http://{host}/op/1")), ""),
                (_, "/op/1") => Answer::ok(
                    json!({
                        "startTime": "2026-11-26T15:00:00Z", "status": "Failed",
                        "error": { "code": "Conflict", "message": "m", "details": [{ "code": code, "message": words }] }
                    })
                    .to_string(),
                ),
                _ => Answer::ok(set(2).to_string()),
            }
        })
        .await;
        assert_eq!(groups.history(SET).await.unwrap(), History::default(), "nothing was raised");
        let seen = look(&groups).await;
        groups.raise(&seen, 5).await.unwrap();
        assert!(message.ends_with(" in zone 2"), "{message}");
        let failed = FailedLaunch { time: "2026-11-26T15:00:00Z".into(), trouble, message };
        for _ in 0..2 {
            assert_eq!(groups.history(SET).await.unwrap().failed_launches, std::slice::from_ref(&failed));
        }
        assert_eq!(
            server.seen().iter().filter(|asked| asked.path == "/op/1").count(),
            1,
            "what is known is not asked again"
        );
    }
}

#[tokio::test]
async fn a_later_run_knows_the_last_raise_and_shows_a_stranger_no_token() {
    let (server, first) = answering(|asked| {
        let host = &asked.headers["host"];
        match (asked.method.as_str(), asked.path.as_str()) {
            ("PATCH", _) => Answer::with(202, ("azure-asyncoperation", &format!("http://{host}/op/1")), ""),
            (_, "/op/1") => {
                Answer::ok(r#"{"status":"Failed","error":{"code":"AllocationFailed","message":"none left"}}"#)
            }
            _ => Answer::ok(set(2).to_string()),
        }
    })
    .await;
    assert_eq!(first.memory(SET), None, "nothing was raised");
    let seen = look(&first).await;
    first.raise(&seen, 5).await.unwrap();
    let later = async |memory: &str| {
        let groups = AzureGroups::with(at(&server.url));
        groups.recall(SET, memory);
        groups.history(SET).await.unwrap().failed_launches
    };
    let memory = first.memory(SET).unwrap();
    let [failed] = &later(&memory).await[..] else { panic!("the raise is forgotten") };
    assert_eq!((failed.trouble, failed.message.as_str()), (LaunchTrouble::Capacity, "AllocationFailed: none left"));
    for odd in ["", "{}", &memory.replace(&server.url, "http://elsewhere.example")] {
        assert_eq!(later(odd).await, [], "{odd}");
    }
}

#[tokio::test]
async fn a_raise_that_runs_or_is_done_is_no_failure_and_a_stranger_gets_no_token() {
    for (location, asked_for) in [("/op/1", 2), ("http://elsewhere.example/op/1", 0)] {
        let (server, groups) = answering(move |asked| {
            let host = &asked.headers["host"];
            let url = if location.starts_with('/') { format!("http://{host}{location}") } else { location.to_owned() };
            match (asked.method.as_str(), asked.path.as_str()) {
                ("PATCH", _) => Answer::with(202, ("location", &url), ""),
                (_, "/op/1") => Answer::ok(r#"{"status":"InProgress"}"#),
                _ => Answer::ok(set(2).to_string()),
            }
        })
        .await;
        let seen = look(&groups).await;
        groups.raise(&seen, 5).await.unwrap();
        for _ in 0..2 {
            assert_eq!(groups.history(SET).await.unwrap(), History::default());
        }
        assert_eq!(server.seen().iter().filter(|asked| asked.path.contains("/op/")).count(), asked_for);
    }
}

#[tokio::test]
async fn a_floor_is_a_tag_beside_the_others() {
    let (server, groups) = answering(|_| Answer::ok("{}")).await;
    groups.leave_floor(SET, "4 2026-11-26T15:00:00Z".parse().unwrap()).await.unwrap();
    let sent = server.seen().pop().unwrap();
    let path = format!("{SET}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01");
    assert_eq!((sent.method.as_str(), sent.path), ("PATCH", path));
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!(
        body,
        json!({ "operation": "Merge", "properties": { "tags": { "lightsout:floor": "4 2026-11-26T15:00:00Z" } } })
    );
}

#[tokio::test]
async fn each_machine_that_counts_is_told_with_its_start_and_its_agents_sign() {
    let machine = |state: &str, tags: Value| json!({ "tags": tags, "properties": { "provisioningState": state, "timeCreated": "2026-11-26T03:00:00.5+00:00" } });
    let (server, groups) = answering(move |asked| {
        if !asked.path.contains("/Microsoft.Compute/virtualMachines?") {
            return Answer::ok(set(2).to_string());
        }
        let listed = [
            machine("Succeeded", json!({ "lightsout:ready": "2026-11-26T03:01:00Z" })),
            machine("Creating", json!({ "lightsout:ready": "soon" })),
            machine("Deleting", json!({})),
            json!({ "properties": { "provisioningState": "Succeeded" } }),
        ];
        Answer::ok(json!({ "value": listed }).to_string())
    })
    .await;
    assert_eq!(groups.members(SET).await.unwrap(), None, "of what kind it is was not seen");
    look(&groups).await;
    let at = |text: &str| text.parse().unwrap();
    let started = at("2026-11-26T03:00:00.5Z");
    let expected = [Member { started, ready: Some(at("2026-11-26T03:01:00Z")) }, Member { started, ready: None }];
    assert_eq!(groups.members(SET).await.unwrap().unwrap(), expected);
    let asked = server.seen().last().unwrap().path.clone();
    let decoded = asked.replace("%20", " ").replace("%27", "'");
    assert!(decoded.ends_with(&format!("&$filter='virtualMachineScaleSet/id' eq '{SET}'")), "{asked}");
}

/// They have no tags of their own.
#[tokio::test]
async fn of_a_uniform_scale_set_whoever_is_protected_has_had_an_agent() {
    let machine = |id: &str, state: &str, more: &Value| {
        let mut properties = json!({ "provisioningState": state, "timeCreated": "2026-11-26T03:00:00.5+00:00" });
        properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "instanceId": id, "name": format!("runners_{id}"), "properties": properties })
    };
    let protected = json!({ "protectionPolicy": { "protectFromScaleIn": true, "protectFromScaleSetActions": true } });
    let (server, groups) = answering(move |seen| {
        if !seen.path.contains("/virtualMachines?") {
            let mut set = set(2);
            set["properties"]["orchestrationMode"] = "Uniform".into();
            return Answer::ok(set.to_string());
        }
        let listed = [
            machine("1", "Succeeded", &protected),
            machine("2", "Updating", &json!({})),
            machine("3", "Deleting", &protected),
        ];
        Answer::ok(json!({ "value": listed }).to_string())
    })
    .await;
    assert_eq!(groups.members(SET).await.unwrap(), None, "of what kind it is was not seen");
    look(&groups).await;
    let started = "2026-11-26T03:00:00.5Z".parse().unwrap();
    let expected = [Member { started, ready: Some(started) }, Member { started, ready: None }];
    assert_eq!(groups.members(SET).await.unwrap().unwrap(), expected);
    assert!(server.seen().last().unwrap().path.contains("/virtualMachineScaleSets/runners/virtualMachines?"));
}

#[tokio::test]
async fn the_page_is_told_the_machines_of_flexible_scale_sets_with_what_their_agents_wrote_on_them() {
    let uniform = SET.replace("runners", "uniform");
    let (server, groups) = answering(|asked| {
        if asked.path.contains("/Microsoft.Compute/virtualMachines?") {
            let machine = |name: &str, state: &str, tags: Value| json!({ "name": name, "tags": tags, "properties": { "provisioningState": state } });
            let listed = [
                machine("ci_a", "Succeeded", json!({ "lightsout:ready": "2026-11-26T03:01:00Z" })),
                machine("ci_b", "Creating", json!({})),
                machine("ci_c", "Deleting", json!({ "lightsout:why": "idle: nothing ran" })),
            ];
            return Answer::ok(json!({ "value": listed }).to_string());
        }
        let mut set = set(2);
        if asked.path.contains("uniform") {
            set["properties"]["orchestrationMode"] = "Uniform".into();
        }
        Answer::ok(set.to_string())
    })
    .await;
    let names = names(&[SET, &uniform]);
    groups.describe(&names).await.unwrap();
    let (calls, listing) = (server.count(), groups.listing(&names).await.unwrap());
    assert_eq!((listing.len(), server.count() - calls), (1, 1), "of the Uniform one nobody asks");
    assert_eq!(
        *listing[SET].as_ref().unwrap(),
        [
            Listed {
                ready: "2026-11-26T03:01:00Z".parse().ok(),
                ..Listed::new("ci_a", Membership::InService { protected: false })
            },
            Listed::new("ci_b", Membership::Pending { waiting: false }),
            Listed {
                why: Some("idle: nothing ran".into()),
                ..Listed::new("ci_c", Membership::Terminating { waiting: false })
            },
        ]
    );
}
