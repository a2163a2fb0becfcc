//! How an agent switches its machine off, as `poweroff` would: with a message to a socket in the machine's directory.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::net::UnixDatagram as StdUnixDatagram,
    path::{Path, PathBuf},
    process::ExitCode,
};

use lightsout_io::command_line::{Failure, exit_code};
use tokio::net::UnixDatagram;

/// The subcommand with which an agent switches its machine off: `lightsout machine-off DIR`.
pub(crate) const MACHINE_OFF: &str = "machine-off";

/// Asks the machine whose directory is given to switch itself off.
pub(crate) fn machine_off(args: &[OsString]) -> ExitCode {
    let sent = match args {
        [dir] => StdUnixDatagram::unbound().and_then(|socket| socket.send_to(b"off", path(Path::new(dir)))).map(drop),
        [..] => Err(io::Error::other("give the machine's directory")),
    };
    let sent = sent.map_err(|error| Failure::Failed(format!("the machine cannot be switched off: {error}")));
    exit_code(crate::NAME, sent.map(|()| ExitCode::SUCCESS))
}

/// The machine's side, before its agent starts. A machine that is started again has one from before.
pub(super) fn bind(dir: &Path) -> io::Result<UnixDatagram> {
    let path = path(dir);
    let _ = fs::remove_file(&path);
    UnixDatagram::bind(path)
}

/// Resolves when the machine is to be switched off.
pub(super) async fn pressed(switch: UnixDatagram) {
    if switch.recv(&mut [0; 8]).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("power")
}
