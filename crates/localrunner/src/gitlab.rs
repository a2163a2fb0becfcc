//! GitLab's runner: what `gitlab-runner run` is to GitLab and to the agent. It reads the same `config.toml`, takes
//! jobs over the same API, runs them in containers or as plain processes, and obeys the same signals: `SIGQUIT` ends
//! it after its jobs, `SIGTERM` and `SIGINT` fail them first. It runs the steps of a job as one script; artifacts,
//! caches, services and `after_script` are the genuine runner's.

mod api;
mod config;
mod metrics;
mod ticket;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use clap::{Parser, Subcommand};
use signal_hook::consts::SIGQUIT;

use self::{
    api::GitLab,
    config::{Config, DockerConfig},
    ticket::Ticket,
};
use crate::{
    container::{Engine, unique},
    executor::{Executor, JobOptions, RunningJob},
    faults::Faults,
    program::{block_on, link, with_args},
    runner::Runner,
    worker::{self, JobStarter, Stop, WorkerOptions},
};

pub(crate) const RUNNER: Runner = Runner {
    platform: "gitlab",
    programs: &[(PROGRAM, main)],
    install: |program, bin| link(program, bin, PROGRAM),
    environment: |_| Vec::new(),
};

const PROGRAM: &str = "gitlab-runner";

/// The small built-in GitLab runner of `lightsout up`.
#[derive(Parser)]
#[command(name = PROGRAM, version = "18.5.0, built into lightsout")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Takes jobs and runs them until a signal ends it: QUIT after the running jobs, TERM or INT at once
    Run {
        /// A GitLab Runner configuration; its first `[[runners]]` entry counts
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Where jobs work that run as plain processes
        #[arg(long, value_name = "DIR", default_value = ".")]
        working_directory: PathBuf,
    },
}

fn main(args: &[OsString]) -> ExitCode {
    with_args(PROGRAM, args, |args: Args| {
        let Command::Run { config, working_directory } = args.command;
        match Config::load(&config) {
            Ok(loaded) => block_on(run(config, loaded, &working_directory)),
            Err(error) => {
                eprintln!("error: {error:#}");
                Ok(ExitCode::from(2))
            }
        }
    })
}

/// What the runner counts for its metrics.
#[derive(Debug)]
struct Counts {
    /// Jobs that it has.
    running: AtomicUsize,
    /// Requests for a job that are on their way.
    asking: AtomicUsize,
    /// How often it has read its configuration.
    loads: AtomicUsize,
}

async fn run(file: PathBuf, config: Config, working_directory: &Path) -> Result<()> {
    let executor = match &config.docker {
        Some(docker) => Executor::Containers {
            engine: Engine::connect(docker.host.as_deref()).await?,
            image: docker.image.clone(),
            labels: labels(docker, &config),
            network_mode: docker.network_mode.clone(),
        },
        None => Executor::Processes,
    };
    let counts =
        Arc::new(Counts { running: AtomicUsize::new(0), asking: AtomicUsize::new(0), loads: AtomicUsize::new(1) });
    if let Some(address) = config.listen_address.clone() {
        metrics::serve(&address, config.clone(), Arc::clone(&counts)).await?;
    }
    println!("takes jobs from {} as {}", config.url, config.system_id);
    let source = GitLab::new(&config, file, Arc::clone(&counts));
    let (builds, short_token) = (working_directory.join("builds"), config.short_token());
    let starter = Starter { executor, builds, short_token, counts };
    let options = WorkerOptions { slots: config.concurrent, single: false, interval: config.check_interval, on_signal };
    worker::work(source, starter, Faults::at(&config.url), options).await
}

fn on_signal(signal: i32, stop: Stop) -> Stop {
    match (signal, stop) {
        (SIGQUIT, _) => Stop::Finish,
        (_, Stop::No | Stop::Finish) => Stop::Abort,
        (_, Stop::Abort | Stop::Exit) => Stop::Exit,
    }
}

struct Starter {
    executor: Executor,
    /// Jobs that are plain processes have a directory each below it.
    builds: PathBuf,
    short_token: String,
    counts: Arc<Counts>,
}

impl JobStarter<Ticket> for Starter {
    fn claimed(&self, _: &Ticket) -> Result<()> {
        self.counts.running.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn prepare(&self, ticket: &Ticket) -> Result<()> {
        self.executor.prepare(&ticket.job).await
    }

    async fn start(&self, ticket: &Ticket) -> Result<RunningJob> {
        let (job, project) = (ticket.job.id, ticket.project_id);
        let labels = [("job.id", job), ("project.id", project)];
        let options = JobOptions {
            name: format!("runner-{}-project-{project}-concurrent-{job}-{}-build", self.short_token, unique()),
            labels: labels.map(|(key, number)| (label(key), number.to_string())).into(),
            entrypoint: ticket.entrypoint.clone(),
            directory: Some(self.builds.join(job.to_string())),
            hidden: &[],
        };
        self.executor.start(&ticket.job, options).await
    }

    fn ended(&self, _: &Ticket) {
        self.counts.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What every container carries: GitLab Runner's own labels, and those of the configuration.
fn labels(docker: &DockerConfig, config: &Config) -> BTreeMap<String, String> {
    let own = [
        ("managed", "true"),
        ("type", "build"),
        ("runner.id", &config.short_token()),
        ("runner.system_id", &config.system_id),
    ];
    let own = own.map(|(key, value)| (label(key), value.to_owned()));
    docker.container_labels.clone().into_iter().chain(own).collect()
}

fn label(key: &str) -> String {
    format!("com.gitlab.gitlab-runner.{key}")
}
