//! The runner in a systemd unit. Each start has a unit of its own: one whose main process is gone stays loaded for as
//! long as anything lives that a job left behind, and would block the next start.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use lightsout_core::platform::{Launch, Signal};
use lightsout_io::files::replace;

use super::{NotStarted, RunnerProcess, START, record::Record};
use crate::{
    clock::unix_ms_now,
    last_words,
    metadata_guard::RUNNERS,
    process::Process,
    systemd::{ask, environment_file, unexpanded},
};

/// What the names of the runner's units begin with; an earlier version had one unit of this name.
const PREFIX: &str = "lightsout-runner";
/// The agent's own unit, in which a runner without one runs.
const AGENT: &str = "lightsout-agent.service";
/// How long systemd may take for an answer.
const ANSWER: Duration = Duration::from_secs(5);

impl RunnerProcess {
    /// Starts the runner in a unit of its own.
    pub(super) async fn start_unit(&self, launch: &Launch, stop_signal: Signal) -> Result<Process, NotStarted> {
        let name = fresh_name();
        let arguments = self.unit_arguments(&name, launch, stop_signal).map_err(|error| error.to_string())?;
        let started = start(arguments, START).await;
        if started.is_ok() {
            // Read, and full of secrets. What cannot be removed is root's alone, and the next start writes over it.
            let _ = fs::remove_file(self.environment_file());
        }
        let process = match main_pid(&self.mark()).await {
            Ok(pid) => pid.map(Process::open).transpose().map_err(|error| error.to_string())?.flatten(),
            Err(why) if started.is_ok() => return Err(why.into()),
            Err(_) => None,
        };
        let Some(process) = process else {
            // Its arguments do not go where the reason is told: into tags and records, which many may read.
            let program = launch.argv.first().map_or("", String::as_str);
            let Err(why) = started else {
                let why = format!("{program} ended at once; journalctl -u {name} has what it said");
                return Err(NotStarted { why, said: self.last_words(Some(&name)).await });
            };
            // It must not start later, when nobody expects it.
            give_up(&name).await;
            return Err(format!("{program} did not start: {why}").into());
        };
        if let Err(error) = Record::of(&process).write(&self.record_file()) {
            tracing::warn!(%error, "the runner cannot be written down; systemd knows it");
        }
        Ok(process)
    }

    pub(super) fn unit_arguments(&self, name: &str, launch: &Launch, stop_signal: Signal) -> io::Result<Vec<String>> {
        let environment = self.environment_file();
        let variables = self.environment(&launch.env);
        replace(&environment, environment_file(&variables).as_bytes(), 0o600, false)?;
        let mut arguments = vec![
            "--unit".into(),
            name.into(),
            "--collect".into(),
            "--quiet".into(),
            format!("--slice={RUNNERS}"),
            // The start succeeds once the program is executed.
            "--service-type=exec".into(),
            "--property=KillMode=process".into(),
            "--property=TimeoutStopSec=infinity".into(),
            format!("--property=KillSignal={}", signal_name(stop_signal)),
            "--property=After=network-online.target docker.service".into(),
            // Stopped in the reverse order: the agent first, which drains.
            "--property=Before=lightsout-agent.service".into(),
            format!("--property=EnvironmentFile={}", environment.display()),
            format!("--working-directory={}", self.folder.display()),
            format!("--setenv={}", self.mark()),
            // Not the agent's: what takes the memory must go before who sees a notice.
            "--property=OOMScoreAdjust=0".into(),
        ];
        if let Some(user) = self.known_user() {
            arguments.push(format!("--property=User={}", user.name));
            let groups = user.groups_with(self.engine.as_deref());
            let groups = groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
            arguments.push(format!("--property=SupplementaryGroups={groups}"));
        }
        arguments.push("--".into());
        arguments.extend(launch.argv.iter().map(|argument| unexpanded(argument)));
        Ok(arguments)
    }

    /// What the runner's unit is started with.
    fn environment_file(&self) -> PathBuf {
        self.state_dir.join("runner.env")
    }
}

/// The unit in which a runner runs.
pub(crate) fn unit_of(pid: u32) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let unit = |part: &str| part.starts_with(PREFIX) && part.ends_with(".service");
    groups.lines().flat_map(|line| line.split('/')).find(|part| unit(part)).map(str::to_owned)
}

/// Whether this is a process of a runner that an agent has started here as a service, whatever the agent's settings were: in a unit of a runner's,
/// or beside the agent in the agent's own.
fn is_of_a_runner(groups: &str, is_agent: bool) -> bool {
    let units = || groups.lines().flat_map(|line| line.split(['/', ':']));
    units().any(|part| part.starts_with(PREFIX)) || !is_agent && units().any(|part| part == AGENT)
}

