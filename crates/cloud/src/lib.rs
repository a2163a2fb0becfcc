//! The clouds, each behind the same four traits, in no vendor's words: [`Groups`] is what the scaler may do, [`Host`]
//! what an instance may do to itself, [`Notices`] what it is told, [`Secrets`] where tokens come from. What a cloud can
//! do it states as [`Capabilities`](lightsout_core::cloud::Capabilities), and what a failed call means as a
//! [`CloudError`].
//!
//! A cloud is a folder beside this file and a line in [`provider`]. `fake` (a feature) is one in memory, for the tests
//! of agent and scaler.

#![warn(clippy::expect_used)]

#[cfg(feature = "host")]
mod archive;
mod aws;
mod azure;
mod command;
#[cfg(any(test, feature = "fake"))]
#[expect(clippy::expect_used, reason = "only tests use it: they break where they name what is not there")]
pub mod fake;
mod groups;
mod host;
mod notices;
#[cfg(feature = "operator")]
pub mod operator;
mod secrets;

use std::pin::Pin;
#[cfg(feature = "host")]
use std::time::Duration;

use jiff::Timestamp;
#[cfg(feature = "host")]
use lightsout_core::doctor::facts::{CloudFacts, Fact, FunctionFacts, MetadataFacts, RoleFacts};
#[cfg(feature = "host")]
use lightsout_core::iam::{Difference, Need};
#[cfg(feature = "host")]
use lightsout_core::settings::{RecordsSettings, ScaleSetId};
use lightsout_core::{
    cloud::CloudError,
    explain::Activity,
    settings::{AgentSettings, CloudName, Location, SecretSource},
};
use secrecy::SecretString;

#[cfg(feature = "host")]
pub use archive::{Archive, Entry};
pub use groups::{Doubt, DoubtKind, GroupDescription, GroupView, Groups, History, Listing};
pub use host::Host;
pub use notices::{Identity, NoticeIntervals, Notices};
#[cfg(feature = "operator")]
pub use operator::Operator;
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

/// The tag on an instance that says why it ends, wherever instances have tags.
#[cfg(feature = "host")]
const REASON_TAG: &str = "lightsout:why";

/// The answer to a call to a cloud.
pub type CloudFuture<'a, T, E = CloudError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// What is found by looking: each part as far as it can be told.
#[cfg(feature = "host")]
pub type Looked<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How one cloud is reached. Making any of these costs nothing; the first call does.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    pub cloud: CloudName,
    /// The groups of a location; without a region the environment decides.
    pub groups: fn(location: Location) -> Box<dyn Groups>,
    /// The secrets of a location; without one the environment decides.
    pub secrets: fn(location: Option<String>) -> Box<dyn Secrets>,
    /// The text of an object in the cloud's own store, by its address; without a location the environment decides.
    pub object: fn(location: Option<String>, address: String) -> CloudFuture<'static, String>,
}

/// Makes what hears of an instance's notices, by the user's program where that is the cloud.
#[cfg(feature = "host")]
pub type NewNotices = fn(program: &[String]) -> Result<Box<dyn Notices>, CloudError>;

/// How one cloud is reached from an instance of it.
#[cfg(feature = "host")]
#[derive(Clone, Copy, Debug)]
pub struct InstanceProvider {
    /// The cloud as everybody reaches it.
    pub provider: &'static Provider,
    /// Whether it is the one that settings with a program choose, and is found in no other way.
    pub is_program: bool,
    /// What the instance on which this runs is told. It fails when the environment points elsewhere and makes no sense.
    pub notices: NewNotices,
    /// What this instance may do to itself.
    pub host: fn(identity: &Identity, settings: HostSettings) -> Box<dyn Host>,
    /// Where this instance's records go beside its log, as the settings say.
    pub archives: fn(identity: &Identity, settings: &RecordsSettings) -> Vec<Box<dyn Archive>>,
}

/// What the settings say of this instance's place in its cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// The user's program that stands for the cloud, and its first arguments; empty: a cloud that is found by its metadata.
    pub program: Vec<String>,
    /// Which of the lifecycle hooks that hold endings off, where the group has several; `None`: the one that waits longest.
    pub termination: Option<String>,
    /// Which of those that hold launches off; `None`: none.
    pub launch: Option<String>,
}

