//! What the runners of all platforms but GitLab have in common: they ask for jobs, run them, report them, and obey signals, each in
//! its vendor's way.

use std::{future::Future, io, pin::Pin, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, future::BoxFuture};
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::{
    process::Command,
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    Stop,
    container::Container,
    desk::{Claimed, Desk, Job, State},
    job::Log,
    process::Group,
};

/// How a vendor's runner behaves.
#[derive(Clone, Copy)]
pub struct Manners {
    /// Jobs at once.
    pub slots: usize,
    /// Whether it ends after one job.
    pub single: bool,
    /// What a signal makes of how far it has been asked to stop.
    pub signalled: fn(i32, Stop) -> Stop,
}

/// How a vendor's runner starts a job.
pub trait Trade: Send + Sync + 'static {
    /// Starts it.
    fn begin(&self, job: &Job) -> BoxFuture<'_, Result<Work>>;

    /// It has ended and was reported.
    fn ended(&self, _: &Job) {}
}

/// A job that runs.
pub enum Work {
    /// As a process group.
    Processes(Group),
    /// In a container.
    Container(Container),
}

/// The pause after an answer without a job.
const PAUSE: Duration = Duration::from_millis(500);
/// How long processes may take to end when they are told to.
const GRACE: Duration = Duration::from_secs(2);

/// Takes jobs until a signal, or the platform, ends it.
///
/// # Errors
/// When the platform said that there will be no more jobs: it refused the runner, or removed it.
pub async fn serve(desk: Desk, manners: Manners, trade: Arc<dyn Trade>) -> Result<()> {
    let mut signals = Signals::new([SIGQUIT, SIGTERM, SIGINT]).context("cannot listen to signals")?;
    let desk = Arc::new(desk);
    let (aborting, aborted) = watch::channel(false);
    let mut stop = Stop::No;
    let mut request: Option<Pin<Box<dyn Future<Output = Claimed>>>> = None;
    let mut jobs = JoinSet::new();
    let mut next = Instant::now();
    let (mut used_up, mut over) = (false, None);
    // A request that is under way is waited for even when stopping: the job it may bring is ours already.
    while (stop == Stop::No && !used_up) || request.is_some() || !jobs.is_empty() {
        tokio::select! {
            Some(signal) = signals.next() => {
                stop = stop.max((manners.signalled)(signal, stop));
                println!("signal {signal}: {}", if stop == Stop::Abort { "ends its jobs" } else { "no more jobs" });
                let _ = aborting.send(stop == Stop::Abort);
            }
            claimed = async { request.as_mut().expect("guarded").await }, if request.is_some() => {
                request = None;
                next = Instant::now() + PAUSE;
                match claimed {
                    Claimed::Job(job) => {
                        next = Instant::now();
                        used_up = manners.single;
                        jobs.spawn(work(*job, Arc::clone(&desk), Arc::clone(&trade), aborted.clone()));
                    }
                    Claimed::Nothing => {}
                    Claimed::Over(why) => {
                        println!("no more jobs: {why}");
                        over = Some(why);
                        used_up = true;
                    }
                    Claimed::Failed(error) => eprintln!("no job could be asked for: {error:#}"),
                }
            }
            () = tokio::time::sleep_until(next), if stop == Stop::No && !used_up && request.is_none() && jobs.len() < manners.slots => {
                let desk = Arc::clone(&desk);
                request = Some(Box::pin(async move { desk.claim().await }));
            }
            Some(_) = jobs.join_next(), if !jobs.is_empty() => next = Instant::now(),
        }
    }
    desk.disconnect().await;
    println!("ends");
    match over {
        Some(why) => Err(anyhow::anyhow!("the platform has no more jobs for it: {why}")),
        None => Ok(()),
    }
}

/// One job from its start to its reported end.
async fn work(job: Job, desk: Arc<Desk>, trade: Arc<dyn Trade>, aborted: watch::Receiver<bool>) {
    let id = job.id;
    println!("job {id}: starts");
    let (log, output) = mpsc::channel(64);
    let (end, rest) = match trade.begin(&job).await {
        Ok(work) => {
            let (unwanted, cancelled) = watch::channel(false);
            tokio::join!(run(work, log, aborted.clone(), cancelled), follow(id, &desk, output, unwanted))
        }
        Err(error) => (End { state: State::SystemFailure, code: None, why: format!("{error:#}") }, String::new()),
    };
    println!("job {id}: {}", end.why);
    // A machine that is being switched off has little time left.
    let give_up = Instant::now() + Duration::from_secs(if *aborted.borrow() { 3 } else { 60 });
    while let Err(error) = desk.report(id, end.state, &rest, end.code).await {
        if Instant::now() >= give_up {
            eprintln!("job {id}: the platform did not hear its end: {error:#}");
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    trade.ended(&job);
}

/// How a job ended.
struct End {
    state: State,
    code: Option<i64>,
    why: String,
}

async fn run(work: Work, log: Log, mut aborted: watch::Receiver<bool>, mut cancelled: watch::Receiver<bool>) -> End {
    let early = async {
        let why = tokio::select! {
            _ = aborted.wait_for(|aborted| *aborted) => "was ended because the runner was told to stop",
            Ok(_) = cancelled.wait_for(|cancelled| *cancelled) => "is no longer wanted",
        };
        End { state: State::Canceled, code: None, why: why.to_owned() }
    };
    match work {
        Work::Container(container) => {
            let end = tokio::select! {
                exit = container.run(log) => exited(exit),
                early = early => early,
            };
            container.remove().await;
            end
        }
        Work::Processes(group) => {
            let killer = group.killer();
            let mut running = Box::pin(group.run(log));
            let end = tokio::select! {
                exit = &mut running => exited(exit),
                early = early => {
                    killer.tell(Signal::SIGTERM);
                    let _ = tokio::time::timeout(GRACE, &mut running).await;
                    early
                }
            };
            killer.kill();
            end
        }
    }
}

fn exited(exit: Result<i64>) -> End {
    match exit {
        Ok(0) => End { state: State::Success, code: Some(0), why: "succeeded".to_owned() },
        Ok(code) => End { state: State::Failed, code: Some(code), why: format!("failed with exit code {code}") },
        Err(error) => End { state: State::SystemFailure, code: None, why: format!("could not go on: {error:#}") },
    }
}

/// Sends the output while the job runs; the rest of it is for the report of its end.
async fn follow(id: u64, desk: &Desk, mut output: mpsc::Receiver<Bytes>, unwanted: watch::Sender<bool>) -> String {
    let mut held = BytesMut::new();
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            piece = output.recv() => match piece {
                Some(piece) => held.extend_from_slice(&piece),
                None => return String::from_utf8_lossy(&held).into_owned(),
            },
            _ = beat.tick() => {
                match desk.report(id, State::Running, &String::from_utf8_lossy(&held), None).await {
                    Ok(wanted) => {
                        held.clear();
                        unwanted.send_if_modified(|unwanted| !wanted && !std::mem::replace(unwanted, true));
                    }
                    Err(error) => eprintln!("job {id}: its output waits: {error:#}"),
                }
            }
        }
    }
}

/// A program with these arguments and the job's variables; nothing is started yet.
pub fn command(argv: &[String], job: &Job) -> io::Result<Command> {
    let [program, arguments @ ..] = argv else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the job has no command"));
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(&job.env).stdin(Stdio::null());
    Ok(command)
}
