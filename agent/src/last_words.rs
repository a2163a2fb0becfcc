//! The last that a program said, for people.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use jiff::Timestamp;

/// How many lines are told, and how many characters of them all.
pub(crate) const LINES: usize = 10;
const CHARS: usize = 1_000;
/// How much of the agent's own log is looked at, in bytes.
const LOG: u64 = 64 * 1024;

/// Where the agent's own output goes. A runner without a unit of its own writes there, too.
const OWN_LOG: &str = "/proc/self/fd/1";

/// The last lines on one line, for a note.
pub(crate) fn of(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.trim().chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|line| !line.is_empty())
        .collect();
    let said = lines[lines.len().saturating_sub(LINES)..].join(" | ");
    let excess = said.chars().count().saturating_sub(CHARS);
    let kept: String = said.chars().skip(excess).collect();
    if excess == 0 {
        return kept;
    }
    // What has lost its beginning may be a secret whose name is gone.
    kept.split_once(char::is_whitespace).map(|(_, rest)| rest.trim_start().to_owned()).unwrap_or_default()
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
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(LOG))))?;
    let mut text = Vec::new();
    file.take(LOG).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let others: Vec<&str> = text.lines().filter(|line| !is_agents(line)).collect();
    Ok(of(others.join("\n").as_bytes()))
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
    fn they_are_few_and_on_one_line() {
        assert_eq!(of(b"one\r\n\n  two\x1b[0m \n"), "one | two[0m");
        let many: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(of(many.as_bytes()).starts_with("90 | ") && of(many.as_bytes()).ends_with(" | 99"));
        let kept = of("word ".repeat(1_000).as_bytes());
        assert!((CHARS - 10..CHARS).contains(&kept.len()) && kept.starts_with("word "), "{kept}");
        assert_eq!(
            of(format!("KEY={}", "x".repeat(5_000)).as_bytes()),
            "",
            "a secret without its name is not known for one"
        );
    }

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
    }
}
