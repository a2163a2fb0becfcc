//! AWS as a fleet sees it: the model of EC2 Auto Scaling and the wires in front of it.
//!
//! [`model`] is pure and knows no wire; [`query`], the metadata service and the secrets stand on it, and none
//! of them knows sockets.

pub(crate) mod commands;
pub(crate) mod functions;
pub(crate) mod keys;
pub(crate) mod logs;
pub(crate) mod metadata;
pub mod model;
pub(crate) mod objects;
pub mod query;
pub(crate) mod quotas;
pub(crate) mod secrets;
