//! Secrets of Systems Manager and Secrets Manager.

use lightsout_core::settings::SecretSource;
use secrecy::SecretString;

use super::{Aws, AwsError, AwsErrorKind};
use crate::{
    CloudFuture, SecretError, Secrets,
    secrets::{Failure, finish, local},
};

/// The secrets of one region.
#[derive(Debug, Default)]
pub(super) struct AwsSecrets {
    aws: Aws,
}

impl AwsSecrets {
    /// The secrets of this region; `None` leaves the choice to the environment.
    pub(super) fn new(region: Option<String>) -> Self {
        Self { aws: Aws::new(region) }
    }
}

impl Secrets for AwsSecrets {
    fn resolve<'a>(&'a self, source: &'a SecretSource) -> CloudFuture<'a, SecretString, SecretError> {
        Box::pin(async move {
            let fetched = match source {
                SecretSource::Ssm(name) => parameter(&self.aws, name).await,
                SecretSource::SecretsManager { id, key } => secret(&self.aws, id, key.as_deref()).await,
                SecretSource::Inline(_) | SecretSource::File(_) | SecretSource::Env(_) | SecretSource::KeyVault(_) => {
                    return local(source).await;
                }
            };
            finish(source, fetched)
        })
    }

    fn forget(&self) {
        self.aws.forget();
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
            | AwsErrorKind::Credentials
            | AwsErrorKind::Other => false,
        };
        Self { why: error.to_string(), transient, denied: error.kind == AwsErrorKind::Denied }
    }
}

async fn parameter(aws: &Aws, name: &str) -> Result<String, Failure> {
    let client = aws_sdk_ssm::Client::new(&aws.config().await);
    let getting = async {
        let answer = client.get_parameter().name(name).with_decryption(true).send().await;
        answer.map_err(|error| AwsError::from_sdk("ssm:GetParameter", &error))
    };
    let answer = aws.forget_on_refusal(getting).await?;
    Ok(answer.parameter.and_then(|parameter| parameter.value).unwrap_or_default())
}

async fn secret(aws: &Aws, id: &str, key: Option<&str>) -> Result<String, Failure> {
    let client = aws_sdk_secretsmanager::Client::new(&aws.config().await);
    let getting = async {
        let answer = client.get_secret_value().secret_id(id).send().await;
        answer.map_err(|error| AwsError::from_sdk("secretsmanager:GetSecretValue", &error))
    };
    let answer = aws.forget_on_refusal(getting).await?;
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
