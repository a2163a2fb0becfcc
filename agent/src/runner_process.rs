//! The runner's process. It has a process group (or a systemd unit) of its own and outlives the agent, which finds it again.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, FileExt},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
    time::Duration,
};

use lightsout_core::{
    agent::host::Told,
    platform::{Launch, Signal},
};

use crate::{
    journal::replace,
    process::{self, Process},
};

/// The variable by which a runner's process is recognised.
const RUNNER_ENV: &str = "LIGHTSOUT_RUNNER";
/// The systemd unit of the runner, where it has one.
const UNIT: &str = "lightsout-runner";
/// Writes its own process id before it becomes the runner, so that no runner ever runs that the agent cannot find.
const STARTER: &str = r#"echo $$ >"$0.draft" && mv "$0.draft" "$0" && exec "$@""#;
/// How long the start may take.
const START: Duration = Duration::from_secs(10);

pub struct RunnerProcess {
    folder: PathBuf,
    unit: bool,
    current: Mutex<Option<Process>>,
    /// What this agent's runner was told, in case the disk forgets it.
    told: Mutex<Option<(u32, Told)>>,
}

impl RunnerProcess {
    /// The runner whose files are kept in `folder`; in a systemd unit of its own, if `unit`.
    pub fn new(folder: &Path, unit: bool) -> Self {
        Self { folder: folder.to_owned(), unit, current: Mutex::new(None), told: Mutex::new(None) }
    }

