//! The keys of `command` in the settings, read into what its codecs need.

use std::{sync::Arc, time::Duration};

use super::{CommandQueue, CommandQueueSettings, CommandRunner, CommandRunnerSettings, NAME, runner::VERSIONS};
use crate::{
    exchange::ExchangeError,
    platform::{
        Config, DrainBy, DrainRules, JobFilter, Jobs, Queue, QueueConfig, QueueSettings, RunnerConfig, RunnerNeeds,
        RunnerPlatform, RunnerSettings, Secrets, Signal, UndrainBy, Versions,
    },
    settings::{Key, Section, Side},
};

/// The keys of both sides.
pub(super) const KEYS: &[Key] = &[
    Key::required("queue", Side::Scaler, "program", "prints `{\"queued\": 3, \"running\": 1}` or just a number"),
    Key::required("run", Side::Agent, "program", "the runner: one process that keeps running"),
    Key::optional("register", Side::Agent, "program", "none", "runs before the runner starts"),
    Key::optional("deregister", Side::Agent, "program", "none", "runs after it has ended"),
    Key::optional("busy", Side::Agent, "program", "none", "0 quiet, 10 busy, anything else unknown"),
    Key::optional("drain", Side::Agent, "program", "none", "makes the runner take no more jobs"),
    Key::optional("undrain", Side::Agent, "program", "none", "takes that back; without it the runner is started anew"),
    Key::optional(
        "drain_signal",
        Side::Agent,
        "`\"TERM\"`, `\"INT\"`, `\"QUIT\"`",
        "`\"TERM\"`",
        "instead of `drain`: finish and exit",
    ),
    Key::optional("abort_signal", Side::Agent, "`\"TERM\"`, `\"INT\"`, `\"QUIT\"`", "`\"TERM\"`", "fail what runs"),
    Key::optional(
        "containers",
        Side::Agent,
        "list of `name` or `name=value`",
        "not looked at",
        "containers with these labels are jobs; `[]`: every container",
    ),
    Key::optional("children", Side::Agent, "true, false", "`true`", "whether each child of the runner is a job"),
    Key::optional(
        "timeout",
        Side::Both,
        "duration",
        "`\"30s\"`",
        "for each program but `run`; the scaler's `deadline` ends it earlier, so raise both",
    ),
];

const SIGNALS: [(&str, Signal); 3] = [("TERM", Signal::Term), ("INT", Signal::Int), ("QUIT", Signal::Quit)];

impl QueueSettings for CommandQueueSettings {
    const PLATFORM: &'static str = NAME;

    fn address(&self) -> &str {
        self.queue.program()
    }

    fn job_filter(&self) -> Option<JobFilter> {
        Some(JobFilter { sources: vec![self.queue.to_string()], jobs: Jobs::All })
    }

    fn open(&self, _: Secrets) -> Result<Box<dyn Queue>, ExchangeError> {
        Ok(Box::new(CommandQueue::new(self.clone())))
    }
}

impl RunnerSettings for CommandRunnerSettings {
    const PLATFORM: &'static str = NAME;

    fn drain_rules(&self) -> DrainRules {
        DrainRules {
            drain: if self.drain.is_some() { DrainBy::Call } else { DrainBy::Signal(self.drain_signal) },
            undrain: if self.undrain.is_some() { UndrainBy::Call } else { UndrainBy::Relaunch },
            abort: self.abort_signal,
            quiesce: false,
        }
    }

    fn needs(&self) -> RunnerNeeds {
        RunnerNeeds { program: Some(self.run.program().to_owned()), ..RunnerNeeds::default() }
    }

    fn versions(&self) -> Versions {
        VERSIONS
    }

    fn uses_engine(&self) -> bool {
        self.containers.is_some()
    }

    fn open(&self, _: Secrets) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        Ok(Box::new(CommandRunner::new(self.clone())))
    }
}

pub(super) fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let queue = s.required_program("queue", "the program that prints the queue");
    let timeout = timeout(&s);
    s.finish();
    let settings = CommandQueueSettings { queue: queue?, timeout };
    Some(Arc::new(Config { settings, secrets: Vec::new() }))
}

pub(super) fn runner(s: Section<'_>, _: bool) -> Option<Arc<dyn RunnerConfig>> {
    let run = s.required_program("run", "the runner: one program that keeps running");
    let register = s.program("register");
    let busy = s.program("busy");
    let drain = s.program("drain");
    let drain_signal = s.word("drain_signal", &SIGNALS);
    s.not_both("drain", "drain_signal", "keep the one that makes the runner take no more jobs");
    let undrain = s.program("undrain");
    if undrain.is_some() && drain.is_none() {
        s.contradiction(
            "undrain",
            "undrain goes with drain only",
            "add drain, or leave undrain out: the runner is then started anew",
        );
    }
    let abort_signal = s.word("abort_signal", &SIGNALS).unwrap_or(Signal::Term);
    let deregister = s.program("deregister");
    let containers = s.texts("containers").map(|labels| labels.iter().map(|label| label_of(label)).collect::<Vec<_>>());
    let children = s.flag("children").unwrap_or(true);
    let timeout = timeout(&s);
    if busy.is_none() && containers.is_none() && !children {
        s.contradiction(
            "children",
            "nothing tells whether jobs run, so the instance would never be idle",
            "set busy, containers, or children to true",
        );
    }
    s.finish();
    let drain_signal = drain_signal.unwrap_or(Signal::Term);
    let settings = CommandRunnerSettings {
        register,
        run: run?,
        busy,
        drain,
        drain_signal,
        undrain,
        abort_signal,
        deregister,
        containers,
        children,
        timeout,
    };
    Some(Arc::new(Config { settings, secrets: Vec::new() }))
}

fn timeout(s: &Section<'_>) -> Duration {
    s.duration("timeout", Duration::from_millis(100)..=Duration::from_secs(600)).unwrap_or(Duration::from_secs(30))
}

/// `name=value`, or `name` for any value.
fn label_of(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (name.into(), Some(value.into())),
        None => (text.into(), None),
    }
}
