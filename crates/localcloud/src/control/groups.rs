//! What an operator would do with the cloud's own API.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Api, ApiError, optional};
use crate::{
    aws::query,
    azure::model::{Accepted, Refused},
    state::FleetState,
    time::Timestamp,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ScaleInBody {
    by: u32,
}

impl Default for ScaleInBody {
    fn default() -> Self {
        Self { by: 1 }
    }
}

/// Lowers the desired capacity, by no more than the minimum size allows; that of a scale set has no minimum.
pub(super) async fn scale_in(
    State(shared): Api,
    Path(name): Path<String>,
    body: bytes::Bytes,
) -> Result<Json<Value>, ApiError> {
    let ScaleInBody { by } = optional(&body)?;
    shared.update(|state, now| {
        if let Some(set) = state.azure.scale_set(&name).cloned() {
            let capacity = set.capacity.saturating_sub(by);
            let body = json!({"sku": {"capacity": capacity}});
            write(state.azure.update_set(&set.resource_group, &name, &body, None, now))?;
            state.record_for_group(&name, format!("capacity {} -> {capacity} by an operator", set.capacity), now);
            return Ok(Json(json!({"group": name, "before": set.capacity, "desired": capacity})));
        }
        let bounds = state.cloud.group(&name).ok_or_else(|| no_group(&name))?.bounds;
        let desired = bounds.desired.saturating_sub(by).max(bounds.min);
        let number = desired.to_string();
        let form = [("AutoScalingGroupName", name.as_str()), ("DesiredCapacity", number.as_str())];
        call(state, "SetDesiredCapacity", &form, now)?;
        state.record_for_group(&name, format!("desired {} -> {desired} by an operator", bounds.desired), now);
        Ok(Json(json!({"group": name, "before": bounds.desired, "desired": desired})))
    })
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RefreshHow {
    /// What to do with protected instances: `Refresh` (when left out), `Ignore` or `Wait`.
    scale_in_protected: Option<String>,
}

/// Starts an instance refresh; of a scale set a rolling upgrade.
pub(super) async fn refresh(
    State(shared): Api,
    Path(name): Path<String>,
    body: bytes::Bytes,
) -> Result<Json<Value>, ApiError> {
    let how: RefreshHow = optional(&body)?;
    // Every instance of ours is protected: with AWS's own default, `Wait`, nothing would happen for an hour.
    let protected = how.scale_in_protected.as_deref().unwrap_or("Refresh");
    shared.update(|state, now| {
        if state.azure.scale_set(&name).is_some() {
            let upgrade = write(state.azure.rolling_upgrade(&name, now))?;
            return Ok(Json(json!({"group": name, "refresh": upgrade.operation})));
        }
        state.cloud.group(&name).ok_or_else(|| no_group(&name))?;
        let form = [("AutoScalingGroupName", name.as_str()), ("Preferences.ScaleInProtectedInstances", protected)];
        let reply = call(state, "StartInstanceRefresh", &form, now)?;
        Ok(Json(json!({"group": name, "refresh": element(&reply, "InstanceRefreshId")})))
    })
}

fn call(state: &mut FleetState, action: &str, form: &[(&str, &str)], now: Timestamp) -> Result<String, ApiError> {
    let common = [("Action", action), ("Version", "2011-01-01")];
    let form: BTreeMap<String, String> =
        common.iter().chain(form).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let reply = query::call(&mut state.cloud, &form, None, now);
    if reply.status == 200 {
        return Ok(reply.body);
    }
    let message = element(&reply.body, "Message").unwrap_or(&reply.body);
    Err(ApiError(StatusCode::CONFLICT, message.to_owned()))
}

fn write(written: Result<Accepted, Refused>) -> Result<Accepted, ApiError> {
    written.map_err(|refusal| ApiError(StatusCode::CONFLICT, refusal.message))
}

fn no_group(name: &str) -> ApiError {
    ApiError(StatusCode::NOT_FOUND, format!("there is no group {name}"))
}

/// The text of the first element with this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}
