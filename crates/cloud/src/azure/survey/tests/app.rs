//! A function app that is the scaler, and what its identity may do.

use std::{collections::BTreeSet, time::Duration};

use lightsout_core::{
    doctor::facts::{FunctionFacts, Schedule},
    settings::SecretSource,
};

use super::*;
use crate::{FunctionSeen, WantedFunction};

const APP: &str =
    "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/ci/providers/Microsoft.Web/sites/ci-scaler";

fn app(state: &str, identity: &Value) -> Value {
    json!({ "name": "ci-scaler", "properties": { "state": state }, "identity": identity })
}

fn own() -> Value {
    json!({ "type": "SystemAssigned", "principalId": "p-own" })
}

fn timer(schedule: &str, off: bool) -> Value {
    let bindings = [json!({ "type": "timerTrigger", "schedule": schedule })];
    let webhook =
        json!({ "name": "ci-scaler/webhook", "properties": { "config": { "bindings": [{ "type": "httpTrigger" }] } } });
    let scale =
        json!({ "name": "ci-scaler/scale", "properties": { "isDisabled": off, "config": { "bindings": bindings } } });
    json!({ "value": [webhook, scale] })
}

fn vault(properties: &Value) -> Value {
    let id = format!("{SUBSCRIPTION}/resourceGroups/secrets/providers/Microsoft.KeyVault/vaults/acme");
    let mut told = json!({ "vaultUri": "https://acme.vault.azure.net/" });
    told.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    json!({ "value": [{ "id": id, "name": "acme", "properties": told }] })
}

fn settings(more: &Value) -> Value {
    let insights = "InstrumentationKey=k;IngestionEndpoint=https://x/;ApplicationId=app-1";
    let mut all = json!({ "APPLICATIONINSIGHTS_CONNECTION_STRING": insights });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "properties": all })
}

