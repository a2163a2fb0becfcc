//! The files that a Buildkite agent starts with.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

use super::{BuildkiteRunnerSettings, CLOUD};
use crate::{
    exchange::{ExchangeError, Text},
    platform::{File, HostContext, answer::refuse, job_pid_file},
};

/// The agent's configuration, and the script through which it starts jobs.
pub(super) fn files(
    settings: &BuildkiteRunnerSettings,
    token: &SecretString,
    host: &HostContext,
    major: Option<u32>,
) -> Result<Vec<File>, ExchangeError> {
    // The agent reads it once, at its start (buildkite/agent 3.137.0, clicommand/agent_start.go).
    let script = job_pid_file::script(host, Some("BUILDKITE_JOB_ID"), Some(&config_path(host)));
    let builds = match &settings.build_path {
        Some(folder) => folder.to_string(),
        None => path(&host.runner_dir.join("builds"))?,
    };
    let tags = [format!("queue={}", settings.queue)].into_iter().chain(settings.tags.iter().map(ToString::to_string));
    let mut entries = vec![
        ("token", token.expose_secret().to_owned()),
        ("name", format!("{}-%spawn", plain(&host.instance_id)?)),
        ("tags", tags.collect::<Vec<_>>().join(",")),
        ("spawn", host.slots.max(1).to_string()),
        ("build-path", builds),
        ("plugins-path", path(&host.runner_dir.join("plugins"))?),
        ("hooks-path", settings.hooks_path.to_string()),
        ("bootstrap-script", format!("{} {} bootstrap", path(&script.path)?, settings.program)),
    ];
    let grace = settings.cancel_grace_period.get();
    // Each version ignores the other's keys, so one that is not known gets both.
    if major.is_none_or(|major| major >= 4) {
        // The same time as a whole: until the job is killed, and for the agent's own end of it.
        let cleanup = (grace / 4).max(1);
        entries.push(("cancel-signal-timeout", format!("{}s", grace.saturating_sub(cleanup).max(1))));
        entries.push(("cancel-cleanup-timeout", format!("{cleanup}s")));
    }
    if major.is_none_or(|major| major < 4) {
        entries.push(("cancel-grace-period", grace.to_string()));
    }
    if settings.disconnect_after_job {
        entries.push(("disconnect-after-job", "true".to_owned()));
    }
    if let Some(address) = &host.metrics {
        entries.push(("health-check-addr", plain(address)?));
    }
    let url = &settings.url;
    if url.as_str() != CLOUD {
        entries.push(("endpoint", plain(&format!("{url}/v3"))?));
    }
    let contents = entries.iter().fold(String::new(), |mut contents, (key, value)| {
        let _ = writeln!(contents, "{key}=\"{value}\"");
        contents
    });
    Ok(vec![File { path: config_path(host), contents: Text::secret(contents), mode: 0o600 }, script])
}

/// Where the configuration is.
pub(super) fn config_path(host: &HostContext) -> PathBuf {
    host.runner_dir.join("buildkite-agent.cfg")
}

/// Whether a text means itself in the configuration file and as one word of a command line: the file knows no escapes,
/// and paths in it are expanded (`$NAME`, `~`).
pub(super) fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=,@+[]".contains(c))
}

fn path(path: &Path) -> Result<String, ExchangeError> {
    plain(&path.to_string_lossy())
}

fn plain(text: &str) -> Result<String, ExchangeError> {
    if !text.is_empty() && is_plain(text) {
        return Ok(text.to_owned());
    }
    refuse(format!(
        "{text:?} cannot stand in buildkite-agent.cfg, which knows no escapes; choose a name with letters, digits and -_./:=,@+[] only"
    ))
}
