//! A runner that is started, watched and drained by programs of the user.

use std::{collections::BTreeSet, time::Duration};

use super::{NAME, failure, output};
use crate::{
    activity::{Activity, JobId},
    exchange::{Call, Effect, ErrorKind, ExchangeError, Output, Program},
    platform::{
        DrainRules, Drained, HostContext, Launch, Probe, Ready, RegisterFor, RunnerPlatform, RunnerSettings, Selection,
        Signal, Versions, answer, answer::excerpt,
    },
    settings::Argv,
};

/// What a `busy` or `drain` program exits with while jobs run.
const BUSY: i32 = 10;

/// What a `drain` program exits with when it was refused.
const REFUSED: i32 = 11;

pub(super) const VERSIONS: Versions =
    Versions::Untold("the runner is a program of your own: it is called as the settings say");

/// The programs that stand for a platform on the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRunnerSettings {
    /// Runs before the runner starts; exit 0 is success.
    pub register: Option<Argv>,
    /// The runner: one long-lived process.
    pub run: Argv,
    /// Exit 0: quiet; 10: busy, with the jobs' names on standard output, one a line; anything else: unknown.
    pub busy: Option<Argv>,
    /// Exit 0: no job runs and none can come; 10: no more will come, some still run; 11: refused. Absent:
    /// `drain_signal`.
    pub drain: Option<Argv>,
    /// What makes the runner end its jobs and exit; the exit is the proof. Default: `SIGTERM`.
    pub drain_signal: Signal,
    /// Takes a drain back; exit 0 is success. Absent: the runner is launched anew.
    pub undrain: Option<Argv>,
    /// What makes the runner fail its jobs at once. Default: `SIGTERM`.
    pub abort_signal: Signal,
    /// Removes this instance's registration; exit 0 is success, also when it is already gone.
    pub deregister: Option<Argv>,
    /// Running containers with all of these labels are jobs (a value of `None`: any value). `Some` of an empty list: every
    /// container. `None`: containers are not looked at.
    pub containers: Option<Vec<(String, Option<String>)>>,
    /// Whether each child process of the runner is a job.
    pub children: bool,
    /// When a program is killed (not `run`).
    pub timeout: Duration,
}

impl CommandRunnerSettings {
    /// Only the runner itself, drained and aborted by `SIGTERM`, its children being its jobs; 30 s for each program.
    pub fn new(run: Argv) -> Self {
        Self {
            register: None,
            run,
            busy: None,
            drain: None,
            drain_signal: Signal::Term,
            undrain: None,
            abort_signal: Signal::Term,
            deregister: None,
            containers: None,
            children: true,
            timeout: Duration::from_secs(30),
        }
    }
}

/// A runner made of the user's programs: see [`crate::platform::command`].
#[derive(Clone, Debug)]
pub struct CommandRunner {
    settings: CommandRunnerSettings,
}

impl CommandRunner {
    /// A runner with these settings.
    pub fn new(settings: CommandRunnerSettings) -> Self {
        Self { settings }
    }

    fn ask(&self, argv: &[String], host: &HostContext) -> Effect {
        Effect::Program(Program::new(argv.to_vec(), host.variables(), self.settings.timeout))
    }

    /// Runs a program that must exit with 0.
    fn must<T: Clone + Send + 'static>(
        &self,
        name: &'static str,
        argv: &[String],
        host: &HostContext,
        then: T,
    ) -> Call<T> {
        answer::once(self.ask(argv, host), move |result| {
            let output = output(name, result)?;
            if output.status == Some(0) { Ok(then.clone()) } else { Err(failure(name, &output)) }
        })
    }
}

impl RunnerPlatform for CommandRunner {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        VERSIONS
    }

    fn registration(&self, host: &HostContext) -> RegisterFor {
        let (runner, host) = (self.clone(), host.clone());
        Box::new(move |_| {
            let (argv, env) = (runner.settings.run.to_vec(), host.variables());
            let launch = Launch { argv, env, files: Vec::new(), doubts: Vec::new() };
            match &runner.settings.register {
                Some(argv) => runner.must("register", argv, &host, launch),
                None => Box::new(Ready(launch)),
            }
        })
    }

    fn drain_rules(&self) -> DrainRules {
        self.settings.drain_rules()
    }

    fn drain_call(&self, host: &HostContext) -> Call<Drained> {
        match &self.settings.drain {
            Some(argv) => answer::once(self.ask(argv, host), |result| drained(&output("drain", result)?)),
            None => answer::failed(ExchangeError::new(
                ErrorKind::Refused,
                "there is no drain program: the runner is drained by drain_signal",
            )),
        }
    }

    fn undrain_call(&self, host: &HostContext) -> Call<()> {
        match &self.settings.undrain {
            Some(argv) => self.must("undrain", argv, host, ()),
            None => answer::failed(ExchangeError::new(
                ErrorKind::Refused,
                "there is no undrain program: the runner is started anew",
            )),
        }
    }

    fn deregister(&self, host: &HostContext) -> Call<()> {
        match &self.settings.deregister {
            Some(argv) => self.must("deregister", argv, host, ()),
            None => Box::new(Ready(())),
        }
    }

    fn probes(&self, host: &HostContext) -> Vec<Probe> {
        let mut probes = Vec::new();
        if let Some(labels) = &self.settings.containers {
            probes.push(Probe::Containers(Selection { labels: labels.clone(), ..Selection::ALL }));
        }
        if self.settings.children {
            probes.push(Probe::Children(Vec::new()));
        }
        if let Some(argv) = &self.settings.busy {
            probes.push(Probe::Call(answer::once(self.ask(argv, host), |result| {
                Ok(match output("busy", result) {
                    Ok(output) => activity(&output),
                    Err(error) => Activity::Unknown(error.message),
                })
            })));
        }
        probes
    }
}

fn drained(output: &Output) -> Result<Drained, ExchangeError> {
    match output.status {
        Some(0) => Ok(Drained::Empty),
        Some(BUSY) => Ok(Drained::StillBusy),
        Some(REFUSED) => Ok(Drained::Refused),
        Some(_) | None => Err(failure("drain", output)),
    }
}

fn activity(output: &Output) -> Activity {
    match output.status {
        Some(0) => Activity::Quiet,
        Some(BUSY) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let names: BTreeSet<_> = text.lines().map(excerpt).filter(|name| !name.is_empty()).map(JobId).collect();
            if names.is_empty() { Activity::busy("a job without a name") } else { Activity::Busy(names) }
        }
        Some(_) | None => Activity::Unknown(failure("busy", output).message),
    }
}