/// What is found where a call whose address has this in it is answered so, and the rest as of a sound app.
async fn found_of(told: Vec<(&'static str, Value)>) -> (Server, FunctionSeen) {
    let server = Server::start(move |asked, _| {
        if let Some(token) = granted(asked) {
            return token;
        }
        let path = asked.path.as_str();
        let reads = asked.method == "GET" || path.contains("/config/appsettings/list?") || path == "/v1/apps/app-1/query";
        assert!(reads, "it changes nothing: {} {path}", asked.method);
        let answer = told.iter().find(|(part, _)| path.contains(part)).map(|(_, answer)| answer.clone());
        let answer = answer.unwrap_or_else(|| {
            if path.contains("/sites/ci-scaler?") {
                app("Running", &own())
            } else if path.contains("/functions?") {
                timer("0 * * * * *", false)
            } else if path.contains("/appsettings/list?") {
                settings(&json!({}))
            } else if path == "/v1/apps/app-1/query" {
                json!({ "tables": [{ "name": "PrimaryResult", "rows": [] }] })
            } else if path.contains("/Microsoft.KeyVault/vaults?") {
                vault(&json!({ "enableRbacAuthorization": true }))
            } else if path.contains("/roleAssignments?") {
                json!({ "value": [assigned("all", SUBSCRIPTION, &Value::Null)] })
            } else if path.starts_with("/roles/") {
                json!({ "properties": { "permissions": [{ "actions": ["*"], "dataActions": ["Microsoft.KeyVault/vaults/secrets/*"] }] } })
            } else {
                set("Flexible")
            }
        });
        match answer["status"].as_u64() {
            Some(404) => refused(404, "ResourceNotFound", "no"),
            Some(_) => refused(403, "AuthorizationFailed", "no"),
            None => Answer::ok(answer.to_string()),
        }
    })
    .await;
    let wanted = WantedFunction {
        name: APP.into(),
        groups: vec![SET.into()],
        secrets: vec![
            SecretSource::KeyVault("https://acme.vault.azure.net/secrets/t".into()),
            SecretSource::Env("T".into()),
        ],
    };
    let seen = crate::azure::survey::app::look(&at(&server.url), &wanted).await;
    (server, seen)
}

async fn facts(told: Vec<(&'static str, Value)>) -> FunctionFacts {
    found_of(told).await.1.0.unwrap().unwrap()
}

async fn role(told: Vec<(&'static str, Value)>) -> RoleFacts {
    let mut roles = found_of(told).await.1.1;
    assert!(roles.len() == 1 && roles[0].of_scaler, "{roles:?}");
    roles.remove(0)
}

#[tokio::test]
async fn a_sound_app_is_found_so() {
    let (server, (function, roles)) = found_of(Vec::new()).await;
    let schedule = Schedule {
        name: "scale".into(),
        when: "0 * * * * *".into(),
        enabled: true,
        every: Some(Duration::from_secs(60)),
    };
    let wanted = FunctionFacts {
        name: "ci-scaler".into(),
        timeout: Some(Ok(Duration::from_secs(58))),
        errors: Some(Ok(Vec::new())),
        schedules: Some(Ok(vec![schedule])),
        ..FunctionFacts::default()
    };
    assert_eq!(function, Ok(Some(wanted)));
    assert_eq!((roles[0].name.as_str(), lacks(&roles[0])), ("its own identity", Vec::new()));
    let query = server.seen().into_iter().find(|asked| asked.path.ends_with("/query")).unwrap();
    for table in ["traces", "exceptions", "requests"] {
        assert!(query.body.contains(&format!("({table} | where timestamp > ago(1h)")), "{}", query.body);
    }
}

#[tokio::test]
async fn an_app_that_is_absent_stopped_or_empty_is_told_from_one_that_may_not_be_seen() {
    assert_eq!(found_of(vec![("/sites/ci-scaler?", json!({ "status": 404 }))]).await.1, (Ok(None), Vec::new()));
    let why = found_of(vec![("/sites/ci-scaler?", denied())]).await.1.0.unwrap_err();
    assert!(why.contains("Microsoft.Web/sites/read"), "{why}");
    let stopped = facts(vec![("/sites/ci-scaler?", app("Stopped", &own()))]).await;
    assert!(stopped.inactive.unwrap().contains("Stopped"));
    let empty = facts(vec![("/functions?", json!({ "value": [] }))]).await;
    assert!(empty.inactive.unwrap().contains("deployed"));
    let unseen = facts(vec![("/functions?", denied())]).await;
    assert_eq!(unseen.inactive, None, "what may not be seen is not called absent");
    assert!(unseen.schedules.unwrap().unwrap_err().contains("Microsoft.Web/sites/functions/read"));
}

#[tokio::test]
async fn what_begins_an_invocation_and_for_how_long_it_may_run_is_told() {
    for (when, seconds) in [
        ("0 */10 * * * *", Some(600)),
        ("30 0 */2 * * *", Some(7200)),
        ("*/15 * * * * *", Some(15)),
        ("0 0 9 * * 1-5", None),
        ("00:01:00", None),
    ] {
        let schedules = facts(vec![("/functions?", timer(when, false))]).await.schedules.unwrap().unwrap();
        assert_eq!(schedules[0].every, seconds.map(Duration::from_secs), "{when}");
    }
    let off = json!({ "AzureWebJobs.scale.Disabled": "true", "AzureFunctionsJobHost__functionTimeout": "00:00:05" });
    let found = facts(vec![("/appsettings/list?", settings(&off))]).await;
    assert!(!found.schedules.unwrap().unwrap()[0].enabled);
    assert_eq!(found.timeout, Some(Ok(Duration::from_secs(5))));
    assert!(!facts(vec![("/functions?", timer("0 * * * * *", true))]).await.schedules.unwrap().unwrap()[0].enabled);
    for unbounded in ["-1", "00:10:00", "soon"] {
        let set = settings(&json!({ "AzureFunctionsJobHost__functionTimeout": unbounded }));
        let found = facts(vec![("/appsettings/list?", set)]).await.timeout;
        assert_eq!(found, Some(Ok(Duration::from_secs(58))), "{unbounded}");
    }
    let unseen = facts(vec![("/appsettings/list?", denied())]).await.timeout.unwrap().unwrap_err();
    assert!(unseen.contains("Microsoft.Web/sites/config/list/action"), "{unseen}");
}

#[tokio::test]
async fn the_last_failures_are_read_from_the_log_that_its_settings_name() {
    let line = r#"{"level":"ERROR","message":"the invocation failed","error":"ci: 401"}"#;
    let rows = json!({ "tables": [{ "rows": [["Timeout value of 00:05:00 was exceeded\nby it"], [line]] }] });
    let errors = facts(vec![("/v1/apps/app-1/query", rows)]).await.errors.unwrap().unwrap();
    assert_eq!(errors, ["the invocation failed: ci: 401", "Timeout value of 00:05:00 was exceeded"], "newest last");
    for (told, why) in [
        (("/v1/apps/app-1/query", denied()), "Microsoft.Insights/components/query/read"),
        (("/v1/apps/app-1/query", json!({ "tables": [] })), "no rows"),
        (("/appsettings/list?", denied()), "Microsoft.Web/sites/config/list/action"),
        (("/appsettings/list?", json!({ "properties": {} })), "nobody keeps its log"),
        (
            (
                "/appsettings/list?",
                settings(&json!({ "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=k" })),
            ),
            "no ApplicationId",
        ),
    ] {
        let said = facts(vec![told]).await.errors.unwrap().unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}

/// The scaler's roles of the module, by which a Flexible scale set, a Uniform one, and images of both kinds can be raised.
const MODULE: &str = include_str!("../../../../../../terraform/azure/roles.tf");

#[tokio::test]
async fn the_scaler_needs_what_the_module_gives_it() {
    let managed = format!("{SUBSCRIPTION}/resourceGroups/ci/providers/Microsoft.Compute/images/runner");
    let with_image = |id: &str| {
        let mut set = set("Flexible");
        set["properties"]["virtualMachineProfile"]["storageProfile"]["imageReference"]["id"] = json!(id);
        set
    };
    let version = format!("{IMAGE}/versions/1.9.0");
    let mut asked = BTreeSet::new();
    for (set, image) in [
        (set("Flexible"), Some((IMAGE, "galleries/images/versions/read"))),
        (with_image(&version), Some((IMAGE, "galleries/images/read"))),
        (with_image(&managed), Some((managed.as_str(), "images/read"))),
        (set("Uniform"), None),
    ] {
        let flexible = image.is_some();
        let nothing = ("/roleAssignments?", json!({ "value": [] }));
        let missing = role(vec![("/virtualMachineScaleSets/runners?", set), nothing]).await.difference.unwrap().missing;
        let on = |what: &str, scope: &str| {
            missing.iter().any(|it| it.action == format!("Microsoft.{what}") && it.resource == scope)
        };
        assert!(on("Compute/locations/operations/read", SET), "{missing:?}");
        assert_eq!(on("Compute/virtualMachineScaleSets/virtualMachines/read", SET), !flexible, "{missing:?}");
        assert_eq!(on("Network/virtualNetworks/subnets/read", SUBNET), flexible, "{missing:?}");
        for identity in ["agent", "other"] {
            let id = format!(
                "{SUBSCRIPTION}/resourceGroups/ci/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity}"
            );
            assert_eq!(on("ManagedIdentity/userAssignedIdentities/read", &id), flexible, "{missing:?}");
        }
        if let Some((scope, action)) = image {
            assert!(on(&format!("Compute/{action}"), scope), "{missing:?}");
        }
        asked.extend(missing.into_iter().map(|it| it.action));
    }
    asked.remove("Microsoft.KeyVault/vaults/secrets/getSecret/action");
    let given = MODULE.split_once("\"azurerm_role_definition\" \"scaler\"").unwrap().1;
    let given = given.split('"').filter(|it| it.starts_with("Microsoft.")).map(str::to_owned);
    assert_eq!(asked, given.collect());
}

#[tokio::test]
async fn the_identity_that_the_scaler_takes_is_the_one_that_is_judged() {
    let (one, two) = (("/x/one", ("c-one", "p-one")), ("/x/two", ("c-two", "p-two")));
    let assigned = |those: &[(&str, (&str, &str))]| {
        let those = those.iter().map(|(id, (client, principal))| {
            ((*id).to_owned(), json!({ "clientId": client, "principalId": principal }))
        });
        json!({ "userAssignedIdentities": those.collect::<serde_json::Map<_, _>>() })
    };
    let both = |mut identity: Value| {
        identity["principalId"] = json!("p-own");
        identity
    };
    let site = |identity: &Value| ("/sites/ci-scaler?", app("Running", identity));
    let set_to = |more: &Value| ("/appsettings/list?", settings(more));
    let nothing = || ("/roleAssignments?", json!({ "value": [] }));
    let named = || set_to(&json!({ "AZURE_CLIENT_ID": "C-TWO" }));
    for (identity, settings, name) in [
        (assigned(&[one, two]), named(), "two"),
        (both(assigned(&[one, two])), named(), "two"),
        (both(assigned(&[one])), set_to(&json!({})), "its own identity"),
        (own(), set_to(&json!({ "AZURE_CLIENT_ID": " " })), "its own identity"),
    ] {
        let judged = role(vec![site(&identity), settings.clone()]).await;
        assert_eq!((judged.name.as_str(), lacks(&judged)), (name, Vec::new()));
        let judged = role(vec![site(&identity), settings, nothing()]).await;
        assert!(lacks(&judged).contains(&"Microsoft.Compute/virtualMachineScaleSets/write"), "{judged:?}");
    }
    // Without a name Azure takes the app's own, also where another is the only one.
    for (identity, settings, why) in [
        (Value::Null, set_to(&json!({})), "no identity"),
        (assigned(&[one]), named(), "none that AZURE_CLIENT_ID names"),
        (assigned(&[one]), set_to(&json!({})), "AZURE_CLIENT_ID must name"),
        (assigned(&[one, two]), set_to(&json!({})), "AZURE_CLIENT_ID must name"),
    ] {
        let judged = role(vec![site(&identity), settings]).await;
        assert!(judged.name.contains(why), "{judged:?}");
        assert!(lacks(&judged).contains(&"Microsoft.Compute/virtualMachineScaleSets/write"), "{judged:?}");
    }
    // Which one it is, nobody may see, or it is none of the app's.
    let secret = || set_to(&json!({ "AZURE_CLIENT_ID": "c-two", "AZURE_CLIENT_SECRET": "s" }));
    for identity in [Value::Null, own(), assigned(&[two]), both(assigned(&[one]))] {
        let unseen = role(vec![site(&identity), ("/appsettings/list?", denied())]).await.difference.unwrap_err();
        assert!(unseen.contains("Microsoft.Web/sites/config/list/action"), "{unseen}");
        let principal = role(vec![site(&identity), secret()]).await.difference.unwrap_err();
        assert!(principal.contains("AZURE_CLIENT_SECRET"), "{principal}");
    }
}

#[tokio::test]
async fn a_secret_is_reached_by_a_role_on_its_vault_or_by_the_vaults_own_policy() {
    const READ: &str = "Microsoft.KeyVault/vaults/secrets/getSecret/action";
    let vaults = |properties: &Value| ("/Microsoft.KeyVault/vaults?", vault(properties));
    let policy =
        |what: &str| json!({ "accessPolicies": [{ "objectId": "P-OWN", "permissions": { "secrets": [what] } }] });
    assert!(lacks(&role(vec![vaults(&policy("Get"))]).await).is_empty());
    assert_eq!(lacks(&role(vec![vaults(&policy("list"))]).await), [READ], "a role is nothing where policies count");
    let owner = json!({ "properties": { "permissions": [{ "actions": ["*"] }] } });
    assert_eq!(lacks(&role(vec![("/roles/", owner)]).await), [READ], "an owner reads no data");
    let elsewhere = role(vec![("/Microsoft.KeyVault/vaults?", json!({ "value": [] }))]).await.difference.unwrap();
    assert!(elsewhere.missing.is_empty() && elsewhere.conditional[0].resource.contains("acme"), "{elsewhere:?}");
    let vault = format!("{SUBSCRIPTION}/resourceGroups/secrets/providers/Microsoft.KeyVault/vaults/acme");
    for (secret, there) in [("T", true), ("t2", false)] {
        let on_it = json!({ "value": [
            assigned("all", &format!("{SUBSCRIPTION}/resourceGroups/ci"), &Value::Null),
            assigned("all", &format!("{vault}/secrets/{secret}"), &Value::Null),
        ] });
        let missing =
            lacks(&role(vec![("/vaults/acme/secrets/t/providers/Microsoft.Authorization/", on_it)]).await).len();
        assert_eq!(missing == 0, there, "a role on the secret {secret} itself");
    }
    // By its address: in another of Azure's clouds there is another vault of that name.
    let foreign = json!({ "vaultUri": "https://acme.vault.azure.cn/", "enableRbacAuthorization": true });
    let foreign = role(vec![vaults(&foreign)]).await.difference.unwrap();
    assert!(
        foreign.missing.is_empty() && foreign.conditional[0].resource.contains("acme.vault.azure.net"),
        "{foreign:?}"
    );
    // Whether the identity is in a group that a policy names, only its directory knows.
    for (what, told) in [("Get", true), ("list", false)] {
        let of_others = json!({ "accessPolicies": [{ "objectId": "a group", "permissions": { "secrets": [what] } }] });
        let found = role(vec![vaults(&of_others)]).await.difference.unwrap();
        assert_eq!((found.missing.is_empty(), found.conditional.len()), (told, usize::from(told)), "{found:?}");
    }
}

/// What the agents must read is known with their settings.
#[tokio::test]
async fn identities_of_machines_are_judged_by_the_secrets_of_their_agents_too() {
    let server = Server::start(|asked, _| {
        granted(asked).unwrap_or_else(|| {
            let path = asked.path.as_str();
            Answer::ok(
                if path.contains("/roleAssignments?") {
                    json!({ "value": [assigned("all", SUBSCRIPTION, &Value::Null)] })
                } else if path.starts_with("/roles/") {
                    json!({ "properties": { "permissions": [{ "actions": ["*"] }] } })
                } else if path.contains("/Microsoft.KeyVault/vaults?") {
                    vault(&json!({ "enableRbacAuthorization": true }))
                } else if path.contains("/virtualMachineScaleSets/runners?") {
                    set("Flexible")
                } else {
                    json!({ "value": [] })
                }
                .to_string(),
            )
        })
    })
    .await;
    let secrets = [SecretSource::KeyVault("https://ACME.vault.azure.net/secrets/t".into())];
    let facts = look(&at(&server.url), SET, None, &secrets).await;
    let missing: Vec<Vec<&str>> = facts.scale_set.as_ref().unwrap().roles.iter().map(lacks).collect();
    assert_eq!(missing, [["Microsoft.KeyVault/vaults/secrets/getSecret/action"]; 2]);
}
