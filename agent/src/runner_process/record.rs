//! Which process the runner is, on the disk: its number, the moment of its start and the machine's boot, which no other
//! process ever has in common with it, whatever it does to its title and environment.

use std::{fs, io, path::Path};

use lightsout_io::files::replace;

use crate::process::{self, Process};

/// One process of one boot. The file's text is `PID START BOOT`; 0 for no process, and an earlier version wrote the
/// number alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pid: u32,
    /// In clock ticks after the boot.
    start: Option<u64>,
    boot: Option<String>,
}

impl Record {
    /// No runner was started yet.
    pub(super) const NOBODY: Self = Self { pid: 0, start: None, boot: None };

    pub(super) fn of(process: &Process) -> Self {
        Self { pid: process.pid(), start: Some(process.start()), boot: boot() }
    }

    /// The file's contents; `None` when there is no file.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        };
        Self::parse(&text).map(Some).ok_or_else(|| {
            let why = format!("{} names no process ({text:?}); remove it if no runner runs", path.display());
            io::Error::new(io::ErrorKind::InvalidData, why)
        })
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let start = self.start.map_or("-".into(), |start| start.to_string());
        let text = format!("{} {start} {}\n", self.pid, self.boot.as_deref().unwrap_or("-"));
        replace(path, text.as_bytes(), 0o600, true)
    }

    /// The process, if it lives. `mark` is the variable by which a process of an earlier version is known.
    pub(super) fn find(&self, mark: &str) -> io::Result<Option<Process>> {
        let rebooted = matches!((&self.boot, boot()), (Some(then), Some(now)) if *then != now);
        if self.pid == 0 || rebooted {
            return Ok(None);
        }
        let Some(process) = Process::open(self.pid)? else { return Ok(None) };
        match self.start {
            Some(start) => Ok((process.start() == start).then_some(process)),
            None if process::has_variable(self.pid, mark) => Ok(Some(process)),
            None => Err(io::Error::other(format!(
                "process {} may be the runner that an earlier version started, but does not bear its mark; if it is \
                 another one, remove runner/runner.pid in agent.state_dir",
                self.pid
            ))),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let pid = words.next()?.parse().ok()?;
        let start = match words.next() {
            None | Some("-") => None,
            Some(start) => Some(start.parse().ok()?),
        };
        Some(Self { pid, start, boot: words.next().filter(|boot| *boot != "-").map(str::to_owned) })
    }
}

/// Names the present boot (random(4)).
fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_very_process_is_found() {
        let me = Process::open(std::process::id()).unwrap().expect("this process");
        let record = Record::of(&me);
        let found = |record: &Record| record.find("MARK=none").unwrap().map(|process| process.pid());
        assert_eq!(found(&record), Some(me.pid()));
        assert_eq!(found(&Record { start: record.start.map(|start| start + 1), ..record.clone() }), None);
        assert_eq!(found(&Record { boot: Some("another".into()), ..record.clone() }), None);
        assert_eq!(found(&Record { boot: None, ..record.clone() }), Some(me.pid()));
        assert_eq!(found(&Record::NOBODY), None);
    }

    #[tokio::test]
    async fn an_earlier_versions_process_without_its_mark_is_not_taken_for_dead() {
        let record = Record::parse(&format!("{}\n", std::process::id())).unwrap();
        let path = std::env::var("PATH").unwrap();
        assert!(record.find(&format!("PATH={path}")).unwrap().is_some());
        let error = record.find("MARK=none").unwrap_err().to_string();
        assert!(error.contains("remove runner/runner.pid"), "{error}");
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_damage_is_no_absence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runner.pid");
        assert_eq!(Record::read(&path).unwrap(), None);
        let records = [
            Record::NOBODY,
            Record { pid: 17, start: Some(4711), boot: Some("b".into()) },
            Record { pid: 17, ..Record::NOBODY },
        ];
        for record in records {
            record.write(&path).unwrap();
            assert_eq!(Record::read(&path).unwrap(), Some(record));
        }
        for damage in ["", "\n", "x", "17 x"] {
            fs::write(&path, damage).unwrap();
            assert!(Record::read(&path).is_err(), "{damage:?}");
        }
    }
}
