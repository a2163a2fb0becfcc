//! Jobs in containers of a Docker engine.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, bail};
use bollard::{
    Docker,
    errors::Error,
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{
        CreateContainerOptions, CreateImageOptions, KillContainerOptions, LogsOptions, RemoveContainerOptions,
        StartContainerOptions, WaitContainerOptions,
    },
};
use futures_util::{StreamExt, TryStreamExt};

use crate::job::Log;

/// How often a container is looked for again when its engine went away, and the pause between two looks.
const ENGINE_RESTARTS: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// A Docker engine.
#[derive(Clone, Debug)]
pub(crate) struct Engine(Docker);

/// A container to create.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContainerSpec {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) command: Vec<String>,
    /// Each as `KEY=value`.
    pub(crate) environment: Vec<String>,
    pub(crate) labels: HashMap<String, String>,
    pub(crate) network_mode: Option<String>,
}

/// A job's container.
pub(crate) struct Container {
    docker: Docker,
    id: String,
}

/// Something that no other container's name has: several fleets may share an engine, and their jobs' numbers.
pub(crate) fn unique() -> String {
    format!("{:x}", jiff::Timestamp::now().as_nanosecond())
}

impl Engine {
    /// Connects to the engine behind this socket, or to the usual one.
    pub(crate) async fn connect(host: Option<&str>) -> Result<Self> {
        let engine = match host {
            Some(host) => Docker::connect_with_unix(host, 120, bollard::API_DEFAULT_VERSION),
            None => Docker::connect_with_local_defaults(),
        };
        async { engine?.negotiate_version().await }.await.map(Self).context("no Docker engine answers")
    }

    /// Pulls the image when it is not there.
    pub(crate) async fn pull(&self, image: &str) -> Result<()> {
        match self.0.inspect_image(image).await {
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {
                let tag = if image.contains('@') || image.rsplit('/').next().is_some_and(|last| last.contains(':')) {
                    None
                } else {
                    Some("latest".to_owned())
                };
                let options =
                    CreateImageOptions { from_image: Some(image.to_owned()), tag, ..CreateImageOptions::default() };
                let pulled: Result<Vec<_>, _> = self.0.create_image(Some(options), None, None).try_collect().await;
                pulled.with_context(|| format!("the image {image} is not here and cannot be pulled"))?;
            }
            found => {
                found.with_context(|| format!("the Docker engine cannot look for the image {image}"))?;
            }
        }
        Ok(())
    }

    /// Creates a container without starting it.
    pub(crate) async fn create(&self, spec: ContainerSpec) -> Result<Container> {
        let body = ContainerCreateBody {
            image: Some(spec.image),
            entrypoint: spec.entrypoint,
            cmd: Some(spec.command),
            env: Some(spec.environment),
            labels: Some(spec.labels),
            host_config: Some(HostConfig { network_mode: spec.network_mode, ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptions { name: Some(spec.name), ..CreateContainerOptions::default() };
        let created = self.0.create_container(Some(options), body).await.context("no container")?;
        Ok(Container { docker: self.0.clone(), id: created.id })
    }
}

impl Container {
    /// Runs it to its end; the exit code. It outlives an engine that is restarted (live-restore), which is waited for.
    pub(crate) async fn run(&self, log: Log) -> Result<i64> {
        self.docker.start_container(&self.id, None::<StartContainerOptions>).await?;
        let mut sent = 0;
        for _ in 0..ENGINE_RESTARTS {
            match self.follow(&log, &mut sent).await {
                Ok(Some(code)) => return Ok(code),
                Ok(None) => {}
                Err(error @ Error::DockerResponseServerError { status_code: 404, .. }) => return Err(error.into()),
                Err(error) => eprintln!("the Docker engine is away: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("the Docker engine does not say how the container ended")
    }

    /// Passes on what it prints after the first `sent` bytes, to its end; the exit code, if the engine says one.
    async fn follow(&self, log: &Log, sent: &mut usize) -> Result<Option<i64>, Error> {
        let options = LogsOptions { follow: true, stdout: true, stderr: true, ..LogsOptions::default() };
        let mut output = self.docker.logs(&self.id, Some(options));
        let mut known = *sent;
        while let Some(piece) = output.next().await {
            let mut piece = piece?.into_bytes();
            let fresh = piece.split_off(known.min(piece.len()));
            known -= piece.len();
            *sent += fresh.len();
            if !fresh.is_empty() {
                let _ = log.send(fresh).await;
            }
        }
        match self.docker.wait_container(&self.id, None::<WaitContainerOptions>).next().await {
            Some(Ok(exit)) => Ok(Some(exit.status_code)),
            Some(Err(Error::DockerContainerWaitError { code, error })) if error.is_empty() => Ok(Some(code)),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        }
    }

    /// Asks its process to end.
    pub(crate) async fn terminate(&self) {
        let options = KillContainerOptions { signal: "SIGTERM".to_owned() };
        if let Err(error) = self.docker.kill_container(&self.id, Some(options)).await {
            eprintln!("container {} cannot be asked to end: {error}", self.id);
        }
    }

    /// Kills it if it still runs, and removes it.
    pub(crate) async fn remove(self) {
        for _ in 0..3 {
            let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
            match self.docker.remove_container(&self.id, Some(options)).await {
                Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => return,
                Err(error) => eprintln!("container {} cannot be removed: {error}", self.id),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
