//! Runner scale sets: the service behind `_apis`, with its registration chain, sessions and statistics.
//!
//! A job that a scale set's labels fit is assigned to it at once. The message queue tells of jobs that are assigned, begin and end since the session
//! was opened, with the statistics, and answers at once where the real one lets a reader wait.

mod events;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use self::events::JobEvents;
use super::{GitHub, GitHubOptions, auth::Right, number, refuse, route::ScaleSetRoute};
use crate::{
    ci::{
        contract::CiState,
        jobs::{Job, Status},
    },
    http::{Request, Response},
    time::Timestamp,
};

/// One scale set.
#[derive(Clone, Debug)]
pub(super) struct ScaleSet {
    id: u64,
    name: String,
    labels: BTreeSet<String>,
    session: Option<Session>,
    /// Runners that were made through it.
    runners: BTreeSet<u64>,
}

/// Whoever listens to a scale set; only one may.
#[derive(Clone, Debug)]
struct Session {
    id: String,
    owner: String,
    /// The newest message's number, the statistics that it told, and what it told of jobs.
    message: u64,
    told: Option<(Value, String)>,
    jobs: JobEvents,
}

impl ScaleSet {
    /// Those that are there from the start, by id.
    pub(super) fn preset(options: &GitHubOptions) -> BTreeMap<u64, Self> {
        let with_ids = (1..).zip(&options.scale_sets);
        let sets = with_ids.map(|(id, name)| {
            let labels = options.job_labels.iter().chain([name]).cloned().collect();
            (id, Self { id, name: name.clone(), labels, session: None, runners: BTreeSet::new() })
        });
        sets.collect()
    }
}

impl GitHub {
    /// Trades a registration token for the service's address and a token for it.
    pub(super) fn runner_registration(
        &mut self,
        request: &Request,
        state: &CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        let token = request.header("authorization").and_then(|value| value.strip_prefix("RemoteAuth "));
        if !token.is_some_and(|token| self.allows(token, Right::Register, now)) {
            return Err(refuse(401, "Bad credentials"));
        }
        let wanted = request.params().get("url").and_then(Value::as_str).map(str::to_owned).unwrap_or_default();
        let owner = wanted.trim_end_matches('/').rsplit('/').find(|part| *part != self.options.repository);
        if !owner.is_some_and(|owner| owner.eq_ignore_ascii_case(&self.options.organization)) {
            return Err(refuse(404, "Not Found"));
        }
        let (token, _) = self.issue("eyJ", Right::Admin, now);
        Ok(Response::json(200, &json!({"url": format!("{}/actions-service/", state.url), "token": token})))
    }

    pub(super) fn scale_set(
        &mut self,
        route: &ScaleSetRoute,
        request: &Request,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        let right = route.right();
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !token.is_some_and(|token| self.allows(token, right, now)) {
            return Err(fault(401, "UnauthorizedException", "the token is not good for this"));
        }
        match route {
            ScaleSetRoute::List => Ok(self.list(request, state)),
            ScaleSetRoute::Create => self.create(request, state),
            ScaleSetRoute::Get(id) => Ok(Response::json(200, &self.show(self.set(*id)?, state))),
            ScaleSetRoute::Change(id) => {
                let labels = labels_of(request);
                let set = self.set_mut(*id)?;
                if !labels.is_empty() {
                    set.labels = labels;
                }
                Ok(Response::json(200, &self.show(self.set(*id)?, state)))
            }
            ScaleSetRoute::Delete(id) => {
                self.set(*id)?;
                self.scale_sets.remove(id);
                Ok(Response::empty(204))
            }
            ScaleSetRoute::OpenSession(id) => self.open_session(*id, request, state, now),
            ScaleSetRoute::RenewSession(id, session) => {
                self.session(*id, session)?;
                self.show_session(*id, state, now)
            }
            ScaleSetRoute::CloseSession(id, session) => {
                self.session(*id, session)?;
                self.set_mut(*id)?.session = None;
                Ok(Response::empty(204))
            }
            ScaleSetRoute::JitConfig(id) => {
                let params = request.params();
                let name = params.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
                let name = name.ok_or_else(|| fault(400, "ArgumentException", "name is missing"))?;
                let labels = self.set(*id)?.labels.clone();
                let (runner, blob) = self.new_jit(name, labels, state, now)?;
                self.set_mut(*id)?.runners.insert(runner);
                let runner = json!({"id": runner, "name": name, "runnerScaleSetId": id});
                Ok(Response::json(200, &json!({"runner": runner, "encodedJITConfig": blob})))
            }
            ScaleSetRoute::NextMessage(id) => self.next_message(*id, request, state),
            ScaleSetRoute::DeleteMessage(id, _) => {
                self.set(*id)?;
                Ok(Response::empty(204))
            }
        }
    }

