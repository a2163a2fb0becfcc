//! The metadata service of a virtual machine: what it is, its tokens, and what is about to happen to it.

mod instance;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::{
    identity::Tokens,
    model::{Azure, EventKind, Limit, ScheduledEvent, Source},
};
use crate::{
    http::{Request, Response},
    time::Timestamp,
};

/// The versions of its API that it says it knows, newest first.
const NEWEST: [&str; 3] = ["2025-04-07", "2023-11-15", "2023-07-01"];
const OLDEST: &str = "2017-03-01";

/// Requests of a machine, a minute and at once.
const ALL: Limit = Limit { name: "metadata", refill: 5 * 60, burst: 5 };
/// The same for tokens.
const IDENTITY: Limit = Limit { name: "metadata/identity", refill: 20 * 60, burst: 20 };

/// Whether a request asks for scheduled events: the first one takes a while.
pub(crate) fn asks_for_events(request: &Request) -> bool {
    matches!(request.path.trim_end_matches('/'), "/metadata/scheduledevents")
}

/// Answers the software on one machine.
pub(crate) fn handle(
    azure: &mut Azure,
    tokens: &mut Tokens,
    machine: &str,
    request: &Request,
    now: Timestamp,
) -> Response {
    azure.advance(now);
    // What a proxy passes on may come from anywhere.
    if request.header("x-forwarded-for").is_some() {
        return bad("Bad request. Request contains the header X-Forwarded-For, which is not allowed");
    }
    let identity = request.path.starts_with("/metadata/identity/");
    if !request.header("metadata").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return if identity {
            Response::json(
                400,
                &json!({"error": "invalid_request", "error_description": "Required metadata header not specified"}),
            )
        } else {
            bad("Bad request. Required metadata header not specified")
        };
    }
    if let Err(after) = azure.limits.take(if identity { IDENTITY } else { ALL }, machine, now) {
        return Response::json(429, &json!({"error": "Too many requests"})).header("retry-after", after.to_string());
    }
    if request.path.trim_end_matches('/') == "/metadata/versions" {
        return Response::json(200, &json!({"apiVersions": NEWEST}));
    }
    let known = request
        .query("api-version")
        .is_some_and(|version| version.len() == 10 && (OLDEST..=NEWEST[0]).contains(&version));
    if !known {
        let what = if request.query("api-version").is_some() { "invalid" } else { "not specified in the request" };
        let error = format!("Bad request. api-version is {what}. For more information refer to aka.ms/azureimds");
        return Response::json(400, &json!({"error": error, "newest-versions": NEWEST}));
    }
    match (request.method.as_str(), request.path.trim_end_matches('/')) {
        ("GET", "/metadata/identity/oauth2/token") => tokens.managed(azure, machine, request, now),
        ("GET", "/metadata/scheduledevents") => Response::json(200, &document(azure, machine)),
        ("POST", "/metadata/scheduledevents") => agree(azure, machine, request, now),
        ("GET", path) if path == "/metadata/instance" || path.starts_with("/metadata/instance/") => {
            instance::answer(azure, machine, request)
        }
        (_, "/metadata/identity/oauth2/token" | "/metadata/scheduledevents" | "/metadata/instance") => {
            Response::json(405, &json!({"error": "Method not allowed"}))
        }
        _ => Response::json(404, &json!({"error": "Not found"})),
    }
}

/// What a fault says in its place.
pub(crate) fn error(status: u16, what: &str) -> Response {
    Response::json(status, &json!({"error": what}))
}

fn bad(what: &str) -> Response {
    error(400, what)
}

fn document(azure: &Azure, machine: &str) -> Value {
    let (incarnation, events) = azure.events_for(machine);
    let events: Vec<Value> = events.into_iter().map(event).collect();
    json!({"DocumentIncarnation": incarnation, "Events": events})
}

fn event(event: &ScheduledEvent) -> Value {
    // Whatever has begun has no time any more.
    let not_before = if event.started.is_some() { String::new() } else { http_date(event.not_before) };
    let (source, duration) = match (event.source, event.kind) {
        (Source::User, _) => ("User", -1),
        (Source::Platform, EventKind::Freeze) => ("Platform", 10),
        (Source::Platform, _) => ("Platform", -1),
    };
    let description = match (event.source, event.kind) {
        (Source::User, _) => "Virtual machine is being deleted as requested by an authorized user.",
        (Source::Platform, EventKind::Preempt) => "Virtual machine is being evicted.",
        (Source::Platform, EventKind::Freeze) => {
            "Virtual machine is being paused because of a memory-preserving Live Migration operation."
        }
        (Source::Platform, EventKind::Reboot | EventKind::Redeploy | EventKind::Terminate) => {
            "Host server is undergoing maintenance."
        }
    };
    json!({
        "EventId": event.id,
        "EventStatus": if event.started.is_some() { "Started" } else { "Scheduled" },
        "EventType": event.kind.as_str(),
        "ResourceType": "VirtualMachine",
        "Resources": [event.machine],
        "NotBefore": not_before,
        "Description": description,
        "EventSource": source,
        "DurationInSeconds": duration,
    })
}

fn agree(azure: &mut Azure, machine: &str, request: &Request, now: Timestamp) -> Response {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let requests = body["StartRequests"].as_array();
    let ids: Option<Vec<String>> = requests.map(|requests| {
        let ids = requests.iter().map(|it| it["EventId"].as_str().map(str::to_owned));
        ids.collect::<Option<_>>().unwrap_or_default()
    });
    let Some(ids) = ids.filter(|ids| !ids.is_empty()) else {
        return bad("Bad request. The body is not of the form {\"StartRequests\": [{\"EventId\": \"...\"}]}");
    };
    match azure.agree(machine, &ids, now) {
        Ok(()) => Response::empty(200),
        Err(unknown) => bad(&format!("Bad request. There is no event {}", unknown.join(", "))),
    }
}

/// RFC 1123, as `NotBefore` is written: `Mon, 19 Sep 2016 18:29:47 GMT`.
fn http_date(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
