//! PID files of jobs: how a job makes itself known on the instance, for platforms whose runner starts each job through
//! a program of our choice.
//!
//! That program is a small script. It writes an empty file whose name says which process it is, and then *becomes* the
//! job's process (`exec`), so that signals, standard input and the exit code are the job's own. The PID file counts
//! exactly as long as that process lives: there is nothing to clean up after a job, a job whose runner crashed is still
//! seen, and what a crash leaves behind is told from a live job by the process's start time. A name is written whole or
//! not at all, so no half-written one can exist.

use std::path::{Path, PathBuf};

use super::{File, HostContext};

/// One job's PID file, by its name `JOB.PID.START`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPidFile {
    /// The job's id where the platform tells it to the job, else `task`.
    pub job: String,
    /// The job's process.
    pub pid: u32,
    /// When that process started, in clock ticks after boot: field 22 of `/proc/PID/stat` (proc_pid_stat(5)).
    pub start: u64,
}

impl JobPidFile {
    /// Reads a PID file's name; `None` for any other file.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.rsplitn(3, '.');
        let (start, pid, job) = (number(parts.next()?)?, number(parts.next()?)?, parts.next()?);
        let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0)?;
        (!job.is_empty()).then(|| Self { job: job.to_owned(), pid, start })
    }
}

/// When a process started, from the text of `/proc/PID/stat`, and whether it still works (is no zombie).
pub fn start_of(stat: &str) -> Option<(u64, bool)> {
    // The name in parentheses may hold anything; the state follows the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let works = !matches!(fields.next()?, "Z" | "X" | "x");
    Some((number(fields.nth(18)?)?, works))
}

/// Where this instance's PID files of jobs are.
pub fn folder(host: &HostContext) -> PathBuf {
    host.runner_dir.join("jobs")
}

/// The script that writes a job's PID file and becomes the job; its arguments are the job's program and arguments. `id`
/// is the variable in which the platform tells the job its id, if it does. `secret` is a file that the runner has read by
/// then and reads no more: no job finds it.
pub fn script(host: &HostContext, id: Option<&str>, secret: Option<&Path>) -> File {
    let job = id.map_or_else(|| "task".to_owned(), |id| format!("${{{id}:-task}}"));
    let secret = secret.map_or_else(|| "''".to_owned(), quoted);
    let contents = include_str!("job_pid_file/job.sh")
        .replace("@JOB@", &job)
        .replace("@FOLDER@", &quoted(&folder(host)))
        .replace("@SECRET@", &secret);
    File { path: host.runner_dir.join("lightsout-job"), contents: contents.into(), mode: 0o700 }
}

/// A path as one word of a POSIX shell.
pub(super) fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(job: &str, pid: u32, start: u64) -> JobPidFile {
        JobPidFile { job: job.to_owned(), pid, start }
    }

    #[test]
    fn a_mark_names_a_job_and_its_process() {
        assert_eq!(JobPidFile::parse("task.17.4711"), Some(named("task", 17, 4711)));
        assert_eq!(JobPidFile::parse("0190-ab.c.1.0"), Some(named("0190-ab.c", 1, 0)));
        for other in [
            "",
            ".",
            "..",
            "task",
            "task.17",
            "17.4711",
            ".17.4711",
            "task.0.1",
            "task.+1.2",
            "task.1.-2",
            "task.1.",
            "task..1",
        ] {
            assert_eq!(JobPidFile::parse(other), None, "{other}");
        }
        assert_eq!(JobPidFile::parse("task.4294967296.1"), None);
        assert_eq!(JobPidFile::parse("task.1.99999999999999999999999"), None);
    }

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let fields = "S 1 17 17 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 10 20";
        for name in ["sh", "a) Z 1 (b", "", "x\ny"] {
            assert_eq!(start_of(&format!("17 ({name}) {fields}")), Some((4711, true)), "{name}");
        }
        assert_eq!(start_of(&format!("17 (sh) Z{}", &fields[1..])), Some((4711, false)));
        for cut in ["", "17", "17 (sh)", "17 (sh) S 1 17 17 0"] {
            assert_eq!(start_of(cut), None, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_mark_or_none(name in ".{0,40}", stat in ".{0,200}") {
            let _ = start_of(&stat);
            if let Some(file) = JobPidFile::parse(&name) {
                prop_assert!(name.starts_with(&file.job) && file.pid > 0);
            }
        }
    }
}
