//! The small built-in runners: what `gitlab-runner run` and its siblings are to their platforms and to the agent, as far as a demo needs it.
//!
//! There is one file for each of the other platforms; [`shift`] is what these have in common. What follows is GitLab's. It reads the same `config.toml`, takes jobs over the same API, runs them in containers or as plain processes, and obeys the
//! same signals: `SIGQUIT` ends it after its jobs, `SIGTERM` and `SIGINT` fail them first. It runs the steps of a job as one
//! script; artifacts, caches, services and `after_script` are the genuine runner's.

mod buildkite;
mod circleci;
mod config;
mod container;
mod desk;
mod github;
mod gitlab;
pub mod http;
mod job;
pub mod machine;
mod metrics;
mod page;
mod process;
mod shift;
mod shop;
mod spacelift;
mod stackguardian;

use std::{
    ffi::OsString,
    future::Future,
    io::{self, Write},
    path::{Path, PathBuf},
    pin::Pin,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use futures_util::StreamExt;
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use self::{
    config::Config,
    container::Containers,
    gitlab::{Asked, GitLab, JobTicket},
    job::Executor,
};

/// The small built-in GitLab runner of `lightsout up`.
#[derive(Parser)]
#[command(name = "lightsout runner", version)]
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

/// The names of the programs that this one stands in for: called by one of them it is that program.
pub mod names {
    pub use super::{
        buildkite::PROGRAM as BUILDKITE,
        circleci::PROGRAM as CIRCLECI,
        github::{LISTENER as GITHUB_LISTENER, RUN as GITHUB_RUN, RUN_SH as GITHUB_RUN_SH, WORKER as GITHUB_WORKER},
        spacelift::PROGRAM as SPACELIFT,
        stackguardian::{
            PROGRAM as STACKGUARDIAN,
            tools::{DOCKER, SYSTEMCTL},
        },
    };

    /// GitLab's.
    pub const GITLAB: &str = "gitlab-runner";
}

/// What the built-in runners find in their environment.
pub mod variables {
    pub use super::{
        shop::{JOB_IMAGE, JOB_PATH},
        stackguardian::{INTROSPECTION, SLOTS},
    };
}

/// Runs the program of this name, if it is one of [`names`].
pub fn by_name(name: &str, args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    Some(match name {
        names::GITLAB => main(args),
        names::BUILDKITE => buildkite::main(args),
        names::CIRCLECI => circleci::main(args),
        names::GITHUB_LISTENER => github::listener(args),
        names::GITHUB_WORKER => github::worker(),
        names::SPACELIFT => spacelift::main(),
        names::STACKGUARDIAN => stackguardian::main(args),
        names::DOCKER => stackguardian::tools::docker(args),
        names::SYSTEMCTL => stackguardian::tools::systemctl(args),
        _ => return None,
    })
}

/// Runs GitLab's runner, or a part of another platform's, with these arguments (without the program's name).
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter().peekable();
    if args.next_if(|word| word == stackguardian::ECS_AGENT).is_some() {
        return stackguardian::ecs_agent();
    }
    let mut usage = false;
    let ended = with_args("lightsout runner", args, |args: Args| {
        let Command::Run { config, working_directory } = args.command;
        let config = Config::load(&config).inspect_err(|_| usage = true)?;
        crate::block_on(run(config, &working_directory))
    });
    if usage { ExitCode::from(2) } else { ended }
}

/// Reads the arguments and runs the program that they are for.
fn with_args<A: Parser>(
    name: &str,
    args: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(A) -> Result<()>,
) -> ExitCode {
    match A::try_parse_from(std::iter::once(OsString::from(name)).chain(args)) {
        Ok(args) => ended(run(args)),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}

fn ended(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints for whoever reads; that nobody reads any more is no error.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Runs on one thread: nothing here is heavy, and jobs have the cores for themselves.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the operating system gives an event loop").block_on(future)
}

/// The arguments as one line for a POSIX shell.
fn shell_line(argv: &[String]) -> String {
    argv.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect::<Vec<_>>().join(" ")
}

/// How far the runner has been asked to stop; each is more than the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    /// Not at all.
    No,
    /// No more jobs; those that run may end.
    Finish,
    /// Those that run fail at once.
    Abort,
}

async fn run(config: Config, working_directory: &Path) -> Result<()> {
    let mut signals = Signals::new([SIGQUIT, SIGTERM, SIGINT]).context("cannot listen to signals")?;
    let executor = Arc::new(match &config.docker {
        Some(docker) => Executor::Containers(Box::new(Containers::connect(docker, &config).await?)),
        None => Executor::Processes(working_directory.to_owned()),
    });
    let gitlab = GitLab::new(&config);
    let running = Arc::new(AtomicUsize::new(0));
    if let Some(address) = config.listen_address.clone() {
        metrics::serve(&address, config.clone(), Arc::clone(&running)).await?;
    }
    println!("takes jobs from {} as {}", config.url, config.system_id);

    let (aborting, aborted) = watch::channel(false);
    let mut stop = Stop::No;
    let mut request: Option<Pin<Box<dyn Future<Output = Asked>>>> = None;
    let mut jobs = JoinSet::new();
    let mut next_request = Instant::now();
    // A request that is under way is waited for even when stopping: the job it may bring is ours already.
    while stop == Stop::No || request.is_some() || !jobs.is_empty() {
        tokio::select! {
            Some(signal) = signals.next() => {
                let asked = if signal == SIGQUIT { Stop::Finish } else { Stop::Abort };
                println!("signal {signal}: {}", if asked == Stop::Finish { "no more jobs" } else { "fails its jobs" });
                if stop == Stop::Abort && asked == Stop::Abort {
                    anyhow::bail!("ended by a second signal");
                }
                stop = stop.max(asked);
                let _ = aborting.send(stop == Stop::Abort);
            }
            asked = async { request.as_mut().expect("guarded").await }, if request.is_some() => {
                request = None;
                next_request = Instant::now() + config.check_interval;
                match asked {
                    Asked::Job(ticket) => {
                        running.fetch_add(1, Ordering::SeqCst);
                        next_request = Instant::now();
                        jobs.spawn(work(*ticket, gitlab.clone(), Arc::clone(&executor), aborted.clone(), Arc::clone(&running)));
                    }
                    Asked::Nothing => {}
                    Asked::Failed(error) => eprintln!("no job could be asked for: {error:#}"),
                }
            }
            () = tokio::time::sleep_until(next_request), if stop == Stop::No && request.is_none() && jobs.len() < config.concurrent => {
                let gitlab = gitlab.clone();
                request = Some(Box::pin(async move { gitlab.request().await }));
            }
            Some(_) = jobs.join_next(), if !jobs.is_empty() => next_request = Instant::now(),
        }
    }
    println!("ends");
    Ok(())
}

async fn work(
    ticket: JobTicket,
    gitlab: GitLab,
    executor: Arc<Executor>,
    aborted: watch::Receiver<bool>,
    running: Arc<AtomicUsize>,
) {
    let id = ticket.id;
    println!("job {id}: starts");
    let outcome = job::run(&ticket, &gitlab, &executor, aborted).await;
    println!("job {id}: {outcome}");
    running.fetch_sub(1, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_arguments_back() {
        let argv = ["printf", "%s|", "it's", "", "a b", "$HOME"].map(String::from);
        let output = std::process::Command::new("sh").arg("-c").arg(shell_line(&argv)).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "it's||a b|$HOME|");
    }
}
