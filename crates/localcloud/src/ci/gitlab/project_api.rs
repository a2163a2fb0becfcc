//! The side that people and scalers use: jobs, projects, runner records.

use serde_json::{Value, json};

use super::{
    GitLab, PROJECT_ID, Project, Runner, flag, invalid,
    jobs::{SCOPES, job, scopes},
    page::{Total, keyset, page},
    pipelines::pipeline,
    refuse,
    route::UserRoute,
};
use crate::{
    ci::{
        contract::CiState,
        jobs::{Cause, Job, JobOutcome},
    },
    http::{Request, Response},
    time::Timestamp,
};

impl GitLab {
    /// Answers a request that carries a user's token. An `Err` is an answer too: the refusal.
    pub(super) fn user_side(
        &mut self,
        route: &UserRoute,
        request: &Request,
        state: &mut CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        self.authorize(request, route.scopes(), now)?;
        match route {
            UserRoute::CurrentUser => Ok(Response::json(
                200,
                &json!({
                    "id": 1,
                    "username": "root",
                    "name": "Administrator",
                    "state": "active",
                    "is_admin": true,
                    "web_url": format!("{}/root", state.url),
                }),
            )),
            UserRoute::Projects => {
                let projects: Vec<&Project> = self.projects.values().rev().collect();
                let show = |project: &&Project| self.project_entity(project, &state.url);
                Ok(page(request, &state.url, &projects, Total::Told, show))
            }
            UserRoute::Project(project) => {
                Ok(Response::json(200, &self.project_entity(self.project(project)?, &state.url)))
            }
            UserRoute::Group(group) => {
                let (id, path) = self.group(group)?;
                let name = path.rsplit('/').next().unwrap_or_default();
                let web_url = format!("{}/groups/{path}", state.url);
                let entity = json!({
                    "id": id, "name": name, "path": name, "full_path": path, "visibility": "private", "web_url": web_url,
                });
                Ok(Response::json(200, &entity))
            }
            UserRoute::Runners => {
                let runners: Vec<&Runner> = self.runners.values().rev().collect();
                Ok(page(request, &state.url, &runners, Total::Told, |runner| runner.details(now)))
            }
            UserRoute::ProjectJobs(project) => self.project_jobs(self.project(project)?.id, request, state, now),
            UserRoute::ProjectJob(project, id) => {
                let project = self.project(project)?.id;
                Ok(Response::json(200, &job(project, *id, &state.jobs)?.entity(self, &state.url, now)))
            }
            UserRoute::JobTrace(project, id) => {
                let project = self.project(project)?.id;
                Ok(Response::new(200, "text/plain", job(project, *id, &state.jobs)?.trace.clone()))
            }
            UserRoute::CancelJob(project, id) => self.cancel(project, *id, state, now),
            UserRoute::RetryJob(project, id) => {
                let project = self.project(project)?.id;
                self.retry(project, *id, state, now)
            }
            UserRoute::Pipelines(project) => self.pipelines(self.project(project)?.id, request, state),
            UserRoute::CreatePipeline(project) => {
                let project = self.project(project)?.id;
                self.create_pipeline(project, request, state, now)
            }
            UserRoute::Pipeline(project, id) => {
                let pipeline = pipeline(self.project(project)?.id, *id, &state.jobs)?;
                Ok(Response::json(200, &pipeline.entity(self, &state.url)))
            }
            UserRoute::PipelineJobs(project, id) => {
                self.pipeline_jobs(self.project(project)?.id, *id, request, state, now)
            }
            UserRoute::RetryPipeline(project, id) => {
                let project = self.project(project)?.id;
                self.retry_pipeline(project, *id, state, now)
            }
            UserRoute::CancelPipeline(project, id) => {
                let project = self.project(project)?.id;
                self.cancel_pipeline(project, *id, state, now)
            }
            UserRoute::GroupProjects(group) => self.group_projects(group, request, &state.url),
            UserRoute::CreateRunner => self.create_runner(request),
            UserRoute::Runner(id) => Ok(Response::json(200, &self.runner(*id)?.details(now))),
            UserRoute::UpdateRunner(id) => {
                let params = request.params();
                let runner = self.runner_mut(*id)?;
                runner.change(&params).map_err(|what| refuse(400, &what))?;
                Ok(Response::json(200, &runner.details(now)))
            }
            UserRoute::DeleteRunner(id) => {
                self.runner(*id)?;
                self.runners.remove(id);
                Ok(Response::empty(204))
            }
            UserRoute::RunnerManagers(id) => {
                let managers = self.runner(*id)?.managers.values().rev();
                Ok(Response::json(200, &managers.map(|manager| manager.entity(now)).collect()))
            }
            UserRoute::RunnerJobs(id) => self.runner_jobs(*id, request, state, now),
        }
    }

    fn project_jobs(
        &self,
        project: u64,
        request: &Request,
        state: &CiState,
        now: Timestamp,
    ) -> Result<Response, Response> {
        let scopes = scopes(request)?;
        let jobs = state.jobs.iter().rev().filter(|_| project == PROJECT_ID);
        let jobs = jobs.filter(|job| scopes.is_empty() || scopes.iter().any(|scope| scope == job.status.as_str()));
        let jobs: Vec<&Job> = jobs.collect();
        let show = |job: &&Job| job.entity(self, &state.url, now);
        Ok(match request.query("pagination") {
            Some("keyset") => keyset(request, &state.url, &jobs, show),
            Some(_) | None => page(request, &state.url, &jobs, Total::Untold, show),
        })
    }

