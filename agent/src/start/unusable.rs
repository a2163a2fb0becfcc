//! What is found on an instance whose settings cannot work.

use std::path::Path;

use lightsout_core::{
    agent::unusable::Found,
    platform::Selection,
    settings::{AgentSettings, DockerSettings},
};

use crate::{docker::Engine, process::Process, runner_process::any_runner};

/// Looks for whatever a runner, or a job of one, may have left. `looked` is what an agent finds of its own runner.
pub(super) async fn look(
    settings: &AgentSettings,
    looked: Result<Option<Process>, String>,
    processes: &Path,
    registered: bool,
) -> Found {
    let runner = looked.and_then(|found| match found {
        Some(process) => Ok(Some(process.pid())),
        None => any_runner(processes).map_err(|error| format!("{} cannot be read: {error}", processes.display())),
    });
    Found { runner, registered, containers: containers(settings).await }
}

/// Whatever runs on the container engine, where it is there and nobody said that it is not to be watched: jobs in containers outlive their runner, and
/// the machine's restart.
///
/// # Errors
/// When it does not answer.
async fn containers(settings: &AgentSettings) -> Result<Vec<String>, String> {
    let DockerSettings { enabled, socket } = &settings.docker;
    if !*enabled || !socket.exists() {
        return Ok(Vec::new());
    }
    let listed = Engine::new(socket).containers(&Selection::ALL).await;
    listed.map_err(|why| format!("the engine at {} does not answer: {why}", socket.display()))
}
