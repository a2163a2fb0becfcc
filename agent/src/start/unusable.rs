//! Whether an agent whose settings cannot work may end its instance all the same.

use std::path::Path;

use lightsout_core::settings::{AgentSettings, DockerSettings};
use lightsout_io::command_line::Failure;

use crate::{
    docker::{Engine, Selection},
    process::Process,
    runner_process::any_runner,
};

/// With settings that cannot work nobody can ask a platform about a runner: only an instance on which none was ever started is ended with them.
///
/// # Errors
/// When one was, or that cannot be told.
pub(super) async fn none_was_started(
    settings: &AgentSettings,
    looked: Result<Option<Process>, String>,
    processes: &Path,
    registered: bool,
) -> Result<(), Failure> {
    let may_run = looked.and_then(|found| match found {
        Some(process) => Ok(Some(process.pid())),
        None => any_runner(processes).map_err(|error| format!("{} cannot be read: {error}", processes.display())),
    });
    let sign = match (may_run, containers(settings).await) {
        (Ok(Some(pid)), _) => format!("process {pid} may be a runner"),
        (Ok(None), _) if registered => "a runner was registered, or the journal cannot be read".to_owned(),
        (Ok(None), Ok(running)) => match running.first() {
            Some(id) => format!("container {id} may be a job"),
            None => return Ok(()),
        },
        (Ok(None), Err(why)) => format!("whether a container is a job is not known ({why})"),
        (Err(why), _) => format!("whether a runner runs is not known ({why})"),
    };
    Err(Failure::Refused(format!("the settings cannot work, and {sign}: nothing is ended with them; put them right")))
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
    let all = Selection { labels: Vec::new(), except: Vec::new(), job_label: None };
    let listed = Engine::new(socket).containers(&all).await;
    listed.map_err(|why| format!("the engine at {} does not answer: {why}", socket.display()))
}
