//! What is asked of Azure, as requests that nobody has sent yet.

use lightsout_core::{
    cloud::Floor,
    exchange::{Method, Request},
    settings::ScaleSetId,
};
use serde_json::{Value, json};

use super::{FLOOR_TAG, reply::Sku};

/// The version of the Compute API that is spoken: the first in which reads tell the entity tag of a scale set (Azure REST API reference,
/// "Virtual Machine Scale Sets - Get").
pub(super) const COMPUTE: &str = "2024-07-01";
/// The same of tags on any resource ("Tags - Update At Scope").
const TAGS: &str = "2021-04-01";
/// The same of Autoscale settings ("Autoscale Settings - List By Resource Group").
#[cfg(feature = "host")]
const AUTOSCALE: &str = "2022-10-01";
/// The same of roles, and of what the caller may do ("Permissions - List For Resource").
#[cfg(feature = "host")]
const PERMISSIONS: &str = "2022-04-01";

/// A call of the Resource Manager, without who asks.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The action that the caller must be allowed, as roles name it.
    pub(super) right: &'static str,
    /// What is throttled together.
    pub(super) scope: String,
    pub(super) request: Request,
}

/// Reads a scale set.
pub(super) fn read(manager: &str, set: &ScaleSetId) -> Call {
    let right = "Microsoft.Compute/virtualMachineScaleSets/read";
    on(set, right, Request::get(url(manager, set, "", COMPUTE)))
}

/// Sets the capacity of a scale set that is still as it was when it had this entity tag.
pub(super) fn raise(manager: &str, set: &ScaleSetId, etag: &str, sku: Option<&Sku>, to: u32) -> Call {
    let mut wanted = json!({ "capacity": to });
    if let Some(Sku { name, tier, .. }) = sku {
        for (key, value) in [("name", name), ("tier", tier)] {
            if let Some(value) = value {
                wanted[key] = Value::from(value.as_str());
            }
        }
    }
    let request = Request::new(Method::Patch, url(manager, set, "", COMPUTE)).header("if-match", etag);
    on(set, "Microsoft.Compute/virtualMachineScaleSets/write", request.json(&json!({ "sku": wanted }), false))
}

/// Reads how an operation goes that was begun.
pub(super) fn operation(set: &ScaleSetId, url: &str) -> Call {
    on(set, "Microsoft.Compute/locations/operations/read", Request::get(url))
}

/// Lists the machines of a Flexible scale set with all that is known of each ("Virtual Machines - List").
pub(super) fn machines(manager: &str, set: &ScaleSetId) -> Call {
    let ScaleSetId { subscription, resource_group, .. } = set;
    let url = format!(
        "{manager}/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/Microsoft.Compute/virtualMachines\
         ?api-version={COMPUTE}&$filter='virtualMachineScaleSet/id'%20eq%20'{set}'"
    );
    Call {
        right: "Microsoft.Compute/virtualMachines/read",
        scope: format!("{set}/machines"),
        request: Request::get(url),
    }
}

/// Leaves the floor on a scale set, as a tag beside the others.
pub(super) fn leave_floor(manager: &str, set: &ScaleSetId, floor: Floor) -> Call {
    let body = json!({ "operation": "Merge", "properties": { "tags": { FLOOR_TAG: floor.to_string() } } });
    let url = url(manager, set, "/providers/Microsoft.Resources/tags/default", TAGS);
    on(set, "Microsoft.Resources/tags/write", Request::new(Method::Patch, url).json(&body, false))
}

/// Reads one member.
#[cfg(feature = "host")]
pub(super) fn member(manager: &str, set: &ScaleSetId, member: &str) -> Call {
    let right = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read";
    one(set, right, Request::get(url(manager, set, &below(member), COMPUTE)), member)
}

/// Lists the members: those of a Flexible scale set by their names alone.
pub(super) fn members(manager: &str, set: &ScaleSetId) -> Call {
    more_members(set, url(manager, set, "/virtualMachines", COMPUTE))
}

/// The next page of the same.
pub(super) fn more_members(set: &ScaleSetId, url: String) -> Call {
    let right = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read";
    one(set, right, Request::get(url), "list")
}

/// Lists the Autoscale settings of a scale set's resource group.
#[cfg(feature = "host")]
pub(super) fn autoscale(manager: &str, set: &ScaleSetId) -> Call {
    let ScaleSetId { subscription, resource_group, .. } = set;
    let url = format!(
        "{manager}/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/Microsoft.Insights/autoscaleSettings\
         ?api-version={AUTOSCALE}"
    );
    one(set, "Microsoft.Insights/autoscaleSettings/read", Request::get(url), "autoscale")
}

