//! Who asks GitHub: a token, or an App.

use crate::exchange::ExchangeError;
use secrecy::{ExposeSecret, SecretString};

use super::refuse;

/// How to be known to GitHub.
#[derive(Clone, Debug)]
pub enum GitHubAuth {
    /// A personal access token, fine-grained (`github_pat_...`) or classic (`ghp_...`).
    Token(SecretString),
    /// An installation of a GitHub App.
    App(GitHubApp),
}

/// An installation of a GitHub App.
#[derive(Clone, Debug)]
pub struct GitHubApp {
    /// The App ID, or its Client ID (`Iv...`).
    pub app_id: String,
    /// The installation ID: the number at the end of the address of the installation's settings.
    pub installation_id: u64,
    /// The App's private key, the whole text of the `.pem` file.
    pub private_key: SecretString,
}

impl GitHubAuth {
    /// The same with this secret: the token, or the private key.
    #[must_use]
    pub fn with_secret(&self, secret: SecretString) -> Self {
        match self {
            Self::Token(_) => Self::Token(secret),
            Self::App(app) => Self::App(GitHubApp { private_key: secret, ..app.clone() }),
        }
    }

    /// What must never be shown.
    pub(super) fn secret(&self) -> &SecretString {
        match self {
            Self::Token(token) => token,
            Self::App(app) => &app.private_key,
        }
    }

    /// Refuses what cannot work, before any call is made.
    pub(super) fn check(&self) -> Result<(), ExchangeError> {
        match self {
            Self::Token(token) => check_token(token),
            Self::App(app) => app.check(),
        }
    }
}

impl GitHubApp {
    fn check(&self) -> Result<(), ExchangeError> {
        if self.app_id.is_empty() || !self.app_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
            return refuse(
                "the GitHub App ID is no App ID; use the number (or the Client ID, Iv...) of the App's settings page",
            );
        }
        if self.installation_id == 0 {
            return refuse(
                "the GitHub installation ID is 0; use the number at the end of the installation's settings page",
            );
        }
        if !self.private_key.expose_secret().contains("-----BEGIN ") {
            return refuse(
                "the GitHub App's private key is no PEM text; store the whole .pem file that GitHub gave, with its line breaks",
            );
        }
        Ok(())
    }
}

fn check_token(token: &SecretString) -> Result<(), ExchangeError> {
    let token = token.expose_secret();
    if token.trim().is_empty() {
        return refuse("the GitHub token is empty; create a personal access token, or use a GitHub App");
    }
    if token.contains("-----BEGIN ") {
        return refuse("the GitHub token is a private key; set app_id and installation_id to use a GitHub App");
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(
            "the GitHub token holds a space, a line break or another character that no token has; store it without them",
        );
    }
    Ok(())
}
