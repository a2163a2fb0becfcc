//! AWS: EC2 Auto Scaling groups, EC2 instances and their metadata, Systems Manager and Secrets Manager.
//!
//! This file sets the SDK up, once for everything that is done with it.

#[cfg(feature = "host")]
mod archive;
mod error;
mod groups;
#[cfg(feature = "host")]
mod host;
mod http;
#[cfg(feature = "host")]
mod metadata;
#[cfg(feature = "host")]
mod notices;
mod objects;
#[cfg(feature = "operator")]
mod operator;
mod request;
mod secrets;
#[cfg(feature = "host")]
mod survey;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, identity::IdentityCache, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use lightsout_core::{
    cloud::{Capabilities, HookRules, Membership, ProtectionSupport},
    settings::CloudName,
};
use tokio::sync::OnceCell;

use crate::{CloudFuture, Provider};
#[cfg(feature = "host")]
use crate::{Diagnosis, GroupSurvey, InstanceProvider, Survey};
#[cfg(feature = "host")]
pub(crate) use archive::query::messages;
#[cfg(feature = "host")]
use archive::query::read as read_logs;
use error::{AwsError, AwsErrorKind};
pub(crate) use groups::told::activities as history_in;

/// How AWS is reached.
pub(crate) const PROVIDER: Provider = Provider {
    cloud: CloudName::Aws,
    groups: |location| Box::new(groups::AwsGroups::new(location.region)),
    secrets: |region| Box::new(secrets::AwsSecrets::new(region)),
    object: objects::text,
};

/// How it is reached from its instances.
#[cfg(feature = "host")]
pub(crate) const INSTANCE: InstanceProvider = InstanceProvider {
    provider: &PROVIDER,
    is_program: false,
    notices: |_| notices::open(),
    host: |identity, hook| Box::new(host::AwsHost::new(identity, hook)),
    archives: archive::open,
};

/// How its instances are reached by an operator.
#[cfg(feature = "operator")]
pub(crate) fn operator(region: Option<String>) -> Box<dyn crate::Operator> {
    Box::new(operator::AwsOperator::new(region))
}

/// The same at another address, with credentials that are none.
#[cfg(feature = "operator")]
pub(crate) async fn operator_at(region: String, url: &str) -> Box<dyn crate::Operator> {
    let nobody = aws_sdk_ssm::config::Credentials::new("operator", "none", None, None, "an embedded cloud");
    let loader = loader().region(Region::new(region)).endpoint_url(url).credentials_provider(nobody);
    Box::new(operator::AwsOperator::with(Aws::with_config(loader.load().await)))
}

/// How it is looked at.
#[cfg(feature = "host")]
pub(crate) const DIAGNOSIS: Diagnosis = Diagnosis {
    metadata: || Box::pin(notices::look()),
    instance: |identity, hook| Box::pin(async move { Box::pin(host::AwsHost::new(&identity, hook).look()).await }),
};

/// How a group is looked at from a workstation.
#[cfg(feature = "host")]
pub(crate) const GROUP_SURVEY: GroupSurvey = |wanted| {
    Box::pin(async move { Box::pin(host::look_at_group(Aws::new(wanted.location.region), &wanted.name)).await })
};

/// How the rest of an account is looked at from there.
#[cfg(feature = "host")]
pub(crate) const SURVEY: Survey = Survey {
    role: |region, role, needs| Box::pin(async move { Box::pin(survey::role(&Aws::new(region), &role, &needs)).await }),
    function: |region, name| Box::pin(async move { Box::pin(survey::function(&Aws::new(region), &name)).await }),
};

/// What EC2 Auto Scaling can do (EC2 Auto Scaling User Guide, "Use instance scale-in protection", "Lifecycle hooks": 48
/// hours or 100 times the time-out, whichever is less; EC2 User Guide, "Spot Instance interruption notices": two minutes).
const CAPABILITIES: Capabilities = Capabilities {
    protection: ProtectionSupport::AtLaunch,
    termination_hook: Some(HookRules { time_outs: 100, longest: Duration::from_secs(48 * 3600) }),
    leaving_lowers_capacity: false,
    replaces_unhealthy: true,
    power_off_ends_billing: true,
    conditional_raise: false,
    longest_notice: Duration::from_secs(120),
};

