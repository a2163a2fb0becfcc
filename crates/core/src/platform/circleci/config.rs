//! The file that machine runner 3 starts with.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::CircleCiRunnerSettings;
use crate::{
    exchange::{ExchangeError, Text},
    platform::{File, HostContext, answer::refuse, job_pid_file},
    settings::AbsolutePath,
};

/// The runner's configuration, and the script through which it starts tasks.
pub(super) fn files(
    settings: &CircleCiRunnerSettings,
    token: &SecretString,
    host: &HostContext,
) -> Result<Vec<File>, ExchangeError> {
    // Whether the runner, whose source is not published, reads its configuration again is not known: it stays.
    let script = job_pid_file::script(host, None, None);
    let folder = |set: &Option<AbsolutePath>, name: &str| match set {
        Some(folder) => path(folder),
        None => path(&host.runner_dir.join(name)),
    };
    let prefix =
        [path(&script.path)?].into_iter().chain(settings.command_prefix.iter().map(|word| word.to_string().into()));
    let mode = if settings.single_task { "single-task" } else { "continuous" };
    let sections: [(&str, Vec<(&str, Value)>); 2] = [
        ("api", vec![("auth_token", token.expose_secret().into()), ("url", settings.url.as_str().into())]),
        (
            "runner",
            vec![
                ("name", host.instance_id.clone().into()),
                ("mode", mode.into()),
                ("max_run_time", format!("{}s", settings.max_run_time.get()).into()),
                ("working_directory", folder(&settings.working_directory, "work")?),
                ("cleanup_working_directory", settings.cleanup_working_directory.into()),
                ("task_agent_directory", folder(&settings.task_agent_directory, "task-agent")?),
                ("command_prefix", prefix.collect()),
            ],
        ),
    ];
    let mut yaml = String::new();
    for (section, entries) in sections {
        let _ = writeln!(yaml, "{section}:");
        for (key, value) in entries {
            // JSON values are YAML values (YAML 1.2.2, section 1.2), quoted and escaped.
            let _ = writeln!(yaml, "  {key}: {value}");
        }
    }
    let config = File { path: config_path(host), contents: Text::secret(yaml), mode: 0o600 };
    Ok(vec![config, script])
}

/// Where the configuration is.
pub(super) fn config_path(host: &HostContext) -> PathBuf {
    host.runner_dir.join("circleci-runner-config.yaml")
}

fn path(path: &Path) -> Result<Value, ExchangeError> {
    match path.to_str().filter(|text| is_plain(text)) {
        Some(text) => Ok(text.into()),
        None => {
            refuse(format!("the path {} holds a control character or is not UTF-8; choose another", path.display()))
        }
    }
}

/// Whether a text means the same in JSON and in YAML: YAML takes more characters for line breaks and forbids some.
pub(super) fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    })
}
