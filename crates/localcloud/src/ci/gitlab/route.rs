//! Which route of the API a request is for.

use crate::http::Request;

/// A route, by whose token opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    User(UserRoute),
    Runner(RunnerRoute),
}

/// A route for people and scalers, with what its path names. A project or group goes by its number or its full path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UserRoute {
    CurrentUser,
    Projects,
    Project(String),
    Group(String),
    Runners,
    ProjectJobs(String),
    ProjectJob(String, u64),
    JobTrace(String, u64),
    CancelJob(String, u64),
    RetryJob(String, u64),
    Pipelines(String),
    CreatePipeline(String),
    Pipeline(String, u64),
    PipelineJobs(String, u64),
    RetryPipeline(String, u64),
    CancelPipeline(String, u64),
    GroupProjects(String),
    CreateRunner,
    Runner(u64),
    UpdateRunner(u64),
    DeleteRunner(u64),
    RunnerManagers(u64),
    RunnerJobs(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunnerRoute {
    RequestJob,
    UpdateJob(u64),
    PatchTrace(u64),
    Artifacts(u64),
    Verify,
    Register,
    Unregister,
    UnregisterManager,
}

impl Route {
    pub(super) fn of(request: &Request) -> Option<Self> {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["api", "v4", rest @ ..] = segments.as_slice() else { return None };
        let method = if request.method == "HEAD" { "GET" } else { &request.method };
        UserRoute::of(method, rest).map(Self::User).or_else(|| RunnerRoute::of(method, rest).map(Self::Runner))
    }

    /// The route as GitLab's documentation writes it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::User(route) => route.name(),
            Self::Runner(route) => route.name(),
        }
    }
}

