//! The loop of every runner: it asks for jobs, runs them, sends their output, reports how they ended, and obeys
//! signals in its vendor's way.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, future::LocalBoxFuture};
use lightsout_localcloud::FaultEffect;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    executor::RunningJob,
    faults::Faults,
    job::{Job, Log, Outcome},
};

/// Where a runner gets its jobs, and whom it tells of them.
pub(crate) trait JobSource: Send + Sync + 'static {
    /// A job with what the source itself needs to know of it.
    type Job: AsRef<Job> + Send + Sync + 'static;

    /// Asks for a job. The answer that brings one may be lost by a fault.
    fn claim(&self, faults: &Faults) -> impl Future<Output = Claim<Self::Job>> + Send;

    /// Whether what is on its way now is carried through, whatever the runner is told.
    fn carries_through(&self) -> bool {
        false
    }

    /// Sends more of a job's output, of which `sent` bytes are there already. False when the platform no longer wants
    /// the job.
    fn append(&self, job: &Self::Job, sent: usize, output: &Bytes) -> impl Future<Output = Result<bool>> + Send;

    /// Reports how a job ended.
    fn finish(&self, job: &Self::Job, outcome: &Outcome) -> impl Future<Output = Finish> + Send;

    /// Whether the runner reads its configuration again at `SIGHUP`. One that does not is ended by it, as any program.
    const RELOADS: bool = false;

    /// Reads the configuration again: whether it is to take jobs.
    fn reload(&self) -> bool {
        true
    }

    /// Leaves, after the last job.
    fn disconnect(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// How a vendor's runner starts a job.
pub(crate) trait JobStarter<J>: Send + Sync + 'static {
    /// The job is the runner's, and nothing has been done about it yet.
    fn claimed(&self, _: &J) -> Result<()> {
        Ok(())
    }

    /// Gets ready for the job. This may take long, and may be cut short.
    fn prepare(&self, _: &J) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Starts it.
    fn start(&self, job: &J) -> impl Future<Output = Result<RunningJob>> + Send;

    /// It has ended and was reported.
    fn ended(&self, _: &J) {}
}

/// What came of asking for a job.
pub(crate) enum Claim<J> {
    Job(Box<J>),
    Nothing,
    /// There will be no more, and why.
    Over(String),
    /// Nobody knows; ask again.
    Failed(anyhow::Error),
}

/// What came of reporting a job's end.
pub(crate) enum Finish {
    Taken,
    /// There is no use in saying it again.
    Refused(anyhow::Error),
    /// Say it again.
    Failed(anyhow::Error),
}

/// How a vendor's runner behaves.
#[derive(Clone, Copy)]
pub(crate) struct WorkerOptions {
    /// Jobs at once.
    pub slots: usize,
    /// Whether it ends after one job.
    pub single: bool,
    /// The pause after an answer without a job.
    pub interval: Duration,
    /// What a signal makes of how far it has been asked to stop.
    pub on_signal: fn(i32, Stop) -> Stop,
}

/// How far a runner has been asked to stop; each is more than the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Not at all.
    No,
    /// No more jobs; those that run may end.
    Finish,
    /// Those that run fail at once.
    Abort,
    /// It leaves without a word about them.
    Exit,
}

/// Whether the jobs that run are to end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Abort {
    No,
    /// Those that do not end soon are killed.
    Quick,
    /// They take as long as they take.
    Patient,
}

/// The pause between two attempts, and between two pieces of output.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);

/// How much output is held before it must be sent, in bytes.
const PIECE: usize = 256 * 1024;
/// How often the last piece of output is tried to be sent.
const ATTEMPTS: u32 = 5;

/// Takes jobs until a signal, or the platform, ends it.
///
/// # Errors
/// When the platform said that there will be no more jobs: it refused the runner, or removed it.
pub(crate) async fn work<S: JobSource, T: JobStarter<S::Job>>(
    source: S,
    starter: T,
    faults: Faults,
    options: WorkerOptions,
) -> Result<()> {
    faults.on_start().await;
    let hup = S::RELOADS.then_some(SIGHUP);
    let mut signals =
        Signals::new([SIGQUIT, SIGTERM, SIGINT].into_iter().chain(hup)).context("cannot listen to signals")?;
    let (source, starter, faults) = (Arc::new(source), Arc::new(starter), Arc::new(faults));
    let (aborting, aborted) = watch::channel(Abort::No);
    let mut stop = Stop::No;
    let mut request: Option<LocalBoxFuture<'_, Claim<S::Job>>> = None;
    let mut jobs = JoinSet::new();
    let mut next_request = Instant::now();
    let (mut used_up, mut over, mut takes_jobs) = (false, None, true);
    // A request that is under way is waited for even when stopping, without a fault: the job it may bring is ours already.
    while (stop == Stop::No && !used_up) || request.is_some() || !jobs.is_empty() {
        tokio::select! {
            Some(signal) = signals.next() => {
                if signal == SIGHUP {
                    takes_jobs = source.reload();
                    println!("signal {signal}: read the configuration again");
                    continue;
                }
                stop = stop.max((options.on_signal)(signal, stop));
                println!("signal {signal}: {}", if stop >= Stop::Abort { "ends its jobs" } else { "no more jobs" });
                anyhow::ensure!(stop < Stop::Exit, "ended by a second signal");
                let may_cancel = stop >= Stop::Finish && request.is_some() && !source.carries_through();
                if may_cancel && faults.hit(FaultEffect::CancelRequest).await {
                    request = None;
                }
                if stop == Stop::Abort && *aborted.borrow() == Abort::No {
                    let patient = faults.hit(FaultEffect::PatientAbort).await;
                    let _ = aborting.send(if patient { Abort::Patient } else { Abort::Quick });
                }
            }
            claim = async { request.as_mut().expect("guarded").await }, if request.is_some() => {
                request = None;
                next_request = Instant::now() + options.interval;
                match claim {
                    Claim::Job(job) => {
                        next_request = Instant::now();
                        used_up = options.single;
                        let (source, starter, faults) = (Arc::clone(&source), Arc::clone(&starter), Arc::clone(&faults));
                        let aborted = aborted.clone();
                        jobs.spawn(async move {
                            run(*job, source, starter, aborted).await;
                            faults.on_job_end().await;
                        });
                    }
                    Claim::Nothing => {}
                    Claim::Over(why) => {
                        println!("no more jobs: {why}");
                        over = Some(why);
                        used_up = true;
                    }
                    Claim::Failed(error) => eprintln!("no job could be asked for: {error:#}"),
                }
            }
            () = tokio::time::sleep_until(next_request),
                if stop == Stop::No && takes_jobs && !used_up && request.is_none() && jobs.len() < options.slots =>
            {
                let (source, faults) = (Arc::clone(&source), Arc::clone(&faults));
                request = Some(Box::pin(async move { source.claim(&faults).await }));
            }
            Some(_) = jobs.join_next(), if !jobs.is_empty() => next_request = Instant::now(),
        }
    }
    source.disconnect().await;
    println!("ends");
    match over {
        Some(why) => Err(anyhow::anyhow!("the platform has no more jobs for it: {why}")),
        None => Ok(()),
    }
}

