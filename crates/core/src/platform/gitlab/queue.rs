//! The queue by listing the pending and running jobs of projects.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use secrecy::SecretString;

use super::{GitLabQueueSettings, NAME, Scope, context, jobs, quota::Quota, settings::check_access_token};
use crate::{
    exchange::{Effect, EffectResult, Exchange, ExchangeError, Reply, Step, Text},
    platform::{
        Demand, Queue, Reading,
        answer::{Document, Listing, PAGE, Remedies, RequestContext, Stage, demand, percent_encode},
    },
};

/// After how many readings a group's projects are listed again.
const REMEMBER_PROJECTS: u32 = 30;

const REMEDIES: Remedies = Remedies {
    unauthorized: "the token is wrong, expired or revoked; create an access token with the scope read_api and put it into the secret that the \
                   scaler reads",
    forbidden: "the token needs the scope read_api and at least the role Reporter there, and CI/CD must be switched on",
    not_found: "it does not exist, or the token may not see it; correct its name or give the token's user at least the role Reporter",
};

/// Reads the queue of a GitLab: see [`crate::platform::gitlab`] for what it can and cannot know.
#[derive(Debug)]
pub struct GitLabQueue {
    settings: GitLabQueueSettings,
    token: SecretString,
    /// The projects to read; for a group what was listed last.
    projects: Vec<Project>,
    /// How many more readings `projects` is good for.
    good_for: u32,
    listing: Listing<Found>,
    reading: UnderWay,
}

/// A project of the pool.
#[derive(Clone, Debug)]
struct Project {
    /// Its id or its path, as it stands in URLs.
    key: String,
    /// As the user knows it.
    name: String,
}

/// What a page holds.
#[derive(Clone, Debug)]
enum Found {
    Projects(Vec<Project>),
    Jobs(Vec<(u64, Stage)>),
}

/// The reading under way.
#[derive(Debug, Default)]
struct UnderWay {
    /// Which answer is awaited.
    at: Option<At>,
    /// Whether the projects were listed in this very reading.
    listed: bool,
    jobs: BTreeMap<u64, Stage>,
    quota: Quota,
}

/// A place in the lists.
#[derive(Debug)]
enum At {
    /// A page of the group's projects.
    Projects { url: String, found: Vec<Project> },
    /// A page of the jobs of the project at this place in the list.
    Jobs { url: String, project: usize },
}

type Next = Result<Step<Reading>, ExchangeError>;

impl GitLabQueue {
    /// A reader that has remembered nothing yet, with a personal, group or project access token with the scope
    /// `read_api`.
    ///
    /// # Errors
    /// When the token or a setting cannot be one of GitLab.
    pub fn new(settings: GitLabQueueSettings, token: SecretString) -> Result<Self, ExchangeError> {
        check_access_token(&token)?;
        settings.check()?;
        let listing = Listing::new(settings.url.clone());
        Ok(Self { settings, token, projects: Vec::new(), good_for: 0, listing, reading: UnderWay::default() })
    }

    fn begin(&mut self) -> Step<Reading> {
        self.reading = UnderWay::default();
        self.listing.restart();
        match &self.settings.scope {
            Scope::Projects(names) => {
                let project =
                    |name: &String| Project { key: percent_encode(name.trim()), name: name.trim().to_owned() };
                let distinct: BTreeSet<&String> = names.iter().collect();
                self.projects = distinct.into_iter().map(project).collect();
                self.jobs_of(0)
            }
            Scope::Group(_) if self.good_for > 0 => {
                self.good_for -= 1;
                self.jobs_of(0)
            }
            Scope::Group(group) => {
                let url = format!(
                    "{}/api/v4/groups/{}/projects?include_subgroups=true&with_shared=false&archived=false&per_page={PAGE}",
                    self.settings.url,
                    percent_encode(group.trim())
                );
                self.reading.listed = true;
                self.ask(At::Projects { url, found: Vec::new() })
            }
        }
    }

    /// Goes on with this project, or ends when there are no more.
    fn jobs_of(&mut self, project: usize) -> Step<Reading> {
        self.listing.begin_list();
        match self.projects.get(project) {
            Some(Project { key, .. }) => {
                let base = &self.settings.url;
                let url = format!("{base}/api/v4/projects/{key}/jobs?scope[]=pending&scope[]=running&per_page={PAGE}");
                self.ask(At::Jobs { url, project })
            }
            None => Step::Done(Ok(self.finish().into())),
        }
    }

