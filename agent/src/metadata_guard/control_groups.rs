//! Control groups whose processes are kept from the metadata service, whoever's they are: root's as well.
//!
//! Only of version 2, where systemd has it alone: nft(8) looks for them where that mounts it. A rule names a group that is there when the rule is
//! loaded, and counts for all below it. So each is a slice, which stays when what was in it has gone.

use std::{path::Path, time::Duration};

use lightsout_core::doctor::facts::CONTAINERS;

use crate::systemd::ask;

/// Below which runners' units are.
pub(crate) const RUNNERS: &str = "lightsout.slice";
/// Where control groups are (systemd, "Control Group APIs and Delegation").
const ROOT: &str = "/sys/fs/cgroup";
/// How long systemd may take to make them.
const PATIENCE: Duration = Duration::from_secs(5);

/// A group, and whose processes are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) whose: &'static str,
}

const OF_CONTAINERS: Group = Group { name: CONTAINERS, whose: "containers on the host's network" };
const OF_RUNNERS: Group = Group { name: RUNNERS, whose: "whatever a runner starts" };

/// Has systemd make those that are missing.
pub(super) async fn make() {
    let root = Path::new(ROOT);
    if !is_version_2(root) || [CONTAINERS, RUNNERS].iter().all(|name| root.join(name).is_dir()) {
        return;
    }
    let arguments = ["start", CONTAINERS, RUNNERS].map(str::to_owned).to_vec();
    if let Err(why) = ask("systemctl", arguments, PATIENCE).await {
        tracing::warn!(why, "jobs are told by their user alone, not by their control group");
    }
}

/// Those that are there and are to be refused: containers, and the runner's where it is not let through.
pub(super) fn refused(runners: bool) -> Vec<Group> {
    refused_in(Path::new(ROOT), runners)
}

fn refused_in(root: &Path, runners: bool) -> Vec<Group> {
    let wanted = [OF_CONTAINERS].into_iter().chain(runners.then_some(OF_RUNNERS));
    wanted.filter(|group| is_version_2(root) && root.join(group.name).is_dir()).collect()
}

/// Only the root of version 2 has this file (Linux, "Control Group v2"); where both are mounted it is elsewhere.
fn is_version_2(root: &Path) -> bool {
    root.join("cgroup.controllers").is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn groups_that_are_there_are_refused_where_version_2_is_alone() {
        let root = tempfile::tempdir().unwrap();
        let names = |runners| refused_in(root.path(), runners).iter().map(|group| group.name).collect::<Vec<_>>();
        for name in [CONTAINERS, RUNNERS, "unified"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("unified/cgroup.controllers"), "").unwrap();
        assert_eq!(names(true), [""; 0], "both versions: nft would look in vain");
        fs::write(root.path().join("cgroup.controllers"), "cpu\n").unwrap();
        assert_eq!(names(true), [CONTAINERS, RUNNERS]);
        assert_eq!(names(false), [CONTAINERS], "the runner is let through");
        fs::remove_dir(root.path().join(CONTAINERS)).unwrap();
        assert_eq!(
            names(true),
            [RUNNERS],
            "a rule that names what is not there is no rule, and none of the others would be one"
        );
    }
}
