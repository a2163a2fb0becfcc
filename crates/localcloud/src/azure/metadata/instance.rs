//! `/metadata/instance`: what a virtual machine is. Everything in it is a string.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    azure::model::{Azure, ScaleSet, VirtualMachine},
    http::{Request, Response},
};

/// The whole document, a part of it as JSON, or one value as text.
pub(super) fn answer(azure: &Azure, machine: &str, request: &Request) -> Response {
    let found = azure.machine(machine).and_then(|machine| Some((machine, azure.scale_set(&machine.set)?)));
    let Some((machine, set)) = found else { return super::error(404, "Not found") };
    let mut part = &document(azure, machine, set);
    for segment in request.segments().iter().skip(2) {
        let in_list = part.as_array().and_then(|list| list.get(segment.parse::<usize>().ok()?));
        let next = in_list.or_else(|| part.get(segment));
        let Some(next) = next else { return super::error(404, "Not found") };
        part = next;
    }
    let text = request.query("format").is_some_and(|format| format.eq_ignore_ascii_case("text"));
    match (part, text) {
        (Value::String(value), true) => Response::new(200, "text/plain; charset=utf-8", value.clone()),
        (Value::String(_), false) => super::error(400, "Bad request. format=text is required for a value"),
        (Value::Object(part), true) => {
            let names: Vec<String> = part
                .iter()
                .map(|(name, value)| {
                    let deeper = value.is_object() || value.is_array();
                    if deeper { format!("{name}/") } else { name.clone() }
                })
                .collect();
            Response::new(200, "text/plain; charset=utf-8", names.join("\n"))
        }
        (Value::Array(list), true) => {
            let names: Vec<String> = (0..list.len()).map(|at| format!("{at}/")).collect();
            Response::new(200, "text/plain; charset=utf-8", names.join("\n"))
        }
        (part, _) => Response::json(200, part),
    }
}

fn document(azure: &Azure, machine: &VirtualMachine, set: &ScaleSet) -> Value {
    let subscription = &azure.options().subscription;
    let tags: Vec<String> = machine.tags.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    let list: Vec<Value> = machine.tags.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let profile = &set.properties["virtualMachineProfile"];
    let eviction = if set.is_spot() { profile["evictionPolicy"].as_str().unwrap_or("Deallocate") } else { "" };
    json!({
        "compute": {
            "azEnvironment": "AzurePublicCloud",
            "evictionPolicy": eviction,
            "location": set.location,
            "name": machine.name,
            "osProfile": {
                "adminUsername": profile["osProfile"]["adminUsername"].as_str().unwrap_or_default(),
                "computerName": machine.computer_name,
            },
            "osType": "Linux",
            "placementGroupId": set.unique_id,
            "platformFaultDomain": "0",
            "platformUpdateDomain": "0",
            "priority": if set.is_spot() { "Spot" } else { "Regular" },
            "provider": "Microsoft.Compute",
            "resourceGroupName": set.resource_group,
            "resourceId": machine.id(set, subscription),
            "subscriptionId": subscription,
            "tags": tags.join(";"),
            "tagsList": list,
            "userData": STANDARD.encode(&machine.user_data),
            "virtualMachineScaleSet": {"id": set.id(subscription)},
            "vmId": machine.vm_id,
            "vmScaleSetName": set.name,
            "vmSize": set.sku["name"].as_str().unwrap_or_default(),
            "zone": machine.zone.as_deref().unwrap_or_default(),
        },
        "network": {"interface": [{
            "ipv4": {"ipAddress": [{"privateIpAddress": format!("10.0.0.{}", 4 + machine.serial % 250), "publicIpAddress": ""}]},
            "macAddress": format!("000D3A{:06X}", machine.serial),
        }]},
    })
}
