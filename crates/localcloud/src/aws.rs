//! AWS as a fleet sees it: the model of EC2 Auto Scaling and the wires in front of it.
//!
//! [`model`] is pure and knows no wire; [`query`], [`metadata`] and [`secrets`] stand on it, and nothing here knows sockets.

pub(crate) mod metadata;
pub mod model;
pub mod query;
pub(crate) mod secrets;
