//! The part of Spacelift's GraphQL API that scalers and agents use: log in, look at a worker pool, drain a worker.
//!
//! Source: Spacelift documentation (API, worker pools) and its public autoscaler.

pub mod demo;
mod graphql;
mod options;

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use self::graphql::{Field, Operation};
pub use self::options::SpaceliftOptions;
use super::{
    contract::{
        CiState, FailureTexts, Platform, PlatformKind, RetentionRules, RunnerApiError, VendorOptions, one_slot,
    },
    jobs::Job,
    protocol::Connect,
    workers::{DrainState, Worker},
};
use crate::{
    digest::hmac_sha256,
    http::{Request, Response, reason_phrase},
    refusal::Refusal,
    time::Timestamp,
};

pub const KIND: PlatformKind = PlatformKind::new("spacelift", "Spacelift", || SpaceliftOptions::default().into());

impl VendorOptions for SpaceliftOptions {
    fn open(&self) -> Box<dyn Platform> {
        Box::new(Spacelift::new(self.clone()))
    }
}

pub(super) struct Spacelift {
    options: SpaceliftOptions,
}

/// What a request wants, for counters and faults.
const LOGIN: &str = "apiKeyUser";
const POOL: &str = "workerPool";
const DRAIN: &str = "workerDrainSet";

impl Spacelift {
    pub(super) fn new(options: SpaceliftOptions) -> Self {
        Self { options }
    }

    fn execute(&self, request: &Request, state: &mut CiState, now: Timestamp) -> Result<Value, String> {
        let operation = operation_of(request)?;
        // A call without a login is refused as a whole.
        let logged_in = self.is_logged_in(request, now);
        let mut data = Map::new();
        for field in &operation.fields {
            let value = match (operation.mutation, field.name.as_str()) {
                (true, LOGIN) => self.login(field, now)?,
                (_, POOL | DRAIN) if !logged_in => return Err("unauthorized".to_owned()),
                (false, POOL) => self.pool(field, state)?,
                (true, DRAIN) => self.drain(field, state)?,
                (true, other) => return Err(format!("Cannot query field \"{other}\" on type \"Mutation\".")),
                (false, other) => return Err(format!("Cannot query field \"{other}\" on type \"Query\".")),
            };
            data.insert(field.alias.clone(), value);
        }
        Ok(Value::Object(data))
    }

    fn login(&self, field: &Field, now: Timestamp) -> Result<Value, String> {
        if field.text("id") != Some(&self.options.key_id) || field.text("secret") != Some(&self.options.key_secret) {
            return Ok(Value::Null);
        }
        let until = (now + self.options.session).0.div_euclid(1000);
        select(field, "User", |name| match name {
            "jwt" => Some(json!(self.token(until))),
            "validUntil" => Some(json!(until)),
            "id" => Some(json!(format!("api::{}", self.options.key_id))),
            _ => None,
        })
    }

    /// Something in the shape of a JWT that is good until then.
    fn token(&self, until: i64) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = part(&json!({"sub": format!("api::{}", self.options.key_id), "exp": until}));
        let unsigned = format!("{}.{claims}", part(&json!({"alg": "HS256", "typ": "JWT"})));
        let signature = hmac_sha256(self.options.key_secret.as_bytes(), unsigned.as_bytes());
        format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn is_logged_in(&self, request: &Request, now: Timestamp) -> bool {
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let claims = bearer.and_then(|token| URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok());
        let claims: Option<Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
        let until = claims.and_then(|claims| claims.get("exp")?.as_i64());
        until.is_some_and(|until| bearer == Some(&self.token(until)) && until * 1000 > now.0)
    }

    fn pool(&self, field: &Field, state: &CiState) -> Result<Value, String> {
        if field.text("id") != Some(&self.options.pool) {
            return Ok(Value::Null);
        }
        if field.selection.is_empty() {
            return Err("Field \"workerPool\" of type \"WorkerPool\" must have a selection of subfields.".to_owned());
        }
        let mut pool = Map::new();
        for inner in &field.selection {
            let value = match inner.name.as_str() {
                "workers" => {
                    state.workers.iter().map(|worker| self.worker(inner, worker, state)).collect::<Result<_, _>>()?
                }
                "id" => json!(self.options.pool),
                "name" => json!("lightsout"),
                "pendingRuns" => json!(state.jobs.waiting().count()),
                "busyWorkers" => json!(state.workers.iter().filter(|worker| state.load(worker.id) > 0).count()),
                other => return Err(format!("Cannot query field \"{other}\" on type \"WorkerPool\".")),
            };
            pool.insert(inner.alias.clone(), value);
        }
        Ok(Value::Object(pool))
    }

    /// Busy is looked at after the drain took effect, so that `busy: false` proves that nothing comes any more.
    fn drain(&self, field: &Field, state: &mut CiState) -> Result<Value, String> {
        let on = field.arguments.get("drain").and_then(Value::as_bool).ok_or("Argument \"drain\" is missing.")?;
        let id = field.text("id").and_then(number).filter(|id| state.workers.get(*id).is_some());
        let id = id.filter(|_| field.text("workerPool") == Some(&self.options.pool)).ok_or("worker not found")?;
        if let Some(worker) = state.workers.get_mut(id) {
            worker.drain = if on { DrainState::Drained } else { DrainState::Serving };
        }
        let worker = state.workers.get(id).ok_or("worker not found")?;
        if field.selection.iter().any(|inner| inner.name == "availableAt") {
            return Err("Cannot query field \"availableAt\" on type \"Worker\".".to_owned());
        }
        self.worker(field, worker, state)
    }

