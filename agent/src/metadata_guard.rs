//! Keeps jobs from the instance's metadata service, and with it from the instance's role, which may end the group's other instances.
//!
//! Rules of nftables, put up before this agent starts its first runner: one that was found goes on with what it began with. They stay when the agent
//! is gone, as the runner does. What they cannot stop is root
//! on the machine's own network: a job of the user root, and a container on the host's network.

use std::{env, process::Stdio, sync::Arc, time::Duration};

use lightsout_core::settings::{AgentSettings, MetadataGuard};
use rustix::process::geteuid;
use tokio::{io::AsyncWriteExt, sync::OnceCell};

use crate::runner_user::RunnerUser;

/// Where instances ask (EC2 user guide, "Access instance metadata").
const SERVICES: [&str; 2] = ["ip daddr 169.254.169.254", "ip6 daddr fd00:ec2::254"];
const TABLE: &str = "table inet lightsout_metadata";
const PATIENCE: Duration = Duration::from_secs(10);

/// The rules of these settings, with the runner's user.
pub(crate) struct Guard {
    settings: Arc<AgentSettings>,
    user: Option<RunnerUser>,
    done: OnceCell<()>,
}

impl Guard {
    pub(crate) fn new(settings: Arc<AgentSettings>, user: Option<RunnerUser>) -> Self {
        Self { settings, user, done: OnceCell::new() }
    }

    /// Puts the rules up, once.
    pub(crate) async fn put_up(&self) {
        self.done.get_or_init(|| put_up(&self.settings, self.user.as_ref())).await;
    }
}

/// Puts the rules up, or takes those of an earlier agent down, and says what is left open. It never keeps the agent from its work.
async fn put_up(settings: &AgentSettings, user: Option<&RunnerUser>) {
    // Elsewhere than at its own address the metadata service is an embedded cloud's, on a machine that is not this agent's to change.
    if !geteuid().is_root() || env::var_os("AWS_EC2_METADATA_SERVICE_ENDPOINT").is_some() {
        return;
    }
    let on = settings.metadata_guard != MetadataGuard::Off;
    let kept = user.filter(|_| settings.keeps_user_from_metadata());
    match load(&rules(on, kept.map(|user| user.uid))).await {
        Ok(()) if on => tracing::info!(user = kept.map(|user| &*user.name), "jobs are kept from the metadata service"),
        Err(why) if on => tracing::warn!(
            why,
            "jobs that are not in a container behind a hop limit of 1 can take the instance's role from the metadata service: install nftables"
        ),
        Ok(()) | Err(_) => {}
    }
    if on && user.is_none() {
        tracing::warn!("jobs run as root, whom nothing keeps from the metadata service");
    }
}

/// As nft(8) reads them; all or nothing. What is forwarded comes from containers on a network of their own.
fn rules(on: bool, uid: Option<u32>) -> String {
    // A table that is named is there, so that it can be deleted.
    let mut text = format!("{TABLE}\ndelete {TABLE}\n");
    if !on {
        return text;
    }
    text += &format!("{TABLE} {{\n");
    let mut chain = |hook: &str, whose: &str| {
        text += &format!("chain {hook} {{\ntype filter hook {hook} priority -10;\n");
        text.extend(SERVICES.map(|service| format!("{whose}{service} counter reject\n")));
        text += "}\n";
    };
    chain("forward", "");
    if let Some(uid) = uid {
        chain("output", &format!("meta skuid {uid} "));
    }
    text + "}\n"
}

async fn load(rules: &str) -> Result<(), String> {
    let mut nft = tokio::process::Command::new("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let run = async {
        let mut child = nft.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(rules.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(PATIENCE, run).await.map_err(|_| "nft does not answer".to_owned())?;
    let output = output.map_err(|error| format!("cannot run nft: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("nft refuses: {}", said.lines().next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_of_both_services_for_containers_and_for_the_user() {
        // tests/metadata/run shows what these rules do.
        let expected = include_str!("metadata_guard/rules.nft");
        assert_eq!(rules(true, Some(997)), expected);
        let forward = expected.split("chain output").next().unwrap().to_owned();
        assert_eq!(rules(true, None), forward + "}\n");
        assert_eq!(rules(false, Some(997)), "table inet lightsout_metadata\ndelete table inet lightsout_metadata\n");
    }
}
