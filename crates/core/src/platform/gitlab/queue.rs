//! The queue by listing the pending and running jobs of projects.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use secrecy::SecretString;

use super::{
    GitLabQueueSettings, NAME, Scope, context,
    jobs::{self, Stage},
    quota::Quota,
    settings::check_access_token,
};
use crate::{
    exchange::{Effect, EffectResult, Exchange, ExchangeError, Reply, Request, Step, Text},
    platform::{
        Demand, Queue,
        answer::{Document, Remedies, RequestContext, next_page, percent_encode},
    },
};

/// How many pages of one list are read before something must be wrong: 10,000 jobs or projects.
const MOST_PAGES: u32 = 100;

/// GitLab's largest page.
const PAGE: usize = 100;

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
    /// The pages of the last readings, by URL.
    pages: BTreeMap<String, Page>,
    reading: Reading,
}

/// A project of the pool.
#[derive(Clone, Debug)]
struct Project {
    /// Its id or its path, as it stands in URLs.
    key: String,
    /// As the user knows it.
    name: String,
}

/// What a page of jobs came to, valid as long as its entity tag is.
#[derive(Clone, Debug)]
struct Page {
    tag: String,
    jobs: Vec<(u64, Stage)>,
    next: Option<String>,
}

/// The reading under way.
#[derive(Debug, Default)]
struct Reading {
    /// Which answer is awaited.
    at: Option<At>,
    /// The pages read so far of the list at hand.
    pages_of_list: u32,
    /// Whether the projects were listed in this very reading.
    listed: bool,
    jobs: BTreeMap<u64, Stage>,
    pages: BTreeMap<String, Page>,
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

type Next = Result<Step<Demand>, ExchangeError>;

impl GitLabQueue {
    /// A reader that has remembered nothing yet, with a personal, group or project access token with the scope `read_api`.
    ///
    /// # Errors
    /// When the token or a setting cannot be one of GitLab.
    pub fn new(settings: GitLabQueueSettings, token: SecretString) -> Result<Self, ExchangeError> {
        check_access_token(&token)?;
        settings.check()?;
        let (pages, reading) = (BTreeMap::new(), Reading::default());
        Ok(Self { settings, token, projects: Vec::new(), good_for: 0, pages, reading })
    }

    fn begin(&mut self) -> Next {
        self.reading = Reading::default();
        match &self.settings.scope {
            Scope::Projects(names) => {
                let project =
                    |name: &String| Project { key: percent_encode(name.trim()), name: name.trim().to_owned() };
                let distinct: BTreeSet<&String> = names.iter().collect();
                self.projects = distinct.into_iter().map(project).collect();
                Ok(self.jobs_of(0))
            }
            Scope::Group(_) if self.good_for > 0 => {
                self.good_for -= 1;
                Ok(self.jobs_of(0))
            }
            Scope::Group(group) => {
                let url = format!(
                    "{}/api/v4/groups/{}/projects?include_subgroups=true&with_shared=false&archived=false&per_page={PAGE}",
                    self.settings.url,
                    percent_encode(group.trim())
                );
                self.reading.listed = true;
                Ok(self.ask(At::Projects { url, found: Vec::new() }))
            }
        }
    }

    /// Goes on with this project, or ends when there are no more.
    fn jobs_of(&mut self, project: usize) -> Step<Demand> {
        self.reading.pages_of_list = 0;
        match self.projects.get(project) {
            Some(Project { key, .. }) => {
                let base = &self.settings.url;
                let url = format!("{base}/api/v4/projects/{key}/jobs?scope[]=pending&scope[]=running&per_page={PAGE}");
                self.ask(At::Jobs { url, project })
            }
            None => Step::Done(Ok(self.finish())),
        }
    }

    fn ask(&mut self, at: At) -> Step<Demand> {
        let (url, known) = match &at {
            At::Projects { url, .. } => (url, None),
            At::Jobs { url, .. } => (url, self.pages.get(url)),
        };
        let mut request = Request::get(url)
            .header("private-token", Text::Secret(self.token.clone()))
            .header("accept", "application/json");
        if let Some(page) = known {
            request = request.header("if-none-match", page.tag.clone());
        }
        self.reading.at = Some(at);
        self.reading.pages_of_list += 1;
        Step::Perform(Effect::Http(request))
    }

    fn go_on(&mut self, result: EffectResult) -> Next {
        match self.reading.at.take() {
            None => Err(self.context("read the queue".to_owned()).malformed("an answer came that nobody asked for")),
            Some(At::Projects { url, found }) => self.projects_page(result, &url, found),
            Some(At::Jobs { url, project }) => self.jobs_page(result, url, project),
        }
    }

