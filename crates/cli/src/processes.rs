//! Processes of a fleet, found by the variable that all of them inherit.

use std::{fs, io, time::Duration};

pub(crate) use lightsout_localrunner::machine::MACHINE_ENV;

use crate::process_handle::ProcessHandle;

/// Which processes are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProcessScope {
    /// Everything of a fleet.
    Fleet(String),
    /// What runs on one of its machines.
    Machine {
        /// The fleet's name.
        fleet: String,
        /// The instance id, or `scaler`.
        id: String,
    },
}

impl ProcessScope {
    /// The variable's value for what is started on a machine.
    pub(crate) fn machine(fleet: &str, id: &str) -> Self {
        Self::Machine { fleet: fleet.to_owned(), id: id.to_owned() }
    }

    /// The marker's value, for a new process of a machine.
    pub(crate) fn value(&self) -> String {
        match self {
            Self::Fleet(fleet) => fleet.clone(),
            Self::Machine { fleet, id } => format!("{fleet}/{id}"),
        }
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Fleet(fleet) => value.strip_prefix(fleet.as_str()).is_some_and(|rest| rest.starts_with('/')),
            Self::Machine { .. } => value == self.value(),
        }
    }
}

/// Ends all of these processes: asks, waits for as long as `grace`, then kills. Returns how many there were at first.
pub(crate) async fn end(scope: &ProcessScope, grace: Duration) -> usize {
    let started = tokio::time::Instant::now();
    let found = find(scope);
    let count = found.len();
    signal(&found, ProcessHandle::terminate);
    while started.elapsed() < grace && !find(scope).is_empty() {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    // A process may fork between the look and the kill, so look until none is left. One in an uninterruptible call stays a
    // little longer; after a hundred rounds it is the kernel's.
    for _ in 0..100 {
        let left = find(scope);
        if left.is_empty() {
            break;
        }
        signal(&left, ProcessHandle::kill);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    count
}

fn signal(found: &[ProcessHandle], send: impl Fn(&ProcessHandle) -> io::Result<()>) {
    for process in found {
        if let Err(error) = send(process) {
            tracing::warn!(%error, "a process of the fleet cannot be signalled");
        }
    }
}

/// Handles on the processes; each stays with its process even when the process id is given to another.
fn find(scope: &ProcessScope) -> Vec<ProcessHandle> {
    pids().filter(|pid| *pid != std::process::id()).filter_map(|pid| handle(scope, pid).ok().flatten()).collect()
}

/// Those of these processes that have this name.
pub(crate) fn named(scope: &ProcessScope, name: &str) -> Vec<ProcessHandle> {
    let is_named = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|it| it.trim_end() == name);
    pids().filter(is_named).filter_map(|pid| handle(scope, pid).ok().flatten()).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
}

fn handle(scope: &ProcessScope, pid: u32) -> io::Result<Option<ProcessHandle>> {
    let environment = format!("/proc/{pid}/environ");
    if !carries(&fs::read(&environment)?, scope) {
        return Ok(None);
    }
    let process = ProcessHandle::open(pid)?;
    // Only now is it certain whose handle that is.
    Ok(carries(&fs::read(&environment)?, scope).then_some(process))
}

fn carries(environment: &[u8], scope: &ProcessScope) -> bool {
    environment.split(|byte| *byte == 0).any(|variable| {
        variable
            .strip_prefix(MACHINE_ENV.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
            .and_then(|value| std::str::from_utf8(value).ok())
            .is_some_and(|value| scope.matches(value))
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_marker_is_matched_whole() {
        let one = ProcessScope::machine("f00", "i-1");
        let all = ProcessScope::Fleet("f00".to_owned());
        let environment = |value: &str| format!("PATH=/bin\0{MACHINE_ENV}={value}\0HOME=/\0").into_bytes();
        assert!(carries(&environment("f00/i-1"), &one));
        assert!(!carries(&environment("f00/i-12"), &one));
        assert!(!carries(&environment("f00/i"), &one));
        assert!(carries(&environment("f00/i-12"), &all));
        assert!(!carries(&environment("f001/i-1"), &all));
        assert!(!carries(b"PATH=/bin\0XLIGHTSOUT_MACHINE=f00/i-1\0", &all));
        assert!(!carries(b"", &all));
    }

    #[tokio::test]
    async fn everything_that_inherited_the_marker_ends_and_nothing_else() {
        let fleet = format!("test-{}", std::process::id());
        let spawn = |id: &str, script: &str| {
            Command::new("sh")
                .args(["-c", script])
                .env(MACHINE_ENV, ProcessScope::machine(&fleet, id).value())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut stubborn = spawn("i-1", "trap '' TERM; sleep 600 & sleep 600");
        let mut other = spawn("i-2", "exec sleep 600");
        while find(&ProcessScope::machine(&fleet, "i-1")).len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(end(&ProcessScope::machine(&fleet, "i-1"), Duration::from_millis(50)).await >= 3);
        assert!(!stubborn.wait().unwrap().success());
        assert!(find(&ProcessScope::machine(&fleet, "i-1")).is_empty());
        assert!(other.try_wait().unwrap().is_none());
        assert_eq!(end(&ProcessScope::Fleet(fleet.clone()), Duration::from_secs(1)).await, 1);
        assert!(!other.wait().unwrap().success());
    }
}
