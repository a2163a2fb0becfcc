//! Room for jobs: how much there is, told again and again, and how more is made.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use lightsout_core::{
    agent::event::Event,
    settings::AgentSettings,
    space::{FileSystem, SpaceNeeds, Stock},
};
use rustix::{
    fs::statvfs,
    io::{FdFlags, fcntl_setfd},
    process::{Pid, Signal, kill_process_group},
};
use tokio::{process::Command, time::timeout};

use crate::{
    docker::Engine,
    input::{Input, Inputs},
};

/// The pause between two looks: as between two samples of an idle instance.
const PERIOD: Duration = Duration::from_secs(5);
/// How long one look may take: a network file system may not answer.
const LOOK: Duration = Duration::from_secs(3);
/// The pause between two looks at whether an earlier cleaning is over.
const POLL: Duration = Duration::from_secs(1);
/// The engine's settings, and where its data are without any (Docker documentation, "dockerd", Linux).
const ENGINE_SETTINGS: &str = "/etc/docker/daemon.json";
const ENGINE_DATA: &str = "/var/lib/docker";

/// The room for jobs on this instance.
pub(crate) struct Space {
    needs: SpaceNeeds,
    /// Folders in the file systems that count.
    folders: Vec<PathBuf>,
    /// The operator's own program that makes room.
    clean: Option<Vec<String>>,
    /// How long making room may take.
    limit: Duration,
    /// The engine whose leavings are removed where there is no such program.
    engine: Option<Arc<Engine>>,
    /// Locked for as long as room is being made, by this agent or by what an earlier one started. In memory: the disk may be full.
    lock: PathBuf,
}

impl Space {
    /// As the settings have it; `engine` where jobs are containers of it.
    pub(crate) fn new(settings: &AgentSettings, engine: Option<Arc<Engine>>) -> Self {
        let mut folders = vec![settings.state_dir.clone()];
        if engine.is_some() {
            folders.push(engine_data(Path::new(ENGINE_SETTINGS)));
        }
        folders.extend(settings.disk_paths.iter().cloned());
        Self {
            needs: settings.space.clone(),
            folders,
            clean: settings.clean.clone(),
            limit: settings.clean_timeout,
            engine,
            lock: settings.socket.with_file_name("clean.lock"),
        }
    }

    /// Tells the agent again and again what there is too little of, and once that there is enough.
    pub(crate) fn watch(self: &Arc<Self>, inputs: Inputs) {
        let space = Arc::clone(self);
        tokio::spawn(async move {
            let mut short = false;
            loop {
                // What cannot be told is no shortage.
                if let Some(shortage) = space.shortage().await {
                    let was = std::mem::replace(&mut short, shortage.is_some());
                    if let (Some(why), false) = (&shortage, was) {
                        tracing::warn!("too little room for another job: {why}");
                    }
                    if (was || short) && inputs.send(Input::Event(Event::Shortage(shortage))).await.is_err() {
                        return;
                    }
                }
                tokio::time::sleep(PERIOD).await;
            }
        });
    }

    /// What there is too little of, if anything; `None` when that could not be told in time.
    async fn shortage(self: &Arc<Self>) -> Option<Option<String>> {
        let space = Arc::clone(self);
        let looking = tokio::task::spawn_blocking(move || {
            let found: Vec<_> = space.folders.iter().filter_map(|folder| file_system(folder)).collect();
            space.needs.shortage(&found, space.needs.memory.and_then(|_| memory()))
        });
        timeout(LOOK, looking).await.ok()?.ok()
    }

    /// Whether no room is being made any more.
    pub(crate) fn is_over(&self) -> Result<(), String> {
        match File::open(&self.lock).and_then(|file| Ok(file.try_lock()?)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err("room for jobs is still being made (agent.clean); it must be over first".into())
            }
            // Nobody ever made any; or it cannot be told, and then this agent has made none.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes room, unless there is enough; an error says of what there is too little then.
    pub(crate) async fn make_room(self: &Arc<Self>) -> Result<(), String> {
        let file = timeout(self.limit, self.take_lock())
            .await
            .map_err(|_| "what an earlier agent began to make room does not end".to_owned())??;
        if self.shortage().await == Some(None) {
            return Ok(());
        }
        let said = match (&self.clean, &self.engine) {
            (Some(argv), _) => self.run(argv, &file).await,
            (None, Some(engine)) => engine.prune(self.limit).await,
            (None, None) => "there is nothing to remove without a program of yours (agent.clean)".into(),
        };
        tracing::info!(said, "made room for jobs");
        match self.shortage().await {
            Some(None) => Ok(()),
            Some(Some(shortage)) => Err(format!("{shortage}; {said}")),
            None => Err(format!("how much is free cannot be told; {said}")),
        }
    }

    async fn take_lock(&self) -> Result<File, String> {
        let file = File::create(&self.lock).map_err(|error| format!("{}: {error}", self.lock.display()))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(POLL).await,
                Err(TryLockError::Error(error)) => return Err(format!("{}: {error}", self.lock.display())),
            }
        }
    }

    /// Runs the operator's program; what became of it. It inherits the lock, and so does whatever it starts: an agent that comes after this one
    /// knows whether it goes on.
    async fn run(&self, argv: &[String], lock: &File) -> String {
        let Some((program, arguments)) = argv.split_first() else { return "agent.clean is empty".into() };
        // Not as its standard input, which a shell takes away from what it starts in the background.
        let inherited = lock.try_clone().and_then(|lock| Ok(fcntl_setfd(&lock, FdFlags::empty()).map(|()| lock)?));
        let inherited = match inherited {
            Ok(inherited) => inherited,
            Err(error) => return format!("agent.clean: {error}"),
        };
        let mut command = Command::new(program);
        let started = command.args(arguments).stdin(Stdio::null()).process_group(0).kill_on_drop(true).spawn();
        drop(inherited);
        let mut child = match started {
            Ok(child) => child,
            Err(error) => return format!("agent.clean: {program}: {error}"),
        };
        match timeout(self.limit, child.wait()).await {
            Ok(Ok(status)) if status.success() => "agent.clean has done its work".into(),
            Ok(Ok(status)) => format!("agent.clean: {program}: {status}"),
            Ok(Err(error)) => format!("agent.clean: {program}: {error}"),
            Err(_) => {
                let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
                if let Some(group) = group {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = child.wait().await;
                format!("agent.clean: {program} did not end within agent.clean_timeout")
            }
        }
    }
}

fn file_system(folder: &Path) -> Option<FileSystem> {
    let found = statvfs(folder).ok()?;
    Some(FileSystem {
        folder: folder.to_owned(),
        bytes: Stock {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            free: found.f_bavail.saturating_mul(found.f_frsize),
        },
        inodes: Stock { total: found.f_files, free: found.f_favail },
    })
}

/// Memory, of which is free what programs can get without swapping (proc(5), `MemAvailable`).
fn memory() -> Option<Stock> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    Some(Stock { total: value("MemTotal:")?, free: value("MemAvailable:")? })
}

/// Where the engine keeps images and containers.
fn engine_data(settings: &Path) -> PathBuf {
    let found = fs::read(settings).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    found.and_then(|found| Some(found["data-root"].as_str()?.into())).unwrap_or_else(|| ENGINE_DATA.into())
}

#[cfg(test)]
mod tests;
