use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use lightsout_io::testing::{Answer, ReceivedRequest, Server};
use serde_json::{Value, json};

use super::*;
use crate::azure::tests::{SET, at, granted, refused};

mod app;
mod starting;

const IMAGE: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/images/providers/Microsoft.Compute/galleries/ci/images/runner";
const SUBNET: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/ci/providers/Microsoft.Network/virtualNetworks/ci/subnets/runners";
const SUBSCRIPTION: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333";

fn set(kind: &str) -> Value {
    let identity = |name: &str, principal: &str| {
        let id = format!(
            "{SUBSCRIPTION}/resourceGroups/ci/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
        );
        (id, json!({ "principalId": principal, "clientId": "c" }))
    };
    let identities: serde_json::Map<_, _> =
        [identity("agent", "p-agent"), identity("other", "p-other")].into_iter().collect();
    json!({
        "location": "westeurope",
        "zones": ["1"],
        "sku": { "name": "Standard_D4s_v5", "capacity": 2 },
        "identity": { "type": "UserAssigned", "userAssignedIdentities": identities },
        "properties": {
            "orchestrationMode": kind,
            "overprovision": false,
            "virtualMachineProfile": {
                "priority": "Regular",
                "storageProfile": { "imageReference": { "id": IMAGE } },
                "networkProfile": { "networkInterfaceConfigurations": [{ "properties": {
                    "ipConfigurations": [{ "properties": { "subnet": { "id": SUBNET } } }],
                } }] },
            },
        },
    })
}

/// The size of its machines, as it is offered to the subscription.
fn size(restrictions: &Value) -> Value {
    json!({
        "resourceType": "virtualMachines",
        "name": "Standard_D4s_v5",
        "family": "standardDSv5Family",
        "locationInfo": [{ "location": "westeurope", "zones": ["1", "2"] }],
        "capabilities": [{ "name": "vCPUs", "value": "4" }],
        "restrictions": restrictions,
    })
}

fn member(name: &str, more: &Value) -> Value {
    json!({ "name": name, "instanceId": name, "properties": more })
}

/// A role on a scope, as it is listed.
fn assigned(role: &str, scope: &str, condition: &Value) -> Value {
    json!({ "properties": { "roleDefinitionId": format!("/roles/{role}"), "scope": scope, "condition": condition } })
}

/// What is found where Azure answers so; `None`: as of a sound scale set with two machines.
async fn found(
    kind: &'static str,
    script: impl Fn(&ReceivedRequest) -> Option<Value> + Send + Sync + 'static,
) -> (Server, CloudFacts) {
    let server = Server::start(move |asked, _| {
        assert!(asked.method == "GET", "it changes nothing: {} {}", asked.method, asked.path);
        if let Some(token) = granted(asked) {
            return token;
        }
        let answer = script(asked).unwrap_or_else(|| {
            let path = asked.path.as_str();
            if path.contains("/roleAssignments?") {
                json!({ "value": [assigned("agent", SUBSCRIPTION, &Value::Null)] })
            } else if path.starts_with("/roles/") {
                json!({ "properties": { "permissions": [{ "actions": ["*"], "notActions": [] }] } })
            } else if path.starts_with(&format!("{SUBSCRIPTION}/providers/Microsoft.Insights/autoscaleSettings?")) {
                json!({ "value": [] })
            } else if path.contains("/skus?") {
                json!({ "value": [size(&json!([]))] })
            } else if path.contains("/locations/westeurope/usages?") {
                let usage = |name: &str, said: &str, limit: u32, used: u32| {
                    json!({ "name": { "value": name, "localizedValue": said }, "limit": limit, "currentValue": used })
                };
                let spot = usage("lowPriorityCores", "Spot", 3, 0);
                json!({ "value": [usage("cores", "All of them", 100, 12), usage("standardDSv5Family", "Dsv5", 40, 8), spot] })
            } else if path.contains("/virtualNetworks/ci/usages?") {
                json!({ "value": [{ "id": SUBNET, "currentValue": 2.0, "limit": 251.0 }] })
            } else if path.starts_with(&format!("{IMAGE}/versions?")) {
                json!({ "value": [starting::version("1.9.0", &json!({})), starting::version("1.10.0", &json!({}))] })
            } else if path.contains("/virtualMachines?") {
                json!({ "value": [{ "name": "a" }, { "name": "b" }] })
            } else if path.contains("/virtualMachines/") {
                member("x", &json!({ "latestModelApplied": true }))
            } else {
                set(kind)
            }
        });
        if let Some(status) = answer["status"].as_u64() {
            refused(u16::try_from(status).unwrap(), if status == 404 { "NotFound" } else { "AuthorizationFailed" }, "no")
        } else {
            Answer::ok(answer.to_string())
        }
    })
    .await;
    let facts = look(&at(&server.url), SET, Some(20), &[]).await;
    (server, facts)
}