impl HostSettings {
    /// What these settings say of it.
    pub fn of(settings: &AgentSettings) -> Self {
        Self {
            program: settings.cloud.clone(),
            termination: settings.hook.clone(),
            launch: settings.launch_hook.clone(),
        }
    }
}

/// How one cloud is looked at for a diagnosis: each thing as far as it can be told. It changes nothing, and tries rights in ways that change
/// nothing.
///
/// It is no part of [`InstanceProvider`], so that the agent, which makes no diagnosis, links none of its calls.
#[cfg(feature = "host")]
#[derive(Clone, Copy, Debug)]
pub struct Diagnosis {
    /// What metadata say of themselves, but for the identity.
    pub metadata: fn() -> Looked<'static, MetadataFacts>,
    /// What the cloud says of this instance, its group and its rights. The second is as in [`InstanceProvider::host`].
    pub instance: fn(identity: Identity, settings: HostSettings) -> Looked<'static, CloudFacts>,
}

/// How a group of this name, and what new instances start from, is looked at from a workstation, with the credentials of whoever asks: nothing of any one
/// instance, and no right is tried. Without a region the environment decides.
#[cfg(feature = "host")]
pub type GroupSurvey = fn(wanted: WantedGroup) -> Looked<'static, CloudFacts>;

/// A group as a pool's settings have it.
#[cfg(feature = "host")]
#[derive(Clone, Debug)]
pub struct WantedGroup {
    /// Where it is.
    pub location: Location,
    pub name: String,
    /// How many instances the pool may have at most, where its settings say so.
    pub most: Option<u32>,
    /// The secrets that its agents read, as far as their settings are known.
    pub secrets: Vec<SecretSource>,
}

/// How groups of a cloud are looked at from a workstation.
#[cfg(feature = "host")]
pub fn group_survey(cloud: CloudName) -> GroupSurvey {
    match cloud {
        CloudName::Aws => aws::GROUP_SURVEY,
        CloudName::Azure => azure::GROUP_SURVEY,
        CloudName::Program => command::GROUP_SURVEY,
    }
}

/// How a function that is the scaler, and the role of it, are looked at from a workstation, where the name of the function says whose it is; `None`: by [`SURVEY`].
#[cfg(feature = "host")]
pub fn function_survey(name: &str) -> Option<FunctionSurvey> {
    ScaleSetId::is_meant(name).then_some(azure::FUNCTION_SURVEY)
}

/// As [`GroupSurvey`], of a function.
#[cfg(feature = "host")]
pub type FunctionSurvey = fn(wanted: WantedFunction) -> Looked<'static, FunctionSeen>;

/// What is told of a function, but for what its settings say, `None` where there is none of the name; and of its roles.
#[cfg(feature = "host")]
pub type FunctionSeen = (Fact<Option<FunctionFacts>>, Vec<RoleFacts>);

/// A function as somebody named it, and what it works for.
#[cfg(feature = "host")]
#[derive(Clone, Debug)]
pub struct WantedFunction {
    pub name: String,
    /// The groups of its pools that are of the same cloud.
    pub groups: Vec<String>,
    /// The secrets that it reads.
    pub secrets: Vec<SecretSource>,
}

/// How roles and functions of an account of AWS are looked at from a workstation; those of no other cloud are.
#[cfg(feature = "host")]
pub const SURVEY: &Survey = &aws::SURVEY;

/// How an account of one cloud is looked at from a workstation, with the credentials of whoever asks. It changes nothing, and tries nothing.
#[cfg(feature = "host")]
#[derive(Clone, Copy, Debug)]
pub struct Survey {
    /// How the rights of a role differ from these, and by what that was judged.
    pub role: fn(location: Option<String>, role: RoleName, needs: Vec<Need>) -> Looked<'static, RoleRights>,
    /// What it says of a function that is the scaler, but for what its settings say; and its role.
    pub function: fn(location: Option<String>, name: String) -> Looked<'static, LookedFunction>,
}

/// What is told of a function, `None` where there is none of the name; and its role.
#[cfg(feature = "host")]
pub type LookedFunction = (Fact<Option<FunctionFacts>>, Option<RoleName>);

/// How a role is named.
#[cfg(feature = "host")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// As the one of an instance profile of this name.
    Profile(String),
    /// By its whole address.
    Address(String),
}

/// What a role may, compared with what it needs.
#[cfg(feature = "host")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRights {
    /// The role's name, as far as it is known.
    pub name: String,
    /// By what it was judged.
    pub by: &'static str,
    /// How it differs.
    pub difference: Fact<Difference>,
}

