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
use tokio::{sync::Mutex, time::timeout};

use crate::{
    docker::{Engine, Selection},
    jobs::{JobProcesses, Jobs},
    process::{self, Child},
    runner_process::{KnownRunner, RunnerProcess},
};
use lightsout_core::{
    activity::Activity,
    duration::not_within,
    exchange::{Call, ErrorKind},
    platform::Probe,
};

/// How long one question to a runner or a platform may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long one source may take in any case. An engine that has to be connected to is asked two things.
const LIMIT: Duration = Duration::from_secs(6);

pub(crate) struct Prober {
    engine: Option<Arc<Engine>>,
    runner: Arc<RunnerProcess>,
    driver: Arc<Driver>,
    /// Which processes below the runner's are jobs.
    below: JobProcesses,
    /// Which containers are jobs.
    containers: Option<Selection>,
    /// Locked for a whole snapshot: one that begins later tells of a later moment.
    probes: Mutex<Vec<Source>>,
    /// Whether the platform refused the token.
    refused: AtomicBool,
}

struct Source {
    kind: Kind,
    /// Whether what it sees is a job for certain, or the best that can be had.
    sure: bool,
}

enum Kind {
    Containers(Selection),
    Children(Vec<String>),
    Files(PathBuf),
    Runner(Call<Activity>),
    Call(Call<Activity>),
}

/// Whether what this probe sees is a job, and not whatever else may run there: a sidecar, a hook, what a job left behind.
pub(crate) fn is_sure(probe: &Probe) -> bool {
    match probe {
        Probe::Containers { labels, .. } => !labels.is_empty(),
        Probe::Children(names) => !names.is_empty(),
        Probe::Files { .. } | Probe::Runner(_) | Probe::Call(_) => true,
    }
}

impl Prober {
    pub(crate) fn new(
        engine: Option<Arc<Engine>>,
        runner: Arc<RunnerProcess>,
        driver: Arc<Driver>,
        probes: Vec<Probe>,
    ) -> Self {
        // Where no probe is sure, the best there is has to do for counting jobs.
        let none_is_sure = !probes.iter().any(is_sure);
        let (mut names, mut containers) = (None, None);
        let probes = probes
            .into_iter()
            .map(|probe| {
                let sure = none_is_sure || is_sure(&probe);
                let kind = match probe {
                    Probe::Containers { labels, except, job_label } => {
                        let selection = Selection { labels, except, job_label };
                        containers = Some(selection.clone());
                        Kind::Containers(selection)
                    }
                    Probe::Children(found) => {
                        names = Some(found.clone());
                        Kind::Children(found)
                    }
                    Probe::Files { folder } => Kind::Files(folder),
                    Probe::Runner(call) => Kind::Runner(call),
                    Probe::Call(call) => Kind::Call(call),
                };
                Source { kind, sure }
            })
            .collect();
        let below = match names {
            Some(names) if !names.is_empty() => JobProcesses::Reporters(names),
            None if containers.is_some() && engine.is_some() => JobProcesses::NoJobs,
            Some(_) | None => JobProcesses::Jobs,
        };
        let refused = AtomicBool::new(false);
        Self { engine, runner, driver, below, containers, probes: Mutex::new(probes), refused }
    }

    /// One snapshot, begun after the call, and whether the platform has refused the token since the probes were made.
    pub(crate) async fn snapshot(&self) -> (Activity, bool) {
        let mut probes = self.probes.lock().await;
        let seen = join_all(probes.iter_mut().map(|source| self.sample(source))).await;
        (seen.into_iter().fold(Activity::Quiet, Activity::and), self.refused.load(Ordering::Relaxed))
    }

    /// What the jobs run in now, as far as it can be told.
    pub(crate) async fn jobs(&self) -> Jobs {
        let runner = match self.runner.seen() {
            KnownRunner::Runner(runner) => Some(runner),
            KnownRunner::Nobody | KnownRunner::Unknown => None,
        };
        let containers = self.engine.clone().zip(self.containers.clone());
        Jobs::of(runner.as_ref(), &self.below, containers).await
    }

    /// What one source says. Silence is a doubt.
    async fn sample(&self, source: &mut Source) -> Activity {
        let name = source.kind.name();
        let seen = match timeout(LIMIT, self.ask(&mut source.kind)).await {
            Ok(seen) => seen,
            Err(_) => Activity::Unknown(not_within(format!("{name} did not answer"), LIMIT, source.kind.remedy())),
        };
        if source.sure { seen } else { seen.unsure() }
    }

    async fn ask(&self, source: &mut Kind) -> Activity {
        match source {
            Kind::Containers(selection) => match &self.engine {
                Some(engine) => engine.activity(selection).await,
                None => Activity::Quiet,
            },
            Kind::Children(names) => self.children(names),
            Kind::Files(folder) => {
                let folder = folder.clone();
                let reading = tokio::task::spawn_blocking(move || job_pid_files::activity(&folder));
                reading.await.unwrap_or_else(|error| Activity::Unknown(error.to_string()))
            }
            Kind::Call(call) => self.complete(call).await,
            Kind::Runner(call) => match self.runner.seen() {
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
                children.into_iter().map(|child| child_activity(&child, names)).fold(Activity::Quiet, Activity::and)
            }
            Err(_) if !runner.alive() => Activity::Quiet,
            Err(error) => Activity::Unknown(format!("cannot read the runner's children: {error}")),
        }
    }
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Containers(_) => "the Docker engine",
            Self::Children(_) => "the list of the runner's children",
            Self::Files(_) => "the folder of the jobs' process id files",
            Self::Runner(_) => "the runner",
            Self::Call(_) => "the probe",
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Containers(_) => "is the engine overloaded, or its disk full?",
            Self::Children(_) | Self::Files(_) => "is the machine overloaded, or its disk slow?",
            Self::Runner(_) => "does it take requests for its metrics?",
            Self::Call(_) => "is whatever it asks overloaded, or out of reach?",
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
