//! The last that a program said, for people.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use jiff::Timestamp;

/// How many lines are asked for where somebody else keeps them, and how many characters are told: enough to find in them why it ended.
pub(crate) const LINES: usize = 10;
const CHARS: usize = 2_000;
/// How much of the agent's own log is looked at, in bytes.
const LOG: u64 = 64 * 1024;

/// Where the agent's own output goes. A runner without a unit of its own writes there, too.
const OWN_LOG: &str = "/proc/self/fd/1";

/// The last lines on one line, for a note.
pub(crate) fn of(output: &str) -> String {
    lightsout_core::last_words(output, [], CHARS)
}

/// How long the agent's own log is, where it is a file.
pub(crate) fn own_log_length() -> Option<u64> {
    let log = std::fs::metadata(OWN_LOG).ok()?;
    log.is_file().then_some(log.len())
}

/// What others than the agent wrote to its log behind so many bytes.
pub(crate) fn in_own_log(from: u64) -> io::Result<String> {
    in_log(Path::new(OWN_LOG), from)
}

fn in_log(log: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    // One that became shorter was begun anew.
    let from = if from > length { 0 } else { from };
    let begin = from.max(length.saturating_sub(LOG));
    file.seek(SeekFrom::Start(begin))?;
    let mut text = Vec::new();
    file.take(LOG).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    // What has lost its beginning may be a secret whose name is gone.
    let whole = text.lines().skip(usize::from(begin > from));
    Ok(of(&whole.filter(|line| !is_agents(line)).collect::<Vec<_>>().join("\n")))
}

/// Whether the agent wrote this line itself: each begins with its time, is a record, or is JSON.
fn is_agents(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    first.parse::<Timestamp>().is_ok() || first == "LIGHTSOUT_RECORD" || first.starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_agents_own_log_they_are_what_it_did_not_write_itself_since_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("agent.log");
        let before = "of an earlier runner\n";
        let text = "2026-11-27T09:55:55.979481Z  INFO now idle phase=\"idle\"\nRunner version v2.1 is deprecated\n\
                    LIGHTSOUT_RECORD {\"kind\":\"incident\"}\n{\"level\":\"INFO\"}\n2026-11-27 09:55:56Z: bye\n";
        std::fs::write(&log, format!("{before}{text}")).unwrap();
        let said = in_log(&log, before.len() as u64).unwrap();
        assert_eq!(said, "Runner version v2.1 is deprecated | 2026-11-27 09:55:56Z: bye");
        assert!(in_log(&log, 1 << 30).unwrap().starts_with(before.trim()), "one that was begun anew");
        assert!(in_log(folder.path(), 0).is_err());
        let much = format!("{text}secret={}\nit fell over\n", "x".repeat(100_000));
        std::fs::write(&log, much).unwrap();
        assert_eq!(in_log(&log, 0).unwrap(), "it fell over", "a secret without its name is not known for one");
    }
}
