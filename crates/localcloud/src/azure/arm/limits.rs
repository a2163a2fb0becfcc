//! Throttling: which limits a call falls under, and what it is told of them.

use serde_json::json;

use super::{
    Azure, Headers,
    route::{Place, Route},
};
use crate::{
    azure::model::Limit,
    http::{Request, Response},
    time::Timestamp,
};

const fn limit(name: &'static str, refill: u32, burst: u32) -> Limit {
    Limit { name, refill, burst }
}

/// Takes the call from every bucket that it falls under, and says what is left.
///
/// # Errors
/// The answer that says that there is none left, and when there is.
pub(super) fn take(
    azure: &mut Azure,
    request: &Request,
    route: &Route,
    headers: &mut Headers,
    now: Timestamp,
) -> Result<(), Response> {
    let (header, subscription) = match request.method.as_str() {
        "GET" => ("x-ms-ratelimit-remaining-subscription-reads", limit("Reads", 1500, 250)),
        "DELETE" => ("x-ms-ratelimit-remaining-subscription-deletes", limit("Deletes", 600, 200)),
        _ => ("x-ms-ratelimit-remaining-subscription-writes", limit("Writes", 600, 200)),
    };
    let left = azure.limits.take(subscription, "", now).map_err(|after| throttled(subscription, after))?;
    headers.push((header, left.to_string()));
    let mut remaining = Vec::new();
    for (limit, resource) in of(request, route) {
        let left = azure.limits.take(limit, &resource, now).map_err(|after| throttled(limit, after))?;
        remaining.push(format!("Microsoft.Compute/{};{left}", limit.name));
    }
    if !remaining.is_empty() {
        headers.push(("x-ms-ratelimit-remaining-resource", remaining.join(",")));
    }
    Ok(())
}

/// The limits of the compute resources: each on the resource and on the subscription.
fn of(request: &Request, route: &Route) -> Vec<(Limit, String)> {
    match (&route.place, request.method.as_str()) {
        (Place::Set { name, .. }, "GET") => {
            vec![
                (limit("GetVMScaleSetResource", 12, 36), name.clone()),
                (limit("GetVMScaleSet", 800, 2400), String::new()),
            ]
        }
        (Place::Set { name, .. }, "PUT" | "PATCH") => vec![
            (limit("UpdateVMScaleSetResource", 4, 12), name.clone()),
            (limit("UpdateVMScaleSet", 500, 1500), String::new()),
        ],
        (Place::Member { set, id, .. }, "GET") => {
            vec![(limit("GetVMScaleSetVMResource", 12, 36), format!("{set}/{id}"))]
        }
        (Place::Member { set, id, .. }, "PUT") => {
            vec![(limit("UpdateVMScaleSetVMResource", 4, 12), format!("{set}/{id}"))]
        }
        (Place::Member { set, id, .. }, "DELETE") => vec![
            (limit("DeleteVMScaleSetVMResource", 4, 12), format!("{set}/{id}")),
            (limit("DeleteVMScaleSetVMs", 500, 1500), String::new()),
        ],
        (Place::Set { .. }, "POST") => vec![(limit("DeleteVMScaleSetVMs", 500, 1500), String::new())],
        _ => Vec::new(),
    }
}

/// Too many requests, in the words of the compute provider.
fn throttled(limit: Limit, after: u64) -> Response {
    let message = "The server rejected the request because too many requests have been received for this subscription.";
    let details = json!({
        "operationGroup": limit.name,
        "allowedRequestCount": limit.burst,
        "retryAfterSeconds": after,
    });
    let body = json!({"error": {
        "code": "OperationNotAllowed",
        "message": message,
        "details": [{"code": "TooManyRequests", "target": limit.name, "message": details.to_string()}],
    }});
    let left = format!("Microsoft.Compute/{};0", limit.name);
    Response::json(429, &body)
        .header("retry-after", after.to_string())
        .header("x-ms-ratelimit-remaining-resource", left)
}
