//! Rows about the state of the machine.

use super::{Facts, Judgement, Row, Scope, Verdict, facts::GuardFacts};
use crate::space::{FileSystem, MinimumFree, SpaceNeeds, Stock, format_size};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "agent",
        scope: Scope::Instance,
        meaning: "the agent runs and answers",
        remedy: "systemctl status lightsout-agent; journalctl -u lightsout-agent",
        judge: |facts| match facts.machine.agent.as_ref()? {
            Ok(agent) => match &agent.note {
                None => Judgement::ok(format!("it is {}", agent.phase)),
                Some(note) => Judgement::warning(format!("it is {}: {note}", agent.phase)),
            },
            Err(why) => Judgement::wrong(why.clone()),
        },
    },
    Row {
        id: "agent.version",
        scope: Scope::Instance,
        meaning: "the agent that runs is the one that is installed",
        remedy: "systemctl kill --kill-who=main --signal=KILL lightsout-agent: systemd starts the new one at once, and jobs do not notice",
        judge: |facts| {
            let (running, installed) = (&facts.machine.agent.as_ref()?.as_ref().ok()?.version, facts.machine.version);
            if running == installed {
                Judgement::ok(running.clone())
            } else {
                Judgement::warning(format!("{running} runs, and {installed} is installed"))
            }
        },
    },
    Row {
        id: "docker",
        scope: Scope::Instance,
        meaning: "the Docker engine answers, where jobs need it",
        remedy: "systemctl status docker; or set `docker.enabled = false` where no job needs it",
        judge: |facts| match facts.machine.engine.as_ref()? {
            Ok(version) => Judgement::ok(version.clone()),
            Err(why) if facts.machine.engine_needed => Judgement::wrong(why.clone()),
            // Watched, as everywhere; but with this platform and these settings no job is a container.
            Err(why) => Judgement::warning(format!("{why}; until it does, the instance counts as busy")),
        },
    },
    Row {
        id: "metadata.guard",
        scope: Scope::Both,
        meaning: "jobs are kept from the metadata service by rules of nftables, as `agent.metadata_guard` has it",
        remedy: "install nftables in the image; the agent puts the rules up before it starts its first runner, so let this instance go: \
                 lightsout-agent drain",
        judge: |facts| {
            super::of(facts.machine.guard.as_ref(), |guard| match guard {
                GuardFacts::Off => Judgement::ok("they are not, as agent.metadata_guard has it"),
                GuardFacts::Ready => Judgement::ok("nftables is installed"),
                GuardFacts::Up { user, groups } => {
                    let told = match user {
                        Some(user) => format!("containers and the user {user} are refused"),
                        None => "containers are refused; the runner's user is not".to_owned(),
                    };
                    let whose =
                        if groups.is_empty() { String::new() } else { format!("; so is all in {}", groups.join(", ")) };
                    Judgement::ok(told + &whose)
                }
                GuardFacts::Open(open) => Judgement::wrong(open.join("\n")),
            })
        },
    },
    Row {
        id: "disk.space",
        scope: Scope::Both,
        meaning: "there is room for jobs: below `agent.disk_free`, where no job is taken, it is wrong, below twice that a warning",
        remedy: "docker system prune, or a larger volume in the launch template",
        judge: |facts| disks(facts, |disk, needs| (needs.disk, disk.bytes), format_size),
    },
    Row {
        id: "disk.inodes",
        scope: Scope::Both,
        meaning: "files can be made: below `agent.inodes_free`, where no job is taken, it is wrong, below twice that a warning",
        remedy: "remove caches with many small files (docker system prune), or make the file system with more inodes",
        judge: |facts| disks(facts, |disk, needs| (needs.inodes, disk.inodes), |count| count.to_string()),
    },
    Row {
        id: "network.ways-out",
        scope: Scope::Instance,
        meaning: "the machine has a way out, of a family that the platform's runner can use",
        remedy: "use a subnet with IPv4 and a way out of it (NAT, or a proxy); dual stack is fine",
        judge: |facts| {
            super::of(facts.machine.ways_out.as_ref(), |ways| match (ways.ipv4, ways.ipv6, facts.machine.needs_ipv4) {
                (true, true, _) => Judgement::ok("IPv4 and IPv6"),
                (true, false, _) => Judgement::ok("IPv4"),
                (false, true, None) => Judgement::ok("IPv6"),
                (false, true, Some(why)) => Judgement::wrong(format!("IPv6 only: {why}")),
                (false, false, _) => Judgement::wrong("there is no default route"),
            })
        },
    },
];

/// The worst of the file systems, or all of them when nothing is wrong: by what the agent itself admits jobs by.
fn disks(
    facts: &Facts,
    of: impl Fn(&FileSystem, &SpaceNeeds) -> (Option<MinimumFree>, Stock),
    words: impl Fn(u64) -> String,
) -> Option<Judgement> {
    if facts.machine.disks.is_empty() {
        return None;
    }
    let needs = facts.settings.settings.as_ref().map(|settings| settings.space.clone()).unwrap_or_default();
    let judge = |disk: &FileSystem| {
        let folder = disk.folder.display();
        let (least, Stock { total, free }) = of(disk, &needs);
        if total == 0 {
            return (Verdict::Ok, format!("{folder} has no limit"));
        }
        let wanted = least.map_or(0, |least| least.of(total));
        let verdict = if free == 0 || free < wanted {
            Verdict::Wrong
        } else if free < wanted.saturating_mul(2) {
            Verdict::Warning
        } else {
            Verdict::Ok
        };
        let limit = if wanted > 0 { format!(", and no job is taken below {}", words(wanted)) } else { String::new() };
        (verdict, format!("{folder} has {} of {} free{limit}", words(free), words(total)))
    };
    let judged: Vec<_> = facts
        .machine
        .disks
        .iter()
        .map(|disk| disk.as_ref().map_or_else(|why| (Verdict::Unknown, why.clone()), judge))
        .collect();
    let worst = [Verdict::Wrong, Verdict::Warning, Verdict::Unknown]
        .into_iter()
        .find(|verdict| judged.iter().any(|(found, _)| found == verdict))
        .unwrap_or(Verdict::Ok);
    let seen: Vec<_> = judged.into_iter().filter(|(found, _)| *found == worst).map(|(_, seen)| seen).collect();
    Some(Judgement::new(worst, seen.join(", ")))
}
