use lightsout_core::doctor::facts::{ScaleSetModel, SpotModel};
use lightsout_io::testing::{Answer, ReceivedRequest, Server};
use serde_json::{Value, json};

use super::*;
use crate::azure::{
    host::tests::compute,
    tests::{SET, at, granted, refused},
};

/// A scale set that suits.
fn sound() -> Value {
    json!({
        "sku": { "capacity": 1 },
        "properties": {
            "orchestrationMode": "Flexible", "upgradePolicy": { "mode": "Manual" },
            "virtualMachineProfile": {
                "priority": "Regular",
                "scheduledEventsProfile": { "terminateNotificationProfile": { "enable": true, "notBeforeTimeout": "PT15M" } }
            }
        }
    })
}

fn role(actions: &[&str], not: &[&str]) -> Value {
    json!({ "actions": actions, "notActions": not, "dataActions": [], "notDataActions": [] })
}

/// What a diagnosis finds where Azure answers so; `None`: as on a sound machine.
async fn found(
    flexible: bool,
    script: impl Fn(&ReceivedRequest) -> Option<Answer> + Send + Sync + 'static,
) -> CloudFacts {
    let server = Server::start(move |asked, _| {
        assert!(asked.method == "GET", "it changes nothing: {} {}", asked.method, asked.path);
        if let Some(answer) = script(asked) {
            return answer;
        }
        granted(asked).unwrap_or_else(|| {
            let path = asked.path.as_str();
            Answer::ok(if path.starts_with("/metadata/instance/") {
                compute(flexible)
            } else if path.starts_with("/metadata/scheduledevents") {
                json!({ "DocumentIncarnation": 1, "Events": [] }).to_string()
            } else if path.contains("/Microsoft.Authorization/permissions?api-version=2022-04-01") {
                json!({ "value": [role(&["*"], &[])] }).to_string()
            } else if path.contains("/Microsoft.Insights/autoscaleSettings?api-version=2022-10-01") {
                json!({ "value": [] }).to_string()
            } else if path.contains("/virtualMachines/") {
                let policy = json!({ "protectFromScaleIn": true, "protectFromScaleSetActions": true });
                json!({ "properties": { "latestModelApplied": true, "protectionPolicy": policy } }).to_string()
            } else {
                sound().to_string()
            })
        })
    })
    .await;
    AzureHost::with(at(&server.url), Metadata::new(&server.url)).diagnose().await
}

type Change = fn(&mut Value);

async fn model(change: Change) -> ScaleSetModel {
    let facts = found(true, move |asked| {
        let mut set = sound();
        change(&mut set["properties"]);
        asked
            .path
            .ends_with("/virtualMachineScaleSets/runners?api-version=2024-07-01")
            .then(|| Answer::ok(set.to_string()))
    })
    .await;
    facts.scale_set.unwrap().model.unwrap().unwrap()
}

fn sound_model() -> ScaleSetModel {
    ScaleSetModel {
        upgrade_mode: "Manual".into(),
        terminate_notice: Some(std::time::Duration::from_secs(900)),
        ..ScaleSetModel::default()
    }
}

#[tokio::test]
async fn a_sound_machine_is_found_so() {
    for (flexible, rights) in [(true, 6), (false, 4)] {
        let facts = found(flexible, |_| None).await;
        let expected = ScaleSetFacts {
            identity: Some(Ok(())),
            membership: Some(Ok(Membership::InService { protected: true })),
            latest_model: Some(Ok(Some(true))),
            model: Some(Ok(sound_model())),
            autoscale: Some(Ok(Vec::new())),
            ..ScaleSetFacts::default()
        };
        assert_eq!(facts.scale_set, Some(expected));
        assert_eq!(facts.group_name.as_deref(), Some(SET));
        assert!(facts.rights.len() == rights && facts.rights.iter().all(|(_, has)| *has == Ok(true)), "{facts:?}");
    }
}

