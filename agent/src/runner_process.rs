//! The runner's process. It has a process group (or a systemd unit) of its own and outlives the agent, which finds it
//! again. It counts as gone once this very process has ended; whatever cannot be told is an error, and no absence.

mod group;
mod note;
mod record;
mod unit;

use std::{
    collections::BTreeMap,
    env, fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use lightsout_core::{
    agent::host::ToldToDrain,
    exchange::Text,
    platform::{File as RunnerFile, Launch, Quiesce, Signal},
    settings::RunnerEnvironment,
};
use lightsout_io::files::{replace, replace_for};
use rustix::process::geteuid;
use tokio::process::Command;

pub(crate) use self::unit::{any_runner, unit_of};
use self::{note::note, record::Record};
use crate::{
    last_words,
    process::{self, Process},
    runner_user::{self, RunnerUser},
    state_dir,
};

/// The variable that marks the runner's process.
const RUNNER_ENV: &str = "LIGHTSOUT_RUNNER";
/// How long the start may take.
const START: Duration = Duration::from_secs(10);

pub(crate) struct RunnerProcess {
    state_dir: PathBuf,
    folder: PathBuf,
    unit: bool,
    /// As whom the runner runs, once that is known; `None` in it: as the agent does.
    user: OnceLock<Option<RunnerUser>>,
    /// Of the file system in which that user is looked for.
    root: PathBuf,
    runner_environment: RunnerEnvironment,
    /// The container engine's socket, where the runner's user may use it.
    engine: Option<PathBuf>,
    seen: Mutex<KnownRunner>,
    /// What this agent's runner was told, in case the disk forgets it.
    told: Mutex<Option<(u32, ToldToDrain)>>,
    /// How long the agent's log was when it started the runner, where the runner writes there and it is a file.
    log_before: Mutex<Option<u64>>,
}

/// What is known of the runner.
#[derive(Clone, Debug)]
pub(crate) enum KnownRunner {
    /// Nothing: nobody has looked yet, or who looked could not tell.
    Unknown,
    /// There is none.
    Nobody,
    /// This one was found or started. It may have exited since.
    Runner(Process),
}

/// Why a runner does not run that was to be started.
#[derive(Debug)]
pub(crate) struct NotStarted {
    pub why: String,
    /// The last that it said, if it ran and ended at once.
    pub said: Option<String>,
}

impl From<String> for NotStarted {
    fn from(why: String) -> Self {
        Self { why, said: None }
    }
}

impl RunnerProcess {
    /// The runner of the agent with this state folder; in a systemd unit of its own, if `unit`.
    pub(crate) fn new(state_dir: &Path, unit: bool) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            folder: state_dir.join("runner"),
            unit,
            user: OnceLock::from(None),
            root: "/".into(),
            runner_environment: RunnerEnvironment::default(),
            engine: None,
            seen: Mutex::new(KnownRunner::Unknown),
            told: Mutex::new(None),
            log_before: Mutex::new(None),
        }
    }

    /// The same in this environment, and as the user that it asks for; `engine` is the container engine's socket, where that user may use it.
    #[must_use]
    pub(crate) fn with_environment(self, runner_environment: RunnerEnvironment, engine: Option<PathBuf>) -> Self {
        Self { user: OnceLock::new(), runner_environment, engine, ..self }
    }

    /// As whom the runner runs; `None`: as the agent does. One that is missing is looked for each time: a machine that boots may make it yet.
    ///
    /// # Errors
    /// As [`RunnerUser::on`].
    pub(crate) fn user(&self) -> Result<Option<&RunnerUser>, String> {
        if let Some(known) = self.user.get() {
            return Ok(known.as_ref());
        }
        let found = RunnerUser::on(&self.root, &self.runner_environment, geteuid().as_raw())?;
        runner_user::announce(found.as_ref(), self.engine.as_deref());
        Ok(self.user.get_or_init(|| found).as_ref())
    }

    /// Has a program run as the runner does.
    ///
    /// # Errors
    /// As [`Self::user`].
    pub(crate) fn run_alike(&self, command: &mut Command) -> Result<(), String> {
        runner_user::run_alike(command, self.user()?, &self.runner_environment);
        Ok(())
    }

    /// Makes the folders that a runner needs, as far as they are missing.
    ///
    /// # Errors
    /// When one cannot be made.
    pub(crate) fn make_folders(&self) -> io::Result<()> {
        // Operators may read the one, and not the other.
        for (path, mode) in [(&self.state_dir, 0o755), (&self.folder, 0o700)] {
            let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
            made.map_err(|error| without("make", path, &error))?;
        }
        Ok(())
    }

    /// Notes where they are, before a runner is registered.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(crate) fn note_folder(&self) -> io::Result<()> {
        state_dir::note(&self.state_dir).map_err(|error| without("note", &self.state_dir, &error))
    }

    /// What this runner said last: by its unit's journal, or by the agent's own log where that is a file; `None`: nothing, or nobody kept it.
    pub(crate) async fn last_words(&self, unit: Option<&str>) -> Option<String> {
        let said = if let Some(unit) = unit {
            unit::last_words(unit).await
        } else {
            let from = self.log_before.lock().ok().and_then(|before| *before)?;
            tokio::task::spawn_blocking(move || last_words::in_own_log(from)).await.ok()?.ok()?
        };
        Some(said).filter(|said| !said.is_empty())
    }

    /// Where the runner's files go.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Finds the runner, also one that an earlier agent started.
    ///
    /// # Errors
    /// When it cannot be told whether there is one.
    pub(crate) async fn find(&self) -> Result<Option<Process>, String> {
        if let KnownRunner::Runner(process) = self.seen()
            && process.alive()
        {
            return Ok(Some(process));
        }
        let found = self.look().await?;
        self.see(found.clone().map_or(KnownRunner::Nobody, KnownRunner::Runner));
        Ok(found)
    }

    /// The runner that was last found or started, as long as it lives.
    pub(crate) fn seen(&self) -> KnownRunner {
        match self.seen.lock().map(|seen| seen.clone()) {
            Ok(KnownRunner::Runner(process)) if !process.alive() => KnownRunner::Nobody,
            Ok(seen) => seen,
            Err(_) => KnownRunner::Unknown,
        }
    }

    /// Whether this program is there and can be run, where it would be looked for at the start.
    pub(crate) fn find_program(&self, program: Option<&str>) -> Result<(), String> {
        let Some(program) = program else { return Ok(()) };
        let runs = |path: &Path| {
            fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        if program.contains('/') {
            let there = runs(Path::new(program));
            return if there { Ok(()) } else { Err(format!("{program} is no program that can be run")) };
        }
        let environment = self.environment(&[]);
        let path = environment.get("PATH").map_or("", Text::expose);
        let found = env::split_paths(path).any(|folder| runs(&folder.join(program)));
        if found { Ok(()) } else { Err(format!("there is no program {program} in {path}")) }
    }

    /// Starts the runner. `stop_signal` is what its unit gets when the machine shuts down.
    pub(crate) async fn start(&self, launch: &Launch, stop_signal: Signal) -> Result<Process, NotStarted> {
        self.user()?;
        self.write_files(&launch.files).map_err(|error| format!("cannot write the runner's files: {error}"))?;
        // The new runner may get the old one's number. The room of note and record on the disk is taken now, while there
        // is some; and who finds the note alone knows that the record was lost.
        if let Ok(mut told) = self.told.lock() {
            *told = None;
        }
        if !matches!(self.read_record(), Ok(Some(_))) {
            Record::NOBODY.write(&self.record_file()).map_err(|error| error.to_string())?;
        }
        replace(&self.told_file(), note(0, ToldToDrain::No).as_bytes(), 0o600, false)
            .map_err(|error| error.to_string())?;
        if let Ok(mut before) = self.log_before.lock() {
            *before = last_words::own_log_length().filter(|_| !self.unit);
        }
        let started =
            if self.unit { self.start_unit(launch, stop_signal).await } else { self.start_group(launch).await };
        self.see(match &started {
            Ok(process) => KnownRunner::Runner(process.clone()),
            // A unit that did not start in time may start all the same.
            Err(_) if self.unit => KnownRunner::Unknown,
            Err(_) => KnownRunner::Nobody,
        });
        started
    }

    /// Signals the runner that was found or started, and no other one; no runner is no error.
    pub(crate) async fn signal(&self, signal: Signal) -> Result<(), String> {
        match self.known().await? {
            Some(process) => process.signal(signal).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Makes the runner that was found or started ask for no more jobs; no runner is no error.
    pub(crate) async fn quiesce(&self, quiesce: Quiesce) -> Result<(), String> {
        self.write_files(&quiesce.files).map_err(|error| format!("cannot write the runner's files: {error}"))?;
        self.signal(quiesce.signal).await
    }

    /// Whether the runner that was found or started is gone, at the latest after this time.
    pub(crate) async fn exited_within(&self, limit: Duration) -> bool {
        match self.known().await {
            Ok(Some(process)) => tokio::time::timeout(limit, process.exited()).await.is_ok(),
            Ok(None) => true,
            Err(_) => {
                tokio::time::sleep(limit).await;
                false
            }
        }
    }

    /// Kills the runner that was found or started, and its process group.
    pub(crate) fn kill(&self) {
        let KnownRunner::Runner(process) = self.seen() else { return };
        tracing::warn!(pid = process.pid(), "the runner did not exit; killing it");
        if let Err(error) = process.kill_group() {
            tracing::error!(pid = process.pid(), %error, "the runner cannot be killed");
        }
    }

    /// The runner that is known. One is looked for only if nothing is known: another one that came meanwhile has given no
    /// proof, and nothing may be done to it.
    async fn known(&self) -> Result<Option<Process>, String> {
        match self.seen() {
            KnownRunner::Unknown => self.find().await,
            KnownRunner::Nobody => Ok(None),
            KnownRunner::Runner(process) => Ok(Some(process)),
        }
    }

    async fn look(&self) -> Result<Option<Process>, String> {
        let mark = self.mark();
        let recorded = self.read_record().and_then(|record| match record {
            Some(record) => Ok(Some(record.find(&mark)?)),
            None => Ok(None),
        });
        if let Ok(Some(Some(process))) = recorded {
            return Ok(Some(process));
        }
        let lost = if self.unit {
            // Whatever the disk says: systemd knows what it has started.
            unit::main_pid(&mark).await?
        } else {
            match recorded.map_err(|error| error.to_string())? {
                Some(_) => return Ok(None),
                None => self.without_record(&mark)?,
            }
        };
        let Some(process) = lost.map(Process::open).transpose().map_err(|error| error.to_string())?.flatten() else {
            return Ok(None);
        };
        tracing::warn!(pid = process.pid(), "found a runner of which nothing was written down");
        if let Err(error) = Record::of(&process).write(&self.record_file()) {
            tracing::warn!(%error, "the runner cannot be written down");
        }
        Ok(Some(process))
    }

    /// The runner's number, if its mark alone leads to it.
    fn without_record(&self, mark: &str) -> Result<Option<u32>, String> {
        let found = process::leaders_with(mark).map_err(|error| format!("/proc cannot be read: {error}"))?;
        match found[..] {
            [] if self.told_file().exists() => Err(format!(
                "{} is lost, and no process bears the runner's mark; remove {} if no runner runs",
                self.record_file().display(),
                self.told_file().display()
            )),
            [] => Ok(None),
            [runner] if process::ancestors(std::process::id()).contains(&runner.parent) => Ok(Some(runner.pid)),
            // One that another process started may be a job, which must never be taken for its runner.
            _ => Err(format!(
                "{} is lost, and which of the processes that bear the runner's mark it is cannot be told: {}",
                self.record_file().display(),
                found.iter().map(|process| process.pid.to_string()).collect::<Vec<_>>().join(", ")
            )),
        }
    }

    /// An earlier version's record counts where there is none of this one.
    fn read_record(&self) -> io::Result<Option<Record>> {
        match Record::read(&self.record_file())? {
            Some(record) => Ok(Some(record)),
            None => Record::read(&self.folder.join("runner.pid")),
        }
    }

    fn write_files(&self, files: &[RunnerFile]) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let owner = self.known_user().map(|user| (user.uid, user.gid));
        if let Some((user, group)) = owner {
            // It stands in a folder of the agent's, where jobs can put nothing in its place.
            chown(&self.folder, Some(user), Some(group))?;
        }
        for file in files {
            if let Some(folder) = file.path.parent().filter(|folder| !folder.exists()) {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            replace_for(owner, &file.path, file.contents.expose().as_bytes(), file.mode, false)?;
        }
        Ok(())
    }

    /// All that the runner finds in its environment, but for the mark.
    fn environment(&self, more: &[(String, Text)]) -> BTreeMap<String, Text> {
        runner_user::environment(self.known_user(), &self.runner_environment, more)
    }

    /// The user of whom [`Self::user`] has told; `None` also before that.
    fn known_user(&self) -> Option<&RunnerUser> {
        self.user.get()?.as_ref()
    }

    fn see(&self, what: KnownRunner) {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = what;
        }
    }

    fn mark(&self) -> String {
        format!("{RUNNER_ENV}={}", self.folder.display())
    }

    fn record_file(&self) -> PathBuf {
        self.state_dir.join("runner.pid")
    }

    fn told_file(&self) -> PathBuf {
        self.state_dir.join("runner.told")
    }
}

fn without(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} {} (agent.state_dir): {error}", path.display()))
}

/// Whether systemd is this machine's first process (`sd_booted(3)`).
pub(crate) fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

#[cfg(test)]
mod tests;
