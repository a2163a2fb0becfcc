//! The control API below `/_lightsout/`: what `lightsout ps`, `enqueue`, `interrupt` and the like call. JSON throughout;
//! errors are a status of 4xx and `{"error": "..."}`.
//!
//! | Request | Body | Answer |
//! | --- | --- | --- |
//! | `GET fleet` | | [`Snapshot`] |
//! | `GET events?since=N&follow=true` | | [`FleetEvent`](crate::FleetEvent)s after number N as JSON lines, until the end |
//! | `GET activities` | | the groups' histories, newest first, as the vendor's own client prints them |
//! | `POST jobs` | [`NewJobs`] | `{"ids": [..]}` |
//! | `POST instances/ID/interrupt` | `{"in_s": 120}` | `{"id", "time_ms"}` |
//! | `POST instances/ID/maintenance` | `{"in_s": 120, "kind": "Redeploy"}`; the kind is for Azure | `{"id", "time_ms"}` |
//! | `POST instances/ID/rebalance`, `POST instances/ID/crash` | | `{"id"}` |
//! | `POST groups/NAME/scale-in` | `{"by": 1}` | `{"group", "before", "desired"}` |
//! | `POST groups/NAME/refresh` | `{"scale_in_protected": "Refresh"}` | `{"group", "refresh"}` |
//! | `GET faults`, `POST faults`, `DELETE faults` | [`Fault`] | `{"faults": [..]}` |
//! | `POST faults/runner` | [`RunnerFault`] | [`RunnerFaultHit`]: whether a built-in runner has this fault now |
//! | `POST webhook`, `DELETE webhook` | [`Webhook`] | `{"webhook": ..}` |
//! | `POST down` | | `{"down": true}`, at once: the machines are being powered off |

mod api;
mod events;
mod groups;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use self::api::{Api, ApiError, conflict, optional};
use crate::{
    aws::model::Activity,
    azure::model::EventKind,
    ci::webhook::Webhook,
    faults::{Fault, RunnerFault, RunnerFaultHit},
    fleet::{NewJobs, Snapshot, Source},
    snapshot,
    state::Shared,
};

/// Jobs of one request at most, so that a slip of the finger does not fill the memory.
const MOST_JOBS: u32 = 100_000;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let routes = Router::new()
        .route("/fleet", get(fleet))
        .route("/events", get(events::events))
        .route("/activities", get(activities))
        .route("/jobs", post(jobs))
        .route("/instances/{id}/interrupt", post(interrupt))
        .route("/instances/{id}/rebalance", post(rebalance))
        .route("/instances/{id}/maintenance", post(maintenance))
        .route("/instances/{id}/crash", post(crash))
        .route("/groups/{name}/scale-in", post(groups::scale_in))
        .route("/groups/{name}/refresh", post(groups::refresh))
        .route("/faults", get(list_faults).post(add_fault).delete(clear_faults))
        .route("/faults/runner", post(hit_runner))
        .route("/webhook", post(set_webhook).delete(clear_webhook))
        .route("/down", post(down));
    Router::new()
        .nest("/_lightsout", routes)
        .fallback(async || ApiError(StatusCode::NOT_FOUND, "there is no such path in the control API".into()))
        .method_not_allowed_fallback(async || {
            ApiError(StatusCode::METHOD_NOT_ALLOWED, "this path wants another method".into())
        })
        .with_state(shared)
}

async fn fleet(State(shared): Api) -> Json<Snapshot> {
    Json(snapshot::take(&shared))
}

async fn activities(State(shared): Api) -> Json<Value> {
    let entries: Vec<Value> = shared.read(|state, _| {
        let newest_first = state.cloud.inventory.activities.iter().rev();
        newest_first.map(activity).collect()
    });
    Json(json!({ "Activities": entries }))
}

fn activity(entry: &Activity) -> Value {
    json!({
        "AutoScalingGroupName": entry.group,
        "Description": entry.description,
        "Cause": entry.cause,
        "StartTime": entry.start.to_seconds(),
        "StatusCode": entry.status.as_str(),
        "StatusMessage": entry.message,
    })
}

async fn jobs(State(shared): Api, body: Result<Json<NewJobs>, JsonRejection>) -> Result<Json<Value>, ApiError> {
    let Json(jobs) = body?;
    if jobs.count > MOST_JOBS {
        return Err(ApiError::bad(format!("count is {}: at most {MOST_JOBS} jobs go in one request", jobs.count)));
    }
    if !(jobs.seconds >= 0.0 && jobs.seconds.is_finite()) {
        return Err(ApiError::bad(format!("seconds is {}: it must be 0 or more", jobs.seconds)));
    }
    let ids = shared.update(|state, now| state.ci.enqueue(&jobs, now));
    Ok(Json(json!({"ids": ids})))
}

/// When it is to happen; none: as long before as the cloud tells of it, two minutes on AWS and half a minute on Azure.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct When {
    in_s: Option<u64>,
}

