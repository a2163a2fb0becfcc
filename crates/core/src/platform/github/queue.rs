//! The queue by listing runs and their jobs.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    GitHubAuth, GitHubQueueSettings, GitHubScope, NAME, RepositoryName, UNAUTHORIZED,
    auth::{Authorised, TokenCache},
    context, jobs,
    owner::repository_path,
    quota::Quota,
    refusal::refusal,
};
use crate::{
    exchange::{ExchangeError, Reply, Request},
    platform::{
        Queue,
        answer::{Document, Remedies, RequestContext, percent_encode},
        paged_queue::{Items, ListNotFound, PagedQueue, Source},
    },
    settings::BaseUrl,
};

/// After how many readings the repositories of an organisation or installation are listed again.
const REMEMBER_REPOSITORIES: u32 = 30;

/// The states of runs that can hold jobs that wait or run: all but `completed` (GitHub REST API, list workflow runs for
/// a repository). A run with a job that runs can hold others that wait, and so can one that waits for an approval
/// (`waiting`) or for its turn in a concurrency group (`pending`).
const STATUSES: [&str; 5] = ["queued", "in_progress", "waiting", "pending", "requested"];

const REMEDIES: Remedies = Remedies {
    unauthorized: UNAUTHORIZED,
    forbidden: "the token needs the permission actions: read of each repository (a classic token: the scope repo)",
    not_found: "it does not exist, or the token may not see it; correct its name or give the token the permission actions: read there",
};

/// Reads the queue of GitHub Actions by listing: see [`crate::platform::github`] for what it can and cannot know.
///
/// # Errors
/// When the secret cannot be one of GitHub.
pub fn queue(settings: GitHubQueueSettings, auth: GitHubAuth) -> Result<impl Queue, ExchangeError> {
    auth.check()?;
    let (url, secret) = (settings.url.clone(), auth.secret().clone());
    let queue = PagedQueue::new(Repositories { settings, secret, quota: Quota::default() });
    Ok(Authorised::new(url, auth, TokenCache::default(), queue))
}

/// The repositories of the settings, of an organisation or of an installation, with their runs and the runs' jobs.
#[derive(Debug)]
struct Repositories {
    settings: GitHubQueueSettings,
    /// What must never be shown.
    secret: SecretString,
    quota: Quota,
}

/// A list of GitHub. Repositories are `OWNER/REPO`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum List {
    /// The jobs of a run.
    Jobs {
        #[serde(with = "shared")]
        repository: Arc<str>,
        run: u64,
    },
    /// The runs of a repository in the state at this place in [`STATUSES`].
    Runs {
        status: usize,
        #[serde(with = "shared")]
        repository: Arc<str>,
    },
    Repositories,
}

/// Text that many lists share, as text.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}

/// The lists of the runs of a repository.
fn runs_of(repository: &str) -> impl Iterator<Item = List> {
    let repository: Arc<str> = repository.into();
    (0..STATUSES.len()).map(move |status| List::Runs { status, repository: Arc::clone(&repository) })
}

impl Source for Repositories {
    type List = List;

    const PLATFORM: &'static str = NAME;

    /// A third of what GitHub lets one user have open (GitHub REST API, rate limits: 100).
    const AT_ONCE: usize = 32;

    fn base(&self) -> &BaseUrl {
        &self.settings.url
    }

    fn begin(&mut self) -> Vec<List> {
        self.quota.begin();
        match &self.settings.scope {
            GitHubScope::Organization(_) | GitHubScope::Installation => vec![List::Repositories],
            GitHubScope::Repositories(names) => {
                let distinct: BTreeSet<&RepositoryName> = names.iter().collect();
                distinct.into_iter().flat_map(|name| runs_of(name)).collect()
            }
        }
    }

    fn good_for(&self, list: &List) -> u32 {
        match list {
            List::Repositories => REMEMBER_REPOSITORIES,
            List::Runs { .. } | List::Jobs { .. } => 1,
        }
    }

    fn url(&self, list: &List, page: usize) -> String {
        let api = &self.settings.url;
        match list {
            List::Jobs { repository, run } => {
                let repository = repository_path(repository);
                format!("{api}/repos/{repository}/actions/runs/{run}/jobs?filter=latest&per_page={page}")
            }
            List::Runs { status, repository } => {
                let (repository, status) = (repository_path(repository), STATUSES[*status]);
                format!("{api}/repos/{repository}/actions/runs?status={status}&per_page={page}")
            }
            List::Repositories => match &self.settings.scope {
                GitHubScope::Organization(name) => {
                    format!("{api}/orgs/{}/repos?type=all&per_page={page}", percent_encode(name))
                }
                GitHubScope::Installation | GitHubScope::Repositories(_) => {
                    format!("{api}/installation/repositories?per_page={page}")
                }
            },
        }
    }

    /// The authorisation follows on the way.
    fn dress(&self, request: Request) -> Request {
        request
    }

    fn context(&self, list: &List) -> RequestContext {
        let what = match list {
            List::Repositories => match &self.settings.scope {
                GitHubScope::Organization(name) => format!("list the repositories of the organization {name}"),
                GitHubScope::Installation | GitHubScope::Repositories(_) => {
                    "list the repositories of the installation".to_owned()
                }
            },
            List::Runs { status, repository } => {
                format!("read the workflow runs of {repository} that are {}", STATUSES[*status])
            }
            List::Jobs { repository, run } => format!("read the jobs of run {run} of {repository}"),
        };
        context(&self.settings.url, &self.secret, what, REMEDIES)
    }

    fn noun(&self, list: &List) -> &'static str {
        match list {
            List::Jobs { .. } => "runs",
            List::Runs { .. } => "lists of runs",
            List::Repositories => "lists of repositories",
        }
    }

    fn items(&self, list: &List, page: &Document, _: Option<Timestamp>) -> Result<Items<List>, ExchangeError> {
        match list {
            List::Jobs { .. } => {
                let (jobs, count) = jobs::jobs(page, &self.settings)?;
                Ok(Items { lists: Vec::new(), jobs, count })
            }
            List::Runs { repository, .. } => {
                let (runs, count) = jobs::runs(page)?;
                let list = |run| List::Jobs { repository: Arc::clone(repository), run };
                Ok(Items { lists: runs.into_iter().map(list).collect(), jobs: Vec::new(), count })
            }
            List::Repositories => {
                let (names, count) = repositories(page, &self.settings.scope)?;
                let lists = names.iter().flat_map(|name| runs_of(name)).collect();
                Ok(Items { lists, jobs: Vec::new(), count })
            }
        }
    }

    fn refusal(&self, context: &RequestContext, reply: &Reply) -> ExchangeError {
        refusal(context, reply)
    }

    fn gone(&self, list: &List) -> ListNotFound<List> {
        match (list, &self.settings.scope) {
            // It was listed a moment ago, so the token may see it: it was deleted since, and its jobs with it.
            (List::Jobs { .. }, _) => ListNotFound::Empty,
            // The repository may be gone or have moved since it was listed.
            (List::Runs { .. }, GitHubScope::Organization(_) | GitHubScope::Installation) => {
                ListNotFound::Outdated(List::Repositories)
            }
            (List::Runs { .. }, GitHubScope::Repositories(_)) | (List::Repositories, _) => ListNotFound::Failure,
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
