//! Fetches the secrets that settings point to.

use std::{env, os::unix::fs::PermissionsExt, path::Path};

use lightsout_core::settings::SecretSource;
use secrecy::{SecretString, zeroize::Zeroize};

use crate::aws::{Aws, AwsError, AwsErrorKind};

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
}

/// Fetches one secret. A trailing line break is no part of it.
///
/// # Errors
/// When it is missing, empty, or cannot be read.
pub async fn resolve(source: &SecretSource, aws: &Aws) -> Result<SecretString, SecretError> {
    let fetched = match source {
        SecretSource::Inline(secret) => return Ok(secret.clone()),
        SecretSource::File(path) => file(path).await,
        SecretSource::Env(name) => env::var(name)
            .map_err(|_| Failure::lasting("it is not set (or no text): set it where the program is started")),
        SecretSource::Ssm(name) => parameter(aws, name).await,
        SecretSource::SecretsManager { id, key } => secret(aws, id, key.as_deref()).await,
    };
    let trimmed = fetched.and_then(|mut text| {
        let secret = text.trim_end_matches(['\r', '\n']).to_owned();
        text.zeroize();
        if secret.trim().is_empty() { Err(Failure::lasting("it is empty: put the token there")) } else { Ok(secret) }
    });
    match trimmed {
        Ok(secret) => Ok(secret.into()),
        Err(Failure { why, transient }) => Err(SecretError { from: source.to_string(), why, transient }),
    }
}

struct Failure {
    why: String,
    transient: bool,
}

impl Failure {
    fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), transient: false }
    }
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Self {
        let transient = match error.kind {
            AwsErrorKind::Throttled | AwsErrorKind::Timeout | AwsErrorKind::Unreachable | AwsErrorKind::InProgress => {
                true
            }
            AwsErrorKind::AtFloor
            | AwsErrorKind::AboveMax
            | AwsErrorKind::BelowMin
            | AwsErrorKind::NotFound
            | AwsErrorKind::NoActiveHook
            | AwsErrorKind::WrongState
            | AwsErrorKind::Denied
            | AwsErrorKind::Other => false,
        };
        Self { why: error.to_string(), transient }
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

async fn parameter(aws: &Aws, name: &str) -> Result<String, Failure> {
    let answer = aws_sdk_ssm::Client::new(&aws.config().await)
        .get_parameter()
        .name(name)
        .with_decryption(true)
        .send()
        .await
        .map_err(|error| AwsError::from_sdk("ssm:GetParameter", &error))?;
    Ok(answer.parameter.and_then(|parameter| parameter.value).unwrap_or_default())
}

async fn secret(aws: &Aws, id: &str, key: Option<&str>) -> Result<String, Failure> {
    let answer = aws_sdk_secretsmanager::Client::new(&aws.config().await)
        .get_secret_value()
        .secret_id(id)
        .send()
        .await
        .map_err(|error| AwsError::from_sdk("secretsmanager:GetSecretValue", &error))?;
    let text = answer.secret_string.ok_or_else(|| Failure::lasting("it holds bytes: store it as text"))?;
    let Some(key) = key else { return Ok(text) };
    // What the parser says may quote the secret, so it is not passed on.
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)
        .map_err(|_| Failure::lasting("it is not a JSON object: leave out the key, or store an object"))?;
    match object.get(key) {
        Some(serde_json::Value::String(value)) => Ok(value.clone()),
        Some(_) => Err(Failure::lasting("the value of this key is not a text")),
        None => Err(Failure::lasting("there is no such key in its JSON object: check the spelling")),
    }
}

#[cfg(test)]
mod tests;
