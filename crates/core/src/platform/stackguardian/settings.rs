//! What StackGuardian's codecs need to know, and the keys that say it.

mod read;

use secrecy::{ExposeSecret, SecretString};

use crate::{
    platform::Versions,
    settings::{BaseUrl, Key, NonBlank, Problem, Side, WholeSeconds, checked_text},
};

pub(super) use read::{queue, runner};

/// The keys of both sides.
pub(super) const KEYS: &[Key] = &[
    Key::optional("url", Side::Both, "text", "`https://api.app.stackguardian.io`", "the API"),
    Key::required(
        "api_key",
        Side::Both,
        "secret",
        "`sgu_...` or `sgo_...`; optional on the agent, where the drain needs it unless the runner group's token may drain",
    ),
    Key::required("organization", Side::Both, "text", "the organization's name"),
    Key::required("runner_group", Side::Both, "text", "the runner group's name"),
    Key::required("token", Side::Agent, "secret", "the runner group's"),
    Key::optional("program", Side::Agent, "text", "`sg-runner`", ""),
    Key::optional("register_timeout", Side::Agent, "duration", "`\"5m\"`", "how long a registration may take"),
    Key::optional("introspection", Side::Agent, "address or `\"off\"`", "`http://localhost:51678`", "the ECS agent's"),
];

/// `sg-runner` is a script without such an option (StackGuardian/sg-runner, main.sh), and what it installs is Amazon's ECS agent in whatever
/// version is current.
pub(super) const VERSIONS: Versions =
    Versions::Untold("sg-runner cannot be asked for its version; it is called as StackGuardian documents");

checked_text! {
    /// An organization's name, as it stands in StackGuardian's addresses.
    OrganizationName, check_organization
}

checked_text! {
    /// A runner group's name, as it stands in StackGuardian's addresses.
    RunnerGroupName, check_runner_group
}

/// Where and how to read the queue.
#[derive(Clone, Debug)]
pub struct StackGuardianQueueSettings {
    /// The API's address without `/api/v1`, such as `https://api.app.stackguardian.io` (EU) or
    /// `https://api.us.stackguardian.io`.
    pub url: BaseUrl,
    /// The organization.
    pub organization: OrganizationName,
    /// The runner group.
    pub runner_group: RunnerGroupName,
}

/// How the instance's runner works.
#[derive(Clone, Debug)]
pub struct StackGuardianRunnerSettings {
    /// The API's address without `/api/v1`, such as `https://api.app.stackguardian.io` (EU) or
    /// `https://api.us.stackguardian.io`.
    pub url: BaseUrl,
    /// The organization.
    pub organization: OrganizationName,
    /// The runner group.
    pub runner_group: RunnerGroupName,
    /// The vendor's registration script, such as `sg-runner`.
    pub program: NonBlank,
    /// How long one registration may take.
    pub register_timeout: WholeSeconds,
    /// Where the ECS agent tells its tasks, `http://localhost:51678` unless changed; `None`: it is not asked.
    pub introspection: Option<BaseUrl>,
}

/// The address of StackGuardian's API.
///
/// # Errors
/// When it cannot be one.
pub fn base_url(text: &str) -> Result<BaseUrl, Problem> {
    let wrong = |why: &str| {
        let remedy = "set it to https://api.app.stackguardian.io (EU) or https://api.us.stackguardian.io (US)";
        Problem::new("url", why, remedy)
    };
    let url = BaseUrl::parse(text).map_err(wrong)?;
    if url.path().ends_with("/api") || url.path().contains("/api/") {
        return Err(wrong("the StackGuardian url ends in /api/v1, which is added by itself"));
    }
    if url.host() == "app.stackguardian.io" || url.path().contains("/orchestrator") {
        return Err(wrong("the StackGuardian url is that of the web pages"));
    }
    Ok(url)
}

/// The address of the ECS agent's introspection, which knows no encryption.
///
/// # Errors
/// When it cannot be one.
pub fn introspection_url(text: &str) -> Result<BaseUrl, Problem> {
    BaseUrl::parse(text).ok().filter(|url| !url.is_tls()).ok_or_else(|| {
        Problem::new(
            "introspection",
            "expected the address of the ECS agent's introspection, or \"off\"",
            "write for example introspection = \"http://localhost:51678\"",
        )
    })
}

pub(super) fn check_token(token: &SecretString) -> Result<(), Problem> {
    let token = token.expose_secret();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::new(
            "token",
            "the StackGuardian runner group token is empty or holds a space or a line break",
            "copy the token that the runner group shows for sg-runner's --sg-node-token",
        ));
    }
    Ok(())
}

pub(super) fn check_api_key(key: &SecretString) -> Result<(), Problem> {
    let key = key.expose_secret();
    if !key.starts_with("sgu_") && !key.starts_with("sgo_") {
        return Err(Problem::new(
            "api_key",
            "the StackGuardian API key does not start with sgu_ (a user's) or sgo_ (the organization's)",
            "create one in StackGuardian's settings",
        ));
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::new(
            "api_key",
            "the StackGuardian API key holds a space, a line break or another character that no key has",
            "store it without them",
        ));
    }
    Ok(())
}

fn check_organization(name: &str) -> Result<(), Problem> {
    check_name("organization", "organization", name, "demo-org")
}

fn check_runner_group(name: &str) -> Result<(), Problem> {
    check_name("runner_group", "runner group", name, "private-runners")
}

/// A name as it stands in addresses.
fn check_name(key: &str, what: &str, name: &str, example: &str) -> Result<(), Problem> {
    let valid =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if valid && name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Problem::new(
        key,
        format!("the StackGuardian {what} is not a name as it stands in StackGuardian's addresses"),
        format!("write only its name, such as {example}"),
    ))
}
