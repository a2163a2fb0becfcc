//! The AWS APIs: who calls what over which protocol, and the errors that come before the service itself.

use std::{collections::BTreeMap, sync::Arc};

use axum::body::Body;

use sha2::{Digest, Sha256};

use super::{
    connection::{Cut, response},
    injection::with_faults,
};
use crate::{
    aws::{
        commands::{Commands, Online, Run},
        functions,
        keys::Keys,
        objects, query, quotas, secrets,
    },
    faults::{Call, Target},
    http::{self, Request, Response},
    machine::Machine,
    refusal::Refusal,
    state::{FleetState, Shared},
    time::Timestamp,
};

pub(super) async fn answer(shared: &Arc<Shared>, request: Request) -> Result<hyper::Response<Body>, Cut> {
    let Some(protocol) = Protocol::of(&request) else {
        return Ok(response(Response::new(404, "text/plain", "nothing is here: this is lightsout's localcloud\n")));
    };
    let action = protocol.action().to_owned();
    let caller = shared.update(|state, now| {
        let caller = Caller::of(&request, state, now);
        let by = state.counters.aws.entry(action.clone()).or_default();
        *by.entry(caller.kind().to_owned()).or_default() += 1;
        caller
    });
    let call = Call { target: Target::Aws, name: &action, instance: caller.instance() };
    let carry_out = || match &caller {
        Caller::Expired(_) => protocol.refuse(Refusal::Expired),
        Caller::Instance(_) | Caller::Operator(_) => {
            let (answer, runs) = shared.update(|state, now| {
                let answer = protocol.call(&request, &caller, state, now);
                let runs = state.commands.take_runs().into_iter();
                let on = |run: &Run| state.hosts.get(&run.instance).and_then(|host| host.machine.clone());
                (answer, runs.map(|run| (on(&run), run)).collect::<Vec<_>>())
            });
            for (machine, run) in runs {
                tokio::spawn(carry_out_on(machine, run, Arc::clone(shared)));
            }
            answer
        }
    };
    with_faults(shared, call, |why| protocol.refuse(why), carry_out).await
}

/// Has a machine run what was sent to it.
async fn carry_out_on(machine: Option<Arc<dyn Machine>>, run: Run, shared: Arc<Shared>) {
    let running = machine.map(|machine| machine.run(&run.script));
    let came_of_it = match running {
        Some(running) => running.await.map_err(|error| error.to_string()),
        None => Err("the machine is off".to_owned()),
    };
    shared.update(|state, now| state.commands.ended(&run, came_of_it, now));
}

/// The machines that take commands.
fn online(state: &FleetState) -> Online {
    let on = state.hosts.iter().filter(|(_, host)| host.machine.is_some());
    let tags = |id: &str| state.cloud.instance(id).map(|instance| instance.tags.clone()).unwrap_or_default();
    on.map(|(id, _)| (id.clone(), tags(id))).collect()
}

/// Who signed a call. An emulator lets strangers in; they count as operators.
enum Caller {
    Instance(String),
    /// An instance whose credentials have expired.
    Expired(String),
    /// The access key id, when there is a signature.
    Operator(Option<String>),
}

impl Caller {
    fn of(request: &Request, state: &FleetState, now: Timestamp) -> Self {
        let Some(key) = access_key(request) else { return Self::Operator(None) };
        let found = state.hosts.iter().find_map(|(id, host)| Some((id, host.metadata.expiry_of(&key)?)));
        match found {
            Some((id, until)) if until > now => Self::Instance(id.clone()),
            Some((id, _)) => Self::Expired(id.clone()),
            None => Self::Operator(Some(key)),
        }
    }

    fn instance(&self) -> Option<&str> {
        match self {
            Self::Instance(id) | Self::Expired(id) => Some(id),
            Self::Operator(_) => None,
        }
    }

    fn kind(&self) -> &str {
        match self {
            Self::Instance(_) | Self::Expired(_) => "instance",
            Self::Operator(Some(key)) => key,
            Self::Operator(None) => "unsigned",
        }
    }
}

