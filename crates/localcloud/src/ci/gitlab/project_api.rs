//! The side that people and scalers use: jobs, projects, runner records.

use serde_json::{Value, json};

use super::{
    Blame, End, Floor, GitLab, Job, PROJECT_ID, Project, Runner, flag, invalid,
    jobs::SCOPES,
    page::{Total, keyset, page},
    refuse,
    route::UserRoute,
};
use crate::{
    aws::model::Stamp,
    ci::jobs::Jobs,
    http::{Answer, Request},
};

impl GitLab {
    /// Answers a request that carries a user's token. An `Err` is an answer too: the refusal.
    pub(super) fn user_side(
        &mut self,
        route: &UserRoute,
        request: &Request,
        floor: &mut Floor,
        now: Stamp,
    ) -> Result<Answer, Answer> {
        self.authorize(request, route.scopes(), now)?;
        match route {
            UserRoute::ProjectJobs(project) => self.project_jobs(self.project(project)?.id, request, floor, now),
            UserRoute::ProjectJob(project, id) => {
                let project = self.project(project)?.id;
                Ok(Answer::json(200, &job(project, *id, &floor.jobs)?.entity(self, &floor.url, now)))
            }
            UserRoute::JobTrace(project, id) => {
                let project = self.project(project)?.id;
                Ok(Answer::new(200, "text/plain", job(project, *id, &floor.jobs)?.trace.clone()))
            }
            UserRoute::CancelJob(project, id) => self.cancel(project, *id, floor, now),
            UserRoute::GroupProjects(group) => self.group_projects(group, request, &floor.url),
            UserRoute::CreateRunner => self.create_runner(request),
            UserRoute::Runner(id) => Ok(Answer::json(200, &self.runner(*id)?.details(now))),
            UserRoute::UpdateRunner(id) => {
                let params = request.params();
                let runner = self.runner_mut(*id)?;
                runner.change(&params).map_err(|what| refuse(400, &what))?;
                Ok(Answer::json(200, &runner.details(now)))
            }
            UserRoute::DeleteRunner(id) => {
                self.runner(*id)?;
                self.runners.remove(id);
                Ok(Answer::empty(204))
            }
            UserRoute::RunnerManagers(id) => {
                let managers = self.runner(*id)?.managers.values().rev();
                Ok(Answer::json(200, &managers.map(|manager| manager.entity(now)).collect()))
            }
            UserRoute::RunnerJobs(id) => self.runner_jobs(*id, request, floor, now),
        }
    }

    fn project_jobs(&self, project: u64, request: &Request, floor: &Floor, now: Stamp) -> Result<Answer, Answer> {
        let scopes = super::list(request.params().get("scope").unwrap_or(&Value::Null));
        if scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
            return Err(invalid("scope does not have a valid value"));
        }
        let jobs = floor.jobs.iter().rev().filter(|_| project == PROJECT_ID);
        let jobs = jobs.filter(|job| scopes.is_empty() || scopes.iter().any(|scope| scope == job.status.as_str()));
        let jobs: Vec<&Job> = jobs.collect();
        let show = |job: &&Job| job.entity(self, &floor.url, now);
        Ok(match request.query("pagination") {
            Some("keyset") => keyset(request, &floor.url, &jobs, show),
            Some(_) | None => page(request, &floor.url, &jobs, Total::Untold, show),
        })
    }

    fn runner_jobs(&self, id: u64, request: &Request, floor: &Floor, now: Stamp) -> Result<Answer, Answer> {
        self.runner(id)?;
        let status = request.query("status");
        if status.is_some_and(|status| !SCOPES.contains(&status)) {
            return Err(invalid("status does not have a valid value"));
        }
        let jobs = floor.jobs.iter().rev().filter(|job| job.runner == Some(id));
        let jobs = jobs.filter(|job| status.is_none_or(|status| status == job.status.as_str()));
        let system_id = request.query("system_id");
        let jobs = jobs.filter(|job| system_id.is_none_or(|wanted| job.machine.as_deref() == Some(wanted)));
        let jobs: Vec<&Job> = jobs.collect();
        Ok(page(request, &floor.url, &jobs, Total::Told, |job| job.entity(self, &floor.url, now)))
    }

    fn group_projects(&self, group: &str, request: &Request, url: &str) -> Result<Answer, Answer> {
        let named = |id: &u64, path: &String| group.parse() == Ok(*id) || path == group;
        let found = self.groups.iter().find(|(id, path)| named(id, path));
        let (group, group_path) = found.ok_or_else(|| refuse(404, "404 Group Not Found"))?;
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

    fn create_runner(&mut self, request: &Request) -> Result<Answer, Answer> {
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
        Ok(Answer::json(201, &json!({"id": id, "token": token, "token_expires_at": null})))
    }

    fn cancel(&mut self, project: &str, id: u64, floor: &mut Floor, now: Stamp) -> Result<Answer, Answer> {
        let project = self.project(project)?.id;
        if job(project, id, &floor.jobs)?.status.is_over() {
            return Err(refuse(403, "403 Forbidden"));
        }
        floor.jobs.finish(id, End::Canceled(Blame::Job), now);
        Ok(Answer::json(201, &job(project, id, &floor.jobs)?.entity(self, &floor.url, now)))
    }

    /// The project with this number or full path.
    fn project(&self, name: &str) -> Result<&Project, Answer> {
        let found = self.projects.values().find(|project| name.parse() == Ok(project.id) || project.path == name);
        found.ok_or_else(|| refuse(404, "404 Project Not Found"))
    }

    fn runner(&self, id: u64) -> Result<&Runner, Answer> {
        self.runners.get(&id).ok_or_else(|| refuse(404, "404 Runner Not Found"))
    }

    fn runner_mut(&mut self, id: u64) -> Result<&mut Runner, Answer> {
        self.runners.get_mut(&id).ok_or_else(|| refuse(404, "404 Runner Not Found"))
    }
}

fn job(project: u64, id: u64, jobs: &Jobs) -> Result<&Job, Answer> {
    let found = jobs.get(id).filter(|_| project == PROJECT_ID);
    found.ok_or_else(|| refuse(404, "404 Job Not Found"))
}
