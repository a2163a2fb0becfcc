//! Programs of the user's, for CI systems that lightsout does not know.
//!
//! Each is a list: the program and its arguments; no shell is involved. On the instance each program (the runner too)
//! finds these variables:
//!
//! | Variable | Meaning |
//! |---|---|
//! | `LIGHTSOUT_INSTANCE_ID` | the cloud's id of this instance |
//! | `LIGHTSOUT_GROUP` | the group that it belongs to; empty when not known |
//! | `LIGHTSOUT_RUNNER_DIR` | a directory for the runner's files |
//! | `LIGHTSOUT_SLOTS` | how many jobs the runner may take at once |
//!
//! Exit codes are the answers; what is not listed is an error or unknown, never idle and never zero demand:
//!
//! | Program | Exit 0 | 10 | 11 |
//! |---|---|---|---|
//! | `queue` | standard output tells the demand | | |
//! | `register`, `undrain`, `deregister` | done (also when there was nothing to do) | | |
//! | `busy` | no job | busy; the jobs' names on standard output, one a line | |
//! | `drain` | no job runs and none can come | none can come, some still run | refused |
//!
//! `queue` prints `{"queued":3,"running":1,"poll_after_s":30}` (the last two may be missing or `null`; other keys are
//! ignored), or just a number on its first line.
//!
//! What it promises is what the programs promise: a `drain` that answers 0 too early loses a job. Without a `drain`
//! program the runner gets a signal on which it must end its jobs and exit; only its exit counts as proof. When neither
//! `busy` nor containers nor children are watched, nothing can be known, so the instance would never count as idle;
//! such settings are refused.

mod queue;
mod runner;
mod settings;

pub use queue::{CommandQueue, CommandQueueSettings};
pub use runner::{CommandRunner, CommandRunnerSettings};

use super::{Kind, answer::excerpt};
use crate::exchange::{EffectResult, ErrorKind, ExchangeError, Output};

/// The platform's name in settings and logs.
const NAME: &str = "command";

/// A CI system that only programs of the user know.
pub static KIND: Kind = Kind {
    name: NAME,
    title: "Your own programs",
    keys: settings::KEYS,
    variables: &[],
    webhook: None,
    queue: settings::queue,
    runner: settings::runner,
};

/// The output of a program that ran to its end.
fn output(program: &str, result: EffectResult) -> Result<Output, ExchangeError> {
    match result {
        EffectResult::Program(Ok(output)) => Ok(output),
        EffectResult::Program(Err(why)) => {
            let message = format!(
                "the {program} program gave no answer: {}; check that it exists, and that it ends in its `timeout`",
                excerpt(&why)
            );
            Err(ExchangeError::new(ErrorKind::Unreachable, message))
        }
        EffectResult::Http(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => Err(ExchangeError::new(
            ErrorKind::Malformed,
            format!("the {program} program was asked, but something else came; nothing is concluded from it"),
        )),
    }
}

/// An exit that means failure, with the first line that the program wrote about it.
fn failure(program: &str, output: &Output) -> ExchangeError {
    let how = match output.status {
        Some(status) => format!("exited with status {status}"),
        None => "was ended by a signal".to_owned(),
    };
    let why = match first_line(&output.stderr) {
        Some(line) => format!("it said: {line}"),
        None => "it wrote nothing to standard error".to_owned(),
    };
    ExchangeError::new(ErrorKind::Server, format!("the {program} program {how}; {why}"))
}

fn first_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(excerpt).find(|line| !line.is_empty())
}
