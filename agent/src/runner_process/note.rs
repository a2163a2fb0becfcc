//! What the runner was told, on the disk.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
};

use lightsout_core::agent::host::ToldToDrain;
use lightsout_io::files::replace;

use super::{KnownRunner, RunnerProcess};
use crate::process::Process;

impl RunnerProcess {
    /// Notes on the disk what the present runner was told; no runner is no error. The note is overwritten in place, so
    /// that it takes no room that a full disk would not have.
    pub(crate) fn note_told(&self, told: ToldToDrain) -> io::Result<()> {
        let KnownRunner::Runner(process) = self.seen() else { return Ok(()) };
        if let Ok(mut held) = self.told.lock() {
            *held = Some((process.pid(), told));
        }
        let text = note(process.pid(), told);
        match File::options().write(true).open(self.told_file()) {
            Ok(file) => {
                file.write_all_at(text.as_bytes(), 0)?;
                file.sync_data()
            }
            // The runner of an earlier version: it has no note here yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                replace(&self.told_file(), text.as_bytes(), 0o600, true)
            }
            Err(error) => Err(error),
        }
    }

    /// What this runner was told.
    pub(crate) fn told(&self, process: &Process) -> ToldToDrain {
        let known = self.told.lock().ok().and_then(|told| *told).filter(|(pid, _)| *pid == process.pid());
        if let Some((_, told)) = known {
            return told;
        }
        // An earlier version kept it among the runner's files.
        let read = match fs::read_to_string(self.told_file()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::read_to_string(self.folder.join("runner.told"))
            }
            read => read,
        };
        match read {
            Ok(text) => read_note(&text, process.pid()),
            Err(error) => {
                tracing::warn!(%error, "what the runner was told cannot be read");
                ToldToDrain::Maybe
            }
        }
    }
}

/// The note of what a runner was told. Always of one length, so that it can be overwritten in place.
pub(super) fn note(pid: u32, told: ToldToDrain) -> String {
    let word = match told {
        ToldToDrain::No => "no",
        ToldToDrain::Maybe => "maybe",
        ToldToDrain::Yes => "yes",
    };
    format!("{pid:<10} {word:<5}\n")
}

/// What a note says of this process. An earlier version wrote the process id alone, before it signalled.
fn read_note(text: &str, pid: u32) -> ToldToDrain {
    let mut words = text.split_ascii_whitespace();
    match (words.next().map(str::parse::<u32>), words.next()) {
        // Of another runner: this one has not been told anything.
        (Some(Ok(of)), _) if of != pid => ToldToDrain::No,
        (Some(Ok(_)), Some("no")) => ToldToDrain::No,
        (Some(Ok(_)), Some("yes")) => ToldToDrain::Yes,
        // Or damaged: the disk may have lost a "yes".
        (Some(_) | None, _) => ToldToDrain::Maybe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_of_one_length_and_older_ones_are_understood() {
        for told in [ToldToDrain::No, ToldToDrain::Maybe, ToldToDrain::Yes] {
            for pid in [1, 4_194_304, u32::MAX] {
                assert_eq!(note(pid, told).len(), 17);
                assert_eq!(read_note(&note(pid, told), pid), told);
                assert_eq!(read_note(&note(pid, told), 17), ToldToDrain::No, "of another process");
            }
        }
        assert_eq!(
            read_note("4711", 4711),
            ToldToDrain::Maybe,
            "an earlier version noted before it signalled, and not after"
        );
        for damage in ["", "\0\0\0", "yes"] {
            assert_eq!(read_note(damage, 17), ToldToDrain::Maybe, "{damage:?}: lost is not no");
        }
    }
}
