//! The operator's own program for each boot (`agent.before_register`). It runs once, however often the agent starts meanwhile: who
//! starts it first claims the run in a folder of this boot, where its output and its end are written down as well. An
//! agent that dies leaves it alone, and the next one waits for it.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use lightsout_core::{
    agent::host::Prepared, duration::format_about, duration::not_within, exchange::Text, settings::Argv,
};
use lightsout_io::files::replace;
use tokio::time::Instant;

use crate::{
    clock::{unix_ms_now, uptime},
    process::{self, Process},
    systemd::{ask, environment_file, unexpanded},
};

/// Claims the run with its own number, the time since the boot and its unit, or ends; runs the program; says how it ended.
const STARTER: &str = r#"
unit=$1 && shift && read -r up idle </proc/uptime || exit
set -C
{ echo "$$ $up $unit" >claim; } 2>/dev/null || exit 0
set +C
(cd / && exec "$@") </dev/null >>output 2>&1
echo $? >result.draft && mv result.draft result
"#;
/// What stands in place of a result where the time was up.
const LATE: &str = "late";
/// How long the start may take.
const START: Duration = Duration::from_secs(10);
/// Between two looks at a program that runs.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How much of its output is kept, in bytes, and how much of that when it is cut short.
const MOST_OUTPUT: u64 = 1 << 20;
const KEPT_OUTPUT: u64 = 16 << 10;
/// How much of it is told, in characters.
const CHARS: usize = 600;

/// Runs the program, and finds it again.
pub(crate) struct BeforeRegister {
    argv: Argv,
    /// All that the program finds in its environment.
    environment: BTreeMap<String, Text>,
    /// Whether it gets a systemd unit of its own.
    unit: bool,
    /// One folder for each boot; goes with the machine, where it is below `/run`.
    folder: PathBuf,
    boot: String,
}

