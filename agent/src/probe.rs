//! Snapshots: every local source of truth is asked, and what each saw is reported together. What of it counts as a job the core says.

mod job_pid_files;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use lightsout_io::http::Driver;
use tokio::{sync::Mutex, time::timeout};

use crate::{
    docker::Engine,
    jobs::Jobs,
    process::{self, Child},
    runner_process::{KnownRunner, RunnerProcess},
};
use lightsout_core::{
    activity::Activity,
    duration::not_within,
    exchange::{Call, ErrorKind},
    platform::{JobSigns, Probe, child},
};

/// How long one question to a runner or a platform may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long one source may take in any case. An engine that has to be connected to is asked two things.
const LIMIT: Duration = Duration::from_secs(6);

pub(crate) struct Prober {
    engine: Option<Arc<Engine>>,
    runner: Arc<RunnerProcess>,
    driver: Arc<Driver>,
    signs: JobSigns,
    /// Locked for a whole snapshot: one that begins later tells of a later moment.
    probes: Mutex<Vec<Probe>>,
    /// Whether the platform refused the token.
    refused: AtomicBool,
}

impl Prober {
    pub(crate) fn new(
        engine: Option<Arc<Engine>>,
        runner: Arc<RunnerProcess>,
        driver: Arc<Driver>,
        probes: Vec<Probe>,
    ) -> Self {
        let signs = JobSigns::of(&probes, engine.is_some());
        let refused = AtomicBool::new(false);
        Self { engine, runner, driver, signs, probes: Mutex::new(probes), refused }
    }

    /// What the probes mean together.
    pub(crate) fn signs(&self) -> &JobSigns {
        &self.signs
    }

    /// One snapshot, begun after the call, and whether the platform has refused the token since the probes were made.
    pub(crate) async fn snapshot(&self) -> (Activity, bool) {
        let mut probes = self.probes.lock().await;
        let seen = join_all(probes.iter_mut().map(|probe| self.sample(probe))).await;
        (self.signs.together(seen), self.refused.load(Ordering::Relaxed))
    }

    /// What the jobs run in now, as far as it can be told.
    pub(crate) async fn jobs(&self) -> Jobs {
        let runner = match self.runner.seen() {
            KnownRunner::Runner(runner) => Some(runner),
            KnownRunner::Nobody | KnownRunner::Unknown => None,
        };
        let containers = self.engine.clone().zip(self.signs.containers().cloned());
        Jobs::of(runner.as_ref(), self.signs.below(), containers).await
    }

    /// What one source says. Silence is a doubt.
    async fn sample(&self, probe: &mut Probe) -> Activity {
        let (name, remedy) = in_words(probe);
        match timeout(LIMIT, self.ask(probe)).await {
            Ok(seen) => seen,
            Err(_) => Activity::Unknown(not_within(format!("{name} did not answer"), LIMIT, remedy)),
        }
    }

    async fn ask(&self, probe: &mut Probe) -> Activity {
        match probe {
            Probe::Containers(selection) => match &self.engine {
                Some(engine) => engine.activity(selection).await,
                None => Activity::Quiet,
            },
            Probe::Children(names) => self.children(names),
            Probe::Files { folder } => {
                let folder = folder.clone();
                let reading = tokio::task::spawn_blocking(move || job_pid_files::activity(&folder));
                reading.await.unwrap_or_else(|error| Activity::Unknown(error.to_string()))
            }
            Probe::Call(call) => self.complete(call).await,
            Probe::Runner(call) => match self.runner.seen() {
                KnownRunner::Nobody => Activity::Quiet,
                KnownRunner::Unknown => unknown_runner(),
                KnownRunner::Runner(runner) => {
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
            KnownRunner::Nobody => return Activity::Quiet,
            KnownRunner::Unknown => return unknown_runner(),
            KnownRunner::Runner(runner) => runner,
        };
        let seen = if names.is_empty() { process::children(runner.pid()) } else { process::descendants(runner.pid()) };
        match seen {
            Ok(children) => {
                let said = children.into_iter().map(|Child { pid, name }| child(pid, name.as_deref(), names));
                said.fold(Activity::Quiet, Activity::and)
            }
            Err(_) if !runner.alive() => Activity::Quiet,
            Err(error) => Activity::Unknown(format!("cannot read the runner's children: {error}")),
        }
    }
}

/// What is asked, and what to look at where it does not answer.
fn in_words(probe: &Probe) -> (&'static str, &'static str) {
    match probe {
        Probe::Containers(_) => ("the Docker engine", "is the engine overloaded, or its disk full?"),
        Probe::Children(_) => ("the list of the runner's children", "is the machine overloaded, or its disk slow?"),
        Probe::Files { .. } => {
            ("the folder of the jobs' process id files", "is the machine overloaded, or its disk slow?")
        }
        Probe::Runner(_) => ("the runner", "does it take requests for its metrics?"),
        Probe::Call(_) => ("the probe", "is whatever it asks overloaded, or out of reach?"),
    }
}

fn unknown_runner() -> Activity {
    Activity::Unknown("whether a runner runs is not known".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A start-up hook of a runner, or what a job left behind, is its child as well.
    #[tokio::test]
    async fn what_may_be_no_job_keeps_the_instance_and_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let runner = Arc::new(RunnerProcess::new(folder.path(), false));
        let argv = ["/bin/sh", "-c", "sleep 30; :"].map(str::to_owned).to_vec();
        let launch = lightsout_core::platform::Launch { argv, env: Vec::new(), files: Vec::new(), doubts: Vec::new() };
        let process = runner.start(&launch, lightsout_core::platform::Signal::Term).await.unwrap();
        for _ in 0..2_500 {
            if !process::children(process.pid()).unwrap().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let jobs = folder.path().join("runner/jobs");
        let seen = async |probes: Vec<Probe>| {
            let driver = Arc::new(Driver::new("test"));
            Prober::new(None, Arc::clone(&runner), driver, probes).snapshot().await.0
        };
        let marks = || Probe::Files { folder: jobs.clone() };
        let child = || Probe::Children(Vec::new());
        let both = seen(vec![marks(), child()]).await;
        let alone = seen(vec![child()]).await;
        std::fs::create_dir_all(&jobs).unwrap();
        std::fs::write(jobs.join(format!("job.{}.{}", process.pid(), process.start())), "").unwrap();
        let marked = seen(vec![marks(), child()]).await;
        process.kill_group().unwrap();
        process.exited().await;
        assert!(matches!(both, Activity::Occupied(_)), "jobs are marked here, and this is none: {both:?}");
        assert!(matches!(alone, Activity::Busy(_)), "there is no better sign: {alone:?}");
        assert!(matches!(marked, Activity::Busy(_)), "{marked:?}");
    }
}