    /// Finds the runner that an earlier agent started.
    pub fn find(&self) -> io::Result<Option<Process>> {
        let pid = match fs::read_to_string(self.pid_file()) {
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = Process::find(pid, &self.variable())?;
        self.hold(found.clone());
        Ok(found)
    }

    /// The runner that was last found or started, if it is alive.
    pub fn held(&self) -> Option<Process> {
        self.current.lock().ok()?.clone().filter(Process::alive)
    }

    /// Starts the runner. `stop_signal` is what its unit gets when the machine shuts down.
    pub async fn start(&self, launch: &Launch, stop_signal: Signal) -> Result<Process, String> {
        self.write_files(launch).map_err(|error| format!("cannot write the runner's files: {error}"))?;
        remove(&self.pid_file()).map_err(|error| error.to_string())?;
        // The new runner may get the old one's number. The note's room on the disk is taken now, while there is some.
        if let Ok(mut told) = self.told.lock() {
            *told = None;
        }
        replace(&self.told_file(), note(0, Told::No).as_bytes(), 0o600, false).map_err(|error| error.to_string())?;
        let mut command = self.command(launch, stop_signal)?;
        let mut child = command.spawn().map_err(|error| format!("cannot start {:?}: {error}", command.as_std()))?;
        let process = tokio::time::timeout(START, async {
            loop {
                match self.find() {
                    // The starter is not the runner yet: what it is to become may not exist.
                    Ok(Some(process)) if !process::was_called_with(process.pid(), STARTER) => return Ok(process),
                    Ok(Some(_) | None) => {}
                    Err(error) => return Err(error.to_string()),
                }
                if let Ok(Some(status)) = child.try_wait()
                    && (!self.unit || !status.success())
                {
                    return Err(format!("{} ended at once with {status}", launch.argv.join(" ")));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let Ok(process) = process else {
            // It must not start later, when nobody expects it.
            let _ = child.start_kill();
            if self.unit {
                let _ = tokio::process::Command::new("systemctl").args(["stop", "--no-block", UNIT]).status().await;
            }
            return Err(format!("{} did not start within {START:?}", launch.argv.join(" ")));
        };
        let process = process?;
        // Somebody must collect the exit status of a child, or it stays a zombie.
        tokio::spawn(async move { child.wait().await });
        Ok(process)
    }

    /// Signals the runner's main process; no runner is no error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        // Who cannot be looked for may still be in hand.
        match self.find().or_else(|error| self.held().map(Some).ok_or(error))? {
            Some(process) => process.signal(signal),
            None => Ok(()),
        }
    }

    /// Notes on the disk what the present runner was told; no runner is no error. The note is overwritten in place, so
    /// that it takes no room that a full disk would not have.
    pub fn note_told(&self, told: Told) -> io::Result<()> {
        let Some(process) = self.held() else { return Ok(()) };
        if let Ok(mut held) = self.told.lock() {
            *held = Some((process.pid(), told));
        }
        let text = note(process.pid(), told);
        match File::options().write(true).open(self.told_file()) {
            Ok(file) => {
                file.write_all_at(text.as_bytes(), 0)?;
                file.sync_data()
            }
            // The runner of an earlier version: it has no note yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                replace(&self.told_file(), text.as_bytes(), 0o600, true)
            }
            Err(error) => Err(error),
        }
    }

    /// What this runner was told.
    pub fn told(&self, process: &Process) -> Told {
        let known = self.told.lock().ok().and_then(|told| *told).filter(|(pid, _)| *pid == process.pid());
        if let Some((_, told)) = known {
            return told;
        }
        match fs::read_to_string(self.told_file()) {
            Ok(text) => read_note(&text, process.pid()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Told::No,
            Err(error) => {
                tracing::warn!(%error, "what the runner was told cannot be read");
                Told::Maybe
            }
        }
    }

    /// Whether the runner is gone, at the latest after this time.
    pub async fn exited_within(&self, limit: Duration) -> bool {
        match self.find() {
            Ok(Some(process)) => tokio::time::timeout(limit, process.exited()).await.is_ok(),
            Ok(None) => true,
            Err(_) => {
                if let Some(process) = self.held() {
                    return tokio::time::timeout(limit, process.exited()).await.is_ok();
                }
                tokio::time::sleep(limit).await;
                false
            }
        }
    }

    /// Kills the runner and its process group.
    pub fn kill(&self) {
        let Some(process) = self.held() else { return };
        tracing::warn!(pid = process.pid(), "the runner did not exit; killing it");
        if let Err(error) = process.kill_group() {
            tracing::error!(pid = process.pid(), %error, "the runner cannot be killed");
        }
    }

    fn command(&self, launch: &Launch, stop_signal: Signal) -> Result<tokio::process::Command, String> {
        let starter = ["/bin/sh", "-c", STARTER].map(str::to_owned);
        let pid_file = self.pid_file().to_string_lossy().into_owned();
        let argv = starter.into_iter().chain([pid_file]).chain(launch.argv.iter().cloned());
        let mut command;
        if self.unit {
            let environment = self.folder.join("runner.env");
            let lines: String =
                launch.env.iter().map(|(name, value)| format!("{name}={}\n", quoted(value.expose()))).collect();
            replace(&environment, lines.as_bytes(), 0o600, false).map_err(|error| error.to_string())?;
            command = tokio::process::Command::new("systemd-run");
            command
                .args(["--unit", UNIT, "--collect", "--quiet", "--service-type=exec"])
                .args(["--property=KillMode=process", "--property=TimeoutStopSec=infinity"])
                .arg(format!("--property=KillSignal={}", name(stop_signal)))
                .args(["--property=After=network-online.target docker.service"])
                // Stopped in the reverse order: the agent first, which drains.
                .arg("--property=Before=lightsout-agent.service")
                .arg(format!("--property=EnvironmentFile={}", environment.display()))
                .arg(format!("--working-directory={}", self.folder.display()))
                .arg(format!("--setenv={}", self.variable()))
                // A system service has none (systemd.exec(5)), and programs that jobs call want one.
                .arg(format!("--setenv=HOME={}", std::env::var("HOME").unwrap_or_else(|_| "/root".into())))
                .arg("--")
                .args(argv.map(|argument| unexpanded(&argument)));
        } else {
            let mut argv = argv;
            command = tokio::process::Command::new(argv.next().unwrap_or_default());
            command
                .args(argv)
                .envs(launch.env.iter().map(|(name, value)| (name, value.expose())))
                .env(RUNNER_ENV, self.folder.as_os_str())
                .current_dir(&self.folder)
                .process_group(0);
        }
        // What it says to systemd about itself must not be taken for our word.
        for name in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        Ok(command)
    }

    fn write_files(&self, launch: &Launch) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        for file in &launch.files {
            if let Some(folder) = file.path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            replace(&file.path, file.contents.expose().as_bytes(), file.mode, false)?;
        }
        Ok(())
    }

    fn hold(&self, process: Option<Process>) {
        if let Ok(mut current) = self.current.lock() {
            *current = process;
        }
    }

    fn variable(&self) -> String {
        format!("{RUNNER_ENV}={}", self.folder.display())
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("runner.pid")
    }

    fn told_file(&self) -> PathBuf {
        self.folder.join("runner.told")
    }
}

/// The note of what a runner was told. Always of one length, so that it can be overwritten in place.
fn note(pid: u32, told: Told) -> String {
    let word = match told {
        Told::No => "no",
        Told::Maybe => "maybe",
        Told::Yes => "yes",
    };
    format!("{pid:<10} {word:<5}\n")
}

/// What a note says of this process. An earlier version wrote the process id alone, before it signalled.
fn read_note(text: &str, pid: u32) -> Told {
    let mut words = text.split_ascii_whitespace();
    if words.next().and_then(|word| word.parse().ok()) != Some(pid) {
        return Told::No;
    }
    match words.next() {
        Some("no") => Told::No,
        Some("yes") => Told::Yes,
        _ => Told::Maybe,
    }
}

/// Whether systemd is this machine's first process (`sd_booted(3)`).
pub fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::Term => "SIGTERM",
        Signal::Int => "SIGINT",
        Signal::Quit => "SIGQUIT",
    }
}

/// An argument in which systemd finds no variable to expand (systemd.service(5), "Command lines").
fn unexpanded(argument: &str) -> String {
    argument.replace('$', "$$")
}

/// A value as `EnvironmentFile=` reads it (systemd.exec(5)).
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('`', "\\`"))
}