/// The tag on a group that holds the scaler's floor: idle agents leave only while `desired` is above it.
const FLOOR_TAG: &str = "lightsout:floor";

/// The tag on an instance that orders its agent to drain or to hold.
const ORDER_TAG: &str = "lightsout:order";
/// The tag on an instance that says when its agent was first ready in this boot.
const READY_TAG: &str = "lightsout:ready";

/// What a group's word for an instance means.
fn membership(state: Option<&str>, protected: bool) -> Membership {
    match state {
        None | Some("Detaching" | "Detached") => Membership::Outside,
        Some("InService") => Membership::InService { protected },
        Some("EnteringStandby" | "Standby") => Membership::Standby,
        Some("Terminating:Wait" | "Warmed:Terminating:Wait") => Membership::Terminating { waiting: true },
        Some(state) if state.trim_start_matches("Warmed:").starts_with("Terminat") => {
            Membership::Terminating { waiting: false }
        }
        Some(state) if state.starts_with("Warmed:Pending") => {
            Membership::Warming { waiting: state == "Warmed:Pending:Wait" }
        }
        Some(state) if state.starts_with("Warmed:") => Membership::Warm,
        // Pending*, and words that are newer than this program: not in service, so not served.
        Some(state) => Membership::Pending { waiting: state == "Pending:Wait" },
    }
}

/// The variable that names a file of CAs to trust for calls to AWS, as the SDKs and the AWS CLI know it.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one attempt of a call may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
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
struct Aws {
    region: Option<String>,
    /// Filled at first use, and replaced to forget it.
    config: Mutex<Arc<OnceCell<SdkConfig>>>,
}

impl Aws {
    /// For this region; `None` leaves the choice to the environment.
    fn new(region: Option<String>) -> Self {
        Self { region, config: Mutex::default() }
    }

    /// With a configuration that is there already.
    #[cfg(any(test, feature = "operator"))]
    fn with_config(config: SdkConfig) -> Self {
        Self { region: None, config: Mutex::new(Arc::new(OnceCell::new_with(Some(config)))) }
    }

    /// The configuration. Clients made from it share connections and credentials, so they are cheap to make for each call.
    async fn config(&self) -> SdkConfig {
        let config = Arc::clone(&*self.config.lock().unwrap_or_else(PoisonError::into_inner));
        config.get_or_init(|| load(self.region.clone())).await.clone()
    }

    /// Makes a call, and drops the credentials when AWS refuses them: the SDK keeps a metadata session token until its
    /// time is up, even when the metadata service refuses it, and could then not renew them.
    async fn forget_on_refusal<T>(&self, call: impl Future<Output = Result<T, AwsError>>) -> Result<T, AwsError> {
        let result = call.await;
        if result.as_ref().is_err_and(|error| matches!(error.kind, AwsErrorKind::Denied | AwsErrorKind::Credentials)) {
            self.forget();
        }
        result
    }

    /// The same for a call that a trait promises. The SDK's futures are large: boxed here, they are moved nowhere.
    fn call<'a, T: 'a>(&'a self, call: impl Future<Output = Result<T, AwsError>> + Send + 'a) -> CloudFuture<'a, T> {
        let call = Box::pin(call);
        Box::pin(async move { Ok(self.forget_on_refusal(call).await?) })
    }

    /// Drops connections, credentials and certificates. The next use makes them anew.
    fn forget(&self) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }
}

/// For calls that must not be sent twice: a lost answer leads to a describe, not to a resend.
fn once() -> RetryConfig {
    RetryConfig::disabled()
}

/// A count as AWS sends it, where a missing or negative one can only mean zero.
fn count(value: Option<i32>) -> u32 {
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
mod tests;
