//! lightsout's decisions and codecs, without any I/O: no clock, no environment, no sockets, no async.
//!
//! Two decisions live here: [`agent`], the state machine of one instance, and [`scaling`], the plan of the scaler.
//! Around them stand the codecs that turn questions to CI platforms into requests and replies into answers
//! ([`platform`]) and the settings ([`settings`]).
//! The shells (`agent`, `scaler`) carry bytes and time.

#![warn(clippy::expect_used, clippy::missing_errors_doc)]

pub mod activity;
pub mod agent;
pub mod chart;
pub mod cloud;
pub mod cost;
pub mod doctor;
pub mod duration;
pub mod exchange;
pub mod explain;
pub mod iam;
pub mod invariants;
pub mod lanes;
pub mod metrics;
pub mod platform;
pub mod record;
mod redact;
pub mod scaling;
pub mod settings;
pub mod space;
pub mod time;

pub use redact::{last_words, redact, shortened};
