//! lightsout's decisions and codecs, without any I/O: no clock, no environment, no sockets, no async.
//!
//! Two decisions live here: [`agent`], the state machine of one instance, and [`scaling`], the plan of the scaler.
//! Around them stand the codecs that turn questions to CI platforms into requests and replies into answers
//! ([`platform`]), the parsers of the cloud's notices ([`notice`]) and the settings ([`settings`]).
//! The shells (`agent`, `scaler`) carry bytes and time.

#![warn(missing_docs, clippy::expect_used)]
#![cfg_attr(not(test), warn(unreachable_pub))]

pub mod activity;
#[expect(clippy::wildcard_enum_match_arm, reason = "what the agent does with an outcome that it does not expect")]
pub mod agent;
pub mod cloud;
pub mod notice;
pub mod platform;
pub mod record;
pub mod scaling;
pub mod settings;
pub mod time;
pub mod wire;
