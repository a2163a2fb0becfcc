//! What a fleet leaves behind: its processes, known by a variable that all inherit, and its containers, known by their
//! label.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use bollard::{
    Docker,
    query_parameters::{ListContainersOptions, RemoveContainerOptions},
};
use rustix::process::{Pid, Signal, kill_process};

/// Set for `up`, and inherited by everything that it starts.
pub(super) const FLEET_ENV: &str = "LIGHTSOUT_TEST_FLEET";
/// What `up` sets for everything that it starts: `FLEET/MACHINE`.
const MACHINE_ENV: &str = "LIGHTSOUT_MACHINE";
const LABEL: &str = "lightsout.fleet";
/// A process that was killed may need a moment to be gone.
const GRACE: Duration = Duration::from_secs(10);

/// How one fleet's traces are recognised.
pub(super) struct Traces {
    dir: PathBuf,
    /// The fleet's name, in the marker of its processes and the label of its containers.
    name: Option<String>,
}

impl Traces {
    /// Those of the fleet in this directory.
    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), name: None }
    }

    /// Learns the fleet's name from one of its processes.
    pub(super) fn learn(&mut self) -> Option<()> {
        let value = self.processes().into_iter().find_map(|process| variable(&process.environment, MACHINE_ENV))?;
        self.name = Some(value.split_once('/')?.0.to_owned());
        Some(())
    }

    /// That nothing of it is left.
    pub(super) fn none_left(&self) {
        let begun = Instant::now();
        loop {
            let processes: Vec<_> = self.processes().into_iter().map(|process| process.command).collect();
            let containers = self.containers();
            if processes.is_empty() && containers.is_empty() {
                return;
            }
            assert!(begun.elapsed() < GRACE, "left behind: processes {processes:?}, containers {containers:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// How many processes and containers there are.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.processes().len(), self.containers().len())
    }

    /// Kills and removes whatever there is.
    pub(super) fn clear(&self) {
        for _ in 0..100 {
            let processes = self.processes();
            if processes.is_empty() {
                break;
            }
            for process in processes {
                if let Some(id) = Pid::from_raw(process.id) {
                    let _ = kill_process(id, Signal::KILL);
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
        let containers = self.containers();
        if !containers.is_empty() {
            with_engine(async |docker| {
                for id in &containers {
                    let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
                    let _ = docker.remove_container(id, Some(options)).await;
                }
            });
        }
    }

    fn processes(&self) -> Vec<Process> {
        let wanted = self.dir.to_string_lossy();
        let ids =
            fs::read_dir("/proc").expect("Linux").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        ids.filter_map(Process::read)
            .filter(|process| variable(&process.environment, FLEET_ENV).as_deref() == Some(&*wanted))
            .collect()
    }

    fn containers(&self) -> Vec<String> {
        let Some(name) = &self.name else { return Vec::new() };
        let filters = HashMap::from([("label".to_owned(), vec![format!("{LABEL}={name}")])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
        let list = async |docker: Docker| docker.list_containers(Some(options)).await;
        let found = with_engine(list).transpose().expect("the engine lists its containers");
        found.into_iter().flatten().filter_map(|container| container.id).collect()
    }
}

/// Whether a Docker engine answers.
pub(super) fn engine_answers() -> bool {
    with_engine(async |_| ()).is_some()
}

fn with_engine<T>(work: impl AsyncFnOnce(Docker) -> T) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an event loop");
    runtime.block_on(async {
        let docker = Docker::connect_with_local_defaults().ok()?.negotiate_version().await.ok()?;
        docker.ping().await.ok()?;
        Some(work(docker).await)
    })
}

struct Process {
    id: i32,
    environment: Vec<u8>,
    command: String,
}

impl Process {
    /// None when it is gone, is somebody else's, or has exited and waits to be collected.
    fn read(id: i32) -> Option<Self> {
        let environment = fs::read(format!("/proc/{id}/environ")).ok()?;
        let command = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        Some(Self { id, environment, command: String::from_utf8_lossy(&command).replace('\0', " ") })
    }
}

fn variable(environment: &[u8], name: &str) -> Option<String> {
    environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}
