//! Which route of the API a request is for.

use super::auth::Right;
use crate::http::Request;

/// What a route is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    None,
    Organization(String),
    Repository(String, String),
}

/// A route, by whose token opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// For an App's JWT.
    AccessToken(u64),
    /// For a registration token.
    RunnerRegistration,
    ScaleSet(ScaleSetRoute),
    Rest(Scope, RestRoute),
}

/// A route of the REST API for personal and installation tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RestRoute {
    Repositories,
    Runs,
    RunJobs(u64),
    Job(u64),
    Runners,
    Runner(u64),
    DeleteRunner(u64),
    JitConfig,
    RegistrationToken,
    RemoveToken,
}

/// A route of the Actions service behind a scale set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScaleSetRoute {
    List,
    Create,
    Get(u64),
    Change(u64),
    Delete(u64),
    OpenSession(u64),
    RenewSession(u64, String),
    CloseSession(u64, String),
    JitConfig(u64),
    NextMessage(u64),
    DeleteMessage(u64, u64),
}

impl Route {
    pub(super) fn of(request: &Request) -> Option<Self> {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
        let path = segments.strip_prefix(["api", "v3"].as_slice()).unwrap_or(&segments);
        if let Some(at) = path.iter().position(|segment| *segment == "_apis") {
            return ScaleSetRoute::of(method, &path[at + 1..]).map(Self::ScaleSet);
        }
        let organization = |name: &str| Scope::Organization(name.to_owned());
        Some(match (method, path) {
            ("POST", ["app", "installations", id, "access_tokens"]) => Self::AccessToken(id.parse().ok()?),
            ("POST", ["actions", "runner-registration"]) => Self::RunnerRegistration,
            ("GET", ["orgs", name, "repos"]) => Self::Rest(organization(name), RestRoute::Repositories),
            ("GET", ["installation", "repositories"]) => Self::Rest(Scope::None, RestRoute::Repositories),
            (_, ["orgs", name, "actions", rest @ ..]) => {
                Self::Rest(organization(name), RestRoute::of_runners(method, rest)?)
            }
            (_, ["repos", owner, name, "actions", rest @ ..]) => {
                let route = RestRoute::of_runs(method, rest).or_else(|| RestRoute::of_runners(method, rest))?;
                Self::Rest(Scope::Repository((*owner).to_owned(), (*name).to_owned()), route)
            }
            _ => return None,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::AccessToken(_) => "POST /app/installations/:id/access_tokens",
            Self::RunnerRegistration => "POST /actions/runner-registration",
            Self::ScaleSet(route) => route.name(),
            Self::Rest(_, route) => route.name(),
        }
    }
}

impl RestRoute {
    fn of_runs(method: &str, path: &[&str]) -> Option<Self> {
        Some(match (method, path) {
            ("GET", ["runs"]) => Self::Runs,
            ("GET", ["runs", id, "jobs"]) => Self::RunJobs(id.parse().ok()?),
            ("GET", ["jobs", id]) => Self::Job(id.parse().ok()?),
            _ => return None,
        })
    }

    fn of_runners(method: &str, path: &[&str]) -> Option<Self> {
        Some(match (method, path) {
            ("GET", ["runners"]) => Self::Runners,
            ("POST", ["runners", "generate-jitconfig"]) => Self::JitConfig,
            ("POST", ["runners", "registration-token"]) => Self::RegistrationToken,
            ("POST", ["runners", "remove-token"]) => Self::RemoveToken,
            ("GET", ["runners", id]) => Self::Runner(id.parse().ok()?),
            ("DELETE", ["runners", id]) => Self::DeleteRunner(id.parse().ok()?),
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Repositories => "GET repos",
            Self::Runs => "GET actions/runs",
            Self::RunJobs(_) => "GET actions/runs/:id/jobs",
            Self::Job(_) => "GET actions/jobs/:id",
            Self::Runners => "GET actions/runners",
            Self::Runner(_) => "GET actions/runners/:id",
            Self::DeleteRunner(_) => "DELETE actions/runners/:id",
            Self::JitConfig => "POST actions/runners/generate-jitconfig",
            Self::RegistrationToken => "POST actions/runners/registration-token",
            Self::RemoveToken => "POST actions/runners/remove-token",
        }
    }
}

impl ScaleSetRoute {
    /// `path` is what follows `_apis`.
    fn of(method: &str, path: &[&str]) -> Option<Self> {
        Some(match (method, path) {
            ("GET", ["runtime", "runnerscalesets"]) => Self::List,
            ("POST", ["runtime", "runnerscalesets"]) => Self::Create,
            ("GET", ["runtime", "runnerscalesets", id]) => Self::Get(id.parse().ok()?),
            ("PATCH", ["runtime", "runnerscalesets", id]) => Self::Change(id.parse().ok()?),
            ("DELETE", ["runtime", "runnerscalesets", id]) => Self::Delete(id.parse().ok()?),
            ("POST", ["runtime", "runnerscalesets", id, "sessions"]) => Self::OpenSession(id.parse().ok()?),
            ("PATCH", ["runtime", "runnerscalesets", id, "sessions", session]) => {
                Self::RenewSession(id.parse().ok()?, (*session).to_owned())
            }
            ("DELETE", ["runtime", "runnerscalesets", id, "sessions", session]) => {
                Self::CloseSession(id.parse().ok()?, (*session).to_owned())
            }
            ("POST", ["runtime", "runnerscalesets", id, "generatejitconfig"]) => Self::JitConfig(id.parse().ok()?),
            ("GET", ["messages", id]) => Self::NextMessage(id.parse().ok()?),
            ("DELETE", ["messages", id, message]) => Self::DeleteMessage(id.parse().ok()?, message.parse().ok()?),
            _ => return None,
        })
    }

    /// What a token must be good for.
    pub(super) fn right(&self) -> Right {
        match self {
            Self::NextMessage(_) | Self::DeleteMessage(..) => Right::Queue,
            Self::List
            | Self::Create
            | Self::Get(_)
            | Self::Change(_)
            | Self::Delete(_)
            | Self::OpenSession(_)
            | Self::RenewSession(..)
            | Self::CloseSession(..)
            | Self::JitConfig(_) => Right::Admin,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::List => "GET runnerscalesets",
            Self::Create => "POST runnerscalesets",
            Self::Get(_) => "GET runnerscalesets/:id",
            Self::Change(_) => "PATCH runnerscalesets/:id",
            Self::Delete(_) => "DELETE runnerscalesets/:id",
            Self::OpenSession(_) => "POST runnerscalesets/:id/sessions",
            Self::RenewSession(..) => "PATCH runnerscalesets/:id/sessions/:id",
            Self::CloseSession(..) => "DELETE runnerscalesets/:id/sessions/:id",
            Self::JitConfig(_) => "POST runnerscalesets/:id/generatejitconfig",
            Self::NextMessage(_) => "GET messages",
            Self::DeleteMessage(..) => "DELETE messages/:id",
        }
    }
}