/// One job from its claim to its reported end.
async fn run<S: JobSource, T: JobStarter<S::Job>>(
    job: S::Job,
    source: Arc<S>,
    starter: Arc<T>,
    aborted: watch::Receiver<Abort>,
) {
    let id = job.as_ref().id;
    println!("job {id}: starts");
    let (log, output) = mpsc::channel(64);
    let (unwanted, canceled) = watch::channel(false);
    let (outcome, ()) = tokio::join!(
        execute(&job, &*starter, log, aborted.clone(), canceled),
        send_output(&job, &*source, output, &unwanted)
    );
    println!("job {id}: {outcome}");
    // A machine that is being switched off has little time left.
    let give_up = Instant::now() + Duration::from_secs(if *aborted.borrow() == Abort::No { 60 } else { 3 });
    loop {
        match source.finish(&job, &outcome).await {
            Finish::Taken => break,
            Finish::Failed(_) if Instant::now() < give_up => tokio::time::sleep(PAUSE).await,
            Finish::Refused(error) | Finish::Failed(error) => {
                eprintln!("job {id}: the platform did not take its end: {error:#}");
                break;
            }
        }
    }
    starter.ended(&job);
}

async fn execute<J: AsRef<Job>>(
    job: &J,
    starter: &impl JobStarter<J>,
    log: Log,
    mut aborted: watch::Receiver<Abort>,
    mut canceled: watch::Receiver<bool>,
) -> Outcome {
    let patience = aborted.clone();
    let early = async {
        let timeout = async {
            match job.as_ref().timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = aborted.wait_for(|aborted| *aborted != Abort::No) => Outcome::Aborted,
            Ok(_) = canceled.wait_for(|canceled| *canceled) => Outcome::Canceled,
            () = timeout => Outcome::TimedOut,
        }
    };
    tokio::pin!(early);
    let outcome = async {
        let _ = log.send(Bytes::from(format!("lightsout runs job {}\n", job.as_ref().id))).await;
        if let Err(error) = starter.claimed(job) {
            return Outcome::SystemFailure(format!("{error:#}"));
        }
        tokio::select! {
            ready = starter.prepare(job) => {
                if let Err(error) = ready {
                    return Outcome::NoImage(format!("{error:#}"));
                }
            }
            early = &mut early => return early,
        }
        // Not raced against the end: what is being started must be known to be ended.
        match starter.start(job).await {
            Ok(running) => running.run(log.clone(), early, || *patience.borrow() == Abort::Patient).await,
            Err(error) => Outcome::SystemFailure(format!("{error:#}")),
        }
    }
    .await;
    if outcome != Outcome::Success {
        let _ = log.send(Bytes::from(format!("\njob {outcome}\n"))).await;
    }
    outcome
}

/// Sends the output in pieces until the job has nothing more to say. What the platform does not take is kept and sent again.
async fn send_output<S: JobSource>(
    job: &S::Job,
    source: &S,
    mut output: mpsc::Receiver<Bytes>,
    unwanted: &watch::Sender<bool>,
) {
    let id = job.as_ref().id;
    let mut held = BytesMut::new();
    let (mut sent, mut failures, mut open) = (0, 0, true);
    let mut flush = tokio::time::interval(PAUSE);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while open || (!held.is_empty() && failures < ATTEMPTS) {
        tokio::select! {
            piece = output.recv(), if open && held.len() < PIECE => {
                if let Some(piece) = piece {
                    held.extend_from_slice(&piece);
                } else {
                    open = false;
                    flush.reset_immediately();
                }
                continue;
            }
            _ = flush.tick() => {}
        }
        // An empty piece is sent as well: it asks whether the job is still wanted.
        match source.append(job, sent, &Bytes::copy_from_slice(&held)).await {
            Ok(wanted) => {
                sent += held.len();
                held.clear();
                failures = 0;
                unwanted.send_if_modified(|unwanted| !wanted && !std::mem::replace(unwanted, true));
            }
            Err(error) => {
                failures += 1;
                if failures == 1 {
                    eprintln!("job {id}: its output waits: {error:#}");
                }
            }
        }
    }
    if !held.is_empty() {
        eprintln!("job {id}: the last {} bytes of its output are lost", held.len());
    }
}

#[cfg(test)]
mod tests;