fn denied() -> Value {
    json!({ "status": 403 })
}

fn lacks(role: &RoleFacts) -> Vec<&str> {
    role.difference.as_ref().unwrap().missing.iter().map(|finding| finding.action.as_str()).collect()
}

#[tokio::test]
async fn a_sound_scale_set_is_found_so() {
    for kind in ["Flexible", "Uniform"] {
        let (_, facts) = found(kind, |_| None).await;
        assert_eq!((facts.group_name.as_deref(), facts.group.is_none()), (Some(SET), true));
        let set = facts.scale_set.unwrap();
        assert_eq!(set.members, Some(Ok(MemberModels { count: 2, ..MemberModels::default() })));
        assert_eq!((set.identity, set.autoscale, set.membership), (Some(Ok(())), Some(Ok(Vec::new())), None));
        assert!(set.model.unwrap().is_ok());
        let names: Vec<&str> = set.roles.iter().map(|role| role.name.as_str()).collect();
        assert_eq!(names, ["agent", "other"]);
        assert!(set.roles.iter().all(|role| lacks(role).is_empty()), "{:?}", set.roles);
    }
}

#[tokio::test]
async fn a_scale_set_that_is_not_there_and_one_that_may_not_be_seen_are_told_apart() {
    let absent =
        Server::start(|asked, _| granted(asked).unwrap_or_else(|| refused(404, "ResourceNotFound", "no"))).await;
    let facts = look(&at(&absent.url), SET, None, &[]).await;
    assert!(facts.group.is_none() && facts.scale_set.is_none());
    let (_, facts) = found("Flexible", |_| Some(denied())).await;
    let why = facts.group.unwrap().unwrap_err();
    assert!(why.contains("Microsoft.Compute/virtualMachineScaleSets/read") && facts.scale_set.is_none(), "{why}");
    assert!(look(&at(&absent.url), "runners", None, &[]).await.group.unwrap().is_err(), "it is no id");
}

#[tokio::test]
async fn machines_are_counted_by_their_model_and_asked_for_it_where_the_list_is_silent() {
    let (server, facts) = found("Uniform", |asked| {
        let listed = [
            member("1", &json!({ "latestModelApplied": true, "provisioningState": "Succeeded" })),
            member("2", &json!({ "latestModelApplied": false, "provisioningState": "Updating" })),
            member("3", &json!({ "latestModelApplied": false, "provisioningState": "Deleting" })),
        ];
        asked.path.contains("/virtualMachines?").then(|| json!({ "value": listed }))
    })
    .await;
    let models = facts.scale_set.unwrap().members.unwrap().unwrap();
    assert_eq!(models, MemberModels { count: 2, others: vec!["2".into()], untold: 0 });
    assert!(!server.seen().iter().any(|asked| asked.path.contains("/virtualMachines/")), "the list says it all");
    let (_, facts) = found("Flexible", |asked| {
        let names = ["old", "denied", "silent", "leaving"].map(|name| json!({ "name": name }));
        let state = |name: &str| asked.path.contains(&format!("/virtualMachines/{name}?"));
        if asked.path.contains("/virtualMachines?") {
            Some(json!({ "value": names }))
        } else if state("old") {
            Some(member("old", &json!({ "latestModelApplied": false })))
        } else if state("denied") {
            Some(denied())
        } else if state("silent") {
            Some(member("silent", &json!({})))
        } else {
            state("leaving")
                .then(|| member("leaving", &json!({ "latestModelApplied": false, "provisioningState": "Deleting" })))
        }
    })
    .await;
    let models = facts.scale_set.unwrap().members.unwrap().unwrap();
    assert_eq!(models, MemberModels { count: 3, others: vec!["old".into()], untold: 2 });
}