/// Lists those of a whole subscription.
#[cfg(feature = "host")]
pub(super) fn all_autoscale(manager: &str, set: &ScaleSetId) -> Call {
    let url = format!(
        "{manager}/subscriptions/{}/providers/Microsoft.Insights/autoscaleSettings?api-version={AUTOSCALE}",
        set.subscription
    );
    one(set, "Microsoft.Insights/autoscaleSettings/read", Request::get(url), "autoscale")
}

/// Lists the role assignments that a principal has, itself or by a group, on this scope, above it and below it ("Role Assignments - List For Scope").
#[cfg(feature = "host")]
pub(super) fn role_assignments(manager: &str, scope: &str, principal: &str) -> Call {
    Call {
        right: "Microsoft.Authorization/roleAssignments/read",
        scope: format!("{scope}/roles"),
        request: Request::get(format!(
            "{manager}{scope}/providers/Microsoft.Authorization/roleAssignments?api-version={PERMISSIONS}&$filter=assignedTo('{principal}')"
        )),
    }
}

/// Reads a role by its id ("Role Definitions - Get By Id").
#[cfg(feature = "host")]
pub(super) fn role_definition(manager: &str, id: &str) -> Call {
    Call {
        right: "Microsoft.Authorization/roleDefinitions/read",
        scope: format!("{id}/roles"),
        request: Request::get(format!("{manager}{id}?api-version={PERMISSIONS}")),
    }
}

/// Reads whatever has this path, which may have a query.
#[cfg(feature = "host")]
pub(super) fn look(manager: &str, right: &'static str, path: &str, version: &str) -> Call {
    let mark = if path.contains('?') { '&' } else { '?' };
    let request = Request::get(format!("{manager}{path}{mark}api-version={version}"));
    Call { right, scope: path.to_owned(), request }
}

/// Lists what the caller may do to a resource, by its id.
#[cfg(feature = "host")]
pub(super) fn permissions(manager: &str, resource: &str) -> Call {
    let url = format!("{manager}{resource}/providers/Microsoft.Authorization/permissions?api-version={PERMISSIONS}");
    Call {
        right: "Microsoft.Authorization/permissions/read",
        scope: format!("{resource}/permissions"),
        request: Request::get(url),
    }
}

/// Takes or gives up protection from scale-in, and from what else is done to the whole scale set: a rolling upgrade gives a machine another disk
/// under its job. Neither keeps a machine from deleting itself. Nothing else of the member is sent: what is sent back counts as changed, and takes it off the
/// scale set's model (Azure, "Instance protection for Azure Virtual Machine Scale Set instances").
#[cfg(feature = "host")]
pub(super) fn protect(manager: &str, set: &ScaleSetId, member: &str, on: bool) -> Call {
    let right = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/write";
    let body =
        json!({ "properties": { "protectionPolicy": { "protectFromScaleIn": on, "protectFromScaleSetActions": on } } });
    let request = Request::new(Method::Put, url(manager, set, &below(member), COMPUTE)).json(&body, false);
    one(set, right, request, member)
}

/// Deletes one member; the capacity falls by one.
#[cfg(feature = "host")]
pub(super) fn delete(manager: &str, set: &ScaleSetId, member: &str) -> Call {
    let right = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/delete";
    one(set, right, Request::new(Method::Delete, url(manager, set, &below(member), COMPUTE)), member)
}

/// Deletes a machine by its own resource id, without a shutdown. That of a Uniform scale set's machine is below its scale set.
#[cfg(feature = "host")]
pub(super) fn force_delete(manager: &str, machine: &str, flexible: bool) -> Call {
    let right = if flexible {
        "Microsoft.Compute/virtualMachines/delete"
    } else {
        "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/delete"
    };
    let url = format!("{manager}{machine}?api-version={COMPUTE}&forceDeletion=true");
    Call { right, scope: machine.to_owned(), request: Request::new(Method::Delete, url) }
}

/// Writes a tag on a machine, beside the others.
#[cfg(feature = "host")]
pub(super) fn tag(manager: &str, machine: &str, name: &str, value: &str) -> Call {
    let body = json!({ "operation": "Merge", "properties": { "tags": { name: value } } });
    let url = format!("{manager}{machine}/providers/Microsoft.Resources/tags/default?api-version={TAGS}");
    Call {
        right: "Microsoft.Resources/tags/write",
        scope: machine.to_owned(),
        request: Request::new(Method::Patch, url).json(&body, false),
    }
}

/// Azure counts the calls about each member apart from those about its scale set.
fn one(set: &ScaleSetId, right: &'static str, request: Request, member: &str) -> Call {
    Call { right, scope: format!("{set}/{member}"), request }
}

#[cfg(feature = "host")]
fn below(member: &str) -> String {
    format!("/virtualMachines/{member}")
}

fn on(set: &ScaleSetId, right: &'static str, request: Request) -> Call {
    Call { right, scope: set.to_string(), request }
}

fn url(manager: &str, set: &ScaleSetId, below: &str, version: &str) -> String {
    format!("{manager}{set}{below}?api-version={version}")
}
