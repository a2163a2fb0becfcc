//! Jobs in containers, named and labelled as the vendor's runner does it.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, bail};
use bollard::{
    Docker,
    errors::Error,
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{
        CreateContainerOptions, CreateImageOptions, LogsOptions, RemoveContainerOptions, StartContainerOptions,
        WaitContainerOptions,
    },
};
use futures_util::{StreamExt, TryStreamExt};

use super::{
    config::{Config, DockerConfig},
    gitlab::JobTicket,
    job::Log,
};

/// GitLab Runner's containers: the engine, and what each container carries.
pub struct Containers {
    engine: Engine,
    config: DockerConfig,
    short_token: String,
    labels: HashMap<String, String>,
}

/// A Docker engine.
#[derive(Clone, Debug)]
pub struct Engine(Docker);

/// A container to create.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pub name: String,
    pub image: String,
    pub entrypoint: Option<Vec<String>>,
    pub command: Vec<String>,
    /// Each as `KEY=value`.
    pub environment: Vec<String>,
    pub labels: HashMap<String, String>,
    pub network_mode: Option<String>,
}

/// One job's container.
pub struct Container {
    docker: Docker,
    id: String,
}

impl Containers {
    /// Connects to the engine that the configuration names.
    pub async fn connect(docker: &DockerConfig, config: &Config) -> Result<Self> {
        Ok(Self {
            engine: Engine::connect(docker.host.as_deref()).await?,
            config: docker.clone(),
            short_token: config.short_token(),
            labels: labels(docker, config),
        })
    }

    /// The image for this job; pulled when it is not there.
    pub async fn image(&self, ticket: &JobTicket) -> Result<String> {
        let image = ticket.image().unwrap_or(&self.config.image);
        if image.is_empty() {
            bail!("neither the job nor [runners.docker] names an image");
        }
        self.engine.fetch(image).await?;
        Ok(image.to_owned())
    }

    /// Creates the job's container without starting it.
    pub async fn create(&self, ticket: &JobTicket, image: &str) -> Result<Container> {
        let mut labels = self.labels.clone();
        labels.insert("com.gitlab.gitlab-runner.job.id".to_owned(), ticket.id.to_string());
        labels.insert("com.gitlab.gitlab-runner.project.id".to_owned(), ticket.job_info.project_id.to_string());
        let name = format!(
            "runner-{}-project-{}-concurrent-{}-{}-build",
            self.short_token,
            ticket.job_info.project_id,
            ticket.id,
            unique()
        );
        let order = Order {
            name,
            image: image.to_owned(),
            entrypoint: ticket.image.as_ref().and_then(|image| image.entrypoint.clone()),
            command: vec!["sh".to_owned(), "-c".to_owned(), ticket.script()],
            environment: ticket.environment(),
            labels,
            network_mode: self.config.network_mode.clone(),
        };
        self.engine.create(order).await
    }
}

/// Something that no other container's name has: several fleets may share an engine, and their jobs' numbers.
pub fn unique() -> String {
    format!("{:x}", jiff::Timestamp::now().as_nanosecond())
}

impl Engine {
    /// Connects to the engine behind this socket, or to the usual one.
    pub async fn connect(host: Option<&str>) -> Result<Self> {
        let engine = match host {
            Some(host) => Docker::connect_with_unix(host, 120, bollard::API_DEFAULT_VERSION),
            None => Docker::connect_with_local_defaults(),
        };
        async { engine?.negotiate_version().await }.await.map(Self).context("no Docker engine answers")
    }

    /// Pulls the image when it is not there.
    pub async fn fetch(&self, image: &str) -> Result<()> {
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
    pub async fn create(&self, order: Order) -> Result<Container> {
        let body = ContainerCreateBody {
            image: Some(order.image),
            entrypoint: order.entrypoint,
            cmd: Some(order.command),
            env: Some(order.environment),
            labels: Some(order.labels),
            host_config: Some(HostConfig { network_mode: order.network_mode, ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptions { name: Some(order.name), ..CreateContainerOptions::default() };
        let created = self.0.create_container(Some(options), body).await?;
        Ok(Container { docker: self.0.clone(), id: created.id })
    }
}

impl Container {
    /// Runs it to its end; the exit code.
    pub async fn run(&self, log: Log) -> Result<i64> {
        self.docker.start_container(&self.id, None::<StartContainerOptions>).await?;
        let options = LogsOptions { follow: true, stdout: true, stderr: true, ..LogsOptions::default() };
        let mut output = self.docker.logs(&self.id, Some(options));
        while let Some(piece) = output.next().await {
            let _ = log.send(piece?.into_bytes()).await;
        }
        match self.docker.wait_container(&self.id, None::<WaitContainerOptions>).next().await {
            Some(Ok(exit)) => Ok(exit.status_code),
            Some(Err(Error::DockerContainerWaitError { code, error })) if error.is_empty() => Ok(code),
            Some(Err(error)) => Err(error.into()),
            None => bail!("the Docker engine does not say how the container ended"),
        }
    }

    /// Kills it if it still runs, and removes it.
    pub async fn remove(self) {
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

/// What every container carries: GitLab Runner's own labels, and those of the configuration.
fn labels(docker: &DockerConfig, config: &Config) -> HashMap<String, String> {
    let own = [
        ("managed", "true"),
        ("type", "build"),
        ("runner.id", &config.short_token()),
        ("runner.system_id", &config.system_id),
    ];
    let own = own.map(|(key, value)| (format!("com.gitlab.gitlab-runner.{key}"), value.to_owned()));
    docker.container_labels.clone().into_iter().chain(own).collect()
}
