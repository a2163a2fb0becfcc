//! What is run on a machine from afar: as the cloud's own agent on a real one would, in a shell, as its administrator.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use futures_util::future::BoxFuture;
use lightsout_localcloud::{Boot, machine::Ran};
use tokio::process::Command;

use crate::{
    processes::ProcessScope,
    up::{environment, fleet_config::FleetConfig},
};

/// One machine's shell. Here the machine is some processes and a directory: a folder before the others in its `PATH` holds what a real one has.
#[derive(Clone, Debug)]
pub(super) struct Shell {
    dir: PathBuf,
    scope: ProcessScope,
    aws: String,
    region: String,
}

impl Shell {
    /// Puts the commands there: the agent, and the journal, which here is the file that the agent's output goes to.
    pub(super) fn install(config: &FleetConfig, dir: &Path, scope: &ProcessScope, boot: &Boot) -> io::Result<Self> {
        let bin = dir.join("bin");
        fs::create_dir_all(&bin)?;
        let agent = config.agent();
        let words = [agent.as_std().get_program()].into_iter().chain(agent.as_std().get_args());
        let agent: Vec<String> = words.map(|word| quoted(&word.to_string_lossy())).collect();
        let script = |name: &str, text: String| {
            let path = bin.join(name);
            fs::write(&path, text).and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        };
        script("lightsout-agent", format!("#!/bin/sh\nexec {} \"$@\"\n", agent.join(" ")))?;
        let log = quoted(&dir.join("agent.log").to_string_lossy());
        let journal = format!(
            "#!/bin/sh\nlines=1000\nwhile [ $# -gt 0 ]; do\n    case $1 in -n | --lines) lines=$2; shift ;; esac\n    shift\ndone\nexec tail -n \
             \"$lines\" {log}\n"
        );
        script("journalctl", journal)?;
        let (aws, region) = (boot.aws.clone(), boot.region.clone());
        Ok(Self { dir: dir.to_owned(), scope: scope.clone(), aws, region })
    }

    /// Runs a script to its end. What it starts is the machine's, and ends with it.
    pub(super) fn run(&self, script: &str) -> BoxFuture<'static, io::Result<Ran>> {
        let mut command = Command::new("/bin/sh");
        environment::prepare(&mut command, &self.scope, &self.aws, &self.region);
        let folders = env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
        let mut path = self.dir.join("bin").into_os_string();
        path.push(":");
        path.push(folders);
        command
            .args(["-c", script])
            .env("PATH", path)
            .env("LIGHTSOUT_AGENT_SOCKET", self.dir.join("agent.sock"))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        Box::pin(async move {
            let output = command.output().await?;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            Ok(Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) })
        })
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
