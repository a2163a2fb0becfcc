//! How jobs run: each in a container of its own, or as a group of plain processes.

use std::{collections::BTreeMap, env, ffi::OsString, fs, future::Future, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::{
    container::{Container, ContainerSpec, Engine},
    job::{Job, Log, Outcome},
    machine,
    process::{ProcessGroup, command},
};

/// The image for jobs that name none. Without it jobs are plain processes.
pub(crate) const JOB_IMAGE: &str = "LIGHTSOUT_JOB_IMAGE";
/// The `PATH` of jobs that are plain processes, where it is not the runner's own.
pub(crate) const JOB_PATH: &str = "LIGHTSOUT_JOB_PATH";

/// How long processes may take to end when they are asked to.
const GRACE: Duration = Duration::from_secs(2);

/// Where a runner's jobs run.
pub(crate) enum Executor {
    Containers {
        engine: Engine,
        /// For jobs that name none; may be empty.
        image: String,
        /// What each container carries.
        labels: BTreeMap<String, String>,
        network_mode: Option<String>,
    },
    Processes,
}

/// What a vendor's runner gives a job beside what the platform says of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobOptions {
    /// The container's name.
    pub name: String,
    /// More labels for the container.
    pub labels: BTreeMap<String, String>,
    /// The container's, instead of the image's.
    pub entrypoint: Option<Vec<String>>,
    /// Where a plain process works; it is created. Without it, where the runner does.
    pub directory: Option<PathBuf>,
    /// Variables of the runner that a plain process must not see.
    pub hidden: &'static [&'static str],
}

/// A job that runs.
pub(crate) enum RunningJob {
    Processes(ProcessGroup),
    Container(Container),
}

impl Executor {
    /// The one that the environment names.
    pub(crate) async fn from_env() -> Result<Self> {
        let Ok(image) = env::var(JOB_IMAGE) else { return Ok(Self::Processes) };
        let engine = Engine::connect(None).await?;
        Ok(Self::Containers { engine, image, labels: machine::labels().into_iter().collect(), network_mode: None })
    }

    /// Makes the job's image available. This may take long, and may be cut short.
    pub(crate) async fn prepare(&self, job: &Job) -> Result<()> {
        match self {
            Self::Containers { engine, image, .. } => {
                let image = image_of(job, image);
                ensure!(!image.is_empty(), "neither the job nor the runner's configuration names an image");
                engine.pull(image).await
            }
            Self::Processes => Ok(()),
        }
    }

    /// Starts a job.
    pub(crate) async fn start(&self, job: &Job, options: JobOptions) -> Result<RunningJob> {
        match self {
            Self::Containers { engine, image, labels, network_mode } => {
                let spec = ContainerSpec {
                    name: options.name,
                    image: image_of(job, image).to_owned(),
                    entrypoint: options.entrypoint,
                    command: job.argv.clone(),
                    environment: job.env.iter().map(|(key, value)| format!("{key}={value}")).collect(),
                    labels: labels.clone().into_iter().chain(options.labels).collect(),
                    network_mode: network_mode.clone(),
                };
                Ok(RunningJob::Container(engine.create(spec).await?))
            }
            Self::Processes => {
                let mut command = command(&job.argv, job)?;
                for name in options.hidden {
                    command.env_remove(name);
                }
                if let Some(path) = env::var_os(JOB_PATH) {
                    command.env("PATH", path);
                }
                if let Some(directory) = &options.directory {
                    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
                    command.current_dir(directory);
                }
                Ok(RunningJob::Processes(ProcessGroup::spawn(command)?))
            }
        }
    }
}

impl RunningJob {
    /// Runs it to its end, or until something ends it early: then it is asked to end, and killed soon after, unless the
    /// runner is `patient`.
    pub(crate) async fn run(
        self,
        log: Log,
        early: impl Future<Output = Outcome>,
        patient: impl FnOnce() -> bool,
    ) -> Outcome {
        match self {
            Self::Container(container) => {
                let mut running = Box::pin(container.run(log));
                let outcome = tokio::select! {
                    exit = &mut running => Outcome::of(exit),
                    early = early => {
                        if patient() {
                            container.terminate().await;
                            let _ = (&mut running).await;
                        }
                        early
                    }
                };
                drop(running);
                container.remove().await;
                outcome
            }
            Self::Processes(group) => {
                let killer = group.killer();
                let mut running = Box::pin(group.run(log));
                let outcome = tokio::select! {
                    exit = &mut running => Outcome::of(exit),
                    early = early => {
                        killer.signal(Signal::TERM);
                        let grace = if patient() { Duration::MAX } else { GRACE };
                        let _ = tokio::time::timeout(grace, &mut running).await;
                        early
                    }
                };
                killer.kill();
                outcome
            }
        }
    }
}

/// What [`Executor::from_env`] reads, for a runner that is to run its jobs with this image.
pub(crate) fn image_env(image: Option<&str>) -> Vec<(&'static str, OsString)> {
    image.map(|image| (JOB_IMAGE, OsString::from(image))).into_iter().collect()
}

fn image_of<'a>(job: &'a Job, default: &'a str) -> &'a str {
    job.image.as_deref().filter(|image| !image.is_empty()).unwrap_or(default)
}