#[cfg(test)]
mod tests {
    use lightsout_core::exchange::Text;

    use super::*;

    fn launch(script: &str) -> Launch {
        Launch {
            argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
            env: vec![("TOKEN".into(), Text::secret("hush"))],
            files: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_runner_is_found_again_by_another_agent() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunnerProcess::new(folder.path(), false);
        let process = first.start(&launch("exec sleep 30"), Signal::Term).await.unwrap();
        let second = RunnerProcess::new(folder.path(), false);
        assert_eq!(second.find().unwrap().map(|found| found.pid()), Some(process.pid()));
        end(&second, &process).await;
        assert!(RunnerProcess::new(folder.path(), false).find().unwrap().is_none(), "a dead runner is not found");
    }

    #[tokio::test]
    async fn somebody_elses_process_is_not_the_runner() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("runner.pid"), std::process::id().to_string()).unwrap();
        assert!(RunnerProcess::new(folder.path(), false).find().unwrap().is_none());
    }

    #[tokio::test]
    async fn what_a_runner_was_told_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let runner = RunnerProcess::new(folder.path(), false);
        let process = runner.start(&launch("exec sleep 30"), Signal::Int).await.unwrap();
        let after_restart = || RunnerProcess::new(folder.path(), false).told(&process);
        assert_eq!((runner.told(&process), after_restart()), (Told::No, Told::No));
        for told in [Told::Maybe, Told::Yes, Told::No, Told::Maybe] {
            runner.note_told(told).unwrap();
            assert_eq!((runner.told(&process), after_restart()), (told, told));
        }
        assert!(process.alive(), "a note is no signal");
        end(&runner, &process).await;
        let next = runner.start(&launch("exec sleep 30"), Signal::Int).await.unwrap();
        assert_eq!(runner.told(&next), Told::No, "the next runner serves");
        end(&runner, &next).await;
    }

    #[test]
    fn a_note_is_of_one_length_and_older_ones_are_understood() {
        for told in [Told::No, Told::Maybe, Told::Yes] {
            for pid in [1, 4_194_304, u32::MAX] {
                assert_eq!(note(pid, told).len(), 17);
                assert_eq!(read_note(&note(pid, told), pid), told);
                assert_eq!(read_note(&note(pid, told), 17), Told::No, "of another process");
            }
        }
        assert_eq!(read_note("4711", 4711), Told::Maybe, "an earlier version noted before it signalled, and not after");
    }

    #[tokio::test]
    async fn a_note_that_the_disk_does_not_take_is_an_error_and_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let runner = RunnerProcess::new(folder.path(), false);
        let process = runner.start(&launch("exec sleep 30"), Signal::Quit).await.unwrap();
        // A folder in the note's place: it cannot be written.
        fs::remove_file(folder.path().join("runner.told")).unwrap();
        fs::create_dir(folder.path().join("runner.told")).unwrap();
        assert!(runner.note_told(Told::Maybe).is_err());
        assert_eq!(runner.told(&process), Told::Maybe);
        assert_eq!(RunnerProcess::new(folder.path(), false).told(&process), Told::Maybe, "unreadable is not no");
        end(&runner, &process).await;
    }

    async fn end(runner: &RunnerProcess, process: &Process) {
        runner.signal(Signal::Term).unwrap();
        assert!(runner.exited_within(Duration::from_secs(5)).await);
        process.exited().await;
    }

    #[test]
    fn systemd_finds_nothing_to_expand() {
        let folder = tempfile::tempdir().unwrap();
        let command = RunnerProcess::new(folder.path(), true).command(&launch("echo $HOME"), Signal::Term).unwrap();
        let arguments: Vec<_> = command.as_std().get_args().map(|argument| argument.to_string_lossy()).collect();
        let program = arguments.iter().skip_while(|argument| *argument != "--").skip(1);
        let line = program.map(|argument| argument.replace("$$", "\0")).collect::<Vec<_>>().join(" ");
        assert!(line.contains("echo \0HOME") && !line.contains('$'), "{line}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Launch { argv: vec!["/does/not/exist".into()], env: Vec::new(), files: Vec::new() };
        let error = RunnerProcess::new(folder.path(), false).start(&missing, Signal::Term).await.unwrap_err();
        assert!(error.contains("/does/not/exist"), "{error}");
    }
}
