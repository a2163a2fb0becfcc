//! Which route of the API a request is for.

use crate::http::Request;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Group,
    ChangeGroup,
    Register,
    Deregister,
    Status,
}

impl Route {
    /// The organization, the runner group, and what is wanted.
    pub(super) fn of(request: &Request) -> Option<(String, String, Self)> {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["api", "v1", "orgs", organization, "runnergroups", group, rest @ ..] = segments.as_slice() else {
            return None;
        };
        let route = match (request.method.as_str(), rest) {
            ("GET", []) => Self::Group,
            ("PATCH", []) => Self::ChangeGroup,
            ("POST", ["register"]) => Self::Register,
            ("POST", ["deregister"]) => Self::Deregister,
            ("POST", ["runner_status"]) => Self::Status,
            _ => return None,
        };
        Some(((*organization).to_owned(), (*group).to_owned(), route))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Group => "GET /orgs/:org/runnergroups/:group",
            Self::ChangeGroup => "PATCH /orgs/:org/runnergroups/:group",
            Self::Register => "POST /orgs/:org/runnergroups/:group/register",
            Self::Deregister => "POST /orgs/:org/runnergroups/:group/deregister",
            Self::Status => "POST /orgs/:org/runnergroups/:group/runner_status",
        }
    }
}
