//! Keeps jobs from the instance's metadata service, and with it from the instance's role, which may end the group's other instances.
//!
//! Rules of nftables, put up before this agent starts its first runner: one that was found goes on with what it began with. They stay when the agent
//! is gone, as the runner does. They tell jobs by their user and, where version 2 of control groups is there, by their group. Without it they do not
//! stop root on the machine's own network: a job of the user root, and a container on the host's network. With it they stop who does not get out of
//! its group, which root can that is not in a container.

mod control_groups;

use std::{env, io, process::Stdio, sync::Arc, time::Duration};

use lightsout_core::{
    doctor::facts::{Fact, GuardFacts},
    duration::not_within,
    settings::{AgentSettings, MetadataGuard},
};
use rustix::process::geteuid;
use tokio::{io::AsyncWriteExt, sync::OnceCell};

use self::control_groups::Group;
pub(crate) use self::control_groups::RUNNERS;
use crate::runner_user::RunnerUser;

/// Where instances ask (EC2 user guide, "Access instance metadata").
const SERVICES: [(&str, &str); 2] = [("ip", "169.254.169.254"), ("ip6", "fd00:ec2::254")];
const TABLE: &str = "table inet lightsout_metadata";
/// Of the chains, which are called as what they see.
const FORWARD: &str = "forward";
const OUTPUT: &str = "output";
const NFT_TIMEOUT: Duration = Duration::from_secs(10);

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
    let wanted = control_groups::wanted(settings);
    if on {
        control_groups::make(&wanted).await;
    }
    let mut groups = control_groups::there(wanted);
    let mut loaded = load(&rules(on.then(|| targets(kept, &groups)).as_deref())).await;
    if on && loaded.is_err() && !groups.is_empty() {
        // An nft or a kernel that knows no control groups.
        groups.clear();
        loaded = load(&rules(Some(&targets(kept, &groups)))).await;
    }
    let names = groups.iter().map(|group| group.name).collect::<Vec<_>>();
    match loaded {
        Ok(()) if on => tracing::info!(
            user = kept.map(|user| &*user.name),
            control_groups = names.join(" "),
            "jobs are kept from the metadata service"
        ),
        Err(why) if on => tracing::warn!(
            why,
            "jobs that are not in a container behind a hop limit of 1 can take the instance's role from the metadata service: install nftables"
        ),
        Ok(()) | Err(_) => {}
    }
    if on && user.is_none() {
        tracing::warn!("jobs run as root, and root can get around what keeps it from the metadata service");
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
    let groups = control_groups::there(control_groups::wanted(settings));
    Some(list().await.map(|listing| match open(&listing, &targets(user, &groups)) {
        open if open.is_empty() => GuardFacts::Up {
            user: user.map(|user| user.name.clone()),
            groups: groups.iter().map(|group| group.name.to_owned()).collect(),
        },
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

/// Whose packets are refused, on their way through which chain.
struct Target {
    chain: &'static str,
    packets: String,
    who: String,
}

/// All that are refused beside containers on networks of their own, whose packets are forwarded: this user, and these groups.
fn targets(user: Option<&RunnerUser>, groups: &[Group]) -> Vec<Target> {
    let containers = Target { chain: FORWARD, packets: String::new(), who: "containers".into() };
    let user = user.map(|user| Target {
        chain: OUTPUT,
        packets: format!("meta skuid {} ", user.uid),
        who: format!("the user {}", user.name),
    });
    let groups = groups.iter().map(|group| Target {
        chain: OUTPUT,
        packets: format!("socket cgroupv2 level 1 \"{}\" ", group.name),
        who: group.whose.to_owned(),
    });
    [containers].into_iter().chain(user).chain(groups).collect()
}

impl Target {
    fn matching(&self, (family, address): (&str, &str)) -> String {
        format!("{}{family} daddr {address}", self.packets)
    }
}

/// What refuses these, as nft(8) reads it; all or nothing. `None`: what takes the rules down.
fn rules(targets: Option<&[Target]>) -> String {
    // A table that is named is there, so that it can be deleted.
    let mut text = format!("{TABLE}\ndelete {TABLE}\n");
    let Some(targets) = targets else { return text };
    text += &format!("{TABLE} {{\n");
    for targets in targets.chunk_by(|one, next| one.chain == next.chain) {
        for (n, target) in targets.iter().enumerate() {
            if n == 0 {
                text += &format!("chain {0} {{\ntype filter hook {0} priority -10;\n", target.chain);
            }
            text.extend(SERVICES.map(|service| format!("{} counter reject\n", target.matching(service))));
        }
        text += "}\n";
    }
    text + "}\n"
}

/// What these rules, as nft lists them, leave open and must not.
fn open(listing: &str, targets: &[Target]) -> Vec<String> {
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
    for target in targets {
        for service in SERVICES {
            if !refused.contains(&(target.chain, &target.matching(service))) {
                open.push(format!("{} may reach {}", target.who, service.1));
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
    #[error("{}", not_within("nft did not end", NFT_TIMEOUT, "is the machine overloaded?"))]
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
    let output = tokio::time::timeout(NFT_TIMEOUT, run).await.map_err(|_| Failed::Silent)?;
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
    use std::fs;

    use lightsout_core::settings::RunnerEnvironment;

    use super::*;

    fn user(name: &str, uid: u32) -> RunnerUser {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), format!("{name}:x:{uid}:{uid}::/:\n")).unwrap();
        let wanted = RunnerEnvironment { user: Some(name.into()), ..RunnerEnvironment::default() };
        RunnerUser::on(root.path(), &wanted, 0).unwrap().unwrap()
    }

    const DOCKER: Group = Group { name: "docker.slice", whose: "containers on the host's network" };
    const RUNNER: Group = Group { name: "lightsout.slice", whose: "whatever a runner starts" };

    #[test]
    fn the_rules_are_of_both_services_for_containers_and_for_the_user() {
        // tests/metadata/run shows what these rules do.
        let expected = include_str!("metadata_guard/rules.nft");
        let runner = user("runner", 997);
        assert_eq!(rules(Some(&targets(Some(&runner), &[DOCKER, RUNNER]))), expected);
        let without_groups: String = expected.split_inclusive('\n').filter(|line| !line.contains("cgroupv2")).collect();
        assert_eq!(rules(Some(&targets(Some(&runner), &[]))), without_groups);
        let forward = expected.split("chain output").next().unwrap().to_owned();
        assert_eq!(rules(Some(&targets(None, &[]))), forward + "}\n");
        assert_eq!(rules(None), "table inet lightsout_metadata\ndelete table inet lightsout_metadata\n");
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
\t\tsocket cgroupv2 level 1 \"docker.slice\" ip daddr 169.254.169.254 counter packets 1 bytes 60 reject with icmp 3
\t\tsocket cgroupv2 level 1 \"docker.slice\" ip6 daddr fd00:ec2::254 counter packets 0 bytes 0 reject with icmpv6 4
\t}
}
";

    #[test]
    fn rules_that_are_there_are_recognised_and_each_that_is_not_is_named() {
        assert_eq!(open(LISTING, &targets(None, &[])), Vec::<String>::new(), "more than is needed is no harm");
        let of_other = ["the user other may reach 169.254.169.254", "the user other may reach fd00:ec2::254"];
        assert_eq!(open(LISTING, &targets(Some(&user("other", 998)), &[])), of_other);
        let of_runner =
            ["whatever a runner starts may reach 169.254.169.254", "whatever a runner starts may reach fd00:ec2::254"];
        assert_eq!(open(LISTING, &targets(None, &[DOCKER, RUNNER])), of_runner);
        let open = |listing: &str| open(listing, &targets(Some(&user("runner", 997)), &[DOCKER]));
        assert_eq!(open(LISTING), Vec::<String>::new());
        // A group that is there anew is another one, and nft shows a number for what has gone.
        assert_eq!(open(&LISTING.replace("\"docker.slice\"", "4711")).len(), 2);
        assert_eq!(open(&LISTING.replace("ip6 daddr fd00", "ip6 daddr fd01")).len(), 3);
        assert_eq!(open(&LISTING.replacen("reject", "accept", 1)), ["containers may reach 169.254.169.254"]);
        assert_eq!(open(&LISTING.replace("hook forward", "hook input")).len(), 2);
        assert_eq!(open(&LISTING.replacen('{', "{\n\tflags dormant", 1)).len(), 6);
        assert_eq!(open("").len(), 6);
    }
}
