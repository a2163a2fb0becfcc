//! CircleCI's machine runner: what `circleci-runner machine` is to CircleCI and to the agent. It reads the same
//! configuration, runs one task at a time through `command_prefix`, ends after its task at the first `SIGTERM` and
//! cancels it at the second.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use lightsout_localcloud::runner_protocol::{Connect, Mode};
use serde_json::Value;

use crate::{
    client::PlatformClient,
    executor::RunningJob,
    job::Job,
    process::{ProcessGroup, command},
    program::{block_on, link, with_args},
    runner::Runner,
    worker::{JobStarter, Stop},
};

pub(crate) const RUNNER: Runner = Runner {
    platform: "circleci",
    programs: &[(PROGRAM, main)],
    install: |program, bin| link(program, bin, PROGRAM),
    environment: |_| Vec::new(),
};

const PROGRAM: &str = "circleci-runner";

/// The small built-in CircleCI machine runner of `lightsout up`.
#[derive(Parser)]
#[command(name = PROGRAM, version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Takes tasks and runs them until a signal ends it: the first TERM after the running task, the second at once
    Machine {
        /// A machine runner configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// The part of the configuration that is obeyed.
#[derive(Debug, PartialEq, Eq)]
struct Config {
    url: String,
    token: String,
    name: String,
    mode: Mode,
    working_directory: PathBuf,
    cleanup: bool,
    prefix: Vec<String>,
}

fn main(args: &[OsString]) -> ExitCode {
    with_args(PROGRAM, args, |args: Args| {
        let Command::Machine { config } = args.command;
        block_on(run(&config))
    })
}

async fn run(path: &Path) -> Result<()> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let config = Config::parse(&text).with_context(|| format!("in {shown}"))?;
    let connect = Connect::new(RUNNER.platform, config.token.clone(), config.name.clone());
    let connect = Connect { mode: config.mode, ..connect };
    let on_signal = |_, stop| if stop == Stop::No { Stop::Finish } else { Stop::Abort };
    PlatformClient::new(&config.url, connect, true).work(config, on_signal).await
}

impl JobStarter<Job> for Config {
    async fn start(&self, job: &Job) -> Result<RunningJob> {
        let argv: Vec<String> = self.prefix.iter().chain(&job.argv).cloned().collect();
        fs::create_dir_all(&self.working_directory)?;
        let mut task = command(&argv, job)?;
        task.current_dir(&self.working_directory);
        Ok(RunningJob::Processes(ProcessGroup::spawn(task)?))
    }

    fn ended(&self, _: &Job) {
        if self.cleanup
            && let Err(error) = fs::remove_dir_all(&self.working_directory)
        {
            eprintln!("{} cannot be cleaned: {error}", self.working_directory.display());
        }
    }
}

impl Config {
    /// Reads sections of `key: value` lines whose values are JSON, which is YAML as well and all that the agent writes.
    fn parse(text: &str) -> Result<Self> {
        let mut values = BTreeMap::new();
        let mut section = "";
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
            let (key, value) = line.split_once(':').with_context(|| format!("{line:?} is no `key: value`"))?;
            if line.starts_with(' ') {
                let value: Value = serde_json::from_str(value.trim())
                    .with_context(|| format!("the value of {section}.{} is not JSON", key.trim()))?;
                values.insert(format!("{section}.{}", key.trim()), value);
            } else {
                section = key;
            }
        }
        let text = |key: &str| {
            let value = values.get(key).with_context(|| format!("{key} is missing"))?;
            value.as_str().map(str::to_owned).with_context(|| format!("{key} is no text"))
        };
        let prefix = values.get("runner.command_prefix").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(Self {
            url: text("api.url")?,
            token: text("api.auth_token")?,
            name: text("runner.name")?,
            mode: match text("runner.mode").as_deref() {
                Ok("single-task") => Mode::Single,
                Ok("continuous") | Err(_) => Mode::Continuous,
                Ok(other) => anyhow::bail!("runner.mode is {other:?}; it is continuous or single-task"),
            },
            working_directory: text("runner.working_directory")?.into(),
            cleanup: values.get("runner.cleanup_working_directory").and_then(Value::as_bool).unwrap_or(false),
            prefix: prefix.iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "api:\n  auth_token: \"t\"\n  url: \"http://127.0.0.1:1\"\nrunner:\n  name: \"i-1\"\n  mode: \"single-task\"\n  \
                        max_run_time: \"5s\"\n  working_directory: \"/w\"\n  cleanup_working_directory: true\n  command_prefix: [\"/a b\"]\n";

    #[test]
    fn the_agents_configuration_is_understood() {
        let config = Config::parse(FILE).unwrap();
        let expected = Config {
            url: "http://127.0.0.1:1".into(),
            token: "t".into(),
            name: "i-1".into(),
            mode: Mode::Single,
            working_directory: "/w".into(),
            cleanup: true,
            prefix: vec!["/a b".into()],
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let refused = |text: &str| format!("{:#}", Config::parse(text).unwrap_err());
        assert!(refused(&FILE.replace("  name: \"i-1\"\n", "")).contains("runner.name"));
        assert!(refused(&FILE.replace("single-task", "single")).contains("single-task"));
        assert!(refused("api:\n  url: http://x\n").contains("api.url"));
    }
}