impl BeforeRegister {
    /// This program. `folder` is where what is known of it is kept.
    ///
    /// # Errors
    /// When it cannot be told which boot this is.
    pub(crate) fn new(
        argv: Argv,
        environment: BTreeMap<String, Text>,
        unit: bool,
        folder: PathBuf,
    ) -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        Ok(Self { argv, environment, unit, folder, boot })
    }

    /// Runs it to its end, unless it has run since the machine was started; it is killed so long after its start.
    pub(crate) async fn run(&self, within: Duration) -> Prepared {
        let begun = Instant::now();
        let ended = match self.end(within).await {
            Ok(ended) => ended,
            Err(why) => return Prepared::Unknown(format!("agent.before_register: {why}")),
        };
        // What it says and is called with may hold secrets. Its output stays where it is, and log and certificate have the end of it without what
        // looks like one; a tag has the program and how it ended.
        let program = self.argv.program();
        let how = match ended {
            End::Exit(0) => {
                tracing::info!(program, waited = format_about(begun.elapsed()), "agent.before_register succeeded");
                return Prepared::Succeeded;
            }
            // What a shell says of a signal.
            End::Exit(status @ 129..=192) => format!("exit status {status} (signal {})", status - 128),
            End::Exit(status) => format!("exit status {status}"),
            End::Late => {
                not_within("it did not end", within, "it was killed; agent.before_register_timeout gives it longer")
            }
            End::Killed => "it was killed".to_owned(),
        };
        let said = self.last_words();
        let said = if said.is_empty() { "it said nothing".into() } else { format!("the last that it said: {said}") };
        let output = self.file("output").display().to_string();
        tracing::error!(program, output, "agent.before_register failed: {how}");
        // Not a warning: a departure repeats those.
        tracing::info!(program, "agent.before_register: {said}");
        Prepared::Failed(format!("{program}: {how}; its output is in {output}"))
    }

    async fn end(&self, within: Duration) -> Result<End, String> {
        let claim = match self.claim().map_err(|error| error.to_string())? {
            Some(claim) => claim,
            None => self.start().await?,
        };
        let mut running = claim.process().map_err(|error| error.to_string())?;
        loop {
            // The process first: one that is gone has written what it would.
            running = running.filter(Process::alive);
            let cut = cut_output(&self.file("output"));
            // How it ended is known whether its output could be cut or not.
            if let Some(end) = self.result()? {
                return Ok(end);
            }
            cut.map_err(|error| error.to_string())?;
            let Some(process) = &running else { return Ok(End::Killed) };
            let left = (claim.began + within).saturating_sub(uptime());
            if left.is_zero() {
                self.kill(&claim, process).await;
                let _ = fs::write(self.file("result"), LATE);
                return Ok(End::Late);
            }
            let _ = tokio::time::timeout(left.min(LOOK_INTERVAL), process.exited()).await;
        }
    }

    async fn start(&self) -> Result<Claim, String> {
        self.make_folder().map_err(|error| format!("{}: {error}", self.folder.display()))?;
        tracing::info!(program = self.argv.program(), "agent.before_register begins");
        if self.unit {
            self.start_unit().await?;
        } else {
            self.start_group()?;
        }
        let deadline = Instant::now() + START;
        loop {
            if let Some(claim) = self.claim().map_err(|error| error.to_string())? {
                return Ok(claim);
            }
            if Instant::now() >= deadline {
                return Err(not_within("it did not start", START, "is the machine overloaded, or its disk slow?"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn start_group(&self) -> Result<(), String> {
        let mut command = tokio::process::Command::new("/bin/sh");
        command
            .args(["-c", STARTER, "lightsout-before-register", "-"])
            .args(&*self.argv)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value.expose())))
            .current_dir(self.boot_folder())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("cannot start /bin/sh: {error}"))?;
        // Somebody must collect the exit status of a child, or it stays a zombie.
        tokio::spawn(async move { child.wait().await });
        Ok(())
    }

    async fn start_unit(&self) -> Result<(), String> {
        let environment = self.file("environment");
        let text = environment_file(&self.environment);
        replace(&environment, text.as_bytes(), 0o600, false).map_err(|error| error.to_string())?;
        // What it leaves running keeps its unit loaded.
        let name = format!("lightsout-before-register-{}", unix_ms_now());
        let mut arguments: Vec<String> = vec![
            format!("--unit={name}"),
            "--collect".into(),
            "--quiet".into(),
            "--service-type=exec".into(),
            "--property=KillMode=process".into(),
            "--property=TimeoutStopSec=10s".into(),
            "--property=OOMScoreAdjust=0".into(),
            format!("--property=EnvironmentFile={}", environment.display()),
            format!("--working-directory={}", self.boot_folder().display()),
            "--".into(),
        ];
        let starter = ["/bin/sh", "-c", STARTER, "lightsout-before-register", &name];
        arguments.extend(starter.iter().map(|argument| unexpanded(argument)));
        arguments.extend(self.argv.iter().map(|argument| unexpanded(argument)));
        ask("systemd-run", arguments, START).await.map(drop)
    }

    /// Ends it and whatever it has started.
    async fn kill(&self, claim: &Claim, process: &Process) {
        if let Some(unit) = &claim.unit {
            let arguments = ["kill", "--signal=KILL", unit].map(str::to_owned).to_vec();
            if let Err(why) = ask("systemctl", arguments, START).await {
                tracing::warn!(unit, why, "what agent.before_register started may go on");
            }
        }
        if let Err(error) = process.kill_group() {
            tracing::error!(pid = process.pid(), %error, "agent.before_register cannot be killed");
        }
    }

    fn claim(&self) -> io::Result<Option<Claim>> {
        // Between the claim and its text there is a moment.
        Ok(read(&self.file("claim"))?.as_deref().and_then(Claim::parse))
    }

    fn result(&self) -> Result<Option<End>, String> {
        let text = read(&self.file("result")).map_err(|error| error.to_string())?;
        match text.as_deref().map(str::trim) {
            None | Some("") => Ok(None),
            Some(LATE) => Ok(Some(End::Late)),
            Some(status) => {
                let status = status.parse().map_err(|_| format!("its result {status:?} cannot be understood"))?;
                Ok(Some(End::Exit(status)))
            }
        }
    }

    /// An earlier boot's folder goes.
    fn make_folder(&self) -> io::Result<()> {
        if let Ok(others) = fs::read_dir(&self.folder) {
            for other in others.flatten().filter(|other| *other.file_name() != *self.boot) {
                fs::remove_dir_all(other.path())?;
            }
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.boot_folder())
    }

    /// The last that it said, without what looks like a secret.
    pub(crate) fn last_words(&self) -> String {
        let kept = tail(&self.file("output"), KEPT_OUTPUT).unwrap_or_default();
        let text = String::from_utf8_lossy(&kept);
        // What has lost its beginning may be a secret whose name is gone.
        let cut = u64::try_from(kept.len()).is_ok_and(|length| length >= KEPT_OUTPUT);
        let whole = if cut { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &*text };
        lightsout_core::last_words(whole, self.environment.iter().map(|(name, value)| (name.as_str(), value)), CHARS)
    }

    fn boot_folder(&self) -> PathBuf {
        self.folder.join(&self.boot)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.boot_folder().join(name)
    }
}

/// Whose run it is.
#[derive(Debug, PartialEq)]
struct Claim {
    pid: u32,
    /// How long after the boot.
    began: Duration,
    unit: Option<String>,
}

impl Claim {
    fn parse(text: &str) -> Option<Self> {
        let [pid, began, unit] = <[&str; 3]>::try_from(text.split_whitespace().collect::<Vec<_>>()).ok()?;
        let began = Duration::try_from_secs_f64(began.parse().ok()?).ok()?;
        Some(Self { pid: pid.parse().ok()?, began, unit: Some(unit.to_owned()).filter(|unit| unit != "-") })
    }

    /// The starter, if it lives: its number may be another's by now.
    fn process(&self) -> io::Result<Option<Process>> {
        let Some(process) = Process::open(self.pid)? else { return Ok(None) };
        match process::was_called_with(self.pid, STARTER) {
            // One that ends writes nothing more.
            Ok(called) => Ok((called == Some(true)).then_some(process)),
            Err(error) if process.alive() => Err(error),
            Err(_) => Ok(None),
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Exit(u8),
    /// Its time was up.
    Late,
    /// It is gone without a word of how.
    Killed,
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// Cuts an output short that has become too long. It is written to its end, wherever that is.
pub(crate) fn cut_output(path: &Path) -> io::Result<()> {
    if !fs::metadata(path).is_ok_and(|found| found.len() > MOST_OUTPUT) {
        return Ok(());
    }
    let kept = tail(path, KEPT_OUTPUT)?;
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.set_len(0)?;
    file.write_all(&kept)
}

/// The last of a file, in bytes.
pub(crate) fn tail(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut kept = Vec::new();
    file.take(most).read_to_end(&mut kept)?;
    Ok(kept)
}

#[cfg(test)]
mod tests;
