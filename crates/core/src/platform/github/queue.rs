//! The queue by listing runs and their jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use secrecy::SecretString;

use super::{
    GitHubAuth, GitHubQueueSettings, GitHubScope, NAME, UNAUTHORIZED,
    auth::{Authorised, Wallet},
    context, jobs,
    owner::repository_path,
    quota::Quota,
    refusal::refusal,
};
use crate::{
    exchange::{Effect, EffectResult, Exchange, ExchangeError, Reply, Step},
    platform::{
        Demand, Queue, Reading,
        answer::{Document, Listing, PAGE, Remedies, RequestContext, Stage, demand, percent_encode},
    },
};

/// After how many readings the repositories of an organisation or installation are listed again.
const REMEMBER_REPOSITORIES: u32 = 30;

/// The runs that can hold jobs that wait or run: one with a job that runs can still hold others that wait.
const STATUSES: [&str; 2] = ["queued", "in_progress"];

const REMEDIES: Remedies = Remedies {
    unauthorized: UNAUTHORIZED,
    forbidden: "the token needs the permission actions: read of each repository (a classic token: the scope repo)",
    not_found: "it does not exist, or the token may not see it; correct its name or give the token the permission actions: read there",
};

/// Reads the queue of GitHub Actions by listing: see [`crate::platform::github`] for what it can and cannot know.
#[derive(Debug)]
pub struct GitHubQueue(Authorised<Lister>);

impl GitHubQueue {
    /// A reader that has remembered nothing yet.
    ///
    /// # Errors
    /// When the secret or a setting cannot be one of GitHub.
    pub fn new(settings: GitHubQueueSettings, auth: GitHubAuth) -> Result<Self, ExchangeError> {
        auth.check()?;
        settings.check(&auth)?;
        let (url, secret) = (settings.url.clone(), auth.secret().clone());
        Ok(Self(Authorised::new(url, auth, Wallet::default(), Lister::new(settings, secret))))
    }
}

impl Exchange for GitHubQueue {
    type Output = Reading;

    fn start(&mut self) -> Step<Reading> {
        self.0.start()
    }

    fn resume(&mut self, result: EffectResult) -> Step<Reading> {
        self.0.resume(result)
    }
}

impl Queue for GitHubQueue {
    fn platform(&self) -> &'static str {
        NAME
    }
}

#[derive(Debug)]
struct Lister {
    settings: GitHubQueueSettings,
    /// What must never be shown.
    secret: SecretString,
    /// The repositories to read, as `OWNER/REPO`; for an organisation what was listed last.
    repositories: Vec<String>,
    /// How many more readings `repositories` is good for.
    good_for: u32,
    listing: Listing<Items>,
    reading: UnderWay,
}

/// What a page holds.
#[derive(Clone, Debug)]
enum Items {
    Repositories(Vec<String>),
    Runs(Vec<u64>),
    Jobs(Vec<(u64, Stage)>),
}

/// The reading under way.
#[derive(Debug, Default)]
struct UnderWay {
    /// Which answer is awaited.
    at: Option<At>,
    /// Whether the repositories were listed in this very reading.
    listed: bool,
    /// The runs of the repository at hand whose jobs are still to be read.
    runs: BTreeSet<u64>,
    jobs: BTreeMap<u64, Stage>,
    quota: Quota,
}

/// A place in the lists.
#[derive(Clone, Debug)]
enum At {
    /// A page of the repositories.
    Repositories { url: String, found: Vec<String> },
    /// A page of the runs in one of the [`STATUSES`] of the repository at this place in the list.
    Runs { url: String, repository: usize, status: usize },
    /// A page of the jobs of a run.
    Jobs { url: String, repository: usize, run: u64 },
}

impl At {
    fn url(&self) -> &str {
        match self {
            Self::Repositories { url, .. } | Self::Runs { url, .. } | Self::Jobs { url, .. } => url,
        }
    }

    /// The same list at another page.
    fn turned(self, url: String) -> Self {
        match self {
            Self::Repositories { found, .. } => Self::Repositories { url, found },
            Self::Runs { repository, status, .. } => Self::Runs { url, repository, status },
            Self::Jobs { repository, run, .. } => Self::Jobs { url, repository, run },
        }
    }
}

type Next = Result<Step<Reading>, ExchangeError>;

impl Lister {
    fn new(settings: GitHubQueueSettings, secret: SecretString) -> Self {
        let listing = Listing::new(settings.url.clone());
        Self { settings, secret, repositories: Vec::new(), good_for: 0, listing, reading: UnderWay::default() }
    }

    fn begin(&mut self) -> Step<Reading> {
        self.reading = UnderWay::default();
        self.listing.restart();
        let api = &self.settings.url;
        let url = match &self.settings.scope {
            GitHubScope::Repositories(names) => {
                let distinct: BTreeSet<&String> = names.iter().collect();
                self.repositories = distinct.into_iter().cloned().collect();
                return self.runs_of(0, 0);
            }
            GitHubScope::Organization(_) | GitHubScope::Installation if self.good_for > 0 => {
                self.good_for -= 1;
                return self.runs_of(0, 0);
            }
            GitHubScope::Organization(name) => {
                format!("{api}/orgs/{}/repos?type=all&per_page={PAGE}", percent_encode(name))
            }
            GitHubScope::Installation => format!("{api}/installation/repositories?per_page={PAGE}"),
        };
        self.reading.listed = true;
        self.ask(At::Repositories { url, found: Vec::new() })
    }

