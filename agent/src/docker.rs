//! The Docker engine: the list of containers is the truth, its events are hints.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    query_parameters::{
        EventsOptionsBuilder, KillContainerOptions, ListContainersOptionsBuilder, PruneBuildOptionsBuilder,
        PruneContainersOptionsBuilder, PruneImagesOptionsBuilder,
    },
};
use futures_util::{StreamExt, future::join_all};
use lightsout_core::{
    activity::{Activity, JobId},
    duration::not_within,
    platform::Selection,
    space::format_size,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

/// How long one question to the engine may take as a whole: one that stops in the middle of an answer has not answered.
const TIMEOUT: Duration = Duration::from_millis(2_500);
/// So many events in a second are a storm, in which each one more says nothing.
const STORM: u32 = 20;
/// How long nobody listens after a storm began. The samples go on.
const STORM_PAUSE: Duration = Duration::from_secs(2);

/// The label of what is never removed.
const KEEP: &str = "lightsout.keep";

/// The pauses before the events are subscribed to again.
const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The labels of a selection, as the engine takes them.
fn filters(selection: &Selection) -> HashMap<String, Vec<String>> {
    let labels = selection.labels.iter().map(|(key, value)| match value {
        Some(value) => format!("{key}={value}"),
        None => key.clone(),
    });
    HashMap::from([("label".to_owned(), labels.collect())])
}

/// How an engine works, whether its file, its command line or a default says so; `None` where it does not tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct EngineInfo {
    /// The folder of images and containers.
    pub data: Option<PathBuf>,
    /// Where the output of containers goes.
    pub log_driver: Option<String>,
    /// Whether containers outlive a restart of it.
    pub live_restore: Option<bool>,
}

/// The engine, connected at first use and again after it was gone.
pub(crate) struct Engine {
    socket: String,
    /// Never locked while somebody waits for the engine.
    client: Mutex<Option<Docker>>,
}

