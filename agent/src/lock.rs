//! One agent a state folder: a second one would drain the first one's runner, and take its exit for the proof.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use tokio::net::UnixStream;

/// How long another agent may take to accept a connection.
const ANSWER: Duration = Duration::from_secs(2);

/// Held for as long as the agent lives. The kernel lets go of it when the process ends, however it ends; it is not handed
/// to a program that the agent starts, since Rust opens files close-on-exec.
#[derive(Debug)]
#[must_use = "the lock ends with it"]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the state folder for this agent.
    ///
    /// # Errors
    /// When another agent has it, or it cannot be had.
    pub(crate) fn take(state_dir: &Path) -> Result<Self, String> {
        let path = state_dir.join("agent.lock");
        // Read only where there is one: a disk that is full or takes no more writes must not keep the agent from starting.
        let opened = match File::open(&path) {
            // Of a mode that keeps jobs from taking it. Where the disk takes no file yet, and perhaps no folder either, the nearest folder that is
            // there stands for it: an agent that did not begin would leave an instance that nobody ends.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                let created = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
                created.or_else(|error| state_dir.ancestors().find_map(|folder| File::open(folder).ok()).ok_or(error))
            }
            opened => opened,
        };
        let file = opened.map_err(|error| format!("cannot open {} (agent.state_dir): {error}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(format!(
                "another lightsout-agent works with agent.state_dir {}, and there can be one only: ask it with \
                 `lightsout-agent status`, or stop it first",
                state_dir.display()
            )),
            Err(TryLockError::Error(error)) => {
                Err(format!("cannot lock {} (agent.state_dir): {error}", path.display()))
            }
        }
    }
}

/// Refuses a socket at which another agent answers.
///
/// # Errors
/// When somebody does.
pub(crate) async fn nobody_answers(socket: &Path) -> Result<(), String> {
    let gone = match tokio::time::timeout(ANSWER, UnixStream::connect(socket)).await {
        // So many wait already that there is no room for one more.
        Ok(Err(error)) => error.kind() != io::ErrorKind::WouldBlock,
        Ok(Ok(_)) | Err(_) => false,
    };
    if !gone {
        return Err(format!(
            "another lightsout-agent answers at agent.socket {}: stop it first, or give each a socket and a state_dir of \
             its own",
            socket.display()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::PermissionsExt, net::UnixListener},
    };

    use super::*;

    #[test]
    fn the_second_agent_is_refused_for_as_long_as_the_first_lives() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let error = Lock::take(folder.path()).unwrap_err();
        assert!(error.contains("another lightsout-agent works with agent.state_dir"), "{error}");
        let mode = folder.path().join("agent.lock").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "out of reach of jobs");
        // The runner outlives its agent, and must not keep the lock.
        let mut runner = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        drop(first);
        // Another test may be between fork and exec, and has a copy until then.
        let second = (0..2_500).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            Lock::take(folder.path()).ok()
        });
        runner.kill().unwrap();
        runner.wait().unwrap();
        assert!(second.is_some());
    }

    #[test]
    fn a_disk_that_takes_no_file_does_not_keep_the_first_agent_from_beginning() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path().join("no/room"), folder.path().join("agent.lock")).unwrap();
        let _first = Lock::take(folder.path()).unwrap();
        let error = Lock::take(folder.path()).unwrap_err();
        assert!(error.contains("another lightsout-agent works with agent.state_dir"), "{error}");
        // Nor a folder: below a file, and where nothing can be made.
        for state_dir in ["agent.sock/state", "agent.lock/state", "no/folder"] {
            let place = tempfile::tempdir().unwrap();
            fs::write(place.path().join("agent.sock"), "").unwrap();
            let state_dir = place.path().join(state_dir);
            let _first = Lock::take(&state_dir).unwrap();
            let error = Lock::take(&state_dir).unwrap_err();
            assert!(error.contains("another lightsout-agent works with agent.state_dir"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_socket_at_which_an_agent_answers_is_not_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        nobody_answers(&socket).await.unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        nobody_answers(&socket).await.unwrap_err();
        drop(listener);
        nobody_answers(&socket).await.expect("what a crash left behind");
    }
}
