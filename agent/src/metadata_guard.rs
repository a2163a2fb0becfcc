//! Keeps jobs from the instance's metadata service, and with it from the instance's role, which may end the group's other instances.
//!
//! Rules of nftables, put up before this agent starts its first runner: one that was found goes on with what it began with. They stay when the agent
//! is gone, as the runner does. What they cannot stop is root
//! on the machine's own network: a job of the user root, and a container on the host's network.

use std::{env, io, process::Stdio, sync::Arc, time::Duration};

use lightsout_core::{
    doctor::facts::{Fact, GuardFacts},
    settings::{AgentSettings, MetadataGuard},
};
use rustix::process::geteuid;
use tokio::{io::AsyncWriteExt, sync::OnceCell};

use crate::runner_user::RunnerUser;

/// Where instances ask (EC2 user guide, "Access instance metadata").
const SERVICES: [(&str, &str); 2] = [("ip", "169.254.169.254"), ("ip6", "fd00:ec2::254")];
const TABLE: &str = "table inet lightsout_metadata";
/// Of the chains, which are called as what they see.
const FORWARD: &str = "forward";
const OUTPUT: &str = "output";
const PATIENCE: Duration = Duration::from_secs(10);

/// The rules of these settings.
pub(crate) struct Guard {
    settings: Arc<AgentSettings>,
    done: OnceCell<()>,
}

impl Guard {
    pub(crate) fn new(settings: Arc<AgentSettings>) -> Self {
        Self { settings, done: OnceCell::new() }
    }

    /// Puts the rules up, once, with this user of the runner's.
    pub(crate) async fn put_up(&self, user: Option<&RunnerUser>) {
        self.done.get_or_init(|| put_up(&self.settings, user)).await;
    }
}

/// Puts the rules up, or takes those of an earlier agent down, and says what is left open. It never keeps the agent from its work.
async fn put_up(settings: &AgentSettings, user: Option<&RunnerUser>) {
    if !geteuid().is_root() || elsewhere() {
        return;
    }
    let on = settings.metadata_guard != MetadataGuard::Off;
    let kept = kept(settings, user);
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

/// Whether the rules that these settings ask for are there; `None` where there is nothing to guard.
pub(crate) async fn in_force(settings: &AgentSettings, user: Option<&RunnerUser>) -> Option<Fact<GuardFacts>> {
    if elsewhere() {
        return None;
    }
    if settings.metadata_guard == MetadataGuard::Off {
        return Some(Ok(GuardFacts::Off));
    }
    if !geteuid().is_root() {
        return Some(Err("only root sees the rules of nftables: try again as root".into()));
    }
    let user = kept(settings, user);
    Some(list().await.map(|listing| match open(&listing, user.map(|user| (&*user.name, user.uid))) {
        open if open.is_empty() => GuardFacts::Up { user: user.map(|user| user.name.clone()) },
        open => GuardFacts::Open(open),
    }))
}

/// Elsewhere than at its own address the metadata service is an embedded cloud's, on a machine that is not this agent's to change.
fn elsewhere() -> bool {
    env::var_os("AWS_EC2_METADATA_SERVICE_ENDPOINT").is_some()
}

/// The runner's user, when it is not let through.
fn kept<'a>(settings: &AgentSettings, user: Option<&'a RunnerUser>) -> Option<&'a RunnerUser> {
    user.filter(|_| settings.keeps_user_from_metadata())
}

/// As nft(8) reads them; all or nothing. What is forwarded comes from containers on a network of their own.
fn rules(on: bool, uid: Option<u32>) -> String {
    // A table that is named is there, so that it can be deleted.
    let mut text = format!("{TABLE}\ndelete {TABLE}\n");
    if !on {
        return text;
    }
    text += &format!("{TABLE} {{\n");
    for (chain, whose) in chains(uid) {
        text += &format!("chain {chain} {{\ntype filter hook {chain} priority -10;\n");
        text.extend(SERVICES.map(|service| format!("{} counter reject\n", matching(&whose, service))));
        text += "}\n";
    }
    text + "}\n"
}

/// The chains, and whose packets each refuses.
fn chains(uid: Option<u32>) -> Vec<(&'static str, String)> {
    let of_user = uid.map(|uid| (OUTPUT, format!("meta skuid {uid} ")));
    [(FORWARD, String::new())].into_iter().chain(of_user).collect()
}

fn matching(whose: &str, (family, address): (&str, &str)) -> String {
    format!("{whose}{family} daddr {address}")
}