    fn worker(&self, field: &Field, worker: &Worker, state: &CiState) -> Result<Value, String> {
        let busy = state.load(worker.id) > 0;
        let seconds = |at: Timestamp| at.0.div_euclid(1000);
        select(field, "Worker", |name| {
            Some(match name {
                "id" => json!(ulid(worker.id)),
                "busy" => json!(busy),
                "drained" => json!(worker.drain == DrainState::Drained),
                "createdAt" => json!(seconds(worker.created_at)),
                "availableAt" if self.options.available_at => json!((!busy).then(|| seconds(worker.free_since))),
                // JSON inside JSON.
                "metadata" => json!(json!(worker.metadata).to_string()),
                "status" => json!(if worker.drain == DrainState::Drained { "DRAINED" } else { "IDLE" }),
                _ => return None,
            })
        })
    }
}

fn operation_of(request: &Request) -> Result<Operation, String> {
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| "the body is not JSON".to_owned())?;
    let query = body.get("query").and_then(Value::as_str).ok_or("Must provide query string.")?;
    let variables = body.get("variables").and_then(Value::as_object).cloned().unwrap_or_default();
    graphql::parse(query, &variables)
}

/// The selected fields of an object.
fn select(field: &Field, kind: &str, value: impl Fn(&str) -> Option<Value>) -> Result<Value, String> {
    if field.selection.is_empty() {
        return Err(format!("Field \"{}\" of type \"{kind}\" must have a selection of subfields.", field.name));
    }
    let selected = field.selection.iter().map(|inner| {
        let found =
            value(&inner.name).ok_or_else(|| format!("Cannot query field \"{}\" on type \"{kind}\".", inner.name));
        Ok((inner.alias.clone(), found?))
    });
    selected.collect::<Result<Map<_, _>, String>>().map(Value::Object)
}

impl Platform for Spacelift {
    fn kind(&self) -> PlatformKind {
        KIND
    }

    fn route(&self, request: &Request) -> &'static str {
        if request.path != "/graphql" {
            return "other";
        }
        let operation = operation_of(request).ok();
        let first = operation.as_ref().and_then(|operation| operation.fields.first());
        match first.map(|field| field.name.as_str()) {
            Some(LOGIN) => LOGIN,
            Some(POOL) => POOL,
            Some(DRAIN) => DRAIN,
            Some(_) | None => "POST /graphql",
        }
    }

    fn handle(&mut self, request: &Request, state: &mut CiState, now: Timestamp) -> Response {
        if request.path != "/graphql" {
            return Response::new(404, "text/plain", "404 page not found\n");
        }
        if request.method != "POST" {
            return Response::new(405, "text/plain", "405 method not allowed\n");
        }
        match self.execute(request, state, now) {
            Ok(data) => Response::json(200, &json!({"data": data})),
            Err(message) => Response::json(200, &json!({"data": null, "errors": [{"message": message}]})),
        }
    }

    fn refuse(&self, why: Refusal, _: Timestamp) -> Response {
        match why {
            Refusal::Status(status) => {
                Response::new(status, "text/plain", format!("{status} {}\n", reason_phrase(status)))
            }
            Refusal::Throttled | Refusal::Expired => {
                Response::new(429, "text/plain", "Too Many Requests\n").header("retry-after", "10")
            }
        }
    }

    fn machine_of(&self, request: &Request, state: &CiState) -> Option<String> {
        let operation = operation_of(request).ok()?;
        let drain = operation.fields.iter().find(|field| field.name == DRAIN)?;
        state.workers.get(number(drain.text("id")?)?)?.instance.clone()
    }

    fn connect(&mut self, connect: &Connect, state: &mut CiState, now: Timestamp) -> Result<u64, RunnerApiError> {
        one_slot(connect, "a worker")?;
        if connect.token != self.options.pool_token {
            return Err(RunnerApiError(401, "the token is not that of the worker pool".into()));
        }
        let worker = Worker { metadata: connect.metadata.clone(), ..Worker::new(connect.name.clone(), now) };
        Ok(state.workers.add(worker))
    }

    fn tags_of(&self, _: &Job) -> Vec<String> {
        Vec::new()
    }

    fn environment(&self, job: &Job, worker: &Worker) -> BTreeMap<String, String> {
        let variables = [
            ("SPACELIFT", "true".to_owned()),
            ("TF_VAR_spacelift_run_id", ulid(job.id)),
            ("SPACELIFT_WORKER_ID", ulid(worker.id)),
        ];
        variables.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn failure_texts(&self) -> FailureTexts {
        FailureTexts { failed: "FAILED", system_failure: "worker failed", gone: "worker node crashed" }
    }

    fn retention(&self) -> RetentionRules {
        // How long Spacelift really waits is not documented.
        RetentionRules { keeps: false, forgets_used: false, lost_after: Duration::from_secs(180) }
    }
}

/// An id as Spacelift makes them.
fn ulid(id: u64) -> String {
    format!("01LIGHTSOUT{id:015}")
}

fn number(id: &str) -> Option<u64> {
    id.strip_prefix("01LIGHTSOUT")?.parse().ok()
}

#[cfg(test)]
mod tests;
