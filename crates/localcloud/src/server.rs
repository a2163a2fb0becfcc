//! The sockets: who is asked, what goes wrong with the question, and how the answer leaves.

mod aws;
mod azure;
mod connection;
mod front;
mod injection;
mod metadata;

pub(crate) use self::{connection::serve, front::Front, metadata::MetadataService};
