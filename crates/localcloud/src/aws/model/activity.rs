//! The activity history of groups.

use super::Timestamp;

/// Names an activity within one cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActivityId(pub(crate) usize);

/// One entry of a group's activity history.
#[derive(Clone, Debug)]
pub struct Activity {
    /// UUID on the wire.
    pub id: String,
    pub group: String,
    /// The instance that it concerns, if it got that far.
    pub instance: Option<String>,
    /// Such as `Launching a new EC2 instance: i-…`.
    pub description: String,
    /// Why it was started.
    pub cause: String,
    /// When it was started.
    pub start: Timestamp,
    /// When it ended, unless it is under way.
    pub end: Option<Timestamp>,
    /// Where it stands.
    pub status: ActivityStatus,
    /// Why it failed, or what it waits for.
    pub message: Option<String>,
}

/// Status codes of an activity (EC2 Auto Scaling API reference, `ScalingActivityStatusCode`), as far as they occur here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityStatus {
    PreInService,
    InProgress,
    MidLifecycleAction,
    Successful,
    Failed,
    Cancelled,
}

impl ActivityStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreInService => "PreInService",
            Self::InProgress => "InProgress",
            Self::MidLifecycleAction => "MidLifecycleAction",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Percent, 0 to 100; coarse, as the real one is.
    pub fn progress(self) -> u8 {
        match self {
            Self::PreInService => 30,
            Self::InProgress => 0,
            Self::MidLifecycleAction => 50,
            Self::Successful | Self::Failed | Self::Cancelled => 100,
        }
    }
}
