//! What an instance is told: who it is, and what the cloud is about to do to it.

use std::time::Duration;

use lightsout_core::cloud::{Capabilities, Notice};
use tokio::sync::mpsc;

use crate::CloudFuture;

/// The instance's source of news about itself.
pub trait Notices: Send + Sync {
    /// Asks once whether this is an instance of this cloud: it is where that is told who it is.
    fn is_here(&self) -> CloudFuture<'_, ()>;

    /// Who this instance is. Asks again until it is told, for so long; the news may need a moment after boot.
    fn identity(&self, deadline: Duration) -> CloudFuture<'_, Identity>;

    /// The instance's tags whose names begin like this, names and values; none where its metadata do not show tags. Asks again until it is
    /// told, for so long.
    fn tags<'a>(&'a self, prefix: &'a str, deadline: Duration) -> CloudFuture<'a, Vec<(String, String)>>;

    /// Looks for notices until the receiver is gone, in tasks of its own, and sends each that is new. That there is no
    /// answer is no notice; where it lasts, a warning is logged.
    fn watch(&self, every: NoticeIntervals) -> mpsc::Receiver<Notice>;
}

/// Who an instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub instance: String,
    /// Where it is, such as `eu-north-1`.
    pub location: String,
    /// The group's name, if it is told.
    pub group: Option<String>,
    /// What the cloud can do, where only the instance is told that.
    pub capabilities: Option<Capabilities>,
}

/// The pauses between two looks, for each kind of notice. A cloud that tells several in one place takes the shortest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoticeIntervals {
    /// For an interruption.
    pub interruption: Duration,
    /// For the state that the group moves the instance to.
    pub target: Duration,
    /// For a rebalance recommendation.
    pub rebalance: Duration,
    /// For scheduled maintenance.
    pub maintenance: Duration,
    /// For what an operator has written on the instance.
    pub order: Duration,
}
