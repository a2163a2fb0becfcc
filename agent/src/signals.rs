//! Unix signals as inputs.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use futures_util::StreamExt;
use lightsout_cloud::Notices;
use lightsout_core::{
    agent::event::{Event, Order},
    duration::not_within,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_tokio::Signals;

use crate::{
    input::{Input, Inputs},
    settings,
};

/// How long reading the settings may take.
const LOADING: Duration = Duration::from_secs(5);

/// Listens for ever.
pub(crate) fn listen(inputs: Inputs, config: Vec<PathBuf>, notices: Arc<dyn Notices>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
    tokio::spawn(async move {
        while let Some(signal) = signals.next().await {
            let input = match signal {
                SIGHUP => reload(config.clone(), &*notices).await,
                SIGUSR1 => {
                    tracing::info!("SIGUSR1: draining");
                    Input::Event(Event::Order(Order::Drain))
                }
                _ => {
                    tracing::info!(signal, "told to stop: draining; a second signal exits at once");
                    Input::Event(Event::Stop)
                }
            };
            if inputs.send(input).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Reads the settings again, as a unit of type notify-reload does (systemd.service(5)).
async fn reload(config: Vec<PathBuf>, notices: &dyn Notices) -> Input {
    if let Ok(moment) = sd_notify::NotifyState::monotonic_usec_now() {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading, moment]);
    }
    // Whoever waits for a disk does not hear of a stop.
    let loaded = tokio::time::timeout(2 * LOADING, async {
        let tags = settings::tags(notices, LOADING).await?;
        let loading = tokio::task::spawn_blocking(move || settings::load(&config, &tags)).await;
        loading.map_err(|error| error.to_string())?
    })
    .await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    Input::Reloaded(match loaded {
        Ok(loaded) => loaded.map(|settings| settings.policy),
        Err(_) => Err(not_within(
            "the files and the tags could not be read",
            2 * LOADING,
            "the ones before stay in force; see why the disk or the metadata service is slow, and reload again",
        )),
    })
}