    /// Goes on with the runs of this repository, or ends when there are no more.
    fn runs_of(&mut self, repository: usize, status: usize) -> Step<Reading> {
        self.listing.begin_list();
        let Some(name) = self.repositories.get(repository) else { return Step::Done(Ok(self.finish().into())) };
        let Some(word) = STATUSES.get(status) else { return self.jobs_of(repository) };
        let url =
            format!("{}/repos/{}/actions/runs?status={word}&per_page={PAGE}", self.settings.url, repository_path(name));
        self.ask(At::Runs { url, repository, status })
    }

    /// Goes on with the jobs of the next run, or the next repository when there are no more.
    fn jobs_of(&mut self, repository: usize) -> Step<Reading> {
        self.listing.begin_list();
        let (Some(name), Some(run)) = (self.repositories.get(repository), self.reading.runs.pop_first()) else {
            return self.runs_of(repository + 1, 0);
        };
        let url = format!(
            "{}/repos/{}/actions/runs/{run}/jobs?filter=latest&per_page={PAGE}",
            self.settings.url,
            repository_path(name)
        );
        self.ask(At::Jobs { url, repository, run })
    }

    fn ask(&mut self, at: At) -> Step<Reading> {
        let request = self.listing.request(at.url());
        self.reading.at = Some(at);
        Step::Perform(Effect::Http(request))
    }

    fn go_on(&mut self, result: EffectResult) -> Next {
        let Some(at) = self.reading.at.take() else {
            return Err(self.context("read the queue").malformed("an answer came that nobody asked for"));
        };
        let context = self.context(self.what(&at));
        let reply = context.reply(result)?;
        self.reading.quota.saw(&reply);
        let read = |page: &Document| match &at {
            At::Repositories { .. } => {
                repositories(page, &self.settings.scope).map(|(names, all)| (Items::Repositories(names), all))
            }
            At::Runs { .. } => jobs::runs(page).map(|(runs, all)| (Items::Runs(runs), all)),
            At::Jobs { .. } => jobs::jobs(page, &self.settings).map(|(jobs, all)| (Items::Jobs(jobs), all)),
        };
        let Some(page) = self.listing.page(&context, &reply, at.url(), read)? else {
            return match at {
                At::Runs { .. } if reply.status == 404 => self.lost(&context, &reply),
                // It was listed a moment ago, so the token may see it: it was deleted since, and its jobs with it.
                At::Jobs { repository, .. } if reply.status == 404 => Ok(self.jobs_of(repository)),
                At::Repositories { .. } | At::Runs { .. } | At::Jobs { .. } => Err(refusal(&context, &reply)),
            };
        };
        Ok(self.page(at, page.items, page.next))
    }

    fn page(&mut self, mut at: At, items: Items, next: Option<String>) -> Step<Reading> {
        match items {
            Items::Repositories(names) => {
                if let At::Repositories { found, .. } = &mut at {
                    found.extend(names);
                }
            }
            Items::Runs(runs) => self.reading.runs.extend(runs),
            Items::Jobs(jobs) => self.reading.jobs.extend(jobs),
        }
        match (next, at) {
            (Some(url), at) => self.ask(at.turned(url)),
            (None, At::Repositories { found, .. }) => {
                self.repositories = found;
                self.good_for = REMEMBER_REPOSITORIES - 1;
                self.runs_of(0, 0)
            }
            (None, At::Runs { repository, status, .. }) => self.runs_of(repository, status + 1),
            (None, At::Jobs { repository, .. }) => self.jobs_of(repository),
        }
    }

    /// A repository that cannot be found may be gone or have moved since it was listed: list again, once in a reading.
    fn lost(&mut self, context: &RequestContext, reply: &Reply) -> Next {
        let named = matches!(self.settings.scope, GitHubScope::Repositories(_));
        if named || mem::take(&mut self.reading.listed) {
            self.good_for = 0;
            return Err(refusal(context, reply));
        }
        self.good_for = 0;
        Ok(self.begin())
    }

    fn finish(&mut self) -> Demand {
        let reading = mem::take(&mut self.reading);
        self.listing.end();
        demand(&reading.jobs, reading.quota.poll_after())
    }

    fn what(&self, at: &At) -> String {
        let name = |at: usize| self.repositories.get(at).map(String::as_str).unwrap_or_default();
        match at {
            At::Repositories { .. } => match &self.settings.scope {
                GitHubScope::Organization(name) => format!("list the repositories of the organization {name}"),
                GitHubScope::Installation | GitHubScope::Repositories(_) => {
                    "list the repositories of the installation".to_owned()
                }
            },
            At::Runs { repository, .. } => format!("read the workflow runs of {}", name(*repository)),
            At::Jobs { repository, run, .. } => format!("read the jobs of run {run} of {}", name(*repository)),
        }
    }

    fn context(&self, what: impl Into<String>) -> RequestContext {
        context(&self.settings.url, &self.secret, what, REMEDIES)
    }
}

impl Exchange for Lister {
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

/// The repositories of one page that can have workflows, and how many there are in all.
fn repositories(page: &Document, scope: &GitHubScope) -> Result<(Vec<String>, usize), ExchangeError> {
    let root = page.root();
    let list = match scope {
        GitHubScope::Installation => root.key("repositories")?,
        GitHubScope::Organization(_) | GitHubScope::Repositories(_) => root,
    };
    let list = list.list()?;
    let (mut found, all) = (Vec::new(), list.len());
    for repository in list {
        let name = repository.key("full_name")?.text()?.to_owned();
        let is = |key: &str| {
            Ok::<_, ExchangeError>(repository.optional(key)?.map(|flag| flag.flag()).transpose()? == Some(true))
        };
        if !is("archived")? && !is("disabled")? {
            found.push(name);
        }
    }
    Ok((found, all))
}
