//! Who asks GitHub: a token, or an App.

use std::num::NonZeroU64;

use secrecy::{ExposeSecret, SecretString};

use crate::{
    platform::answer,
    settings::{Problem, checked_text},
};

checked_text! {
    /// An App ID, or a Client ID (`Iv...`).
    AppId, check_app_id
}

/// How to be known to GitHub.
#[derive(Clone, Debug)]
pub enum GitHubAuth {
    /// A personal access token, fine-grained (`github_pat_...`) or classic (`ghp_...`).
    Token(SecretString),
    /// An installation of a GitHub App, and the App's private key: the whole text of the `.pem` file.
    App(GitHubApp, SecretString),
}

/// Who asks, as the settings name it: without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitHubIdentity {
    /// Whoever the token is of.
    Token,
    /// An installation of a GitHub App.
    App(GitHubApp),
}

/// An installation of a GitHub App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubApp {
    /// Which App.
    pub app_id: AppId,
    /// The installation ID: the number at the end of the address of the installation's settings.
    pub installation_id: NonZeroU64,
}

impl GitHubIdentity {
    /// With the secret: the token, or the App's private key.
    pub fn with(&self, secret: SecretString) -> GitHubAuth {
        match self {
            Self::Token => GitHubAuth::Token(secret),
            Self::App(app) => GitHubAuth::App(app.clone(), secret),
        }
    }
}

impl GitHubAuth {
    /// What must never be shown.
    pub(super) fn secret(&self) -> &SecretString {
        match self {
            Self::Token(secret) | Self::App(_, secret) => secret,
        }
    }

    /// The same with another secret.
    pub(super) fn with(&self, secret: SecretString) -> Self {
        match self {
            Self::Token(_) => Self::Token(secret),
            Self::App(app, _) => Self::App(app.clone(), secret),
        }
    }

    /// Refuses what cannot be GitHub's.
    pub(super) fn check(&self) -> Result<(), Problem> {
        match self {
            Self::Token(token) => check_token(token),
            Self::App(_, key) => check_key(key),
        }
    }
}

fn check_app_id(id: &str) -> Result<(), Problem> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
        return Err(Problem::new(
            "app_id",
            "the GitHub App ID is no App ID",
            "use the number (or the Client ID, Iv...) of the App's settings page",
        ));
    }
    Ok(())
}

fn check_key(key: &SecretString) -> Result<(), Problem> {
    if key.expose_secret().contains("-----BEGIN ") {
        return Ok(());
    }
    Err(Problem::new(
        "private_key",
        "the GitHub App's private key is no PEM text",
        "store the whole .pem file that GitHub gave, with its line breaks",
    ))
}

fn check_token(token: &SecretString) -> Result<(), Problem> {
    if token.expose_secret().contains("-----BEGIN ") {
        return Err(Problem::new(
            "token",
            "the GitHub token is a private key",
            "set app_id and installation_id to use a GitHub App",
        ));
    }
    answer::check_token("token", "GitHub token", token, "create a personal access token, or use a GitHub App")
}
