//! What was found of a group, what holds its instances, and what replaces them.

use std::time::Duration;

use jiff::Timestamp;

/// A group, as far as its agents depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFacts {
    /// What the cloud calls it in policies; empty where it has no such name.
    pub address: String,
    /// How many instances it has.
    pub members: u32,
    /// The fewest instances that it keeps.
    pub min: u32,
    /// The most instances that it may have.
    pub max: u32,
    /// Whether new instances are protected from scale-in.
    pub protects_new: bool,
    /// Why its capacity is not a number of instances.
    pub unscalable: Option<String>,
    /// Whether it ends instances to spread the others over zones.
    pub balances_zones: bool,
    /// The suspended parts of it that agent and scaler need, by the cloud's name and for what.
    pub suspended: Vec<(String, &'static str)>,
    /// Whether it replaces an instance when an interruption is likely.
    pub replaces_at_risk: bool,
    /// After how long it replaces an instance.
    pub longest_life: Option<Duration>,
    /// What decides about health besides the cloud's own checks of a machine.
    pub health_by: Option<String>,
    /// What is doubtful about its warm pool; empty when all is well, `None` without one.
    pub warm_pool: Option<Vec<String>>,
}

/// Something that holds endings, or launches, off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookFacts {
    pub name: String,
    /// How long it waits after the last extension.
    pub timeout: Duration,
    /// Whether its running out ends the wait of all others.
    pub abandons: bool,
    /// How long it can be extended.
    pub longest: Duration,
}

/// A replacement of all instances that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshFacts {
    /// It waits for protected instances, which never lose their protection.
    Waits,
    /// It leaves protected instances as they are.
    Skips,
    /// It ends protected instances, too.
    Ends,
}

/// The image from which new instances start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextImage {
    pub id: String,
    /// Whether it can be used.
    pub usable: bool,
    /// When it was made, where that is told.
    pub created: Option<Timestamp>,
    /// Since when it is not to be used any more, or from when on.
    pub deprecated: Option<Timestamp>,
    /// Later versions in whose place it stands, since they are not whole: each with what it is.
    pub passed_over: Vec<String>,
    /// The time at which it was read.
    pub now: Timestamp,
}

/// What the group's zones do not have of the kinds of instances that it may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotOffered {
    /// Each, as `kind in zone`.
    pub missing: Vec<String>,
    /// Whether that is all of them: nothing can start.
    pub all: bool,
}
