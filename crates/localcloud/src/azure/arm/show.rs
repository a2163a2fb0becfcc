//! The resources as the Resource Manager shows them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Azure, Orchestration};
use crate::{
    azure::{
        identity::{client_id, principal_id},
        model::{Operation, Power, ScaleSet, VirtualMachine, has_system_identity},
    },
    http::{Request, Response},
    time::Timestamp,
};

/// Machines on one page of a list.
const PAGE: usize = 100;

/// Where and when something was written.
pub(super) struct Written<'a> {
    pub(super) path: &'a str,
    pub(super) tenant: &'a str,
    /// Where the embedded cloud is.
    pub(super) here: &'a str,
    pub(super) now: Timestamp,
    /// What was there.
    pub(super) before: Option<&'a Value>,
}

/// A scale set.
pub(super) fn set(azure: &Azure, set: &ScaleSet) -> Value {
    let mut sku = set.sku.clone();
    sku["capacity"] = json!(set.capacity);
    let mut properties = set.properties.clone();
    if let Some(profile) = properties["virtualMachineProfile"].as_object_mut() {
        // Asked for by `$expand=userData` alone.
        profile.remove("userData");
    }
    let flexible = set.orchestration() == Orchestration::Flexible;
    properties["orchestrationMode"] = json!(if flexible { "Flexible" } else { "Uniform" });
    if !flexible {
        properties["overprovision"] = json!(set.overprovisions());
    }
    properties["provisioningState"] = json!(azure.provisioning_state(&set.name).as_str());
    properties["uniqueId"] = json!(set.unique_id);
    properties["timeCreated"] = json!(set.created_at.to_string());
    let mut shown = json!({
        "name": set.name,
        "id": set.id(&azure.options().subscription),
        "type": "Microsoft.Compute/virtualMachineScaleSets",
        "location": set.location,
        "etag": set.etag(),
        "tags": set.tags,
        "sku": sku,
        "properties": properties,
    });
    if !set.zones.is_empty() {
        shown["zones"] = json!(set.zones);
    }
    if set.identity["type"].is_string() {
        shown["identity"] = identity(&azure.options().tenant, &set.unique_id, &set.identity);
    }
    shown
}

/// Who a resource is: with an identity of its own, which is made of this, and with those that somebody assigned to it.
pub(super) fn identity(tenant: &str, own: &str, written: &Value) -> Value {
    let mut shown = json!({"type": written["type"]});
    if has_system_identity(written) {
        shown["principalId"] = json!(principal_id(own));
        shown["tenantId"] = json!(tenant);
    }
    let has_users = written["type"].as_str().is_some_and(|kind| kind.contains("UserAssigned"));
    let users = written["userAssignedIdentities"].as_object().filter(|users| has_users && !users.is_empty());
    if let Some(users) = users {
        let entry = |(id, _): (&String, &Value)| {
            (id.clone(), json!({"principalId": principal_id(id), "clientId": client_id(id)}))
        };
        shown["userAssignedIdentities"] = Value::Object(users.iter().map(entry).collect::<Map<_, _>>());
    }
    shown
}

/// The name at the end of a path.
pub(super) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// How many machines of a set are in which state.
pub(super) fn set_view(azure: &Azure, name: &str) -> Value {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for machine in azure.members(name) {
        *counts.entry(format!("ProvisioningState/{}", machine.provisioning.as_str().to_lowercase())).or_default() += 1;
        *counts.entry(format!("PowerState/{}", machine.power.as_str())).or_default() += 1;
    }
    let summary: Vec<Value> = counts.into_iter().map(|(code, count)| json!({"code": code, "count": count})).collect();
    json!({
        "virtualMachine": {"statusesSummary": summary},
        "statuses": [status(azure.provisioning_state(name).as_str())],
    })
}

/// A page of the machines of a set. Of a Flexible one the list has their ids alone.
pub(super) fn page(azure: &Azure, request: &Request, set: &str) -> Response {
    let members = azure.members(set);
    let from = request.query("$skiptoken").and_then(|token| token.parse().ok()).unwrap_or(0_usize);
    let flexible = azure.scale_set(set).is_some_and(|set| set.orchestration() == Orchestration::Flexible);
    let view = request.query("$expand").is_some_and(|it| it.eq_ignore_ascii_case("instanceView"));
    let shown: Vec<Value> = members
        .iter()
        .skip(from)
        .take(PAGE)
        .map(|machine| if flexible { reference(azure, machine) } else { member(azure, machine, view) })
        .collect();
    let mut page = json!({"value": shown});
    if from + PAGE < members.len() {
        let host = request.header("host").unwrap_or("127.0.0.1");
        let version = request.query("api-version").unwrap_or_default();
        let expand = if view { "&$expand=instanceView" } else { "" };
        let next = format!("http://{host}{}?api-version={version}{expand}&$skiptoken={}", request.path, from + PAGE);
        page["nextLink"] = json!(next);
    }
    Response::json(200, &page)
}

