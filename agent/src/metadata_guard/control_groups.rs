//! Control groups whose processes are kept from the metadata service, whoever's they are: root's as well.
//!
//! Only of version 2, where systemd has it alone: nft(8) looks for them where that mounts it. A rule names a group that is there when the rule is
//! loaded, and counts for all below it. So each is a slice, which stays when what was in it has gone.

use std::{path::Path, time::Duration};

use lightsout_core::{doctor::facts::CONTAINERS, settings::AgentSettings};

use crate::systemd::ask;

/// Below which runners' units are.
pub(crate) const RUNNERS: &str = "lightsout.slice";
/// Where control groups are (systemd, "Control Group APIs and Delegation").
const ROOT: &str = "/sys/fs/cgroup";
/// How long systemd may take to make them.
const SYSTEMD_TIMEOUT: Duration = Duration::from_secs(5);

/// A group, and whose processes are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) whose: &'static str,
}

/// Those that these settings want refused: containers, where the engine puts them and where the platform's runner does, and what a runner starts,
/// where it is not let through.
pub(super) fn wanted(settings: &AgentSettings) -> Vec<Group> {
    let containers = [Some(CONTAINERS), settings.platform.needs().slice].into_iter().flatten();
    let containers = containers.map(|name| Group { name, whose: "containers on the host's network" });
    let runners = Group { name: RUNNERS, whose: "whatever a runner starts" };
    containers.chain(settings.keeps_user_from_metadata().then_some(runners)).collect()
}

/// Has systemd make those that are missing.
pub(super) async fn make(groups: &[Group]) {
    let root = Path::new(ROOT);
    let missing: Vec<_> = groups.iter().filter(|group| !root.join(group.name).is_dir()).collect();
    if !is_version_2(root) || missing.is_empty() {
        return;
    }
    let arguments = ["start"].into_iter().chain(missing.iter().map(|group| group.name)).map(str::to_owned).collect();
    if let Err(why) = ask("systemctl", arguments, SYSTEMD_TIMEOUT).await {
        tracing::warn!(why, "jobs are told by their user alone, not by their control group");
    }
}

/// Those of them that are there.
pub(super) fn there(groups: Vec<Group>) -> Vec<Group> {
    there_in(Path::new(ROOT), groups)
}

fn there_in(root: &Path, groups: Vec<Group>) -> Vec<Group> {
    if !is_version_2(root) {
        return Vec::new();
    }
    groups.into_iter().filter(|group| root.join(group.name).is_dir()).collect()
}

/// Only the root of version 2 has this file (Linux, "Control Group v2"); where both are mounted it is elsewhere.
fn is_version_2(root: &Path) -> bool {
    root.join("cgroup.controllers").is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lightsout_core::settings::Fragment;

    use super::*;

    const GITLAB: &str = "url = 'https://gitlab.example.com'\ntoken = 'glrt-x'\nimage = 'alpine'\nexecutor = 'docker'";
    const STACKGUARDIAN: &str = "organization = 'acme'\nrunner_group = 'ci'\ntoken = 'x'";

    fn settings(platform: &str, text: &str) -> AgentSettings {
        let text = format!("[platform.{platform}]\n{text}\n");
        let file = Fragment { path: "f.toml".into(), text };
        AgentSettings::parse(&[file]).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn names(groups: Vec<Group>) -> Vec<&'static str> {
        groups.into_iter().map(|group| group.name).collect()
    }

    #[test]
    fn containers_are_refused_wherever_the_platforms_runner_puts_them() {
        assert_eq!(names(wanted(&settings("gitlab", GITLAB))), [CONTAINERS, RUNNERS]);
        // Its runner is let through, and the tasks are no children of the engine's own slice.
        assert_eq!(names(wanted(&settings("stackguardian", STACKGUARDIAN))), [CONTAINERS, "ecstasks.slice"]);
    }

    #[test]
    fn groups_that_are_there_are_refused_where_version_2_is_alone() {
        let root = tempfile::tempdir().unwrap();
        let there = || names(there_in(root.path(), wanted(&settings("gitlab", GITLAB))));
        for name in [CONTAINERS, RUNNERS, "unified"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("unified/cgroup.controllers"), "").unwrap();
        assert_eq!(there(), [""; 0], "both versions: nft would look in vain");
        fs::write(root.path().join("cgroup.controllers"), "cpu\n").unwrap();
        assert_eq!(there(), [CONTAINERS, RUNNERS]);
        fs::remove_dir(root.path().join(CONTAINERS)).unwrap();
        assert_eq!(
            there(),
            [RUNNERS],
            "a rule that names what is not there is no rule, and none of the others would be one"
        );
    }
}