#[tokio::test]
async fn how_a_scale_set_is_set_up_is_read_and_what_it_leaves_out_is_azures_default() {
    type Change = fn(&mut Value);
    let spot = |deletes, restores| Some(SpotModel { deletes, restores });
    let sound = sound_model;
    let cases: [(Change, ScaleSetModel); 8] = [
        (|set| set["orchestrationMode"] = "Uniform".into(), ScaleSetModel { overprovisions: true, ..sound() }),
        (|set| (set["orchestrationMode"], set["overprovision"]) = ("Uniform".into(), false.into()), sound()),
        (|set| set["automaticRepairsPolicy"] = json!({ "enabled": true }), ScaleSetModel { repairs: true, ..sound() }),
        (
            |set| {
                set["upgradePolicy"] =
                    json!({ "mode": "Rolling", "automaticOSUpgradePolicy": { "enableAutomaticOSUpgrade": true } });
            },
            ScaleSetModel { upgrade_mode: "Rolling".into(), upgrades_images: true, ..sound() },
        ),
        (|set| set["upgradePolicy"] = Value::Null, sound()),
        (
            |set| set["virtualMachineProfile"] = json!({ "priority": "Spot" }),
            ScaleSetModel { spot: spot(false, false), terminate_notice: None, ..sound() },
        ),
        (
            |set| {
                set["virtualMachineProfile"] = json!({ "priority": "Spot", "evictionPolicy": "Delete" });
                set["spotRestorePolicy"] = json!({ "enabled": true, "restoreTimeout": "PT1H" });
            },
            ScaleSetModel { spot: spot(true, true), terminate_notice: None, ..sound() },
        ),
        (
            |set| set["virtualMachineProfile"]["scheduledEventsProfile"] = Value::Null,
            ScaleSetModel { terminate_notice: None, ..sound() },
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(model(change).await, expected);
    }
}

#[tokio::test]
async fn without_an_identity_that_is_said_and_nothing_else_is_asked() {
    let facts = found(true, |asked| {
        let why = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
        asked.path.starts_with("/metadata/identity/").then(|| Answer::status(400, why))
    })
    .await;
    let scale_set = facts.scale_set.unwrap();
    assert!(scale_set.identity.unwrap().unwrap_err().contains("Identity not found"));
    assert_eq!((scale_set.model, facts.rights), (None, Vec::new()));
}

#[tokio::test]
async fn autoscale_counts_where_it_is_on_and_for_this_scale_set_on_every_page() {
    let setting = |name: &str, enabled: Value, target: &str| json!({ "name": name, "properties": { "enabled": enabled, "targetResourceUri": target, "profiles": [] } });
    let here = SET.to_ascii_uppercase().replace("/SUBSCRIPTIONS/", "/subscriptions/");
    let facts = found(true, move |asked| {
        let host = &asked.headers["host"];
        if asked.path == "/page2" {
            return Some(Answer::ok(
                json!({ "value": [setting("unsaid", Value::Null, SET)], "nextLink": "" }).to_string(),
            ));
        }
        asked.path.contains("/autoscaleSettings?").then(|| {
            let first = [
                setting("by-cpu", true.into(), &here),
                setting("off", false.into(), SET),
                setting("another", true.into(), &SET.replace("runners", "web")),
                setting(
                    "no-set",
                    true.into(),
                    "/subscriptions/s/resourceGroups/ci/providers/Microsoft.Web/serverFarms/plan",
                ),
            ];
            Answer::ok(json!({ "value": first, "nextLink": format!("http://{host}/page2") }).to_string())
        })
    })
    .await;
    assert_eq!(facts.scale_set.unwrap().autoscale, Some(Ok(vec!["by-cpu".into(), "unsaid".into()])));
    let stranger = r#"{"value":[],"nextLink":"http://elsewhere.example/page2"}"#;
    let facts =
        found(true, move |asked| asked.path.contains("/autoscaleSettings?").then(|| Answer::ok(stranger))).await;
    assert!(facts.scale_set.unwrap().autoscale.unwrap().is_err(), "half of a list is none");
}

#[tokio::test]
async fn rights_are_what_the_roles_together_allow() {
    let facts = found(true, |asked| {
        let on_machine = asked.path.contains("/virtualMachines/");
        asked.path.contains("/permissions?").then(|| {
            let roles = if on_machine {
                vec![role(&["microsoft.compute/virtualmachines/*"], &["Microsoft.Compute/virtualMachines/delete"])]
            } else {
                vec![role(&["*/read"], &[]), role(&["Microsoft.Compute/*"], &["*/write"])]
            };
            Answer::ok(json!({ "value": roles }).to_string())
        })
    })
    .await;
    let rights: Vec<bool> = facts.rights.iter().map(|(_, has)| has.clone().unwrap()).collect();
    assert_eq!(rights, [true, true, false, true, false, false], "{:?}", facts.rights);
}

#[tokio::test]
async fn what_is_denied_is_not_known_and_names_the_right() {
    let facts = found(true, |asked| {
        let denied = ["/permissions?", "/autoscaleSettings?", "/virtualMachineScaleSets/runners?"];
        denied.iter().any(|part| asked.path.contains(part)).then(|| refused(403, "AuthorizationFailed", "no"))
    })
    .await;
    let scale_set = facts.scale_set.unwrap();
    for (why, right) in [
        (scale_set.model.unwrap().unwrap_err(), "Microsoft.Compute/virtualMachineScaleSets/read on the scale set"),
        (
            scale_set.autoscale.unwrap().unwrap_err(),
            "Microsoft.Insights/autoscaleSettings/read on the scale set's resource group",
        ),
        (facts.rights[0].1.clone().unwrap_err(), "Microsoft.Authorization/permissions/read"),
    ] {
        assert!(why.contains(right), "{why}");
    }
    assert_eq!((scale_set.identity, facts.rights.len()), (Some(Ok(())), 2));
}
