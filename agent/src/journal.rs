//! What survives a crash of the agent, in one small file that is always whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lightsout_core::agent::{host::JournalEntry, phase::Saved};
use lightsout_io::files::replace;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

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
    /// While it leaves: whether it was proven that no job runs and none can come.
    #[serde(default)]
    proven: bool,
    /// When the instance was first seen in service, in milliseconds since the Unix epoch. Earlier agents wrote `born_ms`, when it was first seen
    /// at all.
    #[serde(default, alias = "born_ms", skip_serializing_if = "Option::is_none")]
    in_service_ms: Option<i64>,
}

/// There is one, and it says nothing.
#[derive(Debug)]
struct Unreadable;

/// The journal's file.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    instance: String,
    clock: Clock,
}

impl Journal {
    /// Opens the journal of this instance, and reads its last entry. A journal that cannot be read is reported and
    /// counts as none, but for what it may have said of a registration: whatever runs is found by looking, and counts as busy. The first entry of a
    /// fresh instance is written at once. And whether this is the first agent of this instance, for certain: where the disk keeps nothing, nobody knows.
    pub(crate) fn open(state_dir: &Path, instance: &str, clock: Clock) -> (Self, JournalEntry, bool) {
        let journal = Self { path: state_dir.join("journal.json"), instance: instance.to_owned(), clock };
        let found = journal.read();
        let mut first = matches!(found, Ok(None));
        let entry = match found {
            Ok(Some(Contents { saved, served, registered, in_service_ms, proven, .. })) => {
                let in_service = in_service_ms.map(|ms| clock.past_tick_of(ms));
                JournalEntry { saved, served, registered, in_service, proven }
            }
            Ok(None) => JournalEntry::FRESH,
            // Not known whether the platform has a runner of this instance: it is asked, and nothing is ended as if there were none.
            Err(Unreadable) => JournalEntry { registered: true, ..JournalEntry::FRESH },
        };
        if let Err(error) = journal.write(entry) {
            first = false;
            // A full disk must not blind the agent: what it must not forget it finds again, or says so when it cannot.
            tracing::error!(%error, "the journal cannot be written; a crash would forget a drain");
        }
        (journal, entry, first)
    }

    /// Whether one is in this folder, whatever it says.
    pub(crate) fn is_in(state_dir: &Path) -> bool {
        state_dir.join("journal.json").exists()
    }

    /// Whether the journal in this folder says that a registration was begun on this instance; also where it cannot be read.
    pub(crate) fn may_have_registered(state_dir: &Path, instance: &str) -> bool {
        let journal =
            Self { path: state_dir.join("journal.json"), instance: instance.to_owned(), clock: Clock::start() };
        match journal.read() {
            Ok(found) => found.is_some_and(|contents| contents.registered),
            Err(Unreadable) => true,
        }
    }

    /// What it says, if there is one of this instance.
    fn read(&self) -> Result<Option<Contents>, Unreadable> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            // Below a file there is none for certain, either.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the journal cannot be read; starting without it");
                return Err(Unreadable);
            }
        };
        match serde_json::from_str::<Contents>(&text) {
            Ok(contents) if contents.instance == self.instance => Ok(Some(contents)),
            Ok(contents) => {
                tracing::warn!(of = contents.instance, "the journal belongs to another instance; starting without it");
                Ok(None)
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the journal is damaged; starting without it");
                Err(Unreadable)
            }
        }
    }

    /// Writes an entry and flushes it to the disk before it takes the old one's place.
    pub(crate) fn write(&self, entry: JournalEntry) -> io::Result<()> {
        let JournalEntry { saved, served, registered, in_service, proven } = entry;
        let in_service_ms = in_service.map(|tick| self.clock.unix_ms_of(tick));
        let instance = self.instance.clone();
        let text = serde_json::to_vec(&Contents { instance, saved, served, registered, proven, in_service_ms })?;
        replace(&self.path, &text, 0o600, true)
    }
}

#[cfg(test)]
mod tests {
    use lightsout_core::agent::phase::LeaveReason;

    use super::*;

    const LEAVING: JournalEntry = JournalEntry {
        saved: Saved::Leaving { why: LeaveReason::ScaleIn },
        served: 3,
        registered: true,
        in_service: None,
        proven: true,
    };

