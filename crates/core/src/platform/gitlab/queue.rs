//! The queue by listing the pending and running jobs of projects.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{GitLabQueueSettings, NAME, Scope, context, jobs, quota::Quota, settings::check_access_token};
use crate::{
    exchange::{ExchangeError, Reply, Request, Text},
    platform::{
        Queue,
        answer::{Document, Remedies, RequestContext, percent_encode},
        paged_queue::{Items, ListNotFound, PagedQueue, Source},
    },
    settings::BaseUrl,
};

/// After how many readings a group's projects are listed again.
const REMEMBER_PROJECTS: u32 = 30;

const REMEDIES: Remedies = Remedies {
    unauthorized: "the token is wrong, expired or revoked; create an access token with the scope read_api and put it into the secret that the \
                   scaler reads",
    forbidden: "the token needs the scope read_api and at least the role Reporter there, and CI/CD must be switched on",
    not_found: "it does not exist, or the token may not see it; correct its name or give the token's user at least the role Reporter",
};

/// Reads the queue of a GitLab: see [`crate::platform::gitlab`] for what it can and cannot know. With a personal, group or project access
/// token with the scope `read_api`.
///
/// # Errors
/// When the token cannot be one of GitLab.
pub fn queue(settings: GitLabQueueSettings, token: SecretString) -> Result<impl Queue, ExchangeError> {
    check_access_token(&token)?;
    Ok(PagedQueue::new(Projects { settings, token, quota: Quota::default() }))
}

/// The projects of the settings, or of a group, and their jobs.
#[derive(Debug)]
struct Projects {
    settings: GitLabQueueSettings,
    token: SecretString,
    quota: Quota,
}

/// A list of GitLab.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum List {
    /// The jobs of a project that wait or run.
    Jobs(Project),
    /// The projects of the group.
    Projects,
}

/// A project of the pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Project {
    /// Its id or its path, as it stands in URLs.
    key: String,
    /// As the user knows it.
    name: String,
}

impl Projects {
    /// The group's name; empty when the settings name projects, which have no list of them.
    fn group(&self) -> &str {
        match &self.settings.scope {
            Scope::Group(name) => name.trim(),
            Scope::Projects(_) => "",
        }
    }
}

impl Source for Projects {
    type List = List;

    const PLATFORM: &'static str = NAME;

    /// A GitLab of one's own often has no more than some twenty workers for all of its users.
    const AT_ONCE: usize = 16;

    fn base(&self) -> &BaseUrl {
        &self.settings.url
    }

    fn begin(&mut self) -> Vec<List> {
        self.quota = Quota::default();
        match &self.settings.scope {
            Scope::Group(_) => vec![List::Projects],
            Scope::Projects(names) => {
                let names: BTreeSet<&str> = names.iter().map(|name| name.trim()).collect();
                let project = |name: &str| Project { key: percent_encode(name), name: name.to_owned() };
                names.into_iter().map(|name| List::Jobs(project(name))).collect()
            }
        }
    }

    fn good_for(&self, list: &List) -> u32 {
        match list {
            List::Projects => REMEMBER_PROJECTS,
            List::Jobs(_) => 1,
        }
    }

    fn url(&self, list: &List, page: usize) -> String {
        let base = &self.settings.url;
        match list {
            List::Jobs(Project { key, .. }) => {
                format!("{base}/api/v4/projects/{key}/jobs?scope[]=pending&scope[]=running&per_page={page}")
            }
            List::Projects => {
                let group = percent_encode(self.group());
                format!(
                    "{base}/api/v4/groups/{group}/projects?include_subgroups=true&with_shared=false&archived=false&per_page={page}"
                )
            }
        }
    }

    fn dress(&self, request: Request) -> Request {
        request.header("private-token", Text::Secret(self.token.clone())).header("accept", "application/json")
    }

    fn context(&self, list: &List) -> RequestContext {
        let what = match list {
            List::Jobs(Project { name, .. }) => format!("read the jobs of project {name}"),
            List::Projects => format!("list the projects of group {}", self.group()),
        };
        context(&self.settings.url, &self.token, what, REMEDIES)
    }

    fn noun(&self, list: &List) -> &'static str {
        match list {
            List::Jobs(_) => "projects",
            List::Projects => "groups",
        }
    }

    fn items(&self, list: &List, page: &Document, at: Option<Timestamp>) -> Result<Items<List>, ExchangeError> {
        match list {
            List::Jobs(_) => {
                let (jobs, count) = jobs::read(page, &self.settings, at)?;
                Ok(Items { lists: Vec::new(), jobs, count })
            }
            List::Projects => with_ci(page),
        }
    }

    /// A project that cannot be found may be gone or have moved since the group was listed.
    fn gone(&self, list: &List) -> ListNotFound<List> {
        match (list, &self.settings.scope) {
            (List::Jobs(_), Scope::Group(_)) => ListNotFound::Outdated(List::Projects),
            (List::Jobs(_) | List::Projects, _) => ListNotFound::Failure,
        }
    }

    fn saw(&mut self, reply: &Reply) {
        self.quota.saw(reply);
    }

    fn used_up(&self, open: usize) -> Option<Duration> {
        self.quota.used_up(open)
    }

    fn poll_after(&self) -> Option<Duration> {
        self.quota.poll_after()
    }
}

/// The projects of one page of a group's list whose CI is switched on. GitLab answers 403 for the jobs of the others.
fn with_ci(page: &Document) -> Result<Items<List>, ExchangeError> {
    let projects = page.root();
    let projects = projects.list()?;
    let (mut lists, count) = (Vec::new(), projects.len());
    for project in projects {
        let id = project.key("id")?.number()?;
        let name = project.key("path_with_namespace")?.text()?.to_owned();
        let off = match project.optional("builds_access_level")? {
            Some(level) => level.text()? == "disabled",
            None => project.optional("jobs_enabled")?.map(|on| on.flag()).transpose()? == Some(false),
        };
        if !off {
            lists.push(List::Jobs(Project { key: id.to_string(), name }));
        }
    }
    Ok(Items { lists, jobs: Vec::new(), count })
}
