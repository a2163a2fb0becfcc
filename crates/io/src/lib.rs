//! lightsout's only sockets: what the pure core decides, this crate carries out.
//!
//! - [`http`] performs the core's conversations with CI platforms; [`program`] runs the user's own programs for them.
//! - [`aws`] holds the SDK's configuration and its errors; [`group`] is what the scaler may do, `instance` (a feature)
//!   what an agent may do to itself.
//! - [`imds`] reads the instance's metadata, [`files`] the settings' files, [`secrets`] the tokens that they point to,
//!   and [`log`] sets up logging.

#![warn(clippy::expect_used)]
#![cfg_attr(not(test), warn(unreachable_pub))]

pub mod aws;
pub mod files;
pub mod group;
pub mod http;
pub mod imds;
#[cfg(feature = "instance")]
pub mod instance;
pub mod log;
pub mod program;
pub mod secrets;
mod sign;
#[cfg(test)]
mod testing;
