//! The clouds, each behind the same four traits, in no vendor's words: [`Groups`] is what the scaler may do, [`Host`] what an instance may do
//! to itself, [`Notices`] what it is told, [`Secrets`] where tokens come from. What a cloud can do it states as
//! [`Capabilities`](lightsout_core::cloud::Capabilities), and what a failed call means as a [`CloudError`].
//!
//! `fake` (a feature) is one in memory, for the tests of agent and scaler.

pub mod aws;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod groups;
mod host;
mod notices;
mod secrets;

use std::pin::Pin;

use lightsout_core::cloud::CloudError;

pub use groups::{Doubt, DoubtKind, GroupView, Groups};
pub use host::Host;
pub use notices::{Identity, NoticeIntervals, Notices};
pub use secrets::{SecretError, Secrets, local};

/// The answer to a call to a cloud.
pub type CloudFuture<'a, T, E = CloudError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;