/// What is to happen, and when; AWS has one kind alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Maintenance {
    in_s: u64,
    kind: EventKind,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self { in_s: 120, kind: EventKind::Redeploy }
    }
}

async fn interrupt(State(shared): Api, Path(id): Path<String>, body: bytes::Bytes) -> Result<Json<Value>, ApiError> {
    let When { in_s } = optional(&body)?;
    about(&shared, &id)?;
    shared.update(|state, now| {
        let azure = state.azure.machine(&id).is_some();
        let at = now + Duration::from_secs(in_s.unwrap_or(if azure { 30 } else { 120 }));
        if azure {
            state.azure.interrupt(&id, at, now).map_err(conflict)?;
        } else {
            state.cloud.interrupt(&id, at, now).map_err(conflict)?;
        }
        Ok(Json(json!({"id": id, "time_ms": at.0})))
    })
}

async fn rebalance(State(shared): Api, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    about(&shared, &id)?;
    shared
        .update(|state, now| {
            if state.azure.machine(&id).is_some() {
                return Err("Azure has no rebalance recommendation".to_owned());
            }
            state.cloud.rebalance(&id, now)
        })
        .map_err(conflict)?;
    Ok(Json(json!({"id": id})))
}

async fn maintenance(State(shared): Api, Path(id): Path<String>, body: bytes::Bytes) -> Result<Json<Value>, ApiError> {
    let Maintenance { in_s, kind } = optional(&body)?;
    about(&shared, &id)?;
    shared.update(|state, now| {
        let at = now + Duration::from_secs(in_s);
        if state.azure.machine(&id).is_some() {
            state.azure.maintain(&id, kind, at, now).map_err(conflict)?;
        } else {
            state.cloud.maintenance(&id, at, now).map_err(conflict)?;
        }
        Ok(Json(json!({"id": id, "time_ms": at.0})))
    })
}

async fn crash(State(shared): Api, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    about(&shared, &id)?;
    let machine = shared.read(|state, _| state.hosts.get(&id).and_then(|host| host.machine.clone()));
    let machine = machine.ok_or_else(|| conflict(format!("{id} does not run yet")))?;
    machine.crash_agent().map_err(|error| conflict(format!("the agent of {id} cannot be killed: {error}")))?;
    shared.record(Source::Control, Some(&id), "its agent was killed");
    Ok(Json(json!({"id": id})))
}

async fn list_faults(State(shared): Api) -> Json<Value> {
    Json(shared.read(|state, _| json!({"faults": state.faults.list()})))
}

async fn add_fault(State(shared): Api, body: Result<Json<Fault>, JsonRejection>) -> Result<Json<Value>, ApiError> {
    let Json(fault) = body?;
    shared.update(|state, now| {
        state.add_fault(fault, now).map_err(ApiError::bad)?;
        Ok(Json(json!({"faults": state.faults.list()})))
    })
}

/// A built-in runner asks whether it is to do what this effect says. It is counted as a hit when it is.
async fn hit_runner(
    State(shared): Api,
    body: Result<Json<RunnerFault>, JsonRejection>,
) -> Result<Json<RunnerFaultHit>, ApiError> {
    let Json(RunnerFault { effect, instance }) = body?;
    let hit = shared.update(|state, _| state.faults.hit_runner(&effect, instance.as_deref()));
    Ok(Json(RunnerFaultHit { hit }))
}

async fn clear_faults(State(shared): Api) -> Json<Value> {
    shared.update(|state, now| {
        state.faults.clear();
        state.cloud.fail_launches(None);
        state.azure.fail_creations(None);
        state.cloud.stale_describes(Duration::ZERO);
        state.record(Source::Control, None, None, "faults cleared".to_owned(), now);
    });
    Json(json!({"faults": []}))
}

async fn set_webhook(State(shared): Api, body: Result<Json<Webhook>, JsonRejection>) -> Result<Json<Value>, ApiError> {
    let Json(webhook) = body?;
    if !webhook.url.starts_with("http://") {
        return Err(ApiError::bad(format!("url is {:?}: it must start with http://", webhook.url)));
    }
    let url = webhook.url.clone();
    shared.update(|state, _| state.ci.post_events(Some(webhook)));
    Ok(Json(json!({"webhook": url})))
}

async fn clear_webhook(State(shared): Api) -> Json<Value> {
    shared.update(|state, _| state.ci.post_events(None));
    Json(json!({"webhook": null}))
}

/// Begins the end; whoever owns the cloud closes it when every machine is off.
async fn down(State(shared): Api) -> Json<Value> {
    shared.record(Source::Control, None, "told to end");
    shared.close();
    Json(json!({"down": true}))
}

/// That there is such an instance, and that it has not ended.
fn about(shared: &Shared, id: &str) -> Result<(), ApiError> {
    match shared.read(|state, _| state.has_ended(id)) {
        Some(false) => Ok(()),
        Some(true) => Err(conflict(format!("{id} has ended already"))),
        None => Err(ApiError(StatusCode::NOT_FOUND, format!("there is no instance {id}"))),
    }
}
