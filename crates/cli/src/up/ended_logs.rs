//! What stays of machines that have ended: the agents' logs of the last ones, for `lightsout logs`.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

pub(super) const KEPT: usize = 100;
/// The one file that stays.
pub(super) const LOG: &str = "agent.log";

/// The directories of the last machines that have ended, oldest first.
#[derive(Debug, Default)]
pub(super) struct EndedLogs(Mutex<VecDeque<PathBuf>>);

impl EndedLogs {
    /// The machine of this directory has ended: nothing of it stays but its log, and that not for ever.
    pub(super) fn add(&self, dir: PathBuf) {
        if let Err(error) = strip(&dir) {
            tracing::warn!(dir = %dir.display(), %error, "the files of an instance that has ended stay");
        }
        let mut dirs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dirs.push_back(dir);
        while dirs.len() > KEPT {
            let oldest = dirs.pop_front().unwrap_or_default();
            if let Err(error) = fs::remove_dir_all(&oldest) {
                tracing::warn!(dir = %oldest.display(), %error, "the log of an instance that has ended stays");
            }
        }
    }
}

fn strip(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == LOG {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