/// What these rules, as nft lists them, leave open and must not: to containers, and to this user.
fn open(listing: &str, user: Option<(&str, u32)>) -> Vec<String> {
    // A dormant table is there, and does nothing (nft(8), "Tables").
    let lines =
        listing.lines().map(str::trim).take_while(|line| !line.starts_with("flags") || !line.contains("dormant"));
    let mut refused = Vec::new();
    let mut hook = "";
    for line in lines {
        if let Some(rest) = line.strip_prefix("type filter hook ") {
            hook = rest.split(' ').next().unwrap_or_default();
        } else if line == "}" {
            hook = "";
        } else if let Some((what, then)) = line.split_once(" counter ")
            && then.contains("reject")
        {
            refused.push((hook, what));
        }
    }
    let mut open = Vec::new();
    for (chain, whose) in chains(user.map(|(_, uid)| uid)) {
        let who = user
            .filter(|_| chain == OUTPUT)
            .map_or_else(|| "containers".into(), |(name, _)| format!("the user {name}"));
        for service in SERVICES {
            if !refused.contains(&(chain, &matching(&whose, service))) {
                open.push(format!("{who} may reach {}", service.1));
            }
        }
    }
    open
}

/// Our table as nft shows it, with numbers; nothing when there is none, or no nft that could have made one.
async fn list() -> Result<String, String> {
    let mut arguments = vec!["--numeric", "list"];
    arguments.extend(TABLE.split(' '));
    match nft(&arguments, "").await {
        Ok(listing) => Ok(listing),
        Err(Failed::Missing) => Ok(String::new()),
        Err(Failed::Refused(why)) if why.contains("No such file") => Ok(String::new()),
        Err(failed) => Err(failed.to_string()),
    }
}

async fn load(rules: &str) -> Result<(), String> {
    nft(&["-f", "-"], rules).await.map(drop).map_err(|failed| failed.to_string())
}

/// Why nft did not do it.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("cannot run nft: there is no such program")]
    Missing,
    #[error("cannot run nft: {0}")]
    NotRun(io::Error),
    #[error("nft does not answer")]
    Silent,
    #[error("nft refuses: {0}")]
    Refused(String),
}

/// What it prints.
async fn nft(arguments: &[&str], input: &str) -> Result<String, Failed> {
    let mut nft = tokio::process::Command::new("nft");
    nft.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let run = async {
        let mut child = nft.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(PATIENCE, run).await.map_err(|_| Failed::Silent)?;
    let output = output.map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound { Failed::Missing } else { Failed::NotRun(error) }
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failed::Refused(said.lines().next().unwrap_or_default().to_owned()))
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

    /// As nftables 1.0.6 shows the rules above, with `--numeric`.
    const LISTING: &str = "table inet lightsout_metadata {
\tchain forward {
\t\ttype filter hook forward priority -10; policy accept;
\t\tip daddr 169.254.169.254 counter packets 7 bytes 420 reject with icmp 3
\t\tip6 daddr fd00:ec2::254 counter packets 0 bytes 0 reject with icmpv6 4
\t}

\tchain output {
\t\ttype filter hook output priority -10; policy accept;
\t\tmeta skuid 997 ip daddr 169.254.169.254 counter packets 0 bytes 0 reject with icmp 3
\t\tmeta skuid 997 ip6 daddr fd00:ec2::254 counter packets 0 bytes 0 reject with icmpv6 4
\t}
}
";

    #[test]
    fn rules_that_are_there_are_recognised_and_each_that_is_not_is_named() {
        assert_eq!(open(LISTING, None), Vec::<String>::new(), "more than is needed is no harm");
        let of_other = ["the user other may reach 169.254.169.254", "the user other may reach fd00:ec2::254"];
        assert_eq!(open(LISTING, Some(("other", 998))), of_other);
        let open = |listing: &str| open(listing, Some(("runner", 997)));
        assert_eq!(open(LISTING), Vec::<String>::new());
        assert_eq!(open(&LISTING.replace("ip6 daddr fd00", "ip6 daddr fd01")).len(), 2);
        assert_eq!(open(&LISTING.replacen("reject", "accept", 1)), ["containers may reach 169.254.169.254"]);
        assert_eq!(open(&LISTING.replace("hook forward", "hook input")).len(), 2);
        assert_eq!(open(&LISTING.replacen('{', "{\n\tflags dormant", 1)).len(), 4);
        assert_eq!(open("").len(), 4);
    }
}
