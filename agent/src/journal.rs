//! What survives a crash of the agent, in one small file that is always whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use lightsout_core::agent::phase::Saved;
use serde::{Deserialize, Serialize};

/// The file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which instance wrote it: an image with somebody else's journal in it must not drain at its first boot.
    pub instance: String,
    /// Serving, or leaving and why.
    #[serde(flatten)]
    pub saved: Saved,
    /// Busy periods so far.
    pub served: u32,
    /// Whether a registration was ever begun on this instance.
    #[serde(default)]
    pub registered: bool,
    /// When the instance was first seen, in milliseconds since the Unix epoch.
    pub born_ms: i64,
}

/// The journal's file.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    pub fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join("journal.json") }
    }

    /// The last entry of this instance. A journal that cannot be read is reported and counts as none: then whatever runs
    /// is found by looking, and counts as busy.
    pub fn read(&self, instance: &str) -> Option<Entry> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the journal cannot be read; starting without it");
                return None;
            }
        };
        match serde_json::from_str::<Entry>(&text) {
            Ok(entry) if entry.instance == instance => Some(entry),
            Ok(entry) => {
                tracing::warn!(of = entry.instance, "the journal belongs to another instance; starting without it");
                None
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the journal is damaged; starting without it");
                None
            }
        }
    }

    /// Writes an entry and flushes it to the disk before it takes the old one's place.
    pub fn write(&self, entry: &Entry) -> io::Result<()> {
        let text = serde_json::to_vec(entry)?;
        replace(&self.path, &text, 0o600, true)
    }
}

/// Replaces a file as a whole.
pub fn replace(path: &Path, contents: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.draft"));
    // Made anew, so that its mode is the one asked for.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(contents)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&draft, path)?;
    if durable && let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lightsout_core::agent::phase::LeaveReason;

    use super::*;

    #[test]
    fn an_entry_survives() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path());
        assert_eq!(journal.read("i-1"), None);
        let entry = Entry {
            instance: "i-1".into(),
            saved: Saved::Leaving { why: LeaveReason::ScaleIn },
            served: 3,
            registered: true,
            born_ms: 17,
        };
        journal.write(&entry).unwrap();
        journal.write(&entry).unwrap();
        assert_eq!(journal.read("i-1"), Some(entry));
    }

    #[test]
    fn a_strange_or_damaged_journal_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path());
        journal
            .write(&Entry {
                instance: "i-1".into(),
                saved: Saved::Leaving { why: LeaveReason::Idle },
                served: 0,
                registered: false,
                born_ms: 0,
            })
            .unwrap();
        assert_eq!(journal.read("i-2"), None, "baked into an image by mistake");
        for damage in ["", "{", "{}", "null", r#"{"instance":"i-1","state":"elsewhere","served":0,"born_ms":0}"#] {
            fs::write(folder.path().join("journal.json"), damage).unwrap();
            assert_eq!(journal.read("i-1"), None, "{damage}");
        }
    }
}
