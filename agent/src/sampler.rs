//! Samples all probes again and again, at the agent's interval, and at once when Docker says that a container began or
//! ended.

use std::{sync::Arc, time::Duration};

use lightsout_core::{activity::Activity, agent::event::Event, platform::Probe};
use tokio::sync::{Notify, mpsc, watch};

use crate::{
    docker::{Engine, Selection},
    input::{Input, Inputs},
    platform_access::PlatformAccess,
};

/// The pause before the platform is asked again which containers are jobs.
const RETRY: Duration = Duration::from_secs(2);

/// Samples for ever.
pub fn spawn(
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
            () = hint.notified() => {}
        }
    }
}

async fn follow_containers(engine: Arc<Engine>, platform: Arc<PlatformAccess>, inputs: Inputs, hint: Arc<Notify>) {
    let (hints, mut hinted) = mpsc::channel(16);
    tokio::spawn(async move {
        let selection = jobs_containers(&platform).await;
        engine.follow(&selection, hints).await;
    });
    while let Some(started) = hinted.recv().await {
        // A start is news at once, and can only err on the busy side; the sample that follows is the truth.
        if let Some(job) = started
            && inputs.send(Input::Event(Event::Activity(Activity::busy(job.0)))).await.is_err()
        {
            return;
        }
        hint.notify_one();
    }
}

/// Which containers are jobs; asked for until the platform's token is there.
async fn jobs_containers(platform: &PlatformAccess) -> Selection {
    loop {
        if let Some(probes) = platform.probes().await {
            let mut selections = probes.into_iter().filter_map(|probe| match probe {
                Probe::Containers { labels, except, job_label } => Some(Selection { labels, except, job_label }),
                Probe::Children(_) | Probe::Files { .. } | Probe::Runner(_) | Probe::Call(_) => None,
            });
            return selections.next().unwrap_or(Selection { labels: Vec::new(), except: Vec::new(), job_label: None });
        }
        tokio::time::sleep(RETRY).await;
    }
}
