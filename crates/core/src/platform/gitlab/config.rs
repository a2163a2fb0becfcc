//! The `config.toml` that GitLab Runner starts with.

use std::{fmt, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use toml::{Table, Value};

use super::{Executor, GitLabRunnerSettings};
use crate::{
    exchange::Text,
    platform::{File, HostContext},
    settings::Problem,
};

/// How long the runner may take to fail its jobs after `SIGTERM`, in seconds: it must fit before a spot deadline.
const SHUTDOWN_TIMEOUT: u32 = 20;

/// After so many refusals in a row the runner asks for no more jobs for an hour; GitLab Runner's default is 3
/// (docs.gitlab.com/runner/configuration/advanced-configuration, `unhealthy_requests_limit`), which one bad minute of a proxy reaches, and an
/// instance that is deaf stays idle and is no sign of anything. At one request a `check_interval` this is never.
const REFUSALS: i64 = 1_000_000;

/// What this entry owns; set elsewhere in the settings.
const OWNED: [&str; 5] = ["name", "url", "token", "id", "executor"];

/// The two files that make a registered runner manager: `config.toml` and `.runner_system_id` beside it.
pub(super) fn files(
    settings: &GitLabRunnerSettings,
    token: &SecretString,
    host: &HostContext,
    runner_id: u64,
    system_id: &str,
) -> Vec<File> {
    let mut entry = Table::new();
    entry.insert("name".to_owned(), host.instance_id.clone().into());
    entry.insert("url".to_owned(), settings.url.as_str().into());
    entry.insert("id".to_owned(), i64::try_from(runner_id).unwrap_or(i64::MAX).into());
    entry.insert("token".to_owned(), token.expose_secret().into());
    entry.insert("executor".to_owned(), settings.executor.as_str().into());
    // With one request at once, GitLab Runner's default, a long poll for one slot delays the jobs of the others.
    entry.insert("request_concurrency".to_owned(), i64::from(host.slots.max(1)).into());
    entry.insert("unhealthy_requests_limit".to_owned(), REFUSALS.into());
    if settings.executor == Executor::Docker {
        entry.insert(
            "docker".to_owned(),
            Table::from_iter([("image".to_owned(), settings.image.to_string().into())]).into(),
        );
    }
    merge(&mut entry, settings.extra.0.clone());

    let system_id =
        File { path: host.runner_dir.join(".runner_system_id"), contents: Text::from(system_id), mode: 0o600 };
    vec![file(settings, host, vec![entry.into()]), system_id]
}

/// The configuration of a runner that asks for no more jobs. It goes on with those that it has, and with the requests that are on their way.
pub(super) fn without_runners(settings: &GitLabRunnerSettings, host: &HostContext) -> File {
    file(settings, host, Vec::new())
}

fn file(settings: &GitLabRunnerSettings, host: &HostContext, runners: Vec<Value>) -> File {
    let mut config = Table::new();
    config.insert("concurrent".to_owned(), i64::from(host.slots.max(1)).into());
    config.insert("check_interval".to_owned(), i64::from(settings.check_interval.get()).into());
    config.insert("shutdown_timeout".to_owned(), i64::from(SHUTDOWN_TIMEOUT).into());
    if let Some(address) = &host.metrics {
        config.insert("listen_address".to_owned(), address.clone().into());
    }
    if !runners.is_empty() {
        config.insert("runners".to_owned(), Value::Array(runners));
    }
    File { path: host.runner_dir.join("config.toml"), contents: Text::secret(config.to_string()), mode: 0o600 }
}

/// The user's own part of the `[[runners]]` entry: its keys as in GitLab Runner's documentation, its tables as `[docker]` or `[runners.docker]`. It
/// wins over what is written by default; `name`, `url`, `token`, `id` and `executor` may not stand in it.
#[derive(Clone, Default, PartialEq)]
pub struct Extra(Table);

impl Extra {
    /// Whether the runner reaches its cache with the instance's role: a cache in S3 without keys of its own (GitLab Runner's "[runners.cache.s3]").
    pub(super) fn signs_cache_by_role(&self) -> bool {
        let Some(cache) = self.0.get("cache").and_then(Value::as_table) else { return false };
        let in_s3 = cache.get("Type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("s3"));
        let s3 = cache.get("s3").and_then(Value::as_table);
        in_s3 && !s3.is_some_and(|s3| s3.contains_key("AccessKey"))
    }
}

impl FromStr for Extra {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let refuse =
            |why: String, remedy| Err(Problem::new("extra", format!("the GitLab runner's extra TOML {why}"), remedy));
        let mut extra: Table = match text.parse() {
            Ok(extra) => extra,
            // Not the error's own text: it shows the line, and the line may hold a secret.
            Err(error) => {
                let error: toml::de::Error = error;
                let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                return refuse(
                    format!("cannot be read at its line {line}"),
                    "write it as inside of a [[runners]] entry",
                );
            }
        };
        match extra.remove("runners") {
            Some(Value::Table(inner)) => merge(&mut extra, inner),
            Some(_) => {
                return refuse(
                    "holds a [[runners]] entry of its own".to_owned(),
                    "give only what stands inside of one",
                );
            }
            None => {}
        }
        match OWNED.iter().find(|key| extra.contains_key(**key)) {
            Some(key) => refuse(format!("holds {key}, which is written from the other settings"), "remove it"),
            None => Ok(Self(extra)),
        }
    }
}

impl fmt::Debug for Extra {
    /// Without what stands in it, which may be the keys of a cache or secret variables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extra").finish_non_exhaustive()
    }
}

/// Puts `from` into `into`, table by table.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (Some(old), value) => *old = value,
            (None, value) => {
                into.insert(key, value);
            }
        }
    }
}
