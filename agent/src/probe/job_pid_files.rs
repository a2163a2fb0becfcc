//! The marks of jobs: files that name a process each.

use std::{fs, io, path::Path};

use lightsout_core::{
    activity::Activity,
    platform::job_pid_file::{JobPidFile, start_of},
};
use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};

/// What the marks in this folder say. Those of processes that are gone are removed.
pub fn activity(folder: &Path) -> Activity {
    match look(folder) {
        Ok(activity) => activity,
        Err(error) => Activity::Unknown(format!("cannot read the job marks in {}: {error}", folder.display())),
    }
}

fn look(folder: &Path) -> io::Result<Activity> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Activity::Quiet),
        Err(error) => return Err(error),
    };
    let mut seen = Activity::Quiet;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            seen = seen.and(one(&entry.path()));
        }
    }
    Ok(seen)
}

fn one(path: &Path) -> Activity {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(mark) = JobPidFile::parse(&name) else {
        return Activity::Unknown(format!("{} is no job's mark; remove it if no job runs", path.display()));
    };
    match lives(&mark) {
        Ok(true) => Activity::busy(mark.job),
        Ok(false) => {
            // This process never comes back, so whoever reads the mark later finds the same.
            if let Err(error) = fs::remove_file(path) {
                tracing::debug!(path = %path.display(), %error, "the mark of a job that is over cannot be removed");
            }
            Activity::Quiet
        }
        Err(error) => Activity::Unknown(format!("whether process {} of job {} lives: {error}", mark.pid, mark.job)),
    }
}

/// Whether the marked process is still there, and not another one with its number.
fn lives(mark: &JobPidFile) -> io::Result<bool> {
    match fs::read(format!("/proc/{}/stat", mark.pid)) {
        Ok(text) => match start_of(&String::from_utf8_lossy(&text)) {
            Some((start, works)) => Ok(works && start == mark.start),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "its entry in /proc cannot be understood")),
        },
        Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !exists(mark.pid) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether there is such a process at all: `/proc` may hide those of others (`hidepid=`).
fn exists(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    test_kill_process(pid) != Err(Errno::SRCH)
}

#[cfg(test)]
mod tests;
