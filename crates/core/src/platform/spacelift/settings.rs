//! What Spacelift's codecs need to know, and the keys that say it.

mod read;

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    platform::{DrainBy, DrainRules, Signal, UndrainBy, Versions},
    settings::{BaseUrl, Key, NonBlank, Problem, Side, checked_text},
};

pub(super) use read::{queue, runner};

/// The keys of both sides.
pub(super) const KEYS: &[Key] = &[
    Key::required("url", Side::Both, "text", "the account's address; on the agent it and the three below all or none"),
    Key::required(
        "api_key_id",
        Side::Both,
        "text",
        "the id of an API key (`Space: Read`; on the agent also `Worker Pool: Drain Worker`)",
    ),
    Key::required("api_key_secret", Side::Both, "secret", "its secret"),
    Key::required("worker_pool", Side::Both, "text", "the worker pool's id"),
    Key::required("token", Side::Agent, "secret", "the worker pool's token"),
    Key::required("private_key", Side::Agent, "secret", "the worker pool's private key, in base64"),
    Key::optional("program", Side::Agent, "text", "`spacelift-launcher`", "the launcher"),
    Key::optional("env", Side::Agent, "list of `NAME=value`", "none", "more variables for it"),
    Key::optional("ignore_containers", Side::Agent, "list", "none", "names of containers that are no runs"),
];

/// The letters and digits of a pool's id (a ULID).
const ID: usize = 26;

checked_text! {
    /// An API key's id.
    ApiKeyId, check_key_id
}

checked_text! {
    /// A worker pool's id: 26 letters and digits.
    WorkerPoolId, check_worker_pool
}

checked_text! {
    /// The name of a variable of the launcher that no other setting writes.
    VariableName, check_variable
}

/// A worker pool, and the id of the API key to it: for the queue, and on the instance for draining.
#[derive(Clone, Debug)]
pub struct SpaceliftQueueSettings {
    /// Spacelift's address without `/graphql`, such as `https://ACCOUNT.app.spacelift.io`.
    pub url: BaseUrl,
    pub api_key_id: ApiKeyId,
    /// The worker pool's id.
    pub worker_pool: WorkerPoolId,
}

/// How the instance's worker works.
#[derive(Clone)]
pub struct SpaceliftRunnerSettings {
    /// The launcher, such as `spacelift-launcher`.
    pub program: NonBlank,
    /// More variables for the launcher, such as `SPACELIFT_LAUNCHER_RUN_TIMEOUT`.
    pub env: BTreeMap<VariableName, String>,
    /// Name prefixes of containers on this machine that are no runs.
    pub ignore_containers: Vec<NonBlank>,
}

/// The secrets of a worker pool, which each of its workers holds.
#[derive(Clone, Debug)]
pub struct PoolSecrets {
    /// The pool's token: the text of the file that Spacelift offered when the pool was created (base64).
    pub token: SecretString,
    /// The pool's private key, base64-encoded as a whole.
    pub private_key: SecretString,
}

impl PoolSecrets {
    /// Refuses what cannot be a pool's.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if !is_base64(&self.token) {
            return Err(Problem::new(
                "token",
                "the Spacelift worker pool's token is not base64 text",
                "use the whole text of the .config file that Spacelift offered when the pool was created (SPACELIFT_TOKEN)",
            ));
        }
        if self.private_key.expose_secret().trim_start().starts_with("-----BEGIN") {
            return Err(Problem::new(
                "private_key",
                "the Spacelift worker pool's private key is not encoded",
                "store the output of `base64 -w0 spacelift.key` instead of the file",
            ));
        }
        if !is_base64(&self.private_key) {
            return Err(Problem::new(
                "private_key",
                "the Spacelift worker pool's private key is not base64 text",
                "store the output of `base64 -w0 spacelift.key`",
            ));
        }
        Ok(())
    }
}

/// The launcher has no option but its variables (Spacelift documentation, "Worker pools"): called to say its version it would begin to work.
pub(super) const VERSIONS: Versions = Versions::Untold(
    "spacelift-launcher cannot be asked for its version; the variables are those that Spacelift documents",
);

/// With an API key: the answer to the drain call is the proof.
pub(super) const BY_CALL: DrainRules =
    DrainRules { drain: DrainBy::Call, undrain: UndrainBy::Call, abort: Signal::Term, quiesce: false };

/// Without an API key, and when the worker cannot be found in the pool. What the launcher does with a run at the signal
/// is its own business; it is killed when it stays.
pub(super) const BY_SIGNAL: DrainRules = DrainRules {
    drain: DrainBy::Signal(Signal::Term),
    undrain: UndrainBy::Relaunch,
    abort: Signal::Term,
    quiesce: false,
};

/// What is set from other settings.
const OWNED: [&str; 4] =
    ["SPACELIFT_TOKEN", "SPACELIFT_POOL_PRIVATE_KEY", "SPACELIFT_METADATA_instance_id", "SPACELIFT_METADATA_asg_id"];

impl fmt::Debug for SpaceliftRunnerSettings {
    /// Without the values of `env`, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpaceliftRunnerSettings")
            .field("program", &self.program)
            .field("env", &self.env.keys())
            .field("ignore_containers", &self.ignore_containers)
            .finish_non_exhaustive()
    }
}

/// Line breaks may be in it: they are taken out.
fn is_base64(text: &SecretString) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let text = text.expose_secret();
    text.bytes().all(|byte| letters(byte) || byte.is_ascii_whitespace()) && text.bytes().any(letters)
}

/// An account's address.
///
/// # Errors
/// When it cannot be one.
pub fn base_url(text: &str) -> Result<BaseUrl, Problem> {
    let wrong = |why: &str| {
        Problem::new("url", why, "set it to your account's address, such as https://ACCOUNT.app.spacelift.io")
    };
    let url = BaseUrl::parse(text).map_err(wrong)?;
    if url.path().ends_with("/graphql") {
        return Err(wrong("the Spacelift url ends in /graphql, which is added by itself"));
    }
    if ["app.spacelift.io", "spacelift.io", "www.spacelift.io"].contains(&url.host()) {
        return Err(wrong("the Spacelift url names no account"));
    }
    Ok(url)
}

fn check_key_id(id: &str) -> Result<(), Problem> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Err(Problem::new(
            "api_key_id",
            "the Spacelift API key id is empty or no id",
            "it is what Spacelift shows beside the key under API keys, such as 01HXAMPLE0KEY0ID0000000000",
        ));
    }
    Ok(())
}

pub(super) fn check_key_secret(secret: &SecretString) -> Result<(), Problem> {
    let secret = secret.expose_secret();
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::new(
            "api_key_secret",
            "the Spacelift API key secret is empty or holds a space or a line break",
            "it is in the file that Spacelift offered once, when the key was created",
        ));
    }
    Ok(())
}

fn check_worker_pool(id: &str) -> Result<(), Problem> {
    if id.len() != ID || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Problem::new(
            "worker_pool",
            "the Spacelift worker pool is no id of 26 letters and digits",
            "take the last part of the pool's address in Spacelift, such as 01HXAMPLE0P001D00000000000",
        ));
    }
    Ok(())
}

fn check_variable(name: &str) -> Result<(), Problem> {
    if name.is_empty() || name.contains(['=', '\0']) || OWNED.contains(&name) {
        return Err(Problem::new(
            "env",
            format!("env holds {name:?}, which is no name of a variable or is set from the other settings"),
            "name a variable of the launcher, such as SPACELIFT_LAUNCHER_RUN_TIMEOUT",
        ));
    }
    Ok(())
}
