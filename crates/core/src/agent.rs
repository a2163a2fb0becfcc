//! The agent.

pub mod action;
pub mod backoff;
pub mod budget;
pub mod event;
pub mod lifecycle;
pub mod phase;
pub mod policy;

pub use lifecycle::{Lifecycle, Status};
