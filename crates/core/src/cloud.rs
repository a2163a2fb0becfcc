//! What the core knows of a cloud, in no vendor's words: what it can do, an instance's place in its group, the group's size, notices, and
//! what a failed call means.

mod floor;
mod machine;
mod member;
mod standing_order;

use std::{fmt, time::Duration};

use jiff::Timestamp;

pub use floor::Floor;
pub use machine::Machine;
pub use member::{Member, ReadyCounts};
pub use standing_order::{NoStandingOrder, NotFollowed, StandingOrder};

/// What a cloud can do. The implementation states it; whoever decides asks it, and never for the cloud's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// How an instance is protected from being chosen when its group shrinks.
    pub protection: ProtectionSupport,
    /// Whether an ending that somebody else begins can be held off until the jobs have finished; `None`: not at all.
    pub termination_hook: Option<HookRules>,
    /// Whether the group's capacity always falls when an instance leaves it, so that [`Leave::Replace`] is not to be had: then only the
    /// scaler's next raise replaces it.
    pub leaving_lowers_capacity: bool,
    /// Whether a group ends and replaces an instance that reports itself as unhealthy. Where it does not, that is no way to leave.
    pub replaces_unhealthy: bool,
    /// Whether an instance that switches itself off is billed no more. Where it is, that is the last way to leave.
    pub power_off_ends_billing: bool,
    /// Whether a raise can be refused when somebody else changed the group since it was read. Where it cannot, a raise is only as good as
    /// the reading is fresh.
    pub conditional_raise: bool,
    /// How long before it begins an [`Ending`] that takes the instance back is announced with its time, at most. Maintenance may be told days ahead.
    pub longest_notice: Duration,
}

impl Capabilities {
    /// Whether an ending that somebody else begins can be held off for as long as a job may take.
    pub fn extends_endings(self) -> bool {
        self.termination_hook.is_some_and(HookRules::extendable)
    }
}

/// When an instance's protection from scale-in begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtectionSupport {
    /// The group launches instances protected: there is no moment at which a job could run unprotected.
    AtLaunch,
    /// Nothing is protected when it is launched: the instance protects itself, and sees that it is, before it takes a job.
    OnDemand,
    /// The cloud knows no protection: whoever shrinks the group may end any instance, and the fleet must be set up so that nobody does.
    Never,
}

/// How an ending can be held off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HookRules {
    /// To how many times its time-out a hook can be extended, from 1 on; 1: not at all, the first time-out is the only one.
    pub time_outs: u32,
    /// How long an ending can be held off at most, with all extensions and whatever the time-out.
    pub longest: Duration,
}

impl HookRules {
    /// Whether holding it off can be extended again and again.
    pub fn extendable(self) -> bool {
        self.time_outs > 1
    }

    /// How long a hook with this time-out holds an ending off at most, with all extensions: none is of use after that, also where the
    /// cloud still accepts it.
    pub fn bound(self, time_out: Duration) -> Duration {
        time_out.saturating_mul(self.time_outs).min(self.longest)
    }
}

/// What holds off the endings of a group's instances, or their launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LifecycleHook {
    /// How long the group waits from the beginning, or from the last extension; where several hooks hold an ending off, the shortest of theirs.
    pub timeout: Duration,
}

/// What becomes of the group's capacity when an instance leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leave {
    /// It falls by one.
    Decrement,
    /// It stays, so that the group launches another instance if it must.
    Replace,
}

/// News about this instance from its cloud.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// Something is going to end it, or what runs on it. Told again when its time comes nearer.
    Ending {
        by: Ending,
        /// When, about; `None`: at a time that the cloud does not promise to keep.
        at: Option<Timestamp>,
    },
    /// What was told of this kind will not be.
    Lifted(Ending),
    /// An interruption is likely.
    Rebalance,
    /// It is not any more.
    RebalanceLifted,
    /// Its group moves it to this state.
    Target(TargetState),
    /// What is written on it as an order ([`StandingOrder::read`]), told when that changes; `None`: nothing any more.
    Order(Option<String>),
}

/// What ends an instance from outside, or what runs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// Its cloud takes it back: a spot notice.
    Interruption,
    /// Its group has chosen it: a scale-in, or somebody's wish.
    Termination,
    /// Maintenance stops it, reboots it or moves it, which ends what runs.
    Maintenance,
}

impl Ending {
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Interruption => "the cloud takes the instance back",
            Self::Termination => "the group ends the instance",
            Self::Maintenance => "maintenance",
        }
    }
}

/// The target lifecycle state that the group moves an instance to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TargetState {
    /// Not known, or a state that asks for nothing (standby, detached): the agent goes on as it is.
    #[default]
    Unknown,
    /// The group wants it in service.
    InService,
    /// The group wants it gone.
    Terminated,
    /// It waits in a warm pool and must not register.
    Warmed,
}