    fn open(folder: &tempfile::TempDir, instance: &str) -> (Journal, JournalEntry) {
        let (journal, entry, _) = Journal::open(folder.path(), instance, Clock::start());
        (journal, entry)
    }

    #[test]
    fn an_entry_survives() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, entry) = open(&folder, "i-1");
        assert_eq!(entry, JournalEntry::FRESH);
        journal.write(LEAVING).unwrap();
        journal.write(LEAVING).unwrap();
        assert_eq!(open(&folder, "i-1").1, LEAVING);
    }

    #[test]
    fn the_time_in_service_goes_on_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let (journal, _, first) = Journal::open(folder.path(), "i-1", clock);
        assert!(first);
        journal.write(JournalEntry { in_service: Some(clock.now()), ..LEAVING }).unwrap();
        // The next agent has another clock, and another start.
        let later = Clock::start();
        let (_, entry, first) = Journal::open(folder.path(), "i-1", later);
        assert!(!first);
        let served = later.now().since(entry.in_service.unwrap());
        assert!(served < std::time::Duration::from_secs(60), "{served:?}");
    }

    #[test]
    fn a_time_in_service_that_cannot_be_is_put_right() {
        // Written before the clock was set: years ago, or still to come.
        for ms in ["17", "99999999999999"] {
            let folder = tempfile::tempdir().unwrap();
            let text = format!(
                r#"{{"instance":"i-1","state":"leaving","why":"scale-in","served":3,"registered":true,"in_service_ms":{ms}}}"#
            );
            fs::write(folder.path().join("journal.json"), text).unwrap();
            let clock = Clock::start();
            let since = Journal::open(folder.path(), "i-1", clock).1.in_service.unwrap();
            let up = crate::clock::uptime() + std::time::Duration::from_secs(60);
            assert!(since <= clock.now() && clock.now().since(since) <= up, "not before the machine was started");
        }
    }

    #[test]
    fn what_an_earlier_version_wrote_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let born_ms = crate::clock::unix_ms_now() - 2_000;
        let text = format!(
            r#"{{"instance":"i-1","state":"leaving","why":"scale-in","served":3,"registered":true,"born_ms":{born_ms}}}"#
        );
        fs::write(folder.path().join("journal.json"), text).unwrap();
        let (_, entry) = open(&folder, "i-1");
        assert!(entry.in_service.is_some() && !entry.proven);
        assert_eq!(JournalEntry { in_service: None, proven: true, ..entry }, LEAVING);
    }

    #[test]
    fn a_strange_journal_counts_as_none_and_a_damaged_one_as_of_an_instance_that_may_have_registered() {
        let folder = tempfile::tempdir().unwrap();
        open(&folder, "i-1").0.write(LEAVING).unwrap();
        assert_eq!(open(&folder, "i-2").1, JournalEntry::FRESH, "baked into an image by mistake");
        for damage in ["", "{", "{}", "null", r#"{"instance":"i-1","state":"elsewhere","served":0}"#] {
            fs::write(folder.path().join("journal.json"), damage).unwrap();
            assert!(Journal::may_have_registered(folder.path(), "i-1"), "{damage}");
            let unknown = JournalEntry { registered: true, ..JournalEntry::FRESH };
            assert_eq!(open(&folder, "i-1").1, unknown, "{damage}");
            assert_eq!(open(&folder, "i-1").1, unknown, "and the next agent does not know more: {damage}");
        }
        assert!(!Journal::may_have_registered(folder.path(), "i-2"));
        assert!(!Journal::may_have_registered(&folder.path().join("none"), "i-1"));
        assert!(!Journal::may_have_registered(&folder.path().join("journal.json/below"), "i-1"));
    }

    /// Who takes itself for the first takes an order that is there for an inherited one.
    #[test]
    fn only_who_finds_none_and_writes_one_is_the_first_agent() {
        let folder = tempfile::tempdir().unwrap();
        let first = |folder: &Path| Journal::open(folder, "i-1", Clock::start()).2;
        assert!(first(folder.path()));
        fs::write(folder.path().join("journal.json"), "{").unwrap();
        assert!(!first(folder.path()), "there was one");
        assert!(!first(&folder.path().join("missing")), "nothing is kept there");
    }
}
