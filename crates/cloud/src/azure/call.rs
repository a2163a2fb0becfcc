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
const COMPUTE: &str = "2024-07-01";
/// The same of tags on any resource ("Tags - Update At Scope").
const TAGS: &str = "2021-04-01";

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

/// Leaves the floor on a scale set, as a tag beside the others.
pub(super) fn leave_floor(manager: &str, set: &ScaleSetId, floor: Floor) -> Call {
    let body = json!({ "operation": "Merge", "properties": { "tags": { FLOOR_TAG: floor.to_string() } } });
    let url = url(manager, set, "/providers/Microsoft.Resources/tags/default", TAGS);
    on(set, "Microsoft.Resources/tags/write", Request::new(Method::Patch, url).json(&body, false))
}

fn on(set: &ScaleSetId, right: &'static str, request: Request) -> Call {
    Call { right, scope: set.to_string(), request }
}

fn url(manager: &str, set: &ScaleSetId, below: &str, version: &str) -> String {
    format!("{manager}{set}{below}?api-version={version}")
}
