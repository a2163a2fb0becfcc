//! What a run that was killed has left behind.

use std::{fmt, time::Duration};

use anyhow::{Context, Result};
use bollard::Docker;

use crate::{
    containers,
    fleet_dir::LockedFleetDir,
    plural::plural,
    processes::{self, ProcessScope},
};

/// How much there was to clean up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leftovers {
    /// The last run did not end by itself.
    pub killed: bool,
    pub processes: usize,
    pub containers: usize,
    pub instances: usize,
}

/// Ends the processes, removes the containers and the files of any earlier run in this directory.
pub(super) async fn clear(locked: &LockedFleetDir, docker: Option<&Docker>) -> Result<Leftovers> {
    let fleet = locked.dir.fleet_name();
    let remove = async |label: &str| match docker {
        Some(docker) => containers::remove(docker, label, &fleet)
            .await
            .context("the containers of an earlier run cannot be removed"),
        None => Ok(0),
    };
    // A machine would start again what is ended on it.
    let machines = remove(containers::BOOTED_LABEL).await?;
    let processes = processes::end(&ProcessScope::Fleet(fleet.clone()), Duration::ZERO).await;
    let containers = machines + remove(containers::FLEET_LABEL).await?;
    let killed = locked.retract();
    let instances = locked.clear().with_context(|| format!("cannot clean up {}", locked.dir.path().display()))?;
    Ok(Leftovers { killed, processes, containers, instances })
}

impl Leftovers {
    /// Whether a dead run left more than its logs.
    pub(super) fn any(&self) -> bool {
        self.killed || self.processes > 0 || self.containers > 0
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.killed { "an earlier run was killed" } else { "an earlier run left something behind" };
        write!(
            f,
            "{end}: cleaned up {}, {} and the files of {}",
            plural(self.processes, "process", "processes"),
            plural(self.containers, "container", "containers"),
            plural(self.instances, "instance", "instances")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_alone_are_not_worth_a_line() {
        assert!(!Leftovers { instances: 5, ..Leftovers::default() }.any());
        assert!(Leftovers { killed: true, ..Leftovers::default() }.any());
        assert!(Leftovers { containers: 1, ..Leftovers::default() }.any());
    }

    #[test]
    fn one_line_says_it_all() {
        let left = Leftovers { killed: true, processes: 7, containers: 1, instances: 2 };
        assert_eq!(
            left.to_string(),
            "an earlier run was killed: cleaned up 7 processes, 1 container and the files of 2 instances"
        );
    }

    #[tokio::test]
    async fn files_go_and_the_place_can_be_used() {
        let temp = tempfile::tempdir().unwrap();
        let fleet_dir = crate::fleet_dir::FleetDir::new(Some(temp.path().join("fleet"))).unwrap();
        let locked = fleet_dir.lock().unwrap();
        locked.announce("http://127.0.0.1:1").unwrap();
        std::fs::create_dir_all(fleet_dir.instances().join("i-1")).unwrap();
        let left = clear(&locked, None).await.unwrap();
        assert_eq!(left, Leftovers { killed: true, processes: 0, containers: 0, instances: 1 });
        assert_eq!(clear(&locked, None).await.unwrap(), Leftovers::default());
    }
}