/// The number of a process of a runner among those that are listed there.
///
/// # Errors
/// When the list cannot be read.
pub(crate) fn any_runner(processes: &Path) -> io::Result<Option<u32>> {
    let own = std::process::id();
    for entry in fs::read_dir(processes)? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has gone meanwhile has none.
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        if is_of_a_runner(&groups, pid == own) {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}

/// The last that the processes of a unit said, as the journal has it.
pub(super) async fn last_words(unit: &str) -> String {
    let lines = format!("--lines={}", last_words::LINES);
    let arguments = ["--unit", unit, &lines, "--output=cat", "--quiet", "--no-pager"].map(str::to_owned).to_vec();
    match ask("journalctl", arguments, ANSWER).await {
        Ok(said) => last_words::of(&said),
        Err(why) => format!("not known: {why}"),
    }
}

/// A name that no unit has had.
fn fresh_name() -> String {
    format!("{PREFIX}-{}", unix_ms_now())
}

/// Starts a unit: this program with these arguments.
async fn start(arguments: Vec<String>, within: Duration) -> Result<(), String> {
    ask("systemd-run", arguments, within).await.map(drop)
}

/// Takes back a start that did not happen in time.
async fn give_up(name: &str) {
    let arguments = ["stop", "--no-block", name].map(str::to_owned).to_vec();
    if let Err(why) = ask("systemctl", arguments, ANSWER).await {
        tracing::warn!(unit = name, why, "a runner that did not start in time may start later");
    }
}

/// The main process of the unit that runs and has this mark in its environment, as systemd knows it.
pub(super) async fn main_pid(mark: &str) -> Result<Option<u32>, String> {
    let properties = "--property=Id,MainPID,ActiveState,Job,Environment";
    let arguments = ["show", "--no-pager", properties, &format!("{PREFIX}*.service")].map(str::to_owned).to_vec();
    let text = ask("systemctl", arguments, ANSWER).await?;
    running(&text, mark)
}

/// Reads what `systemctl show` says of several units: a block of `Key=value` each, an empty line between them.
fn running(text: &str, mark: &str) -> Result<Option<u32>, String> {
    let mut found = None;
    for block in text.split("\n\n") {
        let value = |key: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim()
        };
        if !has_mark(value("Environment"), mark) {
            continue;
        }
        let id = value("Id");
        match value("MainPID") {
            "0" | "" if !matches!(value("Job"), "0" | "") || value("ActiveState") == "activating" => {
                return Err(format!("{id} is about to start"));
            }
            "0" | "" => {}
            pid => {
                let pid = pid.parse().map_err(|_| format!("systemd says that the main process of {id} is {pid:?}"))?;
                if let Some(other) = found.replace(pid) {
                    return Err(format!("two runners have units that run: processes {other} and {pid}"));
                }
            }
        }
    }
    Ok(found)
}

/// Whether a list of variables, each in quotes where it has to be, holds this one.
fn has_mark(environment: &str, mark: &str) -> bool {
    environment.match_indices(mark).any(|(at, _)| {
        let end = environment.get(at + mark.len()..).and_then(|rest| rest.chars().next());
        matches!(end, None | Some(' ' | '"' | '\''))
    })
}

fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Term => "SIGTERM",
        Signal::Int => "SIGINT",
        Signal::Quit => "SIGQUIT",
        Signal::Hup => "SIGHUP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "LIGHTSOUT_RUNNER=/var/lib/lightsout/runner";

    fn block(id: &str, pid: &str, state: &str, job: &str, folder: &str) -> String {
        format!(
            "MainPID={pid}\nId={id}\nActiveState={state}\nJob={job}\nEnvironment=HOME=/root LIGHTSOUT_RUNNER={folder}\n"
        )
    }

    #[test]
    fn a_process_of_a_runner_is_known_by_its_unit_alone() {
        let v1 = "12:cpuset:/\n1:name=systemd:/system.slice/lightsout-runner-1764236000000.service\n0::/\n";
        let v2 = "0::/system.slice/lightsout-runner-1764236000000.service/job\n";
        let beside = "0::/system.slice/lightsout-agent.service\n";
        for runner in [v1, v2, "0::/system.slice/lightsout-runner.service\n", beside] {
            assert!(is_of_a_runner(runner, false), "{runner}");
        }
        assert!(!is_of_a_runner(beside, true), "the agent itself");
        for other in ["", "0::/\n", "0::/system.slice/cron.service\n", "0::/user.slice/user-0.slice/session-1.scope\n"]
        {
            assert!(!is_of_a_runner(other, false), "{other}");
        }
    }

    #[test]
    fn the_unit_that_runs_is_found_among_those_that_only_linger() {
        let ours = "/var/lib/lightsout/runner";
        let lingers = block("lightsout-runner-1.service", "0", "inactive", "", ours);
        let runs = block("lightsout-runner-2.service", "17", "active", "", ours);
        let others = block("lightsout-runner-3.service", "18", "active", "", "/var/lib/lightsout/runner2");
        assert_eq!(running("", MARK), Ok(None));
        assert_eq!(running(&lingers, MARK), Ok(None));
        assert_eq!(running(&[lingers.clone(), runs.clone(), others].join("\n"), MARK), Ok(Some(17)));
        let second = block("lightsout-runner-4.service", "19", "active", "", ours);
        running(&[runs, second].join("\n"), MARK).unwrap_err();
        for about_to_start in [
            block("lightsout-runner-5.service", "0", "inactive", "4711", ours),
            block("lightsout-runner-5.service", "0", "activating", "", ours),
        ] {
            assert!(running(&about_to_start, MARK).unwrap_err().contains("about to start"));
        }
    }
}
