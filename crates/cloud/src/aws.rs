//! The AWS SDK, set up once for everything that lightsout does with it.

pub mod error;
pub mod groups;
#[cfg(feature = "host")]
pub mod host;
mod http;
pub mod metadata;
pub mod notices;
pub mod secrets;

use std::time::Duration;

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, identity::IdentityCache, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use tokio::sync::Mutex;

pub use error::{AwsError, AwsErrorKind};

/// The tag on a group that holds the scaler's floor: idle agents leave only while `desired` is above it.
pub const FLOOR_TAG: &str = "lightsout:floor";

/// How long a connection may take to come about.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one attempt of a call may take.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);
/// The first attempt of a read and at most two more.
const ATTEMPTS: u32 = 3;

/// The SDK's configuration for one region, made at first use from the SDK's usual environment variables
/// (`AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_AUTO_SCALING`, `AWS_ACCESS_KEY_ID`, ...) and, for
/// credentials, from the instance's role.
///
/// It costs nothing until it is used, and [`Aws::forget`] gives back what it then took.
#[derive(Debug, Default)]
pub struct Aws {
    region: Option<String>,
    config: Mutex<Option<SdkConfig>>,
}

impl Aws {
    /// For this region; `None` leaves the choice to the environment.
    pub fn new(region: Option<String>) -> Self {
        Self { region, config: Mutex::new(None) }
    }

    /// With a configuration that is there already.
    #[cfg(test)]
    pub(crate) fn with_config(config: SdkConfig) -> Self {
        Self { region: None, config: Mutex::new(Some(config)) }
    }

    /// The configuration. Clients made from it share connections and credentials, so they are cheap to make for each call.
    pub async fn config(&self) -> SdkConfig {
        let mut config = self.config.lock().await;
        if let Some(config) = &*config {
            return config.clone();
        }
        config.insert(load(self.region.clone()).await).clone()
    }

    /// Makes a call, and drops the credentials when AWS refuses it: the SDK keeps a metadata session token until its time is up, even
    /// when the metadata service refuses it, and could then not renew them.
    pub(crate) async fn minding<T>(&self, call: impl Future<Output = Result<T, AwsError>>) -> Result<T, AwsError> {
        let result = call.await;
        if result.as_ref().is_err_and(|error| error.kind == AwsErrorKind::Denied) {
            self.forget().await;
        }
        result
    }

    /// Drops connections, credentials and certificates. The next use makes them anew.
    pub async fn forget(&self) {
        *self.config.lock().await = None;
    }
}

/// For calls that must not be sent twice: a lost answer leads to a describe, not to a resend.
pub(crate) fn once() -> RetryConfig {
    RetryConfig::disabled()
}

/// A count as AWS sends it, where a missing or negative one can only mean zero.
pub(crate) fn count(value: Option<i32>) -> u32 {
    value.and_then(|value| u32::try_from(value).ok()).unwrap_or(0)
}

async fn load(region: Option<String>) -> SdkConfig {
    let loader = loader();
    match region {
        Some(region) => loader.region(Region::new(region)),
        None => loader,
    }
    .load()
    .await
}

fn loader() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http::client())
        .identity_cache(IdentityCache::lazy().build())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

#[cfg(test)]
pub(crate) mod tests;
