//! One job from its ticket to its reported end.

use std::{fmt, path::PathBuf, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::MissedTickBehavior,
};

use super::{
    container::{Container, Containers},
    gitlab::{GitLab, JobTicket},
    process,
};

/// How jobs are run.
pub enum Executor {
    /// Each in a container.
    Containers(Box<Containers>),
    /// Each as a process group, with its directory below this one.
    Processes(PathBuf),
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// Its script failed with this exit code.
    ScriptFailed(i64),
    /// Its image is not there and cannot be pulled.
    NoImage(String),
    /// It ran longer than it may.
    TimedOut,
    /// The runner could not run it, or was told to stop.
    System(String),
    /// GitLab no longer wants it.
    Cancelled,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("succeeded"),
            Self::ScriptFailed(code) => write!(f, "failed with exit code {code}"),
            Self::NoImage(why) => write!(f, "has no image: {why}"),
            Self::TimedOut => f.write_str("ran out of time"),
            Self::System(why) => write!(f, "could not go on: {why}"),
            Self::Cancelled => f.write_str("was cancelled"),
        }
    }
}

/// How much of a log is held before it must be sent, in bytes.
const PIECE: usize = 256 * 1024;
/// How often the end of a log is tried to be sent, half a second apart.
const ATTEMPTS: u32 = 5;

/// Where a job's output goes on its way to GitLab.
pub type Log = mpsc::Sender<Bytes>;

/// Runs the job, sends its log, reports its end. When `aborted` turns true the job is failed at once.
pub async fn run(ticket: &JobTicket, gitlab: &GitLab, executor: &Executor, aborted: watch::Receiver<bool>) -> Outcome {
    let (log, output) = mpsc::channel(64);
    let (unwanted, cancelled) = oneshot::channel();
    let say = log.clone();
    let execution = async {
        let _ = log.send(Bytes::from(format!("lightsout runs job {} ({})\n", ticket.id, ticket.job_info.name))).await;
        let outcome = execute(ticket, executor, log, aborted.clone(), cancelled).await;
        if outcome != Outcome::Success {
            let _ = say.send(Bytes::from(format!("\njob {outcome}\n"))).await;
        }
        drop(say);
        outcome
    };
    let (outcome, ()) = tokio::join!(execution, send_log(ticket, gitlab, output, unwanted));
    // A machine that is being switched off has little time left.
    let patience = Duration::from_secs(if *aborted.borrow() { 2 } else { 60 });
    if let Err(error) = gitlab.report(ticket, &outcome, patience).await {
        eprintln!("job {}: {error:#}", ticket.id);
    }
    outcome
}

async fn execute(
    ticket: &JobTicket,
    executor: &Executor,
    log: Log,
    mut aborted: watch::Receiver<bool>,
    cancelled: oneshot::Receiver<()>,
) -> Outcome {
    let ended = async {
        tokio::select! {
            _ = aborted.wait_for(|aborted| *aborted) => Outcome::System("the runner was told to stop".to_owned()),
            Ok(()) = cancelled => Outcome::Cancelled,
            () = tokio::time::sleep(Duration::from_secs(ticket.runner_info.timeout)) => Outcome::TimedOut,
        }
    };
    tokio::pin!(ended);
    match executor {
        Executor::Containers(containers) => {
            let image = tokio::select! {
                image = containers.image(ticket) => image,
                early = &mut ended => return early,
            };
            let container = match image {
                // Not raced against the end: a container that is being created must be known to be removed.
                Ok(image) => match containers.create(ticket, &image).await {
                    Ok(container) => container,
                    Err(error) => return Outcome::System(format!("no container: {error:#}")),
                },
                Err(error) => return Outcome::NoImage(format!("{error:#}")),
            };
            let outcome = tokio::select! {
                exit = container.run(log) => exited(exit),
                early = &mut ended => early,
            };
            Container::remove(container).await;
            outcome
        }
        Executor::Processes(directory) => {
            let group = match process::Group::start(ticket, directory) {
                Ok(group) => group,
                Err(error) => return Outcome::System(format!("no process: {error:#}")),
            };
            let killer = group.killer();
            let outcome = tokio::select! {
                exit = group.run(log) => exited(exit),
                early = &mut ended => early,
            };
            killer.kill();
            outcome
        }
    }
}

fn exited(exit: anyhow::Result<i64>) -> Outcome {
    match exit {
        Ok(0) => Outcome::Success,
        Ok(code) => Outcome::ScriptFailed(code),
        Err(error) => Outcome::System(format!("{error:#}")),
    }
}

/// Sends the log in pieces until the job has nothing more to say. What GitLab does not take is kept and sent again.
async fn send_log(
    ticket: &JobTicket,
    gitlab: &GitLab,
    mut output: mpsc::Receiver<Bytes>,
    unwanted: oneshot::Sender<()>,
) {
    let mut unwanted = Some(unwanted);
    let mut log = BytesMut::new();
    let (mut sent, mut failures, mut open) = (0, 0, true);
    let mut flush = tokio::time::interval(Duration::from_millis(500));
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while open || (!log.is_empty() && failures < ATTEMPTS) {
        tokio::select! {
            piece = output.recv(), if open && log.len() < PIECE => {
                if let Some(piece) = piece {
                    log.extend_from_slice(&piece);
                } else {
                    open = false;
                    flush.reset_immediately();
                }
                continue;
            }
            _ = flush.tick() => {}
        }
        // An empty piece is sent as well: it asks whether the job is still wanted.
        match gitlab.append(ticket, sent, Bytes::copy_from_slice(&log)).await {
            Ok(wanted) => {
                sent += log.len();
                log.clear();
                failures = 0;
                if let Some(unwanted) = unwanted.take_if(|_| !wanted) {
                    let _ = unwanted.send(());
                }
            }
            Err(error) => {
                failures += 1;
                if failures == 1 {
                    eprintln!("job {}: its log waits: {error:#}", ticket.id);
                }
            }
        }
    }
    if !log.is_empty() {
        eprintln!("job {}: the last {} bytes of its log are lost", ticket.id, log.len());
    }
}
