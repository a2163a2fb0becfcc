//! Snapshots: every local source of truth is asked, any job wins, any doubt counts as busy.

mod job_pid_files;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use lightsout_io::http::Driver;
use tokio::sync::Mutex;

use crate::{
    docker::{Engine, Selection},
    process::{self, Child},
    runner_process::{RunnerProcess, Seen},
};
use lightsout_core::{
    activity::Activity,
    exchange::{Call, ErrorKind},
    platform::Probe,
};

/// How long one source may take.
const TIMEOUT: Duration = Duration::from_secs(3);

pub struct Prober {
    engine: Option<Arc<Engine>>,
    runner: Arc<RunnerProcess>,
    driver: Arc<Driver>,
    /// Locked for a whole snapshot: one that begins later tells of a later moment.
    probes: Mutex<Vec<Source>>,
    /// Whether the platform refused the token.
    refused: AtomicBool,
}

enum Source {
    Containers(Selection),
    Children(Vec<String>),
    Files(PathBuf),
    Runner(Call<Activity>),
    Call(Call<Activity>),
}

impl Prober {
    pub fn new(
        engine: Option<Arc<Engine>>,
        runner: Arc<RunnerProcess>,
        driver: Arc<Driver>,
        probes: Vec<Probe>,
    ) -> Self {
        let probes = probes
            .into_iter()
            .map(|probe| match probe {
                Probe::Containers { labels, except, job_label } => {
                    Source::Containers(Selection { labels, except, job_label })
                }
                Probe::Children(names) => Source::Children(names),
                Probe::Files { folder } => Source::Files(folder),
                Probe::Runner(call) => Source::Runner(call),
                Probe::Call(call) => Source::Call(call),
            })
            .collect();
        Self { engine, runner, driver, probes: Mutex::new(probes), refused: AtomicBool::new(false) }
    }

    /// One snapshot, begun after the call, and whether the platform has refused the token since the probes were made.
    pub async fn snapshot(&self) -> (Activity, bool) {
        let mut probes = self.probes.lock().await;
        let seen = join_all(probes.iter_mut().map(|source| self.sample(source))).await;
        (seen.into_iter().fold(Activity::Quiet, Activity::and), self.refused.load(Ordering::Relaxed))
    }

    async fn sample(&self, source: &mut Source) -> Activity {
        match source {
            Source::Containers(selection) => match &self.engine {
                Some(engine) => engine.activity(selection).await,
                None => Activity::Quiet,
            },
            Source::Children(names) => self.children(names),
            Source::Files(folder) => job_pid_files::activity(folder),
            Source::Call(call) => self.complete(call).await,
            Source::Runner(call) => match self.runner.seen() {
                Seen::Nobody => Activity::Quiet,
                Seen::Unknown => unknown_runner(),
                Seen::Runner(runner) => {
                    let answer = self.complete(call).await;
                    // It may have exited while it was asked.
                    if runner.alive() { answer } else { Activity::Quiet }
                }
            },
        }
    }

    async fn complete(&self, call: &mut Call<Activity>) -> Activity {
        match self.driver.complete(call.as_mut(), TIMEOUT).await {
            Ok(activity) => activity,
            Err(error) => {
                self.refused.fetch_or(error.kind == ErrorKind::Unauthorized, Ordering::Relaxed);
                Activity::Unknown(error.to_string())
            }
        }
    }

    fn children(&self, names: &[String]) -> Activity {
        let runner = match self.runner.seen() {
            Seen::Nobody => return Activity::Quiet,
            Seen::Unknown => return unknown_runner(),
            Seen::Runner(runner) => runner,
        };
        let seen = if names.is_empty() { process::children(runner.pid()) } else { process::descendants(runner.pid()) };
        match seen {
            Ok(children) => {
                children.into_iter().map(|child| child_activity(&child, names)).fold(Activity::Quiet, Activity::and)
            }
            Err(_) if !runner.alive() => Activity::Quiet,
            Err(error) => Activity::Unknown(format!("cannot read the runner's children: {error}")),
        }
    }
}

fn unknown_runner() -> Activity {
    Activity::Unknown("whether a runner runs is not known".into())
}

/// What a process below the runner says, if only those with these names (all, if there are none) are jobs.
fn child_activity(child: &Child, names: &[String]) -> Activity {
    match &child.name {
        Some(name) if names.is_empty() || names.iter().any(|prefix| name.starts_with(prefix.as_str())) => {
            Activity::busy(format!("{name}:{}", child.pid))
        }
        Some(_) => Activity::Quiet,
        None if names.is_empty() => Activity::busy(format!("process:{}", child.pid)),
        None => {
            Activity::Unknown(format!("process {} below the runner may be a job: its name cannot be read", child.pid))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_cannot_be_read_is_not_quiet() {
        let worker = ["Runner.Worker".to_owned()];
        let child = |name: Option<&str>| Child { pid: 17, name: name.map(str::to_owned) };
        assert_eq!(child_activity(&child(Some("Runner.Worker")), &worker), Activity::busy("Runner.Worker:17"));
        assert_eq!(child_activity(&child(Some("sh")), &worker), Activity::Quiet);
        assert!(matches!(child_activity(&child(None), &worker), Activity::Unknown(_)));
        assert_eq!(child_activity(&child(None), &[]), Activity::busy("process:17"));
    }
}
