//! The real scaler as a process of its own.

use std::{fs, net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use lightsout_core::{duration::format_duration, record::Decision};
use lightsout_localcloud::{AzureOptions, Webhook, WebhookAuth};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::mpsc,
};

use super::{cloud::CloudKind, environment, fleet::GROUP, fleet_config::FleetConfig, platform::Platform};
use crate::{fleet_client::REGION, processes::ProcessScope};

/// How long after the scaler died it is started again.
const RESTART: Duration = Duration::from_secs(1);

/// What the scaler needs to know.
#[derive(Clone, Debug)]
pub(super) struct ScalerOptions {
    /// The embedded cloud.
    pub url: String,
    /// The pause between two ticks.
    pub tick: Duration,
    /// Where it listens for the platform's webhook, if it does.
    pub webhook_listen: Option<SocketAddr>,
    /// The fewest instances, where the group has no bounds of its own.
    pub min: u32,
    /// The most, likewise.
    pub max: u32,
}

/// What shows that a webhook is genuine; it never leaves this machine.
const WEBHOOK_SECRET: &str = "lightsout-demo-webhook";

/// What the platform must know to post its webhook to the scaler that listens there.
pub(super) fn webhook(listen: SocketAddr) -> Webhook {
    Webhook {
        url: format!("http://{listen}/hooks/{GROUP}"),
        secret: WEBHOOK_SECRET.to_owned(),
        auth: WebhookAuth::Token,
    }
}

/// Starts the scaler and keeps it. Its decisions come out of the channel; it ends with the fleet's other processes.
pub(super) fn start(config: &Arc<FleetConfig>, options: &ScalerOptions) -> Result<mpsc::UnboundedReceiver<Decision>> {
    let file = config.fleet_dir.path().join("scaler.toml");
    fs::write(&file, settings(options, config.cloud, &config.platform, config.slots))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let (records, decisions) = mpsc::unbounded_channel();
    let (config, options) = (Arc::clone(config), options.clone());
    tokio::spawn(async move {
        while !records.is_closed() {
            if let Err(error) = run(&config, &options, &records).await {
                tracing::error!(error = format!("{error:#}"), "the scaler cannot be started");
            }
            tokio::time::sleep(RESTART).await;
        }
    });
    Ok(decisions)
}

/// Runs it until it ends.
async fn run(config: &FleetConfig, options: &ScalerOptions, records: &mpsc::UnboundedSender<Decision>) -> Result<()> {
    let log = fs::OpenOptions::new().create(true).append(true).open(config.fleet_dir.path().join("scaler.log"))?;
    let mut command = config.scaler();
    environment::prepare(
        &mut command,
        &ProcessScope::machine(&config.fleet_dir.fleet_name(), "scaler"),
        &options.url,
        REGION,
    );
    let mut child = command
        .args(["watch", "--format", "json", "--config"])
        .arg(config.fleet_dir.path().join("scaler.toml"))
        .args(options.webhook_listen.iter().flat_map(|listen| ["--listen".to_owned(), listen.to_string()]))
        .env("AZURE_TENANT_ID", AzureOptions::default().tenant)
        .env("AZURE_CLIENT_ID", "lightsout-scaler")
        .env("AZURE_CLIENT_SECRET", "lightsout-local")
        .env("AWS_ACCESS_KEY_ID", "AKIALIGHTSOUTSCALER0")
        .env("AWS_SECRET_ACCESS_KEY", "lightsout-local")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log))
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let output = child.stdout.take().context("no standard output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line) {
            Ok(record) => {
                if let Err(error) = super::records::append(&config.fleet_dir, &line) {
                    tracing::warn!(%error, "a decision is not kept");
                }
                if records.send(record).is_err() {
                    return Ok(());
                }
            }
            // What CloudWatch reads.
            Err(_) if line.starts_with("{\"_aws\"") => {}
            Err(error) => tracing::warn!(line, %error, "the scaler printed something that is no record"),
        }
    }
    let status = child.wait().await?;
    if !records.is_closed() {
        tracing::warn!(%status, "the scaler ended");
    }
    Ok(())
}

fn settings(options: &ScalerOptions, cloud: CloudKind, platform: &Platform, slots: u32) -> String {
    let webhook = options.webhook_listen.and(platform.webhook());
    let webhook = webhook.map(|kind| format!("webhook = {{ kind = \"{kind}\", secret = \"{WEBHOOK_SECRET}\" }}\n"));
    format!(
        "tick = \"{tick}\"\n\n[[pool]]\n{group}slots = {slots}\n{webhook}\n{platform}",
        webhook = webhook.unwrap_or_default(),
        tick = format_duration(options.tick),
        group = cloud.scaler_settings(options.min, options.max),
        platform = cloud.secrets(
            &platform.scaler_settings(&options.url),
            &options.url,
            platform.demo().secrets().iter().map(|(name, _)| *name),
        ),
    )
}

#[cfg(test)]
mod tests {
    use lightsout_core::settings::{Fragment, ScalerSettings};

    use super::*;

    #[test]
    fn the_scaler_takes_its_settings() {
        let listen = "127.0.0.1:2".parse().unwrap();
        let options = ScalerOptions {
            url: "http://127.0.0.1:1".into(),
            tick: Duration::from_secs(2),
            webhook_listen: Some(listen),
            min: 1,
            max: 7,
        };
        let text = settings(&options, CloudKind::Aws, &Platform::new("gitlab".parse().unwrap()), 3);
        let settings = ScalerSettings::parse(&[Fragment::new("scaler.toml", text)]).unwrap();
        assert_eq!(settings.tick, Duration::from_secs(2));
        assert_eq!((settings.pools.len(), settings.pools[0].group.as_str()), (1, GROUP));
        assert_eq!(settings.pools[0].policy.slots, 3);
        let path = &settings.pools[0].webhook.as_ref().unwrap().path;
        assert!(
            webhook(listen).url.ends_with(path.as_str()),
            "the platform posts to the address that the pool listens at"
        );
    }
    #[test]
    fn a_scale_set_is_named_by_its_id_and_has_its_bounds_here() {
        let options = ScalerOptions {
            url: "http://127.0.0.1:1".into(),
            tick: Duration::from_secs(2),
            webhook_listen: None,
            min: 1,
            max: 7,
        };
        let text = settings(&options, CloudKind::Azure, &Platform::new("gitlab".parse().unwrap()), 3);
        assert!(!text.contains("ssm"), "{text}");
        let settings = ScalerSettings::parse(&[Fragment::new("scaler.toml", text)]).unwrap();
        let pool = &settings.pools[0];
        assert_eq!((pool.cloud, pool.name.as_str()), (lightsout_core::settings::CloudName::Azure, GROUP));
        assert_eq!(pool.group, crate::up::cloud::scale_set());
    }
}
