//! Buildkite's agent: what `buildkite-agent start` is to Buildkite and to our agent. It reads the same configuration,
//! spawns as many workers as that says, takes jobs over the same API, and runs each through `bootstrap-script` with the hooks around it.
//! `SIGTERM` ends it after its jobs, `SIGQUIT` cancels them.

mod api;

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{self, ExitCode},
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use futures_util::future::join_all;
use signal_hook::consts::SIGQUIT;

use self::api::{Buildkite, Ticket};
use crate::{
    executor::RunningJob,
    faults::Faults,
    process::{ProcessGroup, command},
    program::{block_on, link, outlive_signals, own_code, with_args},
    runner::Runner,
    worker::{self, JobStarter, PAUSE, Stop, WorkerOptions},
};

pub(crate) const RUNNER: Runner = Runner {
    platform: "buildkite",
    programs: &[(PROGRAM, main)],
    install: |program, bin| link(program, bin, PROGRAM),
    environment: |_| Vec::new(),
};

const PROGRAM: &str = "buildkite-agent";
const COMMAND: &str = "BUILDKITE_COMMAND";
const HOOKS: &str = "BUILDKITE_HOOKS_PATH";

/// The small built-in Buildkite agent of `lightsout up`.
#[derive(Parser)]
#[command(name = PROGRAM, version = "3.137.0, built into lightsout")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Takes jobs and runs them until a signal ends it: TERM or INT after the running jobs, QUIT at once
    Start {
        /// A Buildkite agent configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Runs the job that the environment describes, with its hooks
    Bootstrap,
}

/// The part of the configuration that is obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Config {
    endpoint: String,
    token: String,
    name: String,
    tags: BTreeMap<String, String>,
    spawn: usize,
    build_path: PathBuf,
    hooks_path: String,
    bootstrap: Vec<String>,
    /// Whether it ends after one job.
    single: bool,
}

fn main(args: &[OsString]) -> ExitCode {
    with_args(PROGRAM, args, |args: Args| match args.command {
        Command::Start { config } => block_on(start(&config)),
        Command::Bootstrap => bootstrap().map(ExitCode::from),
    })
}

async fn start(path: &Path) -> Result<()> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let config = Config::parse(&text).with_context(|| format!("in {shown}"))?;
    let on_signal = |signal, _| if signal == SIGQUIT { Stop::Abort } else { Stop::Finish };
    let mut agents = Vec::new();
    for number in 1..=config.spawn {
        let name = config.name.replace("%spawn", &number.to_string());
        let source = Buildkite::new(&config, &name);
        // One that is refused ends them all, before the first job.
        source.begin().await?;
        let agent = Agent { config: config.clone(), name };
        let options = WorkerOptions { slots: 1, single: config.single, interval: PAUSE, on_signal };
        agents.push(worker::work(source, agent, Faults::at(&config.endpoint), options));
    }
    // One that fails ends nothing of the others.
    join_all(agents).await.into_iter().collect()
}

/// One of the agents that a process spawns.
struct Agent {
    config: Config,
    name: String,
}

impl JobStarter<Ticket> for Agent {
    async fn start(&self, ticket: &Ticket) -> Result<RunningJob> {
        let directory = self.config.build_path.join(&self.name);
        fs::create_dir_all(&directory)?;
        let mut bootstrap = command(&self.config.bootstrap, &ticket.job)?;
        bootstrap.env(HOOKS, &self.config.hooks_path).current_dir(directory);
        Ok(RunningJob::Processes(ProcessGroup::spawn(bootstrap)?))
    }
}

/// Runs the job's command between its hooks. The exit status is the command's, or that of the first hook that fails.
fn bootstrap() -> Result<u8> {
    let line = env::var(COMMAND).with_context(|| format!("{COMMAND} is not set: only `start` calls this"))?;
    // A job that is cancelled ends by its command, whose pre-exit hook follows.
    outlive_signals()?;
    let hooks = PathBuf::from(env::var_os(HOOKS).unwrap_or_default());
    let hook = |name: &str| -> Result<u8> {
        let path = hooks.join(name);
        if path.is_file() { shell(&[&path.to_string_lossy()]) } else { Ok(0) }
    };
    let mut status = 0;
    for step in ["environment", "pre-command"] {
        if status == 0 {
            status = hook(step)?;
        }
    }
    if status == 0 {
        status = shell(&["-ec", &line])?;
    }
    for step in ["post-command", "pre-exit"] {
        let ended = hook(step)?;
        status = if status == 0 { ended } else { status };
    }
    Ok(status)
}

fn shell(arguments: &[&str]) -> Result<u8> {
    let status = process::Command::new("sh").args(arguments).status().context("cannot start sh")?;
    Ok(own_code(status))
}

impl Config {
    /// Reads `key="value"` lines.
    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let values: BTreeMap<&str, &str> = lines
            .map(|line| {
                let (key, value) = line.split_once('=').with_context(|| format!("{line:?} is no key=\"value\""))?;
                Ok((key.trim(), value.trim().trim_matches('"')))
            })
            .collect::<Result<_>>()?;
        let text =
            |key: &str| values.get(key).map(|value| (*value).to_owned()).with_context(|| format!("{key} is missing"));
        let spawn = text("spawn").map_or(Ok(1), |number| number.parse()).context("spawn is no number")?;
        ensure!(spawn > 0, "spawn is 0, so no job could ever run");
        let tags = text("tags").unwrap_or_default();
        let tags = tags.split(',').filter_map(|tag| tag.trim().split_once('='));
        let endpoint = text("endpoint")?;
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').trim_end_matches("/v3").to_owned(),
            token: text("token")?,
            name: text("name")?,
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            spawn,
            build_path: text("build-path")?.into(),
            hooks_path: text("hooks-path").unwrap_or_default(),
            bootstrap: text("bootstrap-script")?.split_whitespace().map(str::to_owned).collect(),
            single: text("disconnect-after-job").is_ok_and(|flag| flag == "true"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "token=\"t\"\nname=\"i-1-%spawn\"\ntags=\"queue=default,os=linux\"\nspawn=\"2\"\nbuild-path=\"/b\"\n\
                        hooks-path=\"/h\"\nbootstrap-script=\"/job /bin/buildkite-agent bootstrap\"\nendpoint=\"http://127.0.0.1:1/v3\"\n";

    #[test]
    fn the_agents_configuration_is_understood() {
        let config = Config::parse(FILE).unwrap();
        assert_eq!((config.endpoint.as_str(), config.spawn, config.single), ("http://127.0.0.1:1", 2, false));
        assert_eq!(config.tags["queue"], "default");
        assert_eq!(config.bootstrap, ["/job", "/bin/buildkite-agent", "bootstrap"]);
        let single = Config::parse(&format!("{FILE}disconnect-after-job=\"true\"\n")).unwrap();
        assert!(single.single);
    }

    #[test]
    fn what_is_missing_is_named() {
        let refused = |text: &str| format!("{:#}", Config::parse(text).unwrap_err());
        assert!(refused(&FILE.replace("token=", "tokens=")).contains("token is missing"));
        assert!(refused(&FILE.replace("\"2\"", "\"0\"")).contains("spawn"));
    }
}
