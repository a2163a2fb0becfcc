//! Fetches the secrets that settings point to: those in files and variables, which are everybody's, here; the others
//! each cloud by itself.

use std::{env, os::unix::fs::PermissionsExt, path::Path};

use lightsout_core::settings::SecretSource;
use secrecy::{SecretString, zeroize::Zeroize};

use crate::CloudFuture;

/// Where secrets are resolved: a cloud's own stores, and what is everybody's.
pub trait Secrets: Send + Sync {
    /// Fetches one secret. A trailing line break is no part of it. It fails when the secret is missing, empty, or
    /// cannot be read.
    fn resolve<'a>(&'a self, source: &'a SecretSource) -> CloudFuture<'a, SecretString, SecretError>;

    /// Drops connections, credentials and certificates until the next call.
    fn forget(&self);
}

/// A secret that cannot be had: from where, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no secret from {from}: {why}")]
pub struct SecretError {
    /// Where it should have come from.
    pub from: String,
    /// Why it did not, and the remedy.
    pub why: String,
    /// Whether the same attempt may succeed later without anyone changing anything.
    pub transient: bool,
    /// Whether the credentials lack the right to read it: nothing is said of the secret itself.
    pub denied: bool,
}

/// Fetches a secret that needs no cloud.
///
/// # Errors
/// When it is missing, empty, or cannot be read; for a secret of a cloud's store always.
pub async fn local(source: &SecretSource) -> Result<SecretString, SecretError> {
    let fetched = match source {
        SecretSource::Inline(secret) => return Ok(secret.clone()),
        SecretSource::File(path) => file(path).await,
        SecretSource::Env(name) => env::var(name)
            .map_err(|_| Failure::lasting("it is not set (or no text): set it where the program is started")),
        SecretSource::Ssm(_) | SecretSource::SecretsManager { .. } | SecretSource::KeyVault(_) => {
            Err(Failure::lasting("this cloud has no such store: use a file or a variable"))
        }
    };
    finish(source, fetched)
}

/// What was fetched from this source as a secret, without its trailing line break.
pub(crate) fn finish(source: &SecretSource, fetched: Result<String, Failure>) -> Result<SecretString, SecretError> {
    let trimmed = fetched.and_then(|mut text| {
        let secret = text.trim_end_matches(['\r', '\n']).to_owned();
        text.zeroize();
        if secret.trim().is_empty() { Err(Failure::lasting("it is empty: put the token there")) } else { Ok(secret) }
    });
    match trimmed {
        Ok(secret) => Ok(secret.into()),
        Err(Failure { why, transient, denied }) => {
            Err(SecretError { from: source.to_string(), why, transient, denied })
        }
    }
}

/// Why nothing was fetched.
pub(crate) struct Failure {
    pub(crate) why: String,
    pub(crate) transient: bool,
    pub(crate) denied: bool,
}

impl Failure {
    /// One that stays until somebody acts.
    pub(crate) fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), transient: false, denied: false }
    }
}

async fn file(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::lasting(format!("{error}: create it, readable by the user that runs lightsout (mode 0600)"))
    };
    let mode = tokio::fs::metadata(path).await.map_err(unreadable)?.permissions().mode();
    if mode & 0o004 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:04o}", mode & 0o7777), "everybody on this machine can read the secret: chmod 600");
    }
    tokio::fs::read_to_string(path).await.map_err(unreadable)
}

#[cfg(test)]
mod tests;
