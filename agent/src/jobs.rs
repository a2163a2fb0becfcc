//! What jobs run in: noted before a runner is told to fail them, and ended when they do not heed it.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    docker::{Engine, Selection},
    process::{self, Process},
};

/// How long the engine may take to list, and to kill, the jobs' containers: a deadline is near.
const LIMIT: Duration = Duration::from_secs(2);

/// The processes and containers in which jobs run, held so that they are not taken for others later.
#[derive(Default)]
pub(crate) struct Jobs {
    processes: Vec<Process>,
    containers: Option<(Arc<Engine>, Vec<String>)>,
}

impl Jobs {
    /// The jobs below this runner's process, and in containers of this selection. `reporters` are the names of the runner's own processes, below
    /// which its jobs are; if there are none, everything below the runner is a job. What cannot be seen is left out.
    pub(crate) async fn of(
        runner: Option<&Process>,
        reporters: &[String],
        containers: Option<(Arc<Engine>, &Selection)>,
    ) -> Self {
        let below = |pid| process::descendants(pid).unwrap_or_default();
        let found = runner.map(|runner| below(runner.pid())).unwrap_or_default();
        let jobs = if reporters.is_empty() {
            found
        } else {
            let named = |name: &str| reporters.iter().any(|reporter| name.starts_with(reporter.as_str()));
            found
                .iter()
                .filter(|child| child.name.as_deref().is_some_and(named))
                .flat_map(|child| below(child.pid))
                .collect()
        };
        let processes = jobs.into_iter().filter_map(|child| Process::open(child.pid).ok().flatten()).collect();
        let containers = match containers {
            Some((engine, selection)) => match timeout(LIMIT, engine.containers(selection)).await {
                Ok(Ok(found)) => Some((engine, found)),
                Ok(Err(_)) | Err(_) => None,
            },
            None => None,
        };
        Self { processes, containers }
    }

    /// Ends them by force, all at once. Those that are gone are no error.
    pub(crate) async fn end(&self) {
        let alive = self.processes.iter().filter(|process| process.alive());
        for process in alive {
            tracing::warn!(
                pid = process.pid(),
                "a job's process does not heed its runner; ending it, so that the runner can report"
            );
            if let Err(error) = process.kill() {
                tracing::error!(pid = process.pid(), %error, "a job's process cannot be ended");
            }
        }
        if let Some((engine, containers)) = &self.containers {
            let _ = timeout(LIMIT, engine.kill(containers)).await;
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
        for (reporters, survivors) in [(vec![], 0), (vec!["sh".to_owned()], 1)] {
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
            let reporters: Vec<String> =
                if reporters.is_empty() { reporters } else { vec![all[0].name.clone().unwrap()] };
            let jobs = Jobs::of(Some(&process), &reporters, None).await;
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
}
