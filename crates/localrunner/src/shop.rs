//! Where jobs run whose vendor runs them in containers: in one each when there is an engine, else as plain processes.

use std::{
    collections::{BTreeMap, HashMap},
    env,
};

use anyhow::Result;
use tokio::process::Command;

use super::{
    container::{Engine, Order},
    desk::Job,
    process::Group,
    shift::{Work, command},
};
use crate::machine::{FLEET_LABEL, MACHINE_LABEL, MARKER};

/// Holds the image for jobs that name none. Without it jobs are plain processes.
pub const JOB_IMAGE: &str = "LIGHTSOUT_JOB_IMAGE";

/// Holds the `PATH` of jobs that are plain processes, where it is not the runner's own.
pub const JOB_PATH: &str = "LIGHTSOUT_JOB_PATH";

/// The workplace.
pub struct Shop(Option<Containers>);

struct Containers {
    engine: Engine,
    image: String,
    labels: BTreeMap<String, String>,
}

impl Shop {
    /// The one that the environment names.
    pub async fn open() -> Result<Self> {
        let Ok(image) = env::var(JOB_IMAGE) else { return Ok(Self(None)) };
        let mut labels = BTreeMap::new();
        if let Ok(machine) = env::var(MARKER) {
            let fleet = machine.split('/').next().unwrap_or_default().to_owned();
            labels.extend([(FLEET_LABEL.to_owned(), fleet), (MACHINE_LABEL.to_owned(), machine)]);
        }
        Ok(Self(Some(Containers { engine: Engine::connect(None).await?, image, labels })))
    }

    /// Starts a job: in a container with this name and these labels, or as a process without the `hidden` variables.
    pub async fn run(
        &self,
        job: &Job,
        name: String,
        labels: BTreeMap<String, String>,
        hidden: &[&str],
    ) -> Result<Work> {
        let Some(containers) = &self.0 else {
            let mut command: Command = command(&job.argv, job)?;
            for name in hidden {
                command.env_remove(name);
            }
            if let Some(path) = env::var_os(JOB_PATH) {
                command.env("PATH", path);
            }
            return Ok(Work::Processes(Group::spawn(command)?));
        };
        let image = job.image.clone().filter(|image| !image.is_empty()).unwrap_or_else(|| containers.image.clone());
        containers.engine.fetch(&image).await?;
        let order = Order {
            name,
            image,
            command: job.argv.clone(),
            environment: job.env.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            labels: containers.labels.clone().into_iter().chain(labels).collect::<HashMap<_, _>>(),
            ..Order::default()
        };
        Ok(Work::Container(containers.engine.create(order).await?))
    }
}