fn reference(azure: &Azure, machine: &VirtualMachine) -> Value {
    let set = azure.scale_set(&machine.set);
    json!({
        "name": machine.name,
        "instanceId": machine.instance_id,
        "id": set.map(|set| machine.id(set, &azure.options().subscription)),
        "type": "Microsoft.Compute/virtualMachines",
        "location": set.map(|set| set.location.as_str()),
    })
}

/// A machine as a part of its set.
pub(super) fn member(azure: &Azure, machine: &VirtualMachine, with_view: bool) -> Value {
    let set = azure.scale_set(&machine.set);
    let mut properties = json!({
        "latestModelApplied": machine.model.is_some() && machine.model == set.map(|set| set.model_generation),
        "modelDefinitionApplied": if machine.model.is_some() { "VirtualMachineScaleSet" } else { "VirtualMachine" },
        "provisioningState": machine.provisioning.as_str(),
        "vmId": machine.vm_id,
        "osProfile": {"computerName": machine.computer_name},
        "timeCreated": machine.created_at.to_string(),
    });
    if machine.is_protected() {
        properties["protectionPolicy"] = json!({
            "protectFromScaleIn": machine.protection.from_scale_in,
            "protectFromScaleSetActions": machine.protection.from_scale_set_actions,
        });
    }
    if with_view {
        properties["instanceView"] = view(machine);
    }
    let mut shown = json!({
        "name": machine.name,
        "instanceId": machine.instance_id,
        "id": set.map(|set| format!("{}/virtualMachines/{}", set.id(&azure.options().subscription), machine.instance_id)),
        "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
        "location": set.map(|set| set.location.as_str()),
        "etag": format!("\"{}\"", machine.generation),
        "tags": machine.tags,
        "sku": set.map(|set| json!({"name": set.sku["name"], "tier": set.sku["tier"]})),
        "properties": properties,
    });
    if let Some(zone) = &machine.zone {
        shown["zones"] = json!([zone]);
    }
    shown
}

/// A machine of a Flexible set as a resource of its own.
pub(super) fn machine(azure: &Azure, machine: &VirtualMachine, with_view: bool) -> Value {
    let set = azure.scale_set(&machine.set);
    let subscription = &azure.options().subscription;
    let spot = set.is_some_and(ScaleSet::is_spot);
    let mut properties = json!({
        "vmId": machine.vm_id,
        "provisioningState": machine.provisioning.as_str(),
        "hardwareProfile": {"vmSize": set.map(|set| set.sku["name"].clone())},
        "osProfile": {"computerName": machine.computer_name},
        "priority": if spot { "Spot" } else { "Regular" },
        "virtualMachineScaleSet": {"id": set.map(|set| set.id(subscription))},
        "timeCreated": machine.created_at.to_string(),
    });
    if with_view {
        properties["instanceView"] = view(machine);
    }
    let mut shown = json!({
        "name": machine.name,
        "id": set.map(|set| machine.id(set, subscription)),
        "type": "Microsoft.Compute/virtualMachines",
        "location": set.map(|set| set.location.as_str()),
        "etag": format!("\"{}\"", machine.generation),
        "tags": machine.tags,
        "properties": properties,
    });
    if let Some(zone) = &machine.zone {
        shown["zones"] = json!([zone]);
    }
    shown
}

/// The instance view of a machine.
pub(super) fn view(machine: &VirtualMachine) -> Value {
    let mut statuses = vec![status(machine.provisioning.as_str())];
    // Until it was powered on for the first time there is no such line.
    if machine.running_at.is_some() || machine.power != Power::Starting {
        statuses.push(json!({
            "code": format!("PowerState/{}", machine.power.as_str()),
            "level": "Info",
            "displayStatus": machine.power.display(),
        }));
    }
    json!({"computerName": machine.computer_name, "statuses": statuses})
}

fn status(provisioning: &str) -> Value {
    let display = if provisioning == "Succeeded" { "Provisioning succeeded" } else { provisioning };
    let level = if provisioning == "Failed" { "Error" } else { "Info" };
    json!({
        "code": format!("ProvisioningState/{}", provisioning.to_lowercase()),
        "level": level,
        "displayStatus": display,
    })
}

/// The document of an operation.
pub(super) fn operation(operation: &Operation) -> Value {
    let mut shown = json!({
        "name": operation.id,
        "startTime": operation.started.to_string(),
        "status": operation.status().as_str(),
    });
    if let Some(ended) = operation.ended {
        shown["endTime"] = json!(ended.to_string());
    }
    if let Some((code, message)) = &operation.error {
        shown["error"] = json!({"code": code, "message": message});
    }
    shown
}

/// The parts of a path that follow its `providers`.
pub(super) fn below(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip_while(|part| !part.eq_ignore_ascii_case("providers")).skip(1)
}