/// The access key id in a signature of version 4 (IAM User Guide, "Create a signed request").
fn access_key(request: &Request) -> Option<String> {
    let credential = match request.header("authorization") {
        Some(header) => header.strip_prefix("AWS4-HMAC-SHA256")?.split("Credential=").nth(1)?,
        None => request.query("X-Amz-Credential")?,
    };
    let key: String = credential.chars().take_while(char::is_ascii_alphanumeric).take(128).collect();
    (!key.is_empty()).then_some(key)
}

/// How the caller speaks.
enum Protocol {
    /// JSON 1.1: the whole `X-Amz-Target`.
    Json(String),
    Query(BTreeMap<String, String>),
    /// S3's own, with this action.
    Objects(&'static str),
    /// Lambda's and EventBridge Scheduler's, with this action.
    Rest(&'static str),
}

impl Protocol {
    fn of(request: &Request) -> Option<Self> {
        if objects::is_for(request) {
            return Some(Self::Objects(objects::action(request)));
        }
        if functions::is_for(request) {
            return Some(Self::Rest(functions::action(request)));
        }
        if request.path != "/" {
            return None;
        }
        if let Some(target) = request.header("x-amz-target") {
            return Some(Self::Json(target.to_owned()));
        }
        let mut form: BTreeMap<String, String> = request.query.iter().cloned().collect();
        form.extend(http::pairs(&request.body));
        form.contains_key("Action").then_some(Self::Query(form))
    }

    fn action(&self) -> &str {
        match self {
            Self::Json(target) => target.rsplit('.').next().unwrap_or(target),
            Self::Query(form) => form.get("Action").map_or("", String::as_str),
            Self::Objects(action) | Self::Rest(action) => action,
        }
    }

    fn call(&self, request: &Request, caller: &Caller, state: &mut FleetState, now: Timestamp) -> Response {
        match self {
            Self::Json(target) if target.starts_with("Logs_") => {
                state.logs.handle(target, request, now).header("x-amzn-requestid", request_id(now))
            }
            Self::Json(target) if quotas::is_for(target) => {
                quotas::handle(target, request).header("x-amzn-requestid", request_id(now))
            }
            Self::Json(target) if Keys::is_for(target) => {
                state.keys.handle(target, request).header("x-amzn-requestid", request_id(now))
            }
            Self::Json(target) if Commands::is_for(target) => {
                let online = online(state);
                let answer = state.commands.handle(target, request, &online, now);
                answer.header("x-amzn-requestid", request_id(now))
            }
            Self::Json(target) => state.secrets.handle(target, request).header("x-amzn-requestid", request_id(now)),
            Self::Objects(_) => state.objects.handle(request).header("x-amz-request-id", request_id(now)),
            Self::Rest(_) => state.functions.handle(request).header("x-amzn-requestid", request_id(now)),
            Self::Query(form) => {
                let reply = query::call(&mut state.cloud, form, caller.instance(), now);
                Response::new(reply.status, "text/xml", reply.body)
            }
        }
    }

    fn refuse(&self, why: Refusal) -> Response {
        match self {
            Self::Json(_) => match why {
                Refusal::Status(403) => {
                    let message = "User is not authorized to perform this operation";
                    secrets::fault(400, "AccessDeniedException", message)
                }
                Refusal::Status(status) if status < 500 => secrets::fault(status, "InvalidRequestException", ""),
                Refusal::Status(status) => {
                    secrets::fault(status, "InternalServerError", "An error occurred on the server side.")
                }
                Refusal::Throttled => secrets::fault(400, "ThrottlingException", "Rate exceeded"),
                Refusal::Expired => {
                    let message = "The security token included in the request is expired";
                    secrets::fault(400, "ExpiredTokenException", message)
                }
            },
            Self::Objects(_) => {
                let (status, code, message) = match why {
                    Refusal::Status(503) | Refusal::Throttled => (503, "SlowDown", "Please reduce your request rate."),
                    Refusal::Status(status @ ..500) => (status, "AccessDenied", "Access Denied"),
                    Refusal::Status(status) => {
                        (status, "InternalError", "We encountered an internal error. Please try again.")
                    }
                    Refusal::Expired => (400, "ExpiredToken", "The provided token has expired."),
                };
                objects::refuse(status, code, message)
            }
            Self::Rest(_) => match why {
                Refusal::Status(status) if status < 500 => functions::refuse(
                    status,
                    "AccessDeniedException",
                    "User is not authorized to perform this operation",
                ),
                Refusal::Status(status) => {
                    functions::refuse(status, "ServiceException", "Service encountered an error.")
                }
                Refusal::Throttled => functions::refuse(429, "TooManyRequestsException", "Rate Exceeded."),
                Refusal::Expired => functions::refuse(
                    403,
                    "ExpiredTokenException",
                    "The security token included in the request is expired",
                ),
            },
            Self::Query(form) => {
                let (status, code, message) = query_fault(form, why);
                let reply = query::refuse(form, status, code, message);
                Response::new(reply.status, "text/xml", reply.body)
            }
        }
    }
}

/// Status, code and message of what comes before the service itself, as Auto Scaling and STS word it, or EC2.
fn query_fault(form: &BTreeMap<String, String>, why: Refusal) -> (u16, &'static str, &'static str) {
    let ec2 = form.get("Version").is_some_and(|version| version == "2016-11-15");
    match (why, ec2) {
        (Refusal::Status(503), true) => (503, "Unavailable", "The service is unavailable. Please try again shortly."),
        (Refusal::Status(status @ ..500), true) => {
            (status, "UnauthorizedOperation", "You are not authorized to perform this operation.")
        }
        (Refusal::Status(status), true) => (status, "InternalError", "An internal error has occurred"),
        (Refusal::Throttled, true) => (503, "RequestLimitExceeded", "Request limit exceeded."),
        (Refusal::Expired, true) => (400, "RequestExpired", "Request has expired."),
        (Refusal::Status(503), false) => (503, "ServiceUnavailable", "Service is unavailable"),
        (Refusal::Status(status @ ..500), false) => {
            (status, "AccessDenied", "User is not authorized to perform this operation")
        }
        (Refusal::Status(status), false) => {
            (status, "InternalFailure", "The request processing has failed because of an unknown error")
        }
        (Refusal::Throttled, false) => (400, "Throttling", "Rate exceeded"),
        (Refusal::Expired, false) => (403, "ExpiredToken", "The security token included in the request is expired"),
    }
}

/// Something in the shape of a request id.
fn request_id(salt: Timestamp) -> String {
    let hex = hex::encode(&Sha256::digest(salt.0.to_le_bytes())[..16]);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_key_is_read_from_the_signature() {
        let mut request = Request::default();
        assert_eq!(access_key(&request), None);
        let header = "AWS4-HMAC-SHA256 Credential=ASIAABCDEFGHIJKLMNOP/20261121/eu-central-1/autoscaling/aws4_request, \
                      SignedHeaders=host, Signature=0";
        request.headers.insert("authorization".into(), header.into());
        assert_eq!(access_key(&request).as_deref(), Some("ASIAABCDEFGHIJKLMNOP"));
        request.headers.insert("authorization".into(), "Bearer x".into());
        assert_eq!(access_key(&request), None);
    }

    #[test]
    fn each_service_throttles_in_its_own_words() {
        let query = |version: &str| {
            let form = [("Action", "X"), ("Version", version)];
            Protocol::Query(form.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
        };
        let scaling = query("2011-01-01").refuse(Refusal::Throttled);
        assert_eq!(scaling.status, 400);
        assert!(scaling.text().contains("<Code>Throttling</Code><Message>Rate exceeded</Message>"));
        let ec2 = query("2016-11-15").refuse(Refusal::Throttled);
        assert_eq!(ec2.status, 503);
        assert!(ec2.text().contains("<Code>RequestLimitExceeded</Code>"));
        let json = Protocol::Json("AmazonSSM.GetParameter".into()).refuse(Refusal::Throttled);
        assert!(json.text().contains("\"ThrottlingException\""));
    }
}
