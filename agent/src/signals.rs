//! Unix signals as inputs.

use std::{io, path::PathBuf};

use futures_util::StreamExt;
use lightsout_core::agent::event::{Event, Order};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_tokio::Signals;

use crate::{
    input::{Input, Inputs},
    settings,
};

/// Listens for ever.
pub fn listen(inputs: Inputs, config: Vec<PathBuf>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
    tokio::spawn(async move {
        while let Some(signal) = signals.next().await {
            let input = match signal {
                SIGHUP => reload(config.clone()).await,
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
async fn reload(config: Vec<PathBuf>) -> Input {
    if let Ok(moment) = sd_notify::NotifyState::monotonic_usec_now() {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading, moment]);
    }
    let loaded = tokio::task::spawn_blocking(move || settings::load(&config)).await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    Input::Reloaded(match loaded {
        Ok(loaded) => loaded.map(|settings| settings.policy),
        Err(error) => Err(error.to_string()),
    })
}
