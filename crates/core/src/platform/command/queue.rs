//! The queue as a program of the user tells it.

use std::time::Duration;

use secrecy::SecretString;

use super::{NAME, failure, output};
use crate::{
    exchange::{Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Output, Program},
    platform::{
        Demand, Queue, Reading,
        answer::{Document, Remedies, RequestContext},
    },
    settings::Argv,
};

/// How to ask for the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandQueueSettings {
    /// What is asked.
    pub queue: Argv,
    /// When it is killed.
    pub timeout: Duration,
}

/// Reads the queue through a program of the user's: see [`crate::platform::command`].
#[derive(Clone, Debug)]
pub struct CommandQueue {
    settings: CommandQueueSettings,
}

impl CommandQueue {
    /// A reader with these settings.
    pub fn new(settings: CommandQueueSettings) -> Self {
        Self { settings }
    }
}

impl Exchange for CommandQueue {
    type Output = Reading;

    fn start(&mut self) -> ExchangeStep<Reading> {
        ExchangeStep::perform(Effect::Program(Program::new(
            self.settings.queue.to_vec(),
            Vec::new(),
            self.settings.timeout,
        )))
    }

    fn resume(&mut self, _: EffectId, result: EffectResult) -> ExchangeStep<Reading> {
        ExchangeStep::Done(output("queue", result).and_then(|output| Ok(demand(&output)?.into())))
    }
}

impl Queue for CommandQueue {
    fn platform(&self) -> &'static str {
        NAME
    }
}

fn demand(output: &Output) -> Result<Demand, ExchangeError> {
    if output.status != Some(0) {
        return Err(failure("queue", output));
    }
    let malformed = || {
        ExchangeError::new(
            ErrorKind::Malformed,
            "the queue program's output is not understood: it must print one JSON object such as {\"queued\":3,\"running\":1}, \
             or a number on its first line; nothing is concluded from it",
        )
    };
    let text = str::from_utf8(&output.stdout).map_err(|_| malformed())?.trim_start();
    if text.starts_with('{') {
        return object(serde_json::from_str(text).map_err(|_| malformed())?);
    }
    let number = text.lines().next().unwrap_or_default().trim();
    // `parse` alone would also take a sign.
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    Ok(Demand { queued: number.parse().map_err(|_| malformed())?, running: None, poll_after: None })
}

fn object(value: serde_json::Value) -> Result<Demand, ExchangeError> {
    let none = "check the queue program";
    let context = RequestContext {
        platform: "the queue program".to_owned(),
        what: "tell the demand".to_owned(),
        remedies: Remedies { unauthorized: none, forbidden: none, not_found: none },
        secret: SecretString::default(),
    };
    let document = Document::new(context, value);
    let root = document.root();
    let count = |key: &str| root.optional(key)?.map(|node| node.count()).transpose();
    Ok(Demand {
        queued: root.key("queued")?.count()?,
        running: count("running")?,
        poll_after: count("poll_after_s")?.map(|seconds| Duration::from_secs(seconds.into())),
    })
}
