//! The clouds, each behind the same four traits, in no vendor's words: [`Groups`] is what the scaler may do, [`Host`]
//! what an instance may do to itself, [`Notices`] what it is told, [`Secrets`] where tokens come from. What a cloud can
//! do it states as [`Capabilities`](lightsout_core::cloud::Capabilities), and what a failed call means as a
//! [`CloudError`].
//!
//! A cloud is a folder beside this file and a line in [`PROVIDERS`]. `fake` (a feature) is one in memory, for the tests
//! of agent and scaler.

#[cfg(feature = "host")]
mod archive;
mod aws;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod groups;
mod host;
mod notices;
mod secrets;

use std::pin::Pin;

use jiff::Timestamp;
#[cfg(feature = "host")]
use lightsout_core::doctor::facts::{CloudFacts, MetadataFacts};
#[cfg(feature = "host")]
use lightsout_core::settings::RecordsSettings;
use lightsout_core::{cloud::CloudError, explain::Activity, settings::AgentSettings};

#[cfg(feature = "host")]
pub use archive::{Archive, Entry};
pub use groups::{Doubt, DoubtKind, GroupView, Groups, History};
pub use host::Host;
pub use notices::{Identity, NoticeIntervals, Notices};
pub use secrets::{SecretError, Secrets, local};

/// What a group's history tells of endings and of launches that failed, each with its time, in the form in which the cloud's own client prints
/// it; `None` when the text is no such history.
pub fn history_in(answer: &serde_json::Value) -> Option<Vec<(Timestamp, Activity)>> {
    aws::history_in(answer)
}

/// What was written to a log group of the cloud between two times, in milliseconds since the Unix epoch, oldest first.
///
/// # Errors
/// When it cannot be read; the text says which right or name is missing.
#[cfg(feature = "host")]
pub async fn logged(location: Option<String>, group: &str, span_ms: (i64, i64)) -> Result<Vec<String>, CloudError> {
    aws::messages(location, group, span_ms).await
}

/// The answer to a call to a cloud.
pub type CloudFuture<'a, T, E = CloudError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// What is found by looking: each part as far as it can be told.
#[cfg(feature = "host")]
pub type Looked<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How one cloud is reached. Making any of these costs nothing; the first call does.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// Its name in settings.
    pub name: &'static str,
    /// The groups of a location; without one the environment decides.
    pub groups: fn(location: Option<String>) -> Box<dyn Groups>,
    /// The secrets of a location; without one the environment decides.
    pub secrets: fn(location: Option<String>) -> Box<dyn Secrets>,
    /// The text of an object in the cloud's own store, by its address; without a location the environment decides.
    pub object: fn(location: Option<String>, address: String) -> CloudFuture<'static, String>,
    /// What the instance on which this runs is told. It fails when the environment points elsewhere and makes no sense.
    #[cfg(feature = "host")]
    pub notices: fn() -> Result<Box<dyn Notices>, CloudError>,
    /// What this instance may do to itself.
    #[cfg(feature = "host")]
    pub host: fn(identity: &Identity, hooks: HookNames) -> Box<dyn Host>,
    /// Where this instance's records go beside its log, as the settings say.
    #[cfg(feature = "host")]
    pub archives: fn(identity: &Identity, settings: &RecordsSettings) -> Vec<Box<dyn Archive>>,
}

/// The names of the lifecycle hooks that are this instance's to answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookNames {
    /// Which of those that hold endings off, where the group has several; `None`: the one that waits longest.
    pub termination: Option<String>,
    /// Which of those that hold launches off; `None`: none.
    pub launch: Option<String>,
}

impl HookNames {
    /// Those that the settings name.
    pub fn of(settings: &AgentSettings) -> Self {
        Self { termination: settings.hook.clone(), launch: settings.launch_hook.clone() }
    }
}

/// How one cloud is looked at for a diagnosis: each thing as far as it can be told. It changes nothing, and tries rights in ways that change
/// nothing.
///
/// It is no part of [`Provider`], so that the agent, which makes no diagnosis, links none of its calls.
#[cfg(feature = "host")]
#[derive(Clone, Copy, Debug)]
pub struct Diagnosis {
    /// What metadata say of themselves, but for the identity.
    pub metadata: fn() -> Looked<'static, MetadataFacts>,
    /// What the cloud says of this instance, its group and its rights. The second is as in [`Provider::host`].
    pub instance: fn(identity: Identity, hooks: HookNames) -> Looked<'static, CloudFacts>,
}

/// Every cloud. The first is meant where nothing says which.
pub const PROVIDERS: [&Provider; 1] = [&aws::PROVIDER];

/// How each of [`PROVIDERS`] is looked at, in the same order.
#[cfg(feature = "host")]
pub const DIAGNOSES: [&Diagnosis; PROVIDERS.len()] = [&aws::DIAGNOSIS];
