//! The control socket: one JSON request a connection, one JSON answer. Who may write to the socket may give orders.

pub(crate) mod client;
pub(crate) mod server;

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long either side waits for the other.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What may be asked of a running agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// The status.
    Status,
    /// Take no more jobs, finish, leave.
    Drain,
    /// Take a drain back.
    Undrain,
    /// Do not leave for idleness or age for this long; 0 ends a hold.
    Hold {
        /// In seconds.
        seconds: u64,
    },
}