/// How this cloud is reached.
pub fn provider(cloud: CloudName) -> &'static Provider {
    match cloud {
        CloudName::Aws => &aws::PROVIDER,
        CloudName::Azure => &azure::PROVIDER,
        CloudName::Program => &command::PROVIDER,
    }
}

/// How the instances of a location are reached by an operator; without one the environment decides. It costs nothing until the first call.
///
/// It is AWS's. Like [`Diagnosis`] it is no part of [`Provider`]: neither the agent nor the scaler links any of it.
#[cfg(feature = "operator")]
pub fn operator(location: Option<String>) -> Box<dyn Operator> {
    aws::operator(location)
}

/// The same for an embedded cloud at this URL.
#[cfg(feature = "operator")]
pub async fn operator_at(location: String, url: &str) -> Box<dyn Operator> {
    aws::operator_at(location, url).await
}

/// Fetches a secret from the cloud whose store it is in; a location is of AWS.
///
/// # Errors
/// As [`Secrets::resolve`] says.
pub async fn resolve(location: Option<String>, source: &SecretSource) -> Result<SecretString, SecretError> {
    resolve_from((azure::PROVIDER.secrets)(None), location, source).await
}

/// The same for a person, who may have signed in with a cloud's own command line.
///
/// # Errors
/// As [`Secrets::resolve`] says.
#[cfg(feature = "host")]
pub async fn resolve_on_workstation(
    location: Option<String>,
    source: &SecretSource,
) -> Result<SecretString, SecretError> {
    resolve_from(azure::secrets_on_workstation(), location, source).await
}

async fn resolve_from(
    vaults: Box<dyn Secrets>,
    location: Option<String>,
    source: &SecretSource,
) -> Result<SecretString, SecretError> {
    let secrets = match source {
        SecretSource::KeyVault(_) => vaults,
        SecretSource::Ssm(_) | SecretSource::SecretsManager { .. } => (aws::PROVIDER.secrets)(location),
        SecretSource::Inline(_) | SecretSource::File(_) | SecretSource::Env(_) => return local(source).await,
    };
    secrets.resolve(source).await
}

/// The cloud on whose instance this runs, with its place among [`INSTANCE_PROVIDERS`]: the user's program's, where there is one; else it is found
/// by asking the metadata service of each, and is the first that answers. They are asked again until one does, for so long.
///
/// # Errors
/// When none answers in time, or the environment points elsewhere and makes no sense.
#[cfg(feature = "host")]
pub async fn find_cloud(program: &[String], within: Duration) -> Result<(usize, Box<dyn Notices>), CloudError> {
    let mut asked = Vec::new();
    for (place, provider) in INSTANCE_PROVIDERS.iter().enumerate() {
        if provider.is_program != program.is_empty() {
            asked.push((place, (provider.notices)(program)?));
        }
    }
    let looking = || {
        let looks = asked.iter().enumerate();
        let looks = looks.map(|(at, (_, notices))| Box::pin(async move { notices.is_here().await.map(|()| at) }));
        let first = futures_util::future::select_ok(looks);
        async { first.await.map(|(at, _)| at) }
    };
    let (who, remedy) = if let [program, ..] = program {
        (format!("{program} (agent.cloud)"), "run it by hand with `whoami`; see docs/clouds.md")
    } else {
        let remedy = "is this an instance of EC2 with IMDSv2 enabled, whose hop limit is reached, or a virtual machine of Azure? For any other cloud \
                      write agent.cloud";
        ("the metadata service".to_owned(), remedy)
    };
    let told = notices::until_told((&who, "who this instance is"), within, looking).await;
    let at = told.map_err(|error| CloudError::new(error.kind, format!("{error}; {remedy}")))?;
    Ok(asked.swap_remove(at))
}

/// Every cloud on whose instances an agent can live.
#[cfg(feature = "host")]
pub const INSTANCE_PROVIDERS: [&InstanceProvider; 3] = [&aws::INSTANCE, &azure::INSTANCE, &command::INSTANCE];

/// How each of [`INSTANCE_PROVIDERS`] is looked at, in the same order.
#[cfg(feature = "host")]
pub const DIAGNOSES: [&Diagnosis; INSTANCE_PROVIDERS.len()] = [&aws::DIAGNOSIS, &azure::DIAGNOSIS, &command::DIAGNOSIS];
