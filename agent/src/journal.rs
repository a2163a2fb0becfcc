//! What survives a crash of the agent, in one small file that is always whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use lightsout_core::agent::{host::JournalEntry, phase::Saved};
use serde::{Deserialize, Serialize};

use crate::clock::unix_ms_now;

/// The file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Contents {
    /// Which instance wrote it: an image with somebody else's journal in it must not drain at its first boot.
    instance: String,
    /// Serving, or leaving and why.
    #[serde(flatten)]
    saved: Saved,
    /// Busy periods so far.
    served: u32,
    /// Whether a registration was ever begun on this instance.
    #[serde(default)]
    registered: bool,
    /// When the instance was first seen, in milliseconds since the Unix epoch.
    born_ms: i64,
}

/// The journal's file.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
    instance: String,
    born_ms: i64,
}

impl Journal {
    /// Opens the journal of this instance, and reads its last entry. A journal that cannot be read is reported and
    /// counts as none: then whatever runs is found by looking, and counts as busy. The first entry of a fresh instance
    /// is written at once.
    pub fn open(state_dir: &Path, instance: &str) -> (Self, JournalEntry) {
        let mut journal =
            Self { path: state_dir.join("journal.json"), instance: instance.to_owned(), born_ms: unix_ms_now() };
        let entry = match journal.read() {
            Some(Contents { saved, served, registered, born_ms, .. }) => {
                journal.born_ms = born_ms;
                JournalEntry { saved, served, registered }
            }
            None => JournalEntry::FRESH,
        };
        if let Err(error) = journal.write(entry) {
            // A full disk must not blind the agent: what it must not forget it finds again, or says so when it cannot.
            tracing::error!(%error, "the journal cannot be written; a crash would forget a drain");
        }
        (journal, entry)
    }

    /// When the instance was first seen, in milliseconds since the Unix epoch.
    pub fn born_ms(&self) -> i64 {
        self.born_ms
    }

    fn read(&self) -> Option<Contents> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the journal cannot be read; starting without it");
                return None;
            }
        };
        match serde_json::from_str::<Contents>(&text) {
            Ok(contents) if contents.instance == self.instance => Some(contents),
            Ok(contents) => {
                tracing::warn!(of = contents.instance, "the journal belongs to another instance; starting without it");
                None
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the journal is damaged; starting without it");
                None
            }
        }
    }

    /// Writes an entry and flushes it to the disk before it takes the old one's place.
    pub fn write(&self, entry: JournalEntry) -> io::Result<()> {
        let JournalEntry { saved, served, registered } = entry;
        let (instance, born_ms) = (self.instance.clone(), self.born_ms);
        let text = serde_json::to_vec(&Contents { instance, saved, served, registered, born_ms })?;
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

    const LEAVING: JournalEntry =
        JournalEntry { saved: Saved::Leaving { why: LeaveReason::ScaleIn }, served: 3, registered: true };

    #[test]
    fn an_entry_survives() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, entry) = Journal::open(folder.path(), "i-1");
        assert_eq!(entry, JournalEntry::FRESH);
        journal.write(LEAVING).unwrap();
        journal.write(LEAVING).unwrap();
        let (again, entry) = Journal::open(folder.path(), "i-1");
        assert_eq!((again.born_ms(), entry), (journal.born_ms(), LEAVING));
    }

    #[test]
    fn what_an_earlier_version_wrote_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"instance":"i-1","state":"leaving","why":"scale-in","served":3,"registered":true,"born_ms":17}"#;
        fs::write(folder.path().join("journal.json"), text).unwrap();
        let (journal, entry) = Journal::open(folder.path(), "i-1");
        assert_eq!((journal.born_ms(), entry), (17, LEAVING));
        assert_eq!(fs::read_to_string(folder.path().join("journal.json")).unwrap(), text, "and stays as it is");
    }

    #[test]
    fn a_strange_or_damaged_journal_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        Journal::open(folder.path(), "i-1").0.write(LEAVING).unwrap();
        assert_eq!(Journal::open(folder.path(), "i-2").1, JournalEntry::FRESH, "baked into an image by mistake");
        for damage in ["", "{", "{}", "null", r#"{"instance":"i-1","state":"elsewhere","served":0,"born_ms":0}"#] {
            fs::write(folder.path().join("journal.json"), damage).unwrap();
            assert_eq!(Journal::open(folder.path(), "i-1").1, JournalEntry::FRESH, "{damage}");
        }
    }
}
