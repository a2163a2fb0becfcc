//! What agent, scaler and `lightsout` share towards the outside: what the pure core decides, this crate carries out.
//!
//! [`http`] performs the core's exchanges with CI platforms, [`program`] runs the user's own programs for them,
//! [`files`] reads the settings' files, [`log`] sets up logging, [`metrics`] shows metrics and sends them, and
//! [`command_line`] is how the programs begin and end. The clouds are a crate of their own.

#![warn(clippy::expect_used)]

pub mod command_line;
pub mod files;
pub mod http;
pub mod log;
pub mod metrics;
pub mod program;
#[expect(clippy::wildcard_enum_match_arm, reason = "the enums are not ours and may grow")]
mod sign;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
