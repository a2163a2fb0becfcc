//! Where a fleet lives on this machine: one directory, which one running fleet holds.

use std::{
    env,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use lightsout_io::command_line::Failure;
use rustix::process::getuid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A Unix socket's path may have 107 bytes; the longest name below the directory is an instance's socket.
const LONGEST_DIR: usize = 107 - "/instances/i-0123456789abcdef0/agent.sock".len();

/// A fleet's directory.
#[derive(Clone, Debug)]
pub(crate) struct FleetDir {
    path: PathBuf,
}

/// The directory while this process holds it. Nobody else can start a fleet there.
#[derive(Debug)]
pub(crate) struct LockedFleetDir {
    pub dir: FleetDir,
    _lock: File,
}

/// What a running fleet says about itself in `fleet.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FleetFile {
    /// The process id of `up`.
    pub pid: u32,
    /// The embedded cloud's address.
    pub url: String,
}

impl FleetDir {
    /// The directory that was asked for, else the user's usual one.
    pub(crate) fn new(dir: Option<PathBuf>) -> Result<Self> {
        let dir = match (dir, env::var_os("XDG_RUNTIME_DIR")) {
            (Some(dir), _) => dir,
            (None, Some(runtime)) if Path::new(&runtime).is_dir() => Path::new(&runtime).join("lightsout"),
            (None, _) => PathBuf::from(format!("/tmp/lightsout-{}", getuid().as_raw())),
        };
        let dir = std::path::absolute(&dir)
            .with_context(|| format!("cannot use {} as the fleet's directory", dir.display()))?;
        Ok(Self { path: dir })
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// One instance's directory, or the parent of all of them.
    pub(crate) fn instances(&self) -> PathBuf {
        self.path.join("instances")
    }

    /// The fleet's records, a line each. What there was before it became too large is beside it, in `records.jsonl.1`.
    pub(crate) fn records(&self) -> PathBuf {
        self.path.join("records.jsonl")
    }

    /// The name that marks the processes and containers of this directory's fleets. It is the same for each run in the same
    /// place, so that a later run finds what an earlier one left.
    pub(crate) fn fleet_name(&self) -> String {
        format!("{:010x}", self.digest() >> 24)
    }

    /// A number of this place alone, so that two fleets on one machine have no instance id in common.
    pub(crate) fn seed(&self) -> u64 {
        self.digest()
    }

    fn digest(&self) -> u64 {
        let mut hash = Sha256::new();
        hash.update(fs::read("/proc/sys/kernel/hostname").unwrap_or_default());
        hash.update(getuid().as_raw().to_string());
        hash.update(self.path.as_os_str().as_encoded_bytes());
        hash.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Creates the directory and takes hold of it.
    pub(crate) fn lock(&self) -> Result<LockedFleetDir> {
        let shown = self.path.display();
        ensure!(
            self.path.as_os_str().len() <= LONGEST_DIR,
            Failure::Refused(format!(
                "the fleet's directory {shown} is too long a path for the sockets in it (at most {LONGEST_DIR} bytes); \
                 name a shorter one with --dir"
            ))
        );
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .with_context(|| format!("cannot create {shown}"))?;
        let found = fs::symlink_metadata(&self.path).with_context(|| format!("cannot look at {shown}"))?;
        ensure!(
            found.is_dir() && found.uid() == getuid().as_raw() && found.mode() & 0o022 == 0,
            "{shown} is not a directory that only you may write to; remove it, or name another with --dir"
        );
        let lock = File::create(self.path.join("lock")).with_context(|| format!("cannot write in {shown}"))?;
        match lock.try_lock() {
            Ok(()) => Ok(LockedFleetDir { dir: self.clone(), _lock: lock }),
            Err(TryLockError::WouldBlock) => match self.read() {
                Some(FleetFile { pid, url }) => {
                    bail!(
                        "a fleet already runs in {shown} (process {pid}, {url}); end it with `lightsout down`, or \
                         start another with --dir"
                    )
                }
                None => bail!("another `lightsout up` is just starting or ending in {shown}; try again in a moment"),
            },
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {shown}/lock")),
        }
    }

    /// The fleet that runs here.
    ///
    /// # Errors
    /// When there is none, with what to do about it.
    pub(crate) fn running(&self) -> Result<FleetFile> {
        match self.read() {
            Some(fleet) if Path::new(&format!("/proc/{}", fleet.pid)).exists() => Ok(fleet),
            Some(_) | None => bail!(
                "no fleet is running in {}; start one with `lightsout up` (or name its directory with --dir or \
                 LIGHTSOUT_DIR)",
                self.path.display()
            ),
        }
    }

    fn file(&self) -> PathBuf {
        self.path.join("fleet.json")
    }

    fn read(&self) -> Option<FleetFile> {
        serde_json::from_slice(&fs::read(self.file()).ok()?).ok()
    }
}

impl LockedFleetDir {
    /// Tells the other commands where the fleet is.
    pub(crate) fn announce(&self, url: &str) -> Result<()> {
        let fleet = FleetFile { pid: std::process::id(), url: url.to_owned() };
        let draft = self.dir.path.join("fleet.json.new");
        fs::write(&draft, serde_json::to_vec(&fleet)?)
            .and_then(|()| fs::rename(&draft, self.dir.file()))
            .with_context(|| format!("cannot write {}", self.dir.file().display()))
    }

    /// Takes the announcement back; true when there was one, as after a run that was killed.
    pub(crate) fn retract(&self) -> bool {
        fs::remove_file(self.dir.file()).is_ok()
    }

    /// Removes an earlier run's files, and counts its instances.
    pub(crate) fn clear(&self) -> io::Result<usize> {
        let instances = fs::read_dir(self.dir.instances()).map_or(0, Iterator::count);
        for entry in fs::read_dir(&self.dir.path)? {
            let entry = entry?;
            if entry.file_name() == "lock" {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(instances)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fleet_in_a_place() {
        let temp = tempfile::tempdir().unwrap();
        let fleet_dir = FleetDir::new(Some(temp.path().join("fleet"))).unwrap();
        assert!(fleet_dir.running().unwrap_err().to_string().contains("lightsout up"));

        let locked = fleet_dir.lock().unwrap();
        locked.announce("http://127.0.0.1:1").unwrap();
        assert_eq!(fleet_dir.running().unwrap().url, "http://127.0.0.1:1");
        assert!(fleet_dir.lock().unwrap_err().to_string().contains("lightsout down"));

        assert!(locked.retract());
        drop(locked);
        fleet_dir.lock().unwrap();
    }

    #[test]
    fn a_place_that_others_may_write_to_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("shared");
        DirBuilder::new().create(&dir).unwrap();
        fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        assert!(FleetDir::new(Some(dir)).unwrap().lock().unwrap_err().to_string().contains("--dir"));
    }

    #[test]
    fn the_fleets_name_is_stable_and_depends_on_the_directory() {
        let name = |dir: &str| FleetDir::new(Some(dir.into())).unwrap().fleet_name();
        assert_eq!(name("/a/b"), name("/a/b"));
        assert_ne!(name("/a/b"), name("/a/c"));
    }

    #[test]
    fn emptying_keeps_the_lock_and_counts_the_instances() {
        let temp = tempfile::tempdir().unwrap();
        let locked = FleetDir::new(Some(temp.path().join("fleet"))).unwrap().lock().unwrap();
        fs::create_dir_all(locked.dir.instances().join("i-1")).unwrap();
        fs::create_dir_all(locked.dir.instances().join("i-2")).unwrap();
        assert_eq!(locked.clear().unwrap(), 2);
        assert_eq!(locked.clear().unwrap(), 0);
        assert!(locked.dir.lock().is_err());
    }
}