    fn ask(&mut self, at: At) -> Step<Reading> {
        let (At::Projects { url, .. } | At::Jobs { url, .. }) = &at;
        let request = self.listing.request(url);
        self.reading.at = Some(at);
        Step::Perform(Effect::Http(
            request.header("private-token", Text::Secret(self.token.clone())).header("accept", "application/json"),
        ))
    }

    fn go_on(&mut self, result: EffectResult) -> Next {
        match self.reading.at.take() {
            None => Err(self.context("read the queue".to_owned()).malformed("an answer came that nobody asked for")),
            Some(At::Projects { url, found }) => self.projects_page(result, &url, found),
            Some(At::Jobs { url, project }) => self.jobs_page(result, &url, project),
        }
    }

    fn projects_page(&mut self, result: EffectResult, url: &str, mut found: Vec<Project>) -> Next {
        let Scope::Group(group) = &self.settings.scope else { return Ok(self.begin()) };
        let context = self.context(format!("list the projects of group {group}"));
        let reply = self.reply(&context, result)?;
        let read = |page: &Document| with_ci(page).map(|(projects, all)| (Found::Projects(projects), all));
        let Some(page) = self.listing.page(&context, &reply, url, read)? else {
            return Err(context.refusal(&reply));
        };
        if let Found::Projects(projects) = page.items {
            found.extend(projects);
        }
        if let Some(url) = page.next {
            return Ok(self.ask(At::Projects { url, found }));
        }
        self.projects = found;
        self.good_for = REMEMBER_PROJECTS - 1;
        Ok(self.jobs_of(0))
    }

    fn jobs_page(&mut self, result: EffectResult, url: &str, project: usize) -> Next {
        let name = self.projects.get(project).map(|project| project.name.as_str()).unwrap_or_default();
        let context = self.context(format!("read the jobs of project {name}"));
        let reply = self.reply(&context, result)?;
        let read = |page: &Document| jobs::read(page, &self.settings).map(|(jobs, all)| (Found::Jobs(jobs), all));
        let Some(page) = self.listing.page(&context, &reply, url, read)? else {
            return self.no_jobs(&context, &reply);
        };
        if let Found::Jobs(jobs) = page.items {
            self.reading.jobs.extend(jobs);
        }
        Ok(match page.next {
            Some(url) => self.ask(At::Jobs { url, project }),
            None => self.jobs_of(project + 1),
        })
    }

    /// A project that cannot be found may be gone or have moved since the group was listed: list it again, once in a
    /// reading.
    fn no_jobs(&mut self, context: &RequestContext, reply: &Reply) -> Next {
        if reply.status == 404 && matches!(self.settings.scope, Scope::Group(_)) {
            self.good_for = 0;
            if !self.reading.listed {
                return Ok(self.begin());
            }
        }
        Err(context.refusal(reply))
    }

    fn reply(&mut self, context: &RequestContext, result: EffectResult) -> Result<Reply, ExchangeError> {
        let reply = context.reply(result)?;
        self.reading.quota.saw(&reply);
        Ok(reply)
    }

    fn finish(&mut self) -> Demand {
        let reading = mem::take(&mut self.reading);
        self.listing.end();
        demand(&reading.jobs, reading.quota.poll_after())
    }

    fn context(&self, what: String) -> RequestContext {
        context(&self.settings.url, &self.token, what, REMEDIES)
    }
}

impl Exchange for GitLabQueue {
    type Output = Reading;

    fn start(&mut self) -> Step<Reading> {
        self.begin()
    }

    fn resume(&mut self, result: EffectResult) -> Step<Reading> {
        self.go_on(result).unwrap_or_else(|error| {
            self.listing.restart();
            Step::Done(Err(error))
        })
    }
}

impl Queue for GitLabQueue {
    fn platform(&self) -> &'static str {
        NAME
    }
}

/// The projects of one page of a group's list whose CI is switched on, and how many there are in all. GitLab answers
/// 403 for the jobs of the others.
fn with_ci(page: &Document) -> Result<(Vec<Project>, usize), ExchangeError> {
    let projects = page.root();
    let projects = projects.list()?;
    let (mut found, all) = (Vec::new(), projects.len());
    for project in projects {
        let id = project.key("id")?.number()?;
        let name = project.key("path_with_namespace")?.text()?.to_owned();
        let off = match project.optional("builds_access_level")? {
            Some(level) => level.text()? == "disabled",
            None => project.optional("jobs_enabled")?.map(|on| on.flag()).transpose()? == Some(false),
        };
        if !off {
            found.push(Project { key: id.to_string(), name });
        }
    }
    Ok((found, all))
}