impl UserRoute {
    fn of(method: &str, path: &[&str]) -> Option<Self> {
        Some(match (method, path) {
            ("GET", ["user"]) => Self::CurrentUser,
            ("GET", ["projects"]) => Self::Projects,
            ("GET", ["projects", project]) => Self::Project((*project).into()),
            ("GET", ["groups", group]) => Self::Group((*group).into()),
            ("GET", ["runners"] | ["runners", "all"]) => Self::Runners,
            ("GET", ["projects", project, "jobs"]) => Self::ProjectJobs((*project).into()),
            ("GET", ["projects", project, "jobs", id]) => Self::ProjectJob((*project).into(), id.parse().ok()?),
            ("GET", ["projects", project, "jobs", id, "trace"]) => Self::JobTrace((*project).into(), id.parse().ok()?),
            ("POST", ["projects", project, "jobs", id, "cancel"]) => {
                Self::CancelJob((*project).into(), id.parse().ok()?)
            }
            ("POST", ["projects", project, "jobs", id, "retry"]) => Self::RetryJob((*project).into(), id.parse().ok()?),
            ("GET", ["projects", project, "pipelines"]) => Self::Pipelines((*project).into()),
            ("POST", ["projects", project, "pipeline"]) => Self::CreatePipeline((*project).into()),
            ("GET", ["projects", project, "pipelines", id]) => Self::Pipeline((*project).into(), id.parse().ok()?),
            ("GET", ["projects", project, "pipelines", id, "jobs"]) => {
                Self::PipelineJobs((*project).into(), id.parse().ok()?)
            }
            ("POST", ["projects", project, "pipelines", id, "retry"]) => {
                Self::RetryPipeline((*project).into(), id.parse().ok()?)
            }
            ("POST", ["projects", project, "pipelines", id, "cancel"]) => {
                Self::CancelPipeline((*project).into(), id.parse().ok()?)
            }
            ("GET", ["groups", group, "projects"]) => Self::GroupProjects((*group).into()),
            ("POST", ["user", "runners"]) => Self::CreateRunner,
            ("GET", ["runners", id]) => Self::Runner(id.parse().ok()?),
            ("PUT", ["runners", id]) => Self::UpdateRunner(id.parse().ok()?),
            ("DELETE", ["runners", id]) => Self::DeleteRunner(id.parse().ok()?),
            ("GET", ["runners", id, "managers"]) => Self::RunnerManagers(id.parse().ok()?),
            ("GET", ["runners", id, "jobs"]) => Self::RunnerJobs(id.parse().ok()?),
            _ => return None,
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::CurrentUser => "GET /user",
            Self::Projects => "GET /projects",
            Self::Project(_) => "GET /projects/:id",
            Self::Group(_) => "GET /groups/:id",
            Self::Runners => "GET /runners/all",
            Self::ProjectJobs(_) => "GET /projects/:id/jobs",
            Self::ProjectJob(..) => "GET /projects/:id/jobs/:job_id",
            Self::JobTrace(..) => "GET /projects/:id/jobs/:job_id/trace",
            Self::CancelJob(..) => "POST /projects/:id/jobs/:job_id/cancel",
            Self::RetryJob(..) => "POST /projects/:id/jobs/:job_id/retry",
            Self::Pipelines(_) => "GET /projects/:id/pipelines",
            Self::CreatePipeline(_) => "POST /projects/:id/pipeline",
            Self::Pipeline(..) => "GET /projects/:id/pipelines/:pipeline_id",
            Self::PipelineJobs(..) => "GET /projects/:id/pipelines/:pipeline_id/jobs",
            Self::RetryPipeline(..) => "POST /projects/:id/pipelines/:pipeline_id/retry",
            Self::CancelPipeline(..) => "POST /projects/:id/pipelines/:pipeline_id/cancel",
            Self::GroupProjects(_) => "GET /groups/:id/projects",
            Self::CreateRunner => "POST /user/runners",
            Self::Runner(_) => "GET /runners/:id",
            Self::UpdateRunner(_) => "PUT /runners/:id",
            Self::DeleteRunner(_) => "DELETE /runners/:id",
            Self::RunnerManagers(_) => "GET /runners/:id/managers",
            Self::RunnerJobs(_) => "GET /runners/:id/jobs",
        }
    }

    /// The scopes of which a token needs one; `api` always does.
    pub(super) fn scopes(&self) -> &'static [&'static str] {
        match self {
            Self::CurrentUser => &["read_api", "read_user"],
            Self::Projects
            | Self::Project(_)
            | Self::Group(_)
            | Self::ProjectJobs(_)
            | Self::ProjectJob(..)
            | Self::JobTrace(..)
            | Self::Pipelines(_)
            | Self::Pipeline(..)
            | Self::PipelineJobs(..)
            | Self::GroupProjects(_) => &["read_api"],
            Self::CancelJob(..)
            | Self::RetryJob(..)
            | Self::CreatePipeline(_)
            | Self::RetryPipeline(..)
            | Self::CancelPipeline(..) => &[],
            Self::CreateRunner => &["create_runner"],
            Self::UpdateRunner(_) | Self::DeleteRunner(_) => &["manage_runner"],
            Self::Runners | Self::Runner(_) | Self::RunnerManagers(_) | Self::RunnerJobs(_) => {
                &["read_api", "manage_runner"]
            }
        }
    }
}

impl RunnerRoute {
    fn of(method: &str, path: &[&str]) -> Option<Self> {
        Some(match (method, path) {
            ("POST", ["runners", "verify"]) => Self::Verify,
            ("POST", ["runners"]) => Self::Register,
            ("DELETE", ["runners"]) => Self::Unregister,
            ("DELETE", ["runners", "managers"]) => Self::UnregisterManager,
            ("POST", ["jobs", "request"]) => Self::RequestJob,
            ("PUT", ["jobs", id]) => Self::UpdateJob(id.parse().ok()?),
            ("PATCH", ["jobs", id, "trace"]) => Self::PatchTrace(id.parse().ok()?),
            ("GET" | "POST", ["jobs", id, "artifacts"]) | ("POST", ["jobs", id, "artifacts", "authorize"]) => {
                Self::Artifacts(id.parse().ok()?)
            }
            _ => return None,
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::RequestJob => "POST /jobs/request",
            Self::UpdateJob(_) => "PUT /jobs/:id",
            Self::PatchTrace(_) => "PATCH /jobs/:id/trace",
            Self::Artifacts(_) => "/jobs/:id/artifacts",
            Self::Verify => "POST /runners/verify",
            Self::Register => "POST /runners",
            Self::Unregister => "DELETE /runners",
            Self::UnregisterManager => "DELETE /runners/managers",
        }
    }
}
