//! What the scaler may do: read groups, raise them, and leave advice for their agents. Nothing here can lower a
//! capacity or end an instance.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
};

use futures_util::{StreamExt, stream};
use lightsout_core::{
    cloud::{Capabilities, CapacityChange, CloudError, Floor, Listed, Member},
    record::FailedLaunch,
};

use crate::CloudFuture;

/// The instances of each group, as it lists them, or why it does not. A group is missing where its cloud lists nobody of any.
pub type Listing = BTreeMap<String, Result<Vec<Listed>, CloudError>>;

/// The scaler's rights over the groups of one location.
pub trait Groups: Send + Sync {
    /// What this cloud can do.
    fn capabilities(&self) -> Capabilities;

    /// Where these groups are, for messages, such as `eu-north-1`.
    fn location(&self) -> String;

    /// Reads these groups in as few calls as possible. A group that does not exist is missing from the map. Where each is read by itself,
    /// each fails by itself.
    fn describe<'a>(&'a self, names: &'a BTreeSet<String>) -> CloudFuture<'a, BTreeMap<String, GroupDescription>>;

    /// What a group's history tells of late. Empty where a cloud keeps none.
    fn history<'a>(&'a self, name: &'a str) -> CloudFuture<'a, History>;

    /// The members that count towards a group's capacity, those that still boot among them, each with the sign of its agent; `None` where a cloud
    /// knows no such sign. Asked a few times an hour at most, when members look as if their agents were dead.
    fn members<'a>(&'a self, _: &'a str) -> CloudFuture<'a, Option<Vec<Member>>> {
        Box::pin(async { Ok(None) })
    }

    /// The instances of these groups, where the cloud tells that in few calls; a group that does not exist has none. Asked for whoever looks at a
    /// page, and for no decision.
    fn listing<'a>(&'a self, _: &'a BTreeSet<String>) -> CloudFuture<'a, Listing> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }

    /// Sets the capacity of a group that was seen like this, to an absolute number above what was seen. Sent once:
    /// after [`Timeout`](lightsout_core::cloud::CloudErrorKind::Timeout) the next describe tells whether it was
    /// applied. With [`Capabilities::conditional_raise`] it is refused as
    /// [`InProgress`](lightsout_core::cloud::CloudErrorKind::InProgress) when the group has changed since it was seen.
    fn raise<'a>(&'a self, seen: &'a GroupView, to: u32) -> CloudFuture<'a, ()>;

    /// Leaves the floor for the group's agents: advice, which idle ones read as
    /// [`GroupSize::floor`](lightsout_core::cloud::GroupSize::floor).
    fn leave_floor<'a>(&'a self, name: &'a str, floor: Floor) -> CloudFuture<'a, ()>;

    /// What is known of a group's raises that a later run should know, in words of its own. `None`: nothing.
    fn memory(&self, _name: &str) -> Option<String> {
        None
    }

    /// Takes over what an earlier run knew of a group. What cannot be read is nothing.
    fn recall(&self, _name: &str, _memory: &str) {}
}

/// A group that was looked at, or why it could not be.
pub type GroupDescription = Result<GroupView, CloudError>;

/// One reading of one group; `None`: it does not exist.
pub(crate) type Reading<'a, T = GroupView> =
    Pin<Box<dyn Future<Output = Option<(String, Result<T, CloudError>)>> + Send + 'a>>;

/// Reads groups that are each read by itself, so many at once.
pub(crate) async fn read_each<T>(
    readings: Vec<Reading<'_, T>>,
    at_once: usize,
) -> BTreeMap<String, Result<T, CloudError>> {
    stream::iter(readings).buffer_unordered(at_once).filter_map(std::future::ready).collect().await
}

/// What a group's history tells of late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// How its desired capacity changed: at least the changes of the last half minute that the history shows by now, up to some hundred.
    pub changes: Vec<CapacityChange>,
    /// The launches that failed, newest first, up to some hundred.
    pub failed_launches: Vec<FailedLaunch>,
}

/// One group as the scaler sees it, without its instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupView {
    /// The group's name.
    pub name: String,
    /// The fewest instances that it keeps.
    pub min: u32,
    /// The most instances that it may have.
    pub max: u32,
    /// How many instances it should have now; instances that still boot count.
    pub desired: u32,
    /// The floor that was left for its agents; 0 instances when there is none or it cannot be read.
    pub floor: Floor,
    /// What tells this state of the group from a later one, where the cloud can refuse a raise by it.
    pub version: Option<String>,
    /// Why it cannot be raised by a number of instances, and what to do: it counts in other units, or raises have lowered it. `None`: it can.
    pub unscalable: Option<String>,
    /// What an operator should know about it.
    pub doubts: Vec<Doubt>,
}

/// Something about a group that works and may hurt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What it is about.
    pub kind: DoubtKind,
    /// What it is, what could happen and what to do, in the cloud's own words.
    pub text: String,
}

/// What can be doubted about a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoubtKind {
    /// New instances are not protected from scale-in.
    Unprotected,
    /// A raise starts nothing.
    LaunchesSuspended,
    /// Something else starts, ends or keeps its instances.
    OtherHands,
    /// When one of its instances was started or ready is told by what is no time.
    UnreadTime,
}
