//! Room for jobs: how much there is, told again and again, and how more is made.

mod cleaner;
mod look;

use std::{
    fs::{self, File},
    io, iter,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use lightsout_core::{
    agent::event::Event,
    settings::AgentSettings,
    space::{FileSystem, Room, SpaceNeeds, Stock},
};
use rustix::fs::statvfs;
use tokio::time::timeout;

pub(crate) use self::cleaner::Cleaner;
use self::look::Looks;
use crate::{
    docker::{Engine, EngineInfo},
    input::{Input, Inputs},
};

/// The pause between two looks: as between two samples of an idle instance.
const PERIOD: Duration = Duration::from_secs(5);
/// How long one look may take: a network file system may not answer.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// The engine's settings, and where its data are without any (Docker documentation, "dockerd", Linux), for as long as it has not said.
pub(crate) const ENGINE_SETTINGS: &str = "/etc/docker/daemon.json";
const ENGINE_DATA: &str = "/var/lib/docker";

/// Folders in the file systems that count beside the engine's; without settings, by their defaults.
pub(crate) fn folders(settings: Option<&AgentSettings>) -> Vec<PathBuf> {
    match settings {
        Some(settings) => iter::once(&settings.state_dir).chain(&settings.disk_paths).cloned().collect(),
        None => vec!["/var/lib/lightsout".into()],
    }
}

/// The room for jobs on this instance.
pub(crate) struct Space {
    needs: SpaceNeeds,
    /// Folders in the file systems that count.
    folders: Vec<PathBuf>,
    /// The operator's own program that makes room.
    clean: Option<Cleaner>,
    /// The engine whose leavings are removed where there is no such program.
    engine: Option<Arc<Engine>>,
    /// Where its data are, once it has said so.
    engine_data: OnceLock<PathBuf>,
    looks: Looks,
    /// Locked for as long as room is being made, by this agent or by what an earlier one started. In memory: the disk may be full.
    lock: PathBuf,
}

impl Space {
    /// As the settings have it, with the engine of this machine, which matters where jobs may use it.
    pub(crate) fn new(settings: &AgentSettings, clean: Option<Cleaner>, engine: Option<Arc<Engine>>) -> Self {
        Self {
            needs: settings.space.clone(),
            folders: folders(Some(settings)),
            clean,
            engine: engine.filter(|_| settings.jobs_use_engine()),
            engine_data: OnceLock::new(),
            looks: Looks::within(LOOK_TIMEOUT),
            lock: settings.socket.with_file_name("clean.lock"),
        }
    }

    /// Tells the agent again and again what there is too little of, and once that there is enough.
    pub(crate) fn watch(self: &Arc<Self>, inputs: Inputs) {
        let space = Arc::clone(self);
        tokio::spawn(async move {
            let mut short = false;
            space.warn_of_untold().await;
            loop {
                space.ask_engine().await;
                let room = space.room().await;
                if let (Room::Short(why), false) = (&room, short) {
                    tracing::warn!("too little room for another job: {why}");
                }
                // That there is still enough is no news.
                let news = short || room != Room::Enough;
                short = matches!(room, Room::Short(_)) || (short && room == Room::Unknown);
                if news && inputs.send(Input::Event(Event::Room(room))).await.is_err() {
                    return;
                }
                tokio::time::sleep(PERIOD).await;
            }
        });
    }

    /// Looks once, where the engine says by now that its data are.
    pub(crate) async fn look(self: &Arc<Self>) -> Room {
        let _ = timeout(LOOK_TIMEOUT, self.ask_engine()).await;
        self.room().await
    }

    /// Whether there is room, as far as that can be told in time.
    async fn room(self: &Arc<Self>) -> Room {
        let space = Arc::clone(self);
        let looking = move || {
            let folders = space.folders.iter().cloned().chain(space.engine_folder());
            let found: Vec<_> = folders.filter_map(|folder| file_system(&folder).ok()).collect();
            space.needs.shortage(&found, space.needs.memory.and_then(|_| memory()))
        };
        match self.looks.take(looking).await {
            Some(Some(what)) => Room::Short(what),
            Some(None) => Room::Enough,
            None => Room::Unknown,
        }
    }

    /// Where the engine keeps images and containers.
    fn engine_folder(&self) -> Option<PathBuf> {
        self.engine.as_ref()?;
        Some(self.engine_data.get().cloned().unwrap_or_else(|| engine_data(Path::new(ENGINE_SETTINGS))))
    }

    /// Asks the engine where its data are, until it has said so: its settings are not all in its file.
    async fn ask_engine(&self) {
        if let (Some(engine), None) = (&self.engine, self.engine_data.get())
            && let Ok(EngineInfo { data: Some(folder), .. }) = engine.info().await
        {
            let _ = self.engine_data.set(folder);
        }
    }

    /// A folder that is not there, or cannot be looked at, does not count; whoever wrote it wants to know.
    async fn warn_of_untold(self: &Arc<Self>) {
        let space = Arc::clone(self);
        let looking = move || {
            for folder in &space.folders {
                if let Err(error) = file_system(folder) {
                    tracing::warn!(folder = %folder.display(), %error, "its file system cannot be told, and does not count");
                }
            }
        };
        if self.looks.take(looking).await.is_none() {
            tracing::warn!(folders = ?self.folders, "how much is free cannot be told: a file system does not answer");
        }
    }

    /// Whether no room is being made any more.
    pub(crate) fn is_over(&self) -> Result<(), String> {
        match File::open(&self.lock).and_then(|file| Ok(file.try_lock()?)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err("room for jobs is still being made (agent.clean); it must be over first".into())
            }
            // Nobody ever made any, or it has ended.
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!("whether room is being made is not known: {}: {error}", self.lock.display())),
        }
    }

    /// Makes room once; what came of it. The lock is held for as long as it lasts, also by what outlives this agent.
    ///
    /// # Errors
    /// When it cannot be begun, since it is under way already or the lock cannot be made.
    pub(crate) async fn make_room(&self, within: Duration) -> Result<String, String> {
        let failed = |error: io::Error| format!("no room can be made: {}: {error}", self.lock.display());
        let lock = File::create(&self.lock).map_err(failed)?;
        lock.try_lock().map_err(|error| failed(error.into()))?;
        let said = match (&self.clean, &self.engine) {
            (Some(cleaner), _) => cleaner.run(&lock, within).await,
            (None, Some(engine)) => engine.prune(within).await,
            (None, None) => "there is nothing to remove without a program of yours (agent.clean)".into(),
        };
        tracing::info!(said, "made room for jobs");
        Ok(said)
    }
}

pub(crate) fn file_system(folder: &Path) -> io::Result<FileSystem> {
    let found = statvfs(folder)?;
    Ok(FileSystem {
        folder: folder.to_owned(),
        bytes: Stock {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            free: found.f_bavail.saturating_mul(found.f_frsize),
        },
        inodes: Stock { total: found.f_files, free: found.f_favail },
    })
}

/// Memory, of which is free what programs can get without swapping (proc(5), `MemAvailable`).
pub(crate) fn memory() -> Option<Stock> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    Some(Stock { total: value("MemTotal:")?, free: value("MemAvailable:")? })
}

/// Where its settings say that the engine keeps images and containers.
pub(crate) fn engine_data(settings: &Path) -> PathBuf {
    let found = fs::read(settings).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    found.and_then(|found| Some(found["data-root"].as_str()?.into())).unwrap_or_else(|| ENGINE_DATA.into())
}

#[cfg(test)]
mod tests;
