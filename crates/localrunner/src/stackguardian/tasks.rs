//! The tasks of the ECS agent, for its introspection and for `docker ps`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};
use serde_json::json;

/// The list, and the file that shows the running ones to others.
#[derive(Debug)]
pub(super) struct Tasks {
    file: PathBuf,
    /// By job: whether the task runs. Those that stopped stay listed, as with the genuine agent.
    all: Mutex<BTreeMap<u64, bool>>,
}

/// The file with the running tasks, one a line.
pub(super) fn file(directory: &Path) -> PathBuf {
    directory.join("tasks")
}

impl Tasks {
    /// None yet.
    pub(super) fn new(directory: &Path) -> Self {
        let file = file(directory);
        let _ = fs::remove_file(&file);
        Self { file, all: Mutex::default() }
    }

    /// A task for this job begins.
    pub(super) fn add(&self, job: u64) -> Result<()> {
        self.set(job, true).with_context(|| format!("cannot write {}", self.file.display()))
    }

    /// The job's task has stopped.
    pub(super) fn stopped(&self, job: u64) {
        if let Err(error) = self.set(job, false) {
            eprintln!("{} cannot be written: {error}", self.file.display());
        }
    }

    /// What the introspection answers to `/v1/tasks`.
    pub(super) fn page(&self) -> String {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let tasks = all.iter().map(|(job, runs)| {
            let known = if *runs { "RUNNING" } else { "STOPPED" };
            json!({
                "Arn": arn(*job),
                "DesiredStatus": known,
                "KnownStatus": known,
                "Family": "sg-workflow",
                "Version": "1",
            })
        });
        json!({ "Tasks": tasks.collect::<Vec<_>>() }).to_string()
    }

    fn set(&self, job: u64, runs: bool) -> std::io::Result<()> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(job, runs);
        let running: String =
            all.iter().filter(|(_, runs)| **runs).map(|(job, _)| format!("{}\n", arn(*job))).collect();
        fs::write(&self.file, running)
    }
}

/// The name of the job's task.
pub(super) fn arn(job: u64) -> String {
    format!("arn:aws:ecs:eu-central-1:111122223333:task/lightsout/{job}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_task_stays_listed_and_runs_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let tasks = Tasks::new(folder.path());
        tasks.add(1).unwrap();
        tasks.add(2).unwrap();
        let (first, second) = (arn(1), arn(2));
        assert_eq!(fs::read_to_string(file(folder.path())).unwrap(), format!("{first}\n{second}\n"));
        tasks.stopped(1);
        assert_eq!(fs::read_to_string(file(folder.path())).unwrap(), format!("{second}\n"));
        let page: serde_json::Value = serde_json::from_str(&tasks.page()).unwrap();
        assert_eq!(
            (&page["Tasks"][0]["KnownStatus"], &page["Tasks"][1]["KnownStatus"]),
            (&"STOPPED".into(), &"RUNNING".into())
        );
    }
}