#[tokio::test]
async fn what_a_role_holds_for_is_on_the_resource_or_above_it() {
    let group = format!("{SUBSCRIPTION}/resourceGroups/ci");
    let roles = move |asked: &ReceivedRequest| {
        let path = asked.path.as_str();
        if path.starts_with("/roles/") {
            let actions = if path.contains("/set?") {
                json!(["Microsoft.Compute/virtualMachineScaleSets/*"])
            } else {
                json!(["*"])
            };
            return Some(
                json!({ "properties": { "permissions": [{ "actions": actions, "notActions": ["*/delete"] }] } }),
            );
        }
        if !path.contains("/roleAssignments?") {
            return None;
        }
        Some(json!({ "value": if path.contains("p-agent") {
            // On the scale set, and on another group whose name begins alike.
            vec![assigned("set", &SET.to_ascii_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions"), &Value::Null), assigned("all", &format!("{group}-2"), &Value::Null)]
        } else {
            vec![assigned("all", "/providers/Microsoft.Management/managementGroups/root", &json!("@Resource..."))]
        } }))
    };
    let (_, facts) = found("Flexible", roles).await;
    let roles = facts.scale_set.unwrap().roles;
    let delete = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/delete";
    let own = "Microsoft.Compute/virtualMachines/delete";
    assert_eq!(
        lacks(&roles[0]),
        [delete, own, "Microsoft.Resources/tags/write"],
        "on the scale set it may all but delete"
    );
    assert_eq!(lacks(&roles[1]), [delete, own]);
    assert_eq!(roles[1].difference.as_ref().unwrap().conditional.len(), 4, "what has a condition is not told");
}

#[tokio::test]
async fn what_is_denied_is_not_known_and_names_the_right() {
    let (_, facts) = found("Flexible", |asked| {
        let parts = ["/roleAssignments?", "/autoscaleSettings?", "/virtualMachines?"];
        parts.iter().any(|part| asked.path.contains(part)).then(denied)
    })
    .await;
    let set = facts.scale_set.unwrap();
    for (why, right) in [
        (set.autoscale.unwrap().unwrap_err(), "Microsoft.Insights/autoscaleSettings/read"),
        (set.members.unwrap().unwrap_err(), "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read"),
        (set.roles[0].difference.clone().unwrap_err(), "Microsoft.Authorization/roleAssignments/read"),
    ] {
        assert!(why.contains(right), "{why}");
    }
}

/// A person has signed in, and sets no variable.
#[tokio::test]
async fn a_person_is_who_the_azure_cli_says_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let cli = |name: &str, text: &str| {
        let path = folder.path().join(name);
        // By another process: what was written here cannot be executed while another test forks with it still open (ETXTBSY).
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" >"$0" && chmod 755 "$0""#;
        assert!(Command::new("/bin/sh").args(["-c", write]).arg(&path).arg(text).status().unwrap().success());
        path.to_str().unwrap().to_owned()
    };
    let good = cli(
        "good",
        r#"test "$*" = "account get-access-token --resource $(cat "$0.url") --output json" && echo '{"accessToken": "hers", "expires_on": 1}'"#,
    );
    let out = cli("out", "echo 'ERROR: Please run az login' >&2; exit 1");
    let half = cli("half", r#"echo '{"accessToken": "hush'"#);
    let server = Server::start(|asked, _| granted(asked).unwrap_or_else(|| Answer::ok("{}"))).await;
    fs::write(folder.path().join("good.url"), &server.url).unwrap();
    let bearer = async |cli: &str| {
        let mut azure = Azure::on_workstation(cli);
        azure.everything_at = Some(server.url.clone());
        azure.call(call::read(&azure.manager(), &SET.parse().unwrap())).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(server.seen().last().unwrap().headers["authorization"].clone())
    };
    assert_eq!(bearer(&good).await.unwrap(), "Bearer hers");
    let refused = bearer(&out).await.unwrap_err();
    assert!(refused.contains("Please run az login") && refused.contains("AZURE_CLIENT_ID"), "{refused}");
    assert!(!bearer(&half).await.unwrap_err().contains("hush"));
    // It is there, and this user may not run it: they are not the machine for that.
    fs::set_permissions(&half, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = bearer(&half).await.unwrap_err();
    assert!(refused.contains("not executable") && refused.contains("AZURE_CLIENT_ID"), "{refused}");
    assert_eq!(server.seen().iter().filter(|asked| asked.path.contains("/metadata/")).count(), 0);
    let none = folder.path().join("none").to_str().unwrap().to_owned();
    assert_eq!(bearer(&none).await.unwrap(), "Bearer token-1", "without it, the machine's own identity");
}
