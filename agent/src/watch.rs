//! Watches the instance's metadata. 200 is a notice, 404 is none; anything else is not known, and changes nothing.

use std::{sync::Arc, time::Duration};

use lightsout_io::imds::{Imds, ImdsError};
use tokio::sync::mpsc;

use crate::{clock::Clock, run::Input};
use lightsout_core::{agent::event::Event, cloud::TargetState, notice, settings::ImdsSettings};

/// After this many failed looks in a row someone will want to know.
const SILENT: u32 = 30;

/// One item that is looked at again and again.
struct Item {
    imds: Arc<Imds>,
    path: String,
    every: Duration,
    failures: u32,
}

impl Item {
    fn new(imds: &Arc<Imds>, path: &str, every: Duration) -> Self {
        Self { imds: Arc::clone(imds), path: format!("/latest/meta-data/{path}"), every, failures: 0 }
    }

    /// The item's next known value.
    async fn next(&mut self) -> Option<String> {
        loop {
            tokio::time::sleep(self.pause()).await;
            match self.imds.get(&self.path).await {
                Ok(value) => {
                    if self.failures >= SILENT {
                        tracing::info!(path = self.path, "instance metadata answers again");
                    }
                    self.failures = 0;
                    return value;
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    fn failed(&mut self, error: &ImdsError) {
        self.failures = self.failures.saturating_add(1);
        if self.failures == SILENT {
            tracing::warn!(path = self.path, %error, "instance metadata does not answer; notices may be missed");
        } else {
            tracing::debug!(path = self.path, %error, "instance metadata did not answer");
        }
    }

    /// Looks less often while the service refuses or does not answer: it is throttled for each instance.
    fn pause(&self) -> Duration {
        self.every * (1 << (self.failures / 3).min(4))
    }
}

/// Watches for ever, and sends what is new.
pub fn watch(imds: &Arc<Imds>, every: &ImdsSettings, clock: Clock, inputs: &mpsc::Sender<Input>) {
    tokio::spawn(spot(Item::new(imds, notice::SPOT, every.spot), clock, inputs.clone()));
    tokio::spawn(target(Item::new(imds, notice::TARGET, every.target), inputs.clone()));
    tokio::spawn(rebalance(Item::new(imds, notice::REBALANCE, every.rebalance), inputs.clone()));
    tokio::spawn(maintenance(Item::new(imds, notice::MAINTENANCE, every.maintenance), inputs.clone()));
}

async fn spot(mut item: Item, clock: Clock, inputs: mpsc::Sender<Input>) {
    let mut last = None;
    loop {
        let Some(body) = item.next().await else { continue };
        if last.as_ref() == Some(&body) {
            continue;
        }
        match notice::spot(&body) {
            Ok(notice) => {
                tracing::warn!(action = notice.action, at = %notice.at, "spot notice: the cloud takes this instance away");
                let at = clock.tick_of(notice.at.as_millisecond());
                if inputs.send(Input::Event(Event::Spot { at })).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::error!(%error, "a spot notice cannot be read; ignored"),
        }
        last = Some(body);
    }
}

async fn target(mut item: Item, inputs: mpsc::Sender<Input>) {
    let mut last = TargetState::Unknown;
    loop {
        let target = item.next().await.as_deref().map_or(TargetState::Unknown, notice::target);
        // An absent state after a known one says nothing new.
        if target == last || target == TargetState::Unknown {
            continue;
        }
        tracing::info!(?target, "the group moves this instance");
        last = target;
        if inputs.send(Input::Event(Event::TargetState(target))).await.is_err() {
            return;
        }
    }
}

async fn rebalance(mut item: Item, inputs: mpsc::Sender<Input>) {
    loop {
        let Some(body) = item.next().await else { continue };
        match notice::rebalance(&body) {
            Ok(at) => {
                tracing::warn!(%at, "rebalance recommendation: an interruption is likely");
                // It is never taken back: once is enough.
                let _ = inputs.send(Input::Event(Event::Rebalance)).await;
                return;
            }
            Err(error) => tracing::error!(%error, "a rebalance recommendation cannot be read; ignored"),
        }
    }
}

async fn maintenance(mut item: Item, inputs: mpsc::Sender<Input>) {
    loop {
        let Some(body) = item.next().await else { continue };
        match notice::maintenance(&body) {
            Ok(events) => {
                if let Some(event) = events.first() {
                    tracing::warn!(code = event.code, not_before = %event.not_before, "maintenance is scheduled for this instance");
                    let _ = inputs.send(Input::Event(Event::Maintenance)).await;
                    return;
                }
            }
            Err(error) => tracing::error!(%error, "scheduled maintenance cannot be read; ignored"),
        }
    }
}
