//! Samples all probes again and again, at the agent's interval, and at once when Docker says that a container began or
//! ended.

use std::{sync::Arc, time::Duration};

use lightsout_core::{agent::event::Event, platform::JobSigns};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};

use crate::{
    docker::Engine,
    input::{Input, Inputs},
    platform_access::PlatformAccess,
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
    let signs = signs(&platform).await;
    let Some(selection) = signs.containers().cloned() else { return };
    let (hints, mut hinted) = mpsc::channel(16);
    tokio::spawn(async move { engine.follow(&selection, hints).await });
    let mut passed_on = None;
    while let Some(started) = hinted.recv().await {
        // A start is news at once, and can only err on the busy side; the sample that follows is the truth.
        if let Some(job) = started
            && passed_on.is_none_or(|at: Instant| at.elapsed() >= HINTS)
        {
            passed_on = Some(Instant::now());
            if inputs.send(Input::Event(Event::Activity(signs.began(job)))).await.is_err() {
                return;
            }
        }
        hint.notify_one();
    }
}

/// What counts as a job; asked for until the platform's token is there.
async fn signs(platform: &PlatformAccess) -> JobSigns {
    loop {
        if let Some(signs) = platform.signs().await {
            return signs;
        }
        tokio::time::sleep(RETRY).await;
    }
}
