//! Job containers of a fleet, found by their labels.

use std::collections::HashMap;

use bollard::{
    Docker,
    query_parameters::{ListContainersOptions, RemoveContainerOptions},
};

pub(crate) use lightsout_localrunner::machine::{FLEET_LABEL, MACHINE_LABEL};

/// Kills and removes every container with this label, running or not. Returns how many there were.
pub(crate) async fn remove(docker: &Docker, label: &str, value: &str) -> Result<usize, bollard::errors::Error> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{label}={value}")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
    let found: Vec<String> = docker.list_containers(Some(options)).await?.into_iter().filter_map(|it| it.id).collect();
    for id in &found {
        let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
        match docker.remove_container(id, Some(options)).await {
            // 404: it is gone; 409: somebody else is just removing it.
            Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found.len())
}
