//! Files that name the process of a running job each.

use std::{fs, io, path::Path};

use lightsout_core::{activity::Activity, platform::job_pid_file::JobPidFile};

use crate::process::start_of_living;

/// What the files in this folder say. Those of processes that are gone are removed.
pub(super) fn activity(folder: &Path) -> Activity {
    match read_folder(folder) {
        Ok(activity) => activity,
        Err(error) => {
            Activity::Unknown(format!("cannot read the process id files of jobs in {}: {error}", folder.display()))
        }
    }
}

fn read_folder(folder: &Path) -> io::Result<Activity> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Activity::Quiet),
        Err(error) => return Err(error),
    };
    let mut seen = Activity::Quiet;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            seen = seen.and(read_file(&entry.path()));
        }
    }
    Ok(seen)
}

fn read_file(path: &Path) -> Activity {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(file) = JobPidFile::parse(&name) else {
        return Activity::Unknown(format!(
            "{} is no process id file of a job; remove it if no job runs",
            path.display()
        ));
    };
    match is_running(&file) {
        Ok(true) => Activity::busy(file.job),
        Ok(false) => {
            // This process never comes back, so whoever reads the file later finds the same.
            if let Err(error) = fs::remove_file(path) {
                tracing::debug!(path = %path.display(), %error, "a process id file that is out of date stays");
            }
            Activity::Quiet
        }
        Err(error) => Activity::Unknown(format!("whether process {} of job {} lives: {error}", file.pid, file.job)),
    }
}

/// Whether the marked process is still there, and not another one with its number.
fn is_running(file: &JobPidFile) -> io::Result<bool> {
    Ok(start_of_living(file.pid)? == Some(file.start))
}

#[cfg(test)]
mod tests;