    fn list(&self, request: &Request, state: &CiState) -> Response {
        let named = |set: &&ScaleSet| request.query("name").is_none_or(|name| set.name == name);
        let sets: Vec<Value> = self.scale_sets.values().filter(named).map(|set| self.show(set, state)).collect();
        Response::json(200, &json!({"count": sets.len(), "value": sets}))
    }

    fn create(&mut self, request: &Request, state: &CiState) -> Result<Response, Response> {
        let params = request.params();
        let name = params.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| fault(400, "ArgumentException", "name is missing"))?.to_owned();
        if number(params.get("runnerGroupId")).is_some_and(|group| group != self.options.runner_group) {
            return Err(fault(404, "RunnerGroupNotFoundException", "there is no such runner group"));
        }
        if self.scale_sets.values().any(|set| set.name == name) {
            return Err(fault(409, "RunnerScaleSetExistsException", "a runner scale set with this name exists"));
        }
        let id = self.scale_sets.last_key_value().map_or(1, |(last, _)| last + 1);
        let mut labels = labels_of(request);
        if labels.is_empty() {
            labels.insert(name.clone());
        }
        let set = ScaleSet { id, name, labels, session: None, runners: BTreeSet::new() };
        let response = Response::json(200, &self.show(&set, state));
        self.scale_sets.insert(id, set);
        Ok(response)
    }

    fn open_session(
        &mut self,
        id: u64,
        request: &Request,
        state: &CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        let owner = request.params().get("ownerName").and_then(Value::as_str).unwrap_or_default().to_owned();
        let session = format!("00000000-0000-4000-8000-{:012x}", self.made + 1);
        let jobs = JobEvents::after(self.jobs_of(self.set(id)?, state));
        let set = self.set_mut(id)?;
        if let Some(open) = &set.session {
            let message = format!("the runner scale set already has an active session for owner {}", open.owner);
            return Err(fault(409, "RunnerScaleSetSessionConflictException", &message));
        }
        set.session = Some(Session { id: session, owner, message: 0, told: None, jobs });
        self.show_session(id, state, now)
    }

    fn show_session(&mut self, id: u64, state: &CiState, now: Timestamp) -> Result<Response, Response> {
        let (token, _) = self.issue("eyJ", Right::Queue, now);
        let set = self.set(id)?;
        let session = set.session.as_ref().ok_or_else(no_session)?;
        let body = json!({
            "sessionId": session.id,
            "ownerName": session.owner,
            "runnerScaleSet": self.show(set, state),
            "messageQueueUrl": format!("{}/actions-service/_apis/messages/{id}?sessionId={}", state.url, session.id),
            "messageQueueAccessToken": token,
            "statistics": self.statistics(set, state),
        });
        Ok(Response::json(200, &body))
    }

    fn next_message(&mut self, id: u64, request: &Request, state: &CiState) -> Result<Response, Response> {
        let set = self.set(id)?;
        let statistics = self.statistics(set, state);
        let jobs: Vec<&Job> = self.jobs_of(set, state).collect();
        let wanted = request.query("sessionId").map(str::to_owned);
        // Lent apart from the scale sets, which it does not touch.
        let session = self.scale_sets.get_mut(&id).and_then(|set| set.session.as_mut());
        let session = session.filter(|session| wanted.as_ref() == Some(&session.id)).ok_or_else(no_session)?;
        let last = request.query("lastMessageId").and_then(|id| id.parse().ok()).unwrap_or(0);
        // One that was not acknowledged is told again.
        if last >= session.message || session.told.is_none() {
            let events = session.jobs.next(jobs);
            if events.is_empty() && session.told.as_ref().is_some_and(|(told, _)| *told == statistics) {
                return Ok(Response::empty(202));
            }
            session.message += 1;
            session.told = Some((statistics, Value::Array(events).to_string()));
        }
        let (statistics, events) = session.told.clone().unwrap_or_default();
        let body = json!({
            "messageId": session.message,
            "messageType": "RunnerScaleSetJobMessages",
            "body": events,
            "statistics": statistics,
        });
        Ok(Response::json(200, &body))
    }

    fn statistics(&self, set: &ScaleSet, state: &CiState) -> Value {
        let count = |status| self.jobs_of(set, state).filter(|job| job.status == status).count();
        let (waiting, running) = (count(Status::Pending), count(Status::Running));
        let runners: Vec<u64> = set.runners.iter().copied().filter(|id| state.workers.get(*id).is_some()).collect();
        let busy = runners.iter().filter(|id| state.load(**id) > 0).count();
        json!({
            "totalAvailableJobs": 0,
            "totalAcquiredJobs": waiting + running,
            "totalAssignedJobs": waiting + running,
            "totalRunningJobs": running,
            "totalRegisteredRunners": runners.len(),
            "totalBusyRunners": busy,
            "totalIdleRunners": runners.len() - busy,
        })
    }

    /// The jobs that are the scale set's, oldest first.
    fn jobs_of<'a>(&self, set: &ScaleSet, state: &'a CiState) -> impl Iterator<Item = &'a Job> {
        state.jobs.iter().filter(|job| self.labels_of(job).iter().all(|label| set.labels.contains(label)))
    }

    fn show(&self, set: &ScaleSet, state: &CiState) -> Value {
        let labels: Vec<Value> = set.labels.iter().map(|name| json!({"type": "System", "name": name})).collect();
        json!({
            "id": set.id,
            "name": set.name,
            "runnerGroupId": self.options.runner_group,
            "runnerGroupName": "Default",
            "labels": labels,
            "RunnerSetting": {"disableUpdate": true},
            "statistics": self.statistics(set, state),
        })
    }

    fn set(&self, id: u64) -> Result<&ScaleSet, Response> {
        self.scale_sets.get(&id).ok_or_else(no_set)
    }

    fn set_mut(&mut self, id: u64) -> Result<&mut ScaleSet, Response> {
        self.scale_sets.get_mut(&id).ok_or_else(no_set)
    }

    fn session(&self, id: u64, session: &str) -> Result<&Session, Response> {
        let open = self.set(id)?.session.as_ref();
        open.filter(|open| open.id == session).ok_or_else(no_session)
    }
}

fn labels_of(request: &Request) -> BTreeSet<String> {
    let params = request.params();
    let labels = params.get("labels").and_then(Value::as_array).into_iter().flatten();
    labels.filter_map(|label| label.get("name")?.as_str()).map(str::to_owned).collect()
}

fn no_set() -> Response {
    fault(404, "RunnerScaleSetNotFoundException", "there is no such runner scale set")
}

fn no_session() -> Response {
    fault(404, "RunnerScaleSetSessionNotFoundException", "there is no such session")
}

/// An error as the Actions service sends it.
fn fault(status: u16, kind: &str, message: &str) -> Response {
    Response::json(status, &json!({"typeName": kind, "typeKey": kind, "message": message}))
}
