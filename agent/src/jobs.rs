//! What jobs run in: noted before a runner is told to fail them, and ended when they do not heed it.

use std::{sync::Arc, time::Duration};

use lightsout_core::{
    duration::not_within,
    platform::{JobProcesses, Selection},
};
use tokio::time::timeout;

use crate::{
    docker::Engine,
    process::{self, Child, Process},
};

/// How long the engine may take to list, and to kill, the jobs' containers: a deadline is near.
const LIMIT: Duration = Duration::from_secs(2);

/// The processes and containers in which jobs run, held so that they are not taken for others later.
#[derive(Default)]
pub(crate) struct Jobs {
    processes: Vec<Process>,
    containers: Option<Containers>,
}

struct Containers {
    engine: Arc<Engine>,
    selection: Selection,
    /// `None`: the engine did not say.
    noted: Option<Vec<String>>,
}

impl Jobs {
    /// The jobs below this runner's process, and in containers of this selection. Processes that cannot be seen are left out.
    pub(crate) async fn of(
        runner: Option<&Process>,
        below: &JobProcesses,
        containers: Option<(Arc<Engine>, Selection)>,
    ) -> Self {
        let found = runner.map(|runner| below_of(runner.pid())).unwrap_or_default();
        let jobs = match below {
            JobProcesses::Jobs => found,
            JobProcesses::Reporters(prefixes) => {
                let named = |name: &str| prefixes.iter().any(|reporter| name.starts_with(reporter.as_str()));
                let reporters = found.iter().filter(|child| child.name.as_deref().is_some_and(named));
                reporters.flat_map(|child| below_of(child.pid)).collect()
            }
            JobProcesses::NoJobs => Vec::new(),
        };
        let processes = held(jobs);
        let containers = match containers {
            Some((engine, selection)) => {
                let noted = list(&engine, &selection).await;
                Some(Containers { engine, selection, noted })
            }
            None => None,
        };
        Self { processes, containers }
    }

    /// Ends them by force, all at once, and what they have started since. Those that are gone are no error.
    pub(crate) async fn end(&self) {
        let alive: Vec<&Process> = self.processes.iter().filter(|process| process.alive()).collect();
        let noted = |child: &Child| self.processes.iter().any(|process| process.pid() == child.pid);
        let later = alive.iter().flat_map(|process| below_of(process.pid())).filter(|child| !noted(child)).collect();
        let later = held(later);
        for process in alive.into_iter().chain(&later) {
            tracing::warn!(
                pid = process.pid(),
                "a job's process does not heed its runner; ending it, so that the runner can report"
            );
            if let Err(error) = process.kill() {
                tracing::error!(pid = process.pid(), %error, "a job's process cannot be ended");
            }
        }
        if let Some(Containers { engine, selection, noted }) = &self.containers {
            // Containers are found as long as they run, also by who could not note them.
            let now = if noted.is_none() { list(engine, selection).await } else { None };
            let found = noted.as_ref().or(now.as_ref()).map_or(&[][..], Vec::as_slice);
            if timeout(LIMIT, engine.kill(found)).await.is_err() {
                let why = not_within("not ended", LIMIT, "is the engine overloaded, or its disk full?");
                tracing::error!(?found, why, "the Docker engine does not end the jobs' containers");
            }
        }
    }
}

fn below_of(pid: u32) -> Vec<Child> {
    process::descendants(pid).unwrap_or_default()
}

fn held(children: Vec<Child>) -> Vec<Process> {
    children.into_iter().filter_map(|child| Process::open(child.pid).ok().flatten()).collect()
}

async fn list(engine: &Engine, selection: &Selection) -> Option<Vec<String>> {
    match timeout(LIMIT, engine.containers(selection)).await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => {
            tracing::warn!(error, "the Docker engine does not say in which containers jobs run");
            None
        }
        Err(_) => {
            let error = not_within("no answer", LIMIT, "is the engine overloaded, or its disk full?");
            tracing::warn!(error, "the Docker engine does not say in which containers jobs run");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// A runner with a reporter below it, and a job below that.
    #[tokio::test]
    async fn the_job_ends_and_those_who_report_live_on() {
        for (named, survivors) in [(false, 0), (true, 1)] {
            // Each shell has more to do, so none becomes its child.
            let script = "sh -c 'sh -c \"trap : TERM; sleep 60; :\"; sleep 60; :'; sleep 60; :";
            let mut runner = Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap();
            let process = Process::open(runner.id()).unwrap().unwrap();
            let all = loop {
                let found = process::descendants(runner.id()).unwrap();
                if found.len() == 3 {
                    break found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            let below =
                if named { JobProcesses::Reporters(vec![all[0].name.clone().unwrap()]) } else { JobProcesses::Jobs };
            let jobs = Jobs::of(Some(&process), &below, None).await;
            let none = Jobs::of(Some(&process), &JobProcesses::NoJobs, None).await;
            none.end().await;
            assert_eq!(process::descendants(runner.id()).unwrap().len(), 3, "where jobs are containers, none is one");
            let held: Vec<_> = all.iter().filter_map(|child| Process::open(child.pid).unwrap()).collect();
            jobs.end().await;
            for gone in held.iter().skip(survivors) {
                timeout(Duration::from_secs(30), gone.exited()).await.expect("what is below ends");
            }
            assert!(process.alive(), "the runner itself is left to report");
            if survivors == 1 {
                assert!(held[0].alive(), "and whoever reports for it");
            }
            process.kill_group().ok();
            let _ = runner.kill();
            let _ = runner.wait();
            for child in &held {
                let _ = child.kill();
            }
        }
    }

    /// A job that begins something else once it is asked to end.
    #[tokio::test]
    async fn what_a_job_has_started_since_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sh -c 'until [ -e go ]; do sleep 0.02; done; sleep 60 & touch begun; wait'; :";
        let mut command = Command::new("/bin/sh");
        let mut runner = command.args(["-c", script]).current_dir(folder.path()).stdin(Stdio::null()).spawn().unwrap();
        let process = Process::open(runner.id()).unwrap().unwrap();
        while process::descendants(runner.id()).unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let jobs = Jobs::of(Some(&process), &JobProcesses::Jobs, None).await;
        std::fs::write(folder.path().join("go"), "").unwrap();
        while !folder.path().join("begun").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let now = held(process::descendants(runner.id()).unwrap());
        jobs.end().await;
        for gone in &now {
            timeout(Duration::from_secs(30), gone.exited()).await.expect("all of it ends");
        }
        let _ = runner.wait();
    }
}
