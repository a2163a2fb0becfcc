//! Why a tick did not do its work, or not all of it, and what that of many comes to.

use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    exchange::{ErrorKind, ExchangeError},
    record::TickTrouble,
};
use lightsout_io::command_line::Failure;

/// What to do where something was not answered by the pool's deadline.
pub(crate) const LONGER: &str = "`deadline` gives it longer, and `--log debug` tells which requests are slow";

/// How many failures are printed in full.
const PRINTED: usize = 20;

/// What kind of failure it was, and what happened, in words that say what to do.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) kind: TickTrouble,
    pub(crate) message: String,
}

impl Trouble {
    /// No answer in time.
    pub(crate) fn late(message: String) -> Self {
        Self { kind: TickTrouble::Unavailable, message }
    }

    /// One that only its message tells more of.
    pub(crate) fn other(message: String) -> Self {
        Self { kind: TickTrouble::Other, message }
    }

    /// With this besides.
    pub(crate) fn and(self, other: &Self) -> Self {
        Self { kind: self.kind, message: format!("{}; and {}", self.message, other.message) }
    }
}

/// The end of something that all pools did, given the names and errors of those that failed.
pub(crate) fn summarize(count: usize, failed: &[(String, String)]) -> Result<(), Failure> {
    if failed.is_empty() {
        return Ok(());
    }
    let mut lines = vec![format!("{} of {count} pools failed:", failed.len())];
    lines.extend(failed.iter().take(PRINTED).map(|(pool, error)| format!("{pool}: {error}")));
    if failed.len() > PRINTED {
        lines.push(format!("and {} more", failed.len() - PRINTED));
    }
    Err(Failure::Failed(lines.join("\n  ")))
}

/// The kind of a platform's failure.
pub(crate) fn of_platform(kind: ErrorKind) -> TickTrouble {
    match kind {
        ErrorKind::Unauthorized => TickTrouble::Unauthorized,
        ErrorKind::Forbidden => TickTrouble::Forbidden,
        ErrorKind::NotFound | ErrorKind::NoRunner => TickTrouble::NotFound,
        ErrorKind::Throttled(_) => TickTrouble::Throttled,
        ErrorKind::Server | ErrorKind::Unreachable | ErrorKind::TimeOver => TickTrouble::Unavailable,
        ErrorKind::Occupied(_) | ErrorKind::Malformed | ErrorKind::Refused => TickTrouble::Other,
    }
}

fn of_cloud(kind: CloudErrorKind) -> TickTrouble {
    match kind {
        CloudErrorKind::Credentials => TickTrouble::Unauthorized,
        CloudErrorKind::Denied => TickTrouble::Forbidden,
        CloudErrorKind::NotFound => TickTrouble::NotFound,
        CloudErrorKind::Throttled => TickTrouble::Throttled,
        CloudErrorKind::Timeout | CloudErrorKind::Unreachable => TickTrouble::Unavailable,
        CloudErrorKind::AtFloor
        | CloudErrorKind::OutOfBounds
        | CloudErrorKind::InProgress
        | CloudErrorKind::NothingHeld
        | CloudErrorKind::Other => TickTrouble::Other,
    }
}

impl From<ExchangeError> for Trouble {
    fn from(error: ExchangeError) -> Self {
        Self { kind: of_platform(error.kind), message: error.message }
    }
}

impl From<CloudError> for Trouble {
    fn from(error: CloudError) -> Self {
        Self { kind: of_cloud(error.kind), message: error.to_string() }
    }
}