    fn runner_jobs(&self, id: u64, request: &Request, state: &CiState, now: Timestamp) -> Result<Response, Response> {
        self.runner(id)?;
        let status = request.query("status");
        if status.is_some_and(|status| !SCOPES.contains(&status)) {
            return Err(invalid("status does not have a valid value"));
        }
        let jobs = state.jobs.iter().rev().filter(|job| job.runner == Some(id));
        let jobs = jobs.filter(|job| status.is_none_or(|status| status == job.status.as_str()));
        let system_id = request.query("system_id");
        let jobs = jobs.filter(|job| system_id.is_none_or(|wanted| job.machine.as_deref() == Some(wanted)));
        let jobs: Vec<&Job> = jobs.collect();
        Ok(page(request, &state.url, &jobs, Total::Told, |job| job.entity(self, &state.url, now)))
    }

    fn group_projects(&self, group: &str, request: &Request, url: &str) -> Result<Response, Response> {
        let (group, group_path) = self.group(group)?;
        let deep = request.query("include_subgroups").is_some_and(|value| flag(&json!(value)) == Some(true));
        let below = format!("{group_path}/");
        let inside = |project: &&Project| {
            project.group == *group
                && (deep || project.path.strip_prefix(&below).is_some_and(|rest| !rest.contains('/')))
        };
        let archived = request.query("archived").is_some_and(|value| flag(&json!(value)) == Some(true));
        let projects = self.projects.values().rev().filter(inside).filter(|_| !archived);
        let projects: Vec<&Project> = projects.collect();
        Ok(page(request, url, &projects, Total::Told, |project| self.project_entity(project, url)))
    }

    fn project_entity(&self, project: &Project, url: &str) -> Value {
        let name = project.path.rsplit('/').next().unwrap_or_default();
        let group = self.groups.get(&project.group).cloned().unwrap_or_default();
        json!({
            "id": project.id,
            "name": name,
            "path": name,
            "path_with_namespace": project.path,
            "default_branch": "main",
            "visibility": "private",
            "archived": false,
            "jobs_enabled": true,
            "builds_access_level": "enabled",
            "web_url": format!("{url}/{}", project.path),
            "namespace": {"id": project.group, "kind": "group", "full_path": group},
        })
    }

    fn create_runner(&mut self, request: &Request) -> Result<Response, Response> {
        let params = request.params();
        let kind = params.get("runner_type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let owner = |key: &str| params.get(key).and_then(|id| id.as_u64().or_else(|| id.as_str()?.parse().ok()));
        match kind.as_str() {
            "group_type" if !owner("group_id").is_some_and(|id| self.groups.contains_key(&id)) => {
                return Err(invalid("group_id is missing"));
            }
            "project_type" if !owner("project_id").is_some_and(|id| self.projects.contains_key(&id)) => {
                return Err(invalid("project_id is missing"));
            }
            "instance_type" | "group_type" | "project_type" => {}
            _ => return Err(invalid("runner_type does not have a valid value")),
        }
        let id = self.runners.last_key_value().map_or(1, |(last, _)| last + 1);
        let token = self.secret("glrt-", id);
        let mut runner = Runner { kind, ..Runner::new(id, token.clone()) };
        runner.change(&params).map_err(|what| refuse(400, &what))?;
        self.runners.insert(id, runner);
        Ok(Response::json(201, &json!({"id": id, "token": token, "token_expires_at": null})))
    }

    fn cancel(&mut self, project: &str, id: u64, state: &mut CiState, now: Timestamp) -> Result<Response, Response> {
        let project = self.project(project)?.id;
        if job(project, id, &state.jobs)?.status.is_over() {
            return Err(refuse(403, "403 Forbidden"));
        }
        state.jobs.finish(id, JobOutcome::Canceled(Cause::Job), now);
        Ok(Response::json(201, &job(project, id, &state.jobs)?.entity(self, &state.url, now)))
    }

    /// The group with this number or full path.
    fn group(&self, name: &str) -> Result<(&u64, &String), Response> {
        let found = self.groups.iter().find(|(id, path)| name.parse() == Ok(**id) || *path == name);
        found.ok_or_else(|| refuse(404, "404 Group Not Found"))
    }

    /// The project with this number or full path.
    fn project(&self, name: &str) -> Result<&Project, Response> {
        let found = self.projects.values().find(|project| name.parse() == Ok(project.id) || project.path == name);
        found.ok_or_else(|| refuse(404, "404 Project Not Found"))
    }

    fn runner(&self, id: u64) -> Result<&Runner, Response> {
        self.runners.get(&id).ok_or_else(|| refuse(404, "404 Runner Not Found"))
    }

    fn runner_mut(&mut self, id: u64) -> Result<&mut Runner, Response> {
        self.runners.get_mut(&id).ok_or_else(|| refuse(404, "404 Runner Not Found"))
    }
}
