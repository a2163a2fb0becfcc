//! Whose runners they are: an organization's or a repository's.

use crate::{
    platform::answer::percent_encode,
    settings::{Problem, checked_text},
};

checked_text! {
    /// An organization's name, as in its address.
    OrganizationName, check_organization
}

checked_text! {
    /// A repository's name: `OWNER/REPO`.
    RepositoryName, check_repository
}

/// Whose self-hosted runners they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitHubOwner {
    /// An organisation's.
    Organization(OrganizationName),
    /// One repository's.
    Repository(RepositoryName),
}

impl GitHubOwner {
    /// The first part of its calls, such as `orgs/acme`.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Organization(name) => format!("orgs/{}", percent_encode(name)),
            Self::Repository(name) => format!("repos/{}", repository_path(name)),
        }
    }

    /// As it stands in addresses of web pages.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Organization(name) => name,
            Self::Repository(name) => name,
        }
    }

    /// What a token needs to change its runners.
    pub(super) fn permission(&self) -> &'static str {
        match self {
            Self::Organization(_) => {
                "the token needs the permission organization_self_hosted_runners: write (a classic token: the scope admin:org)"
            }
            Self::Repository(_) => {
                "the token needs the permission administration: write of the repository (a classic token: the scope repo)"
            }
        }
    }
}

/// `OWNER/REPO` as it stands in URLs.
pub(super) fn repository_path(name: &str) -> String {
    name.split('/').map(percent_encode).collect::<Vec<_>>().join("/")
}

fn check_organization(name: &str) -> Result<(), Problem> {
    if is_name(name) {
        return Ok(());
    }
    Err(Problem::new(
        "organization",
        format!("{name:?} is no GitHub organization"),
        "write its name as in its address, such as acme",
    ))
}

fn check_repository(name: &str) -> Result<(), Problem> {
    match name.split_once('/') {
        Some((owner, repository)) if is_name(owner) && is_name(repository) => Ok(()),
        Some(_) | None => Err(Problem::new(
            "repository",
            format!("{name:?} is no GitHub repository"),
            "write it as OWNER/REPO, such as acme/app",
        )),
    }
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain)
}
