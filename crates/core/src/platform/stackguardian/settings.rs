//! What StackGuardian's codecs need to know, and the keys that say it.

mod read;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{base, refuse};
use crate::{
    exchange::ExchangeError,
    platform::{DrainBy, DrainRules, Signal, UndrainBy},
    settings::{Key, Side},
};

pub use read::{StackGuardianQueueConfig, StackGuardianRunnerConfig, queue, runner};

/// The keys of both sides.
pub const KEYS: &[Key] = &[
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

/// Where and how to read the queue.
#[derive(Clone, Debug)]
pub struct StackGuardianQueueSettings {
    /// The API's address without `/api/v1`, such as `https://api.app.stackguardian.io` (EU) or `https://api.us.stackguardian.io`.
    pub url: String,
    /// An API key of a user (`sgu_...`) or of the organization (`sgo_...`).
    pub api_key: SecretString,
    /// The organization's name, as it stands in StackGuardian's addresses.
    pub organization: String,
    /// The runner group's name.
    pub runner_group: String,
}

impl StackGuardianQueueSettings {
    /// Refuses settings that cannot work, before any call is made.
    ///
    /// # Errors
    /// Names what is wrong and what it should be.
    pub fn check(&self) -> Result<(), ExchangeError> {
        check_url(&self.url)?;
        check_api_key(&self.api_key)?;
        check_name("organization", &self.organization, "demo-org")?;
        check_name("runner group", &self.runner_group, "private-runners")
    }
}

/// How the instance's runner works.
#[derive(Clone, Debug)]
pub struct StackGuardianRunnerSettings {
    /// The API's address without `/api/v1`, such as `https://api.app.stackguardian.io` (EU) or `https://api.us.stackguardian.io`.
    pub url: String,
    /// The runner group's token (StackGuardian: "sg-node-token").
    pub token: SecretString,
    /// An API key (`sgu_...`, `sgo_...`) for draining and for the task counts; without it the runner group's token is tried for these.
    pub api_key: Option<SecretString>,
    /// The organization's name, as it stands in StackGuardian's addresses.
    pub organization: String,
    /// The runner group's name.
    pub runner_group: String,
    /// The vendor's registration script, such as `sg-runner`.
    pub program: String,
    /// How long one registration may take; whole seconds.
    pub register_timeout: Duration,
    /// Where the ECS agent tells its tasks, `http://localhost:51678` unless changed; `None`: it is not asked.
    pub introspection: Option<String>,
}

impl StackGuardianRunnerSettings {
    /// How the runner is drained and stopped.
    pub fn drain_rules(&self) -> DrainRules {
        // SIGTERM ends the tasks first, so that the ECS agent can tell that they stopped.
        DrainRules { drain: DrainBy::Call, undrain: UndrainBy::Call, abort: Signal::Term }
    }

    /// Refuses settings that cannot work, before any call is made.
    ///
    /// # Errors
    /// Names what is wrong and what it should be.
    pub fn check(&self) -> Result<(), ExchangeError> {
        check_url(&self.url)?;
        let token = self.token.expose_secret();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse(
                "the StackGuardian runner group token is empty or holds a space or a line break; copy the token that the runner group shows \
                 for sg-runner's --sg-node-token",
            );
        }
        self.api_key.as_ref().map_or(Ok(()), check_api_key)?;
        check_name("organization", &self.organization, "demo-org")?;
        check_name("runner group", &self.runner_group, "private-runners")?;
        if self.program.trim().is_empty() {
            return refuse("the StackGuardian registration program is empty; set it to sg-runner or its path");
        }
        if self.register_timeout < Duration::from_secs(1) {
            return refuse("the time for a StackGuardian registration is below a second; it takes minutes, such as 5m");
        }
        match &self.introspection {
            Some(url) if !url.starts_with("http://") => refuse(
                "the address of the ECS agent's introspection does not start with http://; it is http://localhost:51678 unless changed",
            ),
            Some(_) | None => Ok(()),
        }
    }
}

/// Refuses an address that cannot be the API's.
fn check_url(url: &str) -> Result<(), ExchangeError> {
    let wrong = |why: &str| {
        refuse(&format!(
            "the StackGuardian url {why}; set it to https://api.app.stackguardian.io (EU) or https://api.us.stackguardian.io (US)"
        ))
    };
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return wrong("does not start with https:// or http://");
    };
    let rest = base(rest);
    if rest.contains('@') {
        return wrong("holds a user name or a password");
    }
    if rest.contains(['?', '#']) || rest.contains(char::is_whitespace) || rest.contains(char::is_control) {
        return wrong("holds a query, a fragment or a space");
    }
    if rest.ends_with("/api") || rest.contains("/api/") {
        return wrong("ends in /api/v1, which is added by itself");
    }
    if rest.is_empty() || rest.starts_with(['/', ':']) {
        return wrong("names no host");
    }
    if rest == "app.stackguardian.io" || rest.contains("/orchestrator") {
        return wrong("is that of the web pages");
    }
    Ok(())
}

fn check_api_key(key: &SecretString) -> Result<(), ExchangeError> {
    let key = key.expose_secret();
    if !key.starts_with("sgu_") && !key.starts_with("sgo_") {
        return refuse(
            "the StackGuardian API key does not start with sgu_ (a user's) or sgo_ (the organization's); create one in StackGuardian's settings",
        );
    }
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    refuse(
        "the StackGuardian API key holds a space, a line break or another character that no key has; store it without them",
    )
}

/// A name as it stands in addresses.
fn check_name(what: &str, name: &str, example: &str) -> Result<(), ExchangeError> {
    let valid =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if valid && name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    refuse(&format!(
        "the StackGuardian {what} is not a name as it stands in StackGuardian's addresses; write only its name, such as {example}"
    ))
}
