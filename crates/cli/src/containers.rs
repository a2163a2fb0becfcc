//! Containers of a fleet, found by their labels: those of jobs, and machines.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    errors::Error,
    query_parameters::{ListContainersOptions, RemoveContainerOptions},
};

pub(crate) use lightsout_localrunner::machine::{FLEET_LABEL, MACHINE_LABEL};

/// On the container of each booted machine: the fleet that it belongs to.
pub(crate) const BOOTED_LABEL: &str = "lightsout.booted";

/// How often, and how many times, an engine is asked whether what it removes is gone.
const POLL: (Duration, u32) = (Duration::from_millis(100), 300);

/// Kills and removes every container with this label, running or not, and waits until they are gone. Returns how many there
/// were.
pub(crate) async fn remove(docker: &Docker, label: &str, value: &str) -> Result<usize, Error> {
    let found = find(docker, label, value).await?;
    for id in &found {
        remove_one(docker, id).await?;
    }
    let (pause, rounds) = POLL;
    for _ in 0..rounds {
        // What somebody else is removing is still listed.
        if found.is_empty() || find(docker, label, value).await?.is_empty() {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    Ok(found.len())
}

/// Kills and removes a container with its volumes, or leaves that to whoever is just removing it.
pub(crate) async fn remove_one(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
    match docker.remove_container(id, Some(options)).await {
        // 404: it is gone; 409: somebody else is just removing it.
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn find(docker: &Docker, label: &str, value: &str) -> Result<Vec<String>, Error> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{label}={value}")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
    Ok(docker.list_containers(Some(options)).await?.into_iter().filter_map(|it| it.id).collect())
}
