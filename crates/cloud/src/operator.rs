//! What a person may do to the instances of a group from afar: look at them, and reach their agents. Nothing here ends an instance; its agent
//! does that, when its jobs are done.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lightsout_core::cloud::StandingOrder;

use crate::CloudFuture;

/// An operator's rights over the instances of one location.
pub trait Operator: Send + Sync {
    /// A group with its members. [`NotFound`](lightsout_core::cloud::CloudErrorKind::NotFound) when there is none of this name.
    fn group<'a>(&'a self, name: &'a str) -> CloudFuture<'a, Members>;

    /// The instances of these ids. [`NotFound`](lightsout_core::cloud::CloudErrorKind::NotFound) when one is not there, or not any more.
    fn instances<'a>(&'a self, ids: &'a [String]) -> CloudFuture<'a, Vec<Member>>;

    /// Which of these take commands now.
    fn reachable<'a>(&'a self, ids: &'a [String]) -> CloudFuture<'a, BTreeSet<String>>;

    /// Has a script run on these instances, at most [`MOST_AT_ONCE`], as their administrator; the name by which [`Operator::ran`] knows it.
    fn run<'a>(&'a self, ids: &'a [String], script: &'a str) -> CloudFuture<'a, String>;

    /// What came of a script on one of the instances.
    fn ran<'a>(&'a self, command: &'a str, id: &'a str) -> CloudFuture<'a, Run>;

    /// Writes an order on each of these instances, for it alone, or with `None` wipes what stands there.
    fn order<'a>(&'a self, ids: &'a [String], order: Option<StandingOrder>) -> CloudFuture<'a, ()>;

    /// What a log group holds of one instance's records between two times, in milliseconds since the Unix epoch, oldest first.
    fn logged<'a>(&'a self, group: &'a str, id: &'a str, span_ms: (i64, i64)) -> CloudFuture<'a, Vec<Logged>>;
}

/// On so many instances a script runs at once.
pub const MOST_AT_ONCE: usize = 50;

/// A group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// The group's name.
    pub name: String,
    pub min: u32,
    pub max: u32,
    /// Its desired capacity.
    pub desired: u32,
    /// Its members, oldest first.
    pub members: Vec<Member>,
}

/// One instance as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    /// Its group, where it is told.
    pub group: Option<String>,
    /// Its state in the group, or where it is not a member, as a machine; in the cloud's own words.
    pub state: String,
    /// Whether the machine is over.
    pub ended: bool,
    /// Whether it is protected from scale-in; `None`: not told.
    pub protected: Option<bool>,
    /// When it was launched.
    pub launched: Option<Timestamp>,
    /// The kind of machine.
    pub kind: String,
    /// Whether the cloud may take it away.
    pub spot: bool,
    /// Why it leaves, as its agent has written on it.
    pub why: Option<String>,
    /// The order that stands on it.
    pub order: Option<String>,
    /// Whether its agent can see such an order.
    pub sees_orders: bool,
}

/// What came of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// It runs, or was not begun yet.
    Pending,
    /// It was run.
    Ended {
        /// Its exit code.
        code: i32,
        /// What it wrote to standard output; only the beginning, where it is long.
        out: String,
        /// The same for standard error.
        err: String,
    },
    /// It was not run, or not to its end; why, in the cloud's words.
    Undelivered(String),
}

/// A record in a log group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The id of the entry.
    pub id: String,
    /// When it was written, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub text: String,
}
