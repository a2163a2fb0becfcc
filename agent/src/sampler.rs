//! Samples all probes again and again, at the agent's interval, and at once when Docker says that a container began or
//! ended.

use std::{sync::Arc, time::Duration};

use lightsout_core::{activity::Activity, agent::event::Event, platform::Probe};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};

use crate::{
    docker::{Engine, Selection},
    input::{Input, Inputs},
    platform_access::PlatformAccess,
    probe::is_sure,
};

/// The pause before the platform is asked again which containers are jobs.
const RETRY: Duration = Duration::from_secs(2);
/// Between two samples, and between two starts that are passed on: however fast hints come, more would tell nothing.
const HINTS: Duration = Duration::from_millis(250);

/// Samples for ever.
pub(crate) fn spawn(
    platform: &Arc<PlatformAccess>,
    engine: Option<Arc<Engine>>,
    inputs: &Inputs,
    interval: watch::Receiver<Duration>,
) {
    let hint = Arc::new(Notify::new());
    if let Some(engine) = engine {
        tokio::spawn(follow_containers(engine, Arc::clone(platform), inputs.clone(), Arc::clone(&hint)));
    }
    tokio::spawn(sample(Arc::clone(platform), inputs.clone(), interval, hint));
}

async fn sample(
    platform: Arc<PlatformAccess>,
    inputs: Inputs,
    mut interval: watch::Receiver<Duration>,
    hint: Arc<Notify>,
) {
    loop {
        let (activity, token_refused) = platform.snapshot().await;
        if inputs.send(Input::Sampled(activity, token_refused)).await.is_err() {
            return;
        }
        let pause = *interval.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = interval.changed() => if changed.is_err() { return },
            () = after(HINTS, hint.notified()) => {}
        }
    }
}

/// What is awaited, but not before this time has passed. It must be in order to drop it at any point.
async fn after(pause: Duration, awaited: impl Future<Output = ()>) {
    tokio::time::sleep(pause).await;
    awaited.await;
}

async fn follow_containers(engine: Arc<Engine>, platform: Arc<PlatformAccess>, inputs: Inputs, hint: Arc<Notify>) {
    // No platform whose jobs are no containers learns anything from a container.
    let Some(WatchedContainers { selection, sure }) = jobs_containers(&platform).await else { return };
    let (hints, mut hinted) = mpsc::channel(16);
    tokio::spawn(async move { engine.follow(&selection, hints).await });
    let mut passed_on = None;
    while let Some(started) = hinted.recv().await {
        // A start is news at once, and can only err on the busy side; the sample that follows is the truth.
        if let Some(job) = started
            && passed_on.is_none_or(|at: Instant| at.elapsed() >= HINTS)
        {
            passed_on = Some(Instant::now());
            let seen = Activity::busy(job.0);
            let seen = if sure { seen } else { seen.unsure() };
            if inputs.send(Input::Event(Event::Activity(seen))).await.is_err() {
                return;
            }
        }
        hint.notify_one();
    }
}

/// The containers that are worth a look.
struct WatchedContainers {
    selection: Selection,
    /// Whether such a container is a job for certain, or the best sign there is.
    sure: bool,
}

/// Which containers are jobs, if any are; asked for until the platform's token is there.
async fn jobs_containers(platform: &PlatformAccess) -> Option<WatchedContainers> {
    loop {
        if let Some(probes) = platform.probes().await {
            let none_is_sure = !probes.iter().any(is_sure);
            return probes.into_iter().find_map(|probe| {
                let sure = none_is_sure || is_sure(&probe);
                match probe {
                    Probe::Containers { labels, except, job_label } => {
                        Some(WatchedContainers { selection: Selection { labels, except, job_label }, sure })
                    }
                    Probe::Children(_) | Probe::Files { .. } | Probe::Runner(_) | Probe::Call(_) => None,
                }
            });
        }
        tokio::time::sleep(RETRY).await;
    }
}
