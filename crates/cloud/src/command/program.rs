//! Runs the program, and says what its exit codes mean.

use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    exchange::{Output, Program, Text},
    redact,
};
use lightsout_io::program;

use super::TIMEOUT;

/// Something is under way, or the group is not any more as it was seen.
const NOT_NOW: i32 = 10;
/// The group's bounds forbid it.
const REFUSED: i32 = 11;
/// There is no such group, or no such instance in it.
const ABSENT: i32 = 12;
/// A right or a credential is missing.
const DENIED: i32 = 13;
/// Whoever has to be asked does not answer or wants fewer calls; nothing was done.
const LATER: i32 = 14;
/// The program does not do this.
const UNKNOWN: i32 = 15;

/// What the program is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Describe,
    Raise,
    Floor,
    #[cfg(feature = "host")]
    Whoami,
    #[cfg(feature = "host")]
    Protect,
    #[cfg(feature = "host")]
    Ready,
    #[cfg(feature = "host")]
    Leave,
    #[cfg(feature = "host")]
    Terminate,
    #[cfg(feature = "host")]
    Notice,
}

impl Verb {
    /// The first argument behind those in the settings.
    fn word(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Raise => "raise",
            Self::Floor => "floor",
            #[cfg(feature = "host")]
            Self::Whoami => "whoami",
            #[cfg(feature = "host")]
            Self::Protect => "protect",
            #[cfg(feature = "host")]
            Self::Ready => "ready",
            #[cfg(feature = "host")]
            Self::Leave => "leave",
            #[cfg(feature = "host")]
            Self::Terminate => "terminate",
            #[cfg(feature = "host")]
            Self::Notice => "notice",
        }
    }

    /// What it means that the group's bounds forbid it.
    fn refused(self) -> CloudErrorKind {
        match self {
            Self::Raise => CloudErrorKind::OutOfBounds,
            #[cfg(feature = "host")]
            Self::Leave => CloudErrorKind::AtFloor,
            Self::Describe | Self::Floor => CloudErrorKind::Other,
            #[cfg(feature = "host")]
            Self::Whoami | Self::Protect | Self::Ready | Self::Terminate | Self::Notice => CloudErrorKind::Other,
        }
    }
}

/// The user's program, with its first arguments.
#[derive(Clone, Debug)]
pub(super) struct CloudProgram {
    pub(super) argv: Vec<String>,
}

impl CloudProgram {
    pub(super) fn new(argv: &[String]) -> Self {
        Self { argv: argv.to_vec() }
    }

    /// Its name, for messages.
    pub(super) fn name(&self) -> &str {
        self.argv.first().map_or("the cloud program", String::as_str)
    }

    /// Asks, once, and gives what the program printed.
    pub(super) async fn ask(&self, verb: Verb, arguments: &[&str]) -> Result<Vec<u8>, CloudError> {
        self.ask_with(verb, arguments, Vec::new()).await
    }

    /// The same with more variables than the caller's own.
    pub(super) async fn ask_with(
        &self,
        verb: Verb,
        arguments: &[&str],
        env: Vec<(String, Text)>,
    ) -> Result<Vec<u8>, CloudError> {
        let question = [verb.word()].into_iter().chain(arguments.iter().copied());
        let argv: Vec<String> = self.argv.iter().cloned().chain(question.map(str::to_owned)).collect();
        let asked = argv.join(" ");
        match program::run(&Program::new(argv, env, TIMEOUT)).await {
            Ok(Output { status: Some(0), stdout, .. }) => Ok(stdout),
            Ok(output) => Err(failure(verb, &asked, &output)),
            // One that was started may have done it.
            Err(error) if error.started => {
                let why = format!("`{asked}`: {error}; whether it had an effect is looked at before it is asked again");
                Err(CloudError::new(CloudErrorKind::Timeout, why))
            }
            Err(error) => {
                let why = format!("`{asked}`: {error}; correct `cloud` in the settings");
                Err(CloudError::new(CloudErrorKind::Unreachable, why))
            }
        }
    }

    /// What was printed, read by `read`.
    pub(super) async fn read<T>(
        &self,
        verb: Verb,
        arguments: &[&str],
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, CloudError> {
        let printed = self.ask(verb, arguments).await?;
        read(&printed).map_err(|why| {
            let asked = [self.name(), verb.word()].into_iter().chain(arguments.iter().copied());
            let asked = asked.collect::<Vec<_>>().join(" ");
            let why =
                format!("`{asked}` exited with 0, but what it printed is not understood: {why}; see docs/clouds.md");
            CloudError::new(CloudErrorKind::Other, why)
        })
    }
}

/// What an exit that is no success means: the program, the code, its last line and what to do.
fn failure(verb: Verb, asked: &str, output: &Output) -> CloudError {
    let (kind, remedy) = match output.status {
        Some(NOT_NOW) => {
            (CloudErrorKind::InProgress, "something is under way, or the group has changed; it is looked at again")
        }
        Some(REFUSED) => (verb.refused(), "the group's bounds forbid it; they are read again"),
        Some(ABSENT) => {
            (CloudErrorKind::NotFound, "there is no such group or instance: see that the program knows the name")
        }
        Some(DENIED) => (
            CloudErrorKind::Denied,
            "give the program the right that it lacks; for credentials that are missing or have expired it is to exit with 14",
        ),
        Some(LATER) => (CloudErrorKind::Unreachable, "nothing was done; it is asked again later"),
        Some(UNKNOWN) => (CloudErrorKind::Denied, "the program does not do this; docs/clouds.md says who needs it"),
        Some(_) | None => (
            CloudErrorKind::Other,
            "what it means is not known, and nothing is concluded; run it by hand, see docs/clouds.md",
        ),
    };
    let how = match output.status {
        Some(status) => format!("exited with {status}"),
        None => "was ended by a signal".to_owned(),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let said =
        said.map_or("it wrote nothing to standard error".to_owned(), |line| format!("it said: {}", redact(line, 300)));
    CloudError::new(kind, format!("`{asked}` {how}; {said}; {remedy}"))
}