impl Engine {
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_string_lossy().into_owned(), client: Mutex::new(None) }
    }

    async fn client(&self) -> Result<Docker, String> {
        if let Some(client) = self.client.lock().ok().and_then(|held| held.clone()) {
            return Ok(client);
        }
        // The oldest engine and the newest have no API version in common: ask which one this is.
        let connecting = async {
            let fresh = Docker::connect_with_unix(&self.socket, TIMEOUT.as_secs() + 1, API_DEFAULT_VERSION)?;
            fresh.negotiate_version().await
        };
        let client = within(connecting).await?;
        self.keep(Some(client.clone()));
        Ok(client)
    }

    fn keep(&self, client: Option<Docker>) {
        if let Ok(mut held) = self.client.lock() {
            *held = client;
        }
    }

    /// The jobs among the running containers. An engine that does not answer makes it unknown.
    pub(crate) async fn activity(&self, selection: &Selection) -> Activity {
        match self.list(selection).await {
            Ok(jobs) if jobs.is_empty() => Activity::Quiet,
            Ok(jobs) => Activity::Busy(jobs.into_iter().map(|(_, job)| job).collect()),
            Err(error) => {
                self.keep(None);
                Activity::Unknown(format!("the Docker engine at {} does not answer: {error}", self.socket))
            }
        }
    }

    /// What the engine says of itself.
    pub(crate) async fn version(&self) -> Result<String, String> {
        let asking = async {
            let client = self.client().await?;
            within(async { client.version().await }).await
        };
        match asking.await {
            Ok(found) => {
                Ok(format!("Docker {} answers", found.version.unwrap_or_else(|| "of an unknown version".into())))
            }
            Err(error) => Err(format!("the Docker engine at {} does not answer: {error}", self.socket)),
        }
    }

    /// What it was started with, by its own account; an error where it does not answer.
    pub(crate) async fn info(&self) -> Result<EngineInfo, String> {
        let client = self.client().await?;
        let found = within(async { client.info().await }).await?;
        Ok(EngineInfo {
            data: found.docker_root_dir.filter(|folder| !folder.is_empty()).map(PathBuf::from),
            log_driver: found.logging_driver.filter(|driver| !driver.is_empty()),
            live_restore: found.live_restore_enabled,
        })
    }

    /// The ids of the running containers that are jobs.
    pub(crate) async fn containers(&self, selection: &Selection) -> Result<Vec<String>, String> {
        Ok(self.list(selection).await?.into_iter().map(|(id, _)| id).collect())
    }

    /// Kills these containers at once, as far as they still run.
    pub(crate) async fn kill(&self, containers: &[String]) {
        let client = match self.client().await {
            Ok(client) => client,
            Err(error) if !containers.is_empty() => {
                tracing::error!(?containers, error, "the jobs' containers cannot be ended");
                return;
            }
            Err(_) => return,
        };
        let ending = containers.iter().map(async |id| {
            match client.kill_container(id, None::<KillContainerOptions>).await {
                Ok(()) => tracing::warn!(
                    id,
                    "a job's container does not heed its runner; ended, so that the runner can report"
                ),
                // It is gone, or does not run any more.
                Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
                Err(error) => tracing::error!(id, %error, "a job's container cannot be ended"),
            }
        });
        join_all(ending).await;
    }

    /// Removes stopped containers, unused images and the build cache, but for what is to be kept; what came of it, in words. Volumes with a name
    /// are caches that somebody wants, and older engines do not tell them from others, so none is touched.
    pub(crate) async fn prune(&self, limit: Duration) -> String {
        let pruning = async {
            let client = self.client().await?.with_timeout(limit);
            let failed = |error: Error| error.to_string();
            let keep = ("label!".to_owned(), vec![KEEP.to_owned()]);
            let unused = ("dangling".to_owned(), vec!["false".to_owned()]);
            let containers = PruneContainersOptionsBuilder::default().filters(&HashMap::from([keep.clone()])).build();
            let containers = client.prune_containers(Some(containers)).await.map_err(failed)?;
            let images = PruneImagesOptionsBuilder::default().filters(&HashMap::from([keep, unused])).build();
            let images = client.prune_images(Some(images)).await.map_err(failed)?;
            // An engine without BuildKit has no such cache.
            let cache = client.prune_build(Some(PruneBuildOptionsBuilder::default().all(true).build())).await;
            let cache = cache.ok().and_then(|pruned| pruned.space_reclaimed);
            let bytes = [containers.space_reclaimed, images.space_reclaimed, cache].into_iter().flatten();
            Ok::<u64, String>(bytes.filter_map(|bytes| u64::try_from(bytes).ok()).sum::<u64>())
        };
        match timeout(limit, pruning).await {
            Ok(Ok(bytes)) => format!("Docker has removed {}", format_size(bytes)),
            Ok(Err(why)) => format!("the Docker engine at {} removes nothing: {why}", self.socket),
            Err(_) => {
                let what = format!("the Docker engine at {} did not remove what is not used", self.socket);
                not_within(what, limit, "agent.clean_timeout gives it longer")
            }
        }
    }

    async fn list(&self, selection: &Selection) -> Result<Vec<(String, JobId)>, String> {
        let mut filters = filters(selection);
        filters.insert("status".into(), ["running", "paused", "restarting"].map(str::to_owned).to_vec());
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let client = self.client().await?;
        let containers = within(client.list_containers(Some(options))).await?;
        Ok(containers
            .into_iter()
            .filter_map(|container| {
                let name = container.names.and_then(|names| names.into_iter().next()).unwrap_or_default();
                let labels = container.labels.unwrap_or_default();
                let job = selection.job(&name, |key| labels.get(key))?;
                Some((container.id.unwrap_or(name), job))
            })
            .collect())
    }

    /// Follows the engine's events for ever. Each says that a look is worth while; a start says which job began.
    pub(crate) async fn follow(&self, selection: &Selection, hints: mpsc::Sender<Option<JobId>>) {
        let mut filters = filters(selection);
        filters.insert("type".into(), vec!["container".into()]);
        filters.insert("event".into(), vec!["start".into(), "die".into()]);
        let mut pause = MIN_PAUSE;
        loop {
            if let Ok(client) = self.client().await {
                let mut events = client.events(Some(EventsOptionsBuilder::default().filters(&filters).build()));
                // What happened before the subscription began has no event.
                if hints.send(None).await.is_err() {
                    return;
                }
                let mut second = Instant::now();
                let mut count = 0;
                let storm = loop {
                    let Some(Ok(event)) = events.next().await else { break false };
                    pause = MIN_PAUSE;
                    if second.elapsed() >= Duration::from_secs(1) {
                        (second, count) = (Instant::now(), 0);
                    }
                    count += 1;
                    if count > STORM {
                        break true;
                    }
                    let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
                    let name = attributes.get("name").cloned().unwrap_or_default();
                    let began = event.action.as_deref() == Some("start");
                    let job = began.then(|| selection.job(&name, |key| attributes.get(key))).flatten();
                    if hints.send(job).await.is_err() {
                        return;
                    }
                };
                if storm {
                    drop(events);
                    tokio::time::sleep(STORM_PAUSE).await;
                    continue;
                }
                tracing::warn!(socket = self.socket, "lost the Docker engine's events; connecting again");
            }
            self.keep(None);
            if hints.send(None).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }
}

/// An answer of the engine, or why there is none, in time.
async fn within<T>(asking: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match timeout(TIMEOUT, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(not_within("no whole answer", TIMEOUT, "is the engine overloaded, or its disk full?")),
    }
}

#[cfg(test)]
mod tests;