    fn projects_page(&mut self, result: EffectResult, url: &str, mut found: Vec<Project>) -> Next {
        let Scope::Group(group) = &self.settings.scope else { return self.begin() };
        let context = self.context(format!("list the projects of group {group}"));
        let reply = self.reply(&context, result)?;
        if reply.status != 200 {
            return Err(context.refusal(&reply));
        }
        let page = context.json(&reply)?;
        let (projects, all) = with_ci(&page)?;
        found.extend(projects);
        if let Some(url) = self.next(&context, &reply, url, all)? {
            return Ok(self.ask(At::Projects { url, found }));
        }
        self.projects = found;
        self.good_for = REMEMBER_PROJECTS - 1;
        Ok(self.jobs_of(0))
    }

    fn jobs_page(&mut self, result: EffectResult, url: String, project: usize) -> Next {
        let name = self.projects.get(project).map(|project| project.name.as_str()).unwrap_or_default();
        let context = self.context(format!("read the jobs of project {name}"));
        let reply = self.reply(&context, result)?;
        let page = match (reply.status, self.pages.get(&url)) {
            (200, _) => {
                let (jobs, all) = jobs::read(&context.json(&reply)?, &self.settings)?;
                let next = self.next(&context, &reply, &url, all)?;
                // A full last page is not remembered: a page after it could appear without changing it.
                let tag = reply.header("etag").filter(|_| all < PAGE || next.is_some()).unwrap_or_default();
                Page { tag: tag.to_owned(), jobs, next }
            }
            (304, Some(page)) => {
                let page = page.clone();
                self.next_allowed(&context, page.next.as_deref())?;
                page
            }
            (404, _) if matches!(self.settings.scope, Scope::Group(_)) => {
                // It may be gone or have moved since the group was listed: list it again, once in a reading.
                self.good_for = 0;
                if !self.reading.listed {
                    return self.begin();
                }
                return Err(context.refusal(&reply));
            }
            (_, _) => return Err(context.refusal(&reply)),
        };
        self.reading.jobs.extend(page.jobs.iter().copied());
        let next = page.next.clone();
        if !page.tag.is_empty() {
            self.reading.pages.insert(url, page);
        }
        Ok(match next {
            Some(url) => self.ask(At::Jobs { url, project }),
            None => self.jobs_of(project + 1),
        })
    }

    fn reply(&mut self, context: &RequestContext, result: EffectResult) -> Result<Reply, ExchangeError> {
        let reply = context.reply(result)?;
        self.reading.quota.saw(&reply);
        Ok(reply)
    }

    fn next(
        &self,
        context: &RequestContext,
        reply: &Reply,
        url: &str,
        items: usize,
    ) -> Result<Option<String>, ExchangeError> {
        let next = next_page(context, reply, &self.settings.url, url, items >= PAGE)?;
        self.next_allowed(context, next.as_deref())?;
        Ok(next)
    }

    fn next_allowed(&self, context: &RequestContext, next: Option<&str>) -> Result<(), ExchangeError> {
        if next.is_some() && self.reading.pages_of_list >= MOST_PAGES {
            return Err(context.malformed(&format!(
                "there is still a next page after {MOST_PAGES} pages of {PAGE}; if there really are that many, split the pool"
            )));
        }
        Ok(())
    }

    fn finish(&mut self) -> Demand {
        let reading = mem::take(&mut self.reading);
        self.pages = reading.pages;
        let count =
            |stage| u32::try_from(reading.jobs.values().filter(|found| **found == stage).count()).unwrap_or(u32::MAX);
        Demand {
            queued: count(Stage::Waiting),
            running: Some(count(Stage::Running)),
            poll_after: reading.quota.poll_after(),
        }
    }

    fn done(&mut self, next: Next) -> Step<Demand> {
        match next {
            Ok(step) => step,
            Err(error) => {
                // What was read is still true as long as its entity tags are.
                self.pages.append(&mut self.reading.pages);
                self.reading = Reading::default();
                Step::Done(Err(error))
            }
        }
    }

    fn context(&self, what: String) -> RequestContext {
        context(&self.settings.url, &self.token, what, REMEDIES)
    }
}

impl Exchange for GitLabQueue {
    type Output = Demand;

    fn start(&mut self) -> Step<Demand> {
        let next = self.begin();
        self.done(next)
    }

    fn resume(&mut self, result: EffectResult) -> Step<Demand> {
        let next = self.go_on(result);
        self.done(next)
    }
}

impl Queue for GitLabQueue {
    fn platform(&self) -> &'static str {
        NAME
    }
}

/// The projects of one page of a group's list whose CI is switched on, and how many there are in all. GitLab answers
/// 403 for the jobs of
/// the others.
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