/// An instance, as its group lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub instance: String,
    pub membership: Membership,
    /// When its agent was first ready, as that wrote on it; `None` where that was not looked at as well.
    pub ready: Option<Timestamp>,
    /// Why it leaves or was about to, as its agent wrote on it: the reason's word, a colon, and what made it so.
    pub why: Option<String>,
}

impl Listed {
    /// One of which nothing else is told.
    pub fn new(instance: impl Into<String>, membership: Membership) -> Self {
        Self { instance: instance.into(), membership, ready: None, why: None }
    }
}

/// An instance's place in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    /// On its way into a warm pool (`Warmed:Pending*`): it does not count towards the desired capacity.
    Warming {
        /// Whether a launch hook holds it off (`Warmed:Pending:Wait`).
        waiting: bool,
    },
    /// In a warm pool: it does not count towards the desired capacity, and may be stopped at any moment.
    Warm,
    /// On its way into service (`Pending*`).
    Pending {
        /// Whether a launch hook holds it off (`Pending:Wait`).
        waiting: bool,
    },
    /// In service.
    InService {
        /// Whether it is protected from scale-in.
        protected: bool,
    },
    /// In standby, or entering it.
    Standby,
    /// On its way out (`Terminating*`).
    Terminating {
        /// Whether a termination hook waits for an answer now (`Terminating:Wait`).
        waiting: bool,
    },
    /// Not in a group: detached, or never in one.
    Outside,
}

impl Membership {
    /// Where that is, as a sentence about the instance.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Warming { waiting: true } => "it is on its way into the warm pool, and a launch hook waits",
            Self::Warming { waiting: false } => "it is on its way into the warm pool",
            Self::Warm => "it is in the warm pool",
            Self::Pending { waiting: true } => "it is on its way into service, and a launch hook waits",
            Self::Pending { waiting: false } => "it is on its way into service",
            Self::InService { protected: true } => "it is in service",
            Self::InService { protected: false } => "it is in service, without protection from scale-in",
            Self::Standby => "it is in standby",
            Self::Terminating { waiting: true } => "it is on its way out, and a termination hook waits",
            Self::Terminating { waiting: false } => "it is on its way out",
            Self::Outside => "it is in no group",
        }
    }
}

/// The size of the group, its bounds, and how many members come before this one: whether it can have one instance less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupSize {
    /// The group's desired capacity.
    pub desired: u32,
    /// The group's minimum.
    pub min: u32,
    /// What the scaler advises to keep ([`Floor::advised`]); advice only.
    pub floor: u32,
    /// Instances that count towards the desired capacity (pending and in service), this one among them.
    pub members: u32,
    /// How many of the members come before this one, in an order that all of them see alike.
    pub rank: u32,
}

/// One change of a group's desired capacity, as the cloud's history of the group tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CapacityChange {
    /// When, by this machine's clock.
    pub at: Timestamp,
    pub kind: ChangeKind,
}

/// How a group's desired capacity changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Somebody set it to a number.
    Set { to: u32 },
    /// An instance left, and it fell by one.
    Left,
}

/// What a failed call to the cloud means, by what the caller should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloudErrorKind {
    /// The group is at its minimum and refuses to shrink: stay, or leave with replacement.
    AtFloor,
    /// The group refuses a capacity that is outside its bounds: read them again.
    OutOfBounds,
    /// The group, or this instance in it, is not there: leave past the group.
    NotFound,
    /// Another activity is in progress, or the instance is in a state in which this cannot be done yet: look, then try again.
    InProgress,
    /// Nothing holds off the ending or the launch, so there is nothing to extend or to answer.
    NothingHeld,
    /// A right is missing: somebody must grant it; the same call will not work.
    Denied,
    /// The credentials of this try are missing, expired or mis-signed: the same call may work later.
    Credentials,
    /// Too many calls: later.
    Throttled,
    /// No answer in time; whether it was applied is not known: look before it is repeated.
    Timeout,
    /// No connection; it was not applied.
    Unreachable,
    /// Anything else; the text says what.
    Other,
}

impl CloudErrorKind {
    /// Whether a change that failed like this may have taken effect all the same, or may yet.
    pub fn may_have_been_applied(self) -> bool {
        match self {
            Self::Timeout | Self::Other => true,
            Self::AtFloor
            | Self::OutOfBounds
            | Self::NotFound
            | Self::InProgress
            | Self::NothingHeld
            | Self::Denied
            | Self::Credentials
            | Self::Throttled
            | Self::Unreachable => false,
        }
    }
}

/// How long the message of an error may be, in characters.
const MESSAGE: usize = 1_000;

/// A failed call to the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloudError {
    /// What the caller should do about it.
    pub kind: CloudErrorKind,
    /// What was asked, what came of it and the remedy, for an operator. Without secrets.
    pub message: String,
}

impl CloudError {
    /// An error of this kind. What may be a secret in the message is hidden (`redact`).
    pub fn new(kind: CloudErrorKind, message: impl AsRef<str>) -> Self {
        Self { kind, message: crate::redact(message.as_ref(), MESSAGE) }
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CloudError {}
