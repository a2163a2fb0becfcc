//! Instance refreshes: a group replaces its instances a few at a time.

use std::time::Duration;

use super::{Cloud, Instance, LifecycleState, Process, Timestamp, termination::TerminationReason};

/// How long a refresh waits for protected and standby instances (EC2 Auto Scaling API reference, `RefreshPreferences`): 1 h.
const PATIENCE: Duration = Duration::from_secs(3600);

const STUCK: &str = "The instance refresh failed: instances that are protected from scale-in or in standby could not be replaced for 1 hour.";

/// One instance refresh.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// UUID on the wire.
    pub id: String,
    /// Where it stands.
    pub status: RefreshStatus,
    /// A sentence for people.
    pub reason: Option<String>,
    /// When it was asked for.
    pub start: Timestamp,
    /// When it was over.
    pub end: Option<Timestamp>,
    /// Percent of the desired capacity that must stay in service, 0 to 100.
    pub min_healthy: u32,
    /// What to do about instances that are protected from scale-in.
    pub protected: Blocked,
    /// What to do about instances in standby.
    pub standby: Blocked,
    /// The launch template of the group before, where this one changes it.
    pub before: Option<(String, String)>,
    /// Whether instances that already run the wanted launch template version stay.
    pub skip_matching: bool,
    /// How long a new instance warms up, in seconds.
    pub warmup: u32,
    /// Instances still to be replaced, by id.
    pub(crate) remaining: Vec<String>,
    /// How many there were at the start.
    pub(crate) total: usize,
    /// Since when nothing but protection or standby holds it up.
    pub(crate) blocked_since: Option<Timestamp>,
}

/// Status of an instance refresh (EC2 Auto Scaling API reference, `InstanceRefreshStatus`), as far as it occurs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshStatus {
    Pending,
    InProgress,
    Successful,
    Failed,
    Cancelling,
    Cancelled,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl RefreshStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Cancelling => "Cancelling",
            Self::Cancelled => "Cancelled",
            Self::RollbackInProgress => "RollbackInProgress",
            Self::RollbackSuccessful => "RollbackSuccessful",
            Self::RollbackFailed => "RollbackFailed",
        }
    }

    /// Whether it still does something.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Pending | Self::InProgress | Self::Cancelling | Self::RollbackInProgress)
    }

    /// The same once something is done about it.
    fn begun(self) -> Self {
        if self == Self::RollbackInProgress { self } else { Self::InProgress }
    }

    /// The end of it, well or badly.
    fn ended(self, well: bool) -> Self {
        match (self == Self::RollbackInProgress, well) {
            (false, true) => Self::Successful,
            (false, false) => Self::Failed,
            (true, true) => Self::RollbackSuccessful,
            (true, false) => Self::RollbackFailed,
        }
    }
}

/// `ScaleInProtectedInstances` and `StandbyInstances` of a refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocked {
    /// Wait for them, 1 h at most; the API's default.
    #[default]
    Wait,
    /// TerminationReason them as they are.
    Ignore,
    /// Replace them all the same: `Refresh` for protected instances, `Terminate` for those in standby.
    Replace,
}

impl Refresh {
    /// When it gives up waiting for protected or standby instances: an hour after nothing else was left to do.
    pub(crate) fn patience_ends(&self) -> Option<Timestamp> {
        self.blocked_since.map(|since| since + PATIENCE)
    }

    /// Percent done, 0 to 100.
    pub fn percent(&self) -> usize {
        let done = self.total.saturating_sub(self.remaining.len());
        (done * 100).checked_div(self.total).unwrap_or(
            if matches!(self.status, RefreshStatus::Successful | RefreshStatus::RollbackSuccessful) { 100 } else { 0 },
        )
    }

    /// How many instances are still to be replaced.
    pub fn to_update(&self) -> usize {
        self.remaining.len()
    }
}

impl Cloud {
    /// Starts a refresh of everything that a group has now.
    pub(crate) fn start_refresh(&mut self, name: &str, mut refresh: Refresh, now: Timestamp) {
        let Some(group) = self.inventory.groups.get(name) else { return };
        let wanted =
            self.inventory.template(&group.template.0).and_then(|template| template.version(&group.template.1));
        let wanted = wanted.map(|version| (group.template.0.clone(), version.number));
        let matches = |member: &Instance| wanted == Some((member.template_id.clone(), member.template_version));
        let members = self.inventory.members(name).filter(|member| remains(member));
        let mut remaining: Vec<_> = members
            .filter(|member| !(refresh.skip_matching && matches(member)))
            .map(|member| (member.serial, member.id.clone()))
            .collect();
        remaining.sort();
        refresh.total = remaining.len();
        refresh.remaining = remaining.into_iter().map(|(_, id)| id).collect();
        if let Some(group) = self.inventory.groups.get_mut(name) {
            group.refreshes.push(refresh);
        }
        self.group_happened(name, "instance refresh started", now);
        self.schedule_reconcile(name, now);
    }

    /// Asks the running refresh of a group to end; what is under way is completed.
    pub(crate) fn cancel_refresh(&mut self, name: &str, now: Timestamp) {
        if let Some(refresh) = self.active_refresh(name) {
            refresh.status = RefreshStatus::Cancelling;
            self.schedule_reconcile(name, now);
        }
    }

    /// Takes the running refresh of a group back: the launch template is the former one again, and what is not of it is
    /// replaced.
    pub(crate) fn roll_back_refresh(&mut self, name: &str, now: Timestamp) {
        let Some(before) = self.active_refresh(name).and_then(|refresh| refresh.before.clone()) else { return };
        let wanted = self.inventory.template(&before.0).and_then(|template| template.version(&before.1));
        let Some(wanted) = wanted.map(|version| (before.0.clone(), version.number)) else { return };
        let others = self.inventory.members(name).filter(|member| remains(member));
        let others = others.filter(|member| (&member.template_id, member.template_version) != (&wanted.0, wanted.1));
        let mut others: Vec<_> = others.map(|member| (member.serial, member.id.clone())).collect();
        others.sort();
        if let Some(group) = self.inventory.groups.get_mut(name) {
            group.template = before;
        }
        if let Some(refresh) = self.active_refresh(name) {
            refresh.status = RefreshStatus::RollbackInProgress;
            refresh.total = others.len();
            refresh.remaining = others.into_iter().map(|(_, id)| id).collect();
            refresh.blocked_since = None;
        }
        self.group_happened(name, "instance refresh is rolled back", now);
        self.schedule_reconcile(name, now);
    }

    /// Takes a refresh as far as the number of healthy instances allows.
    pub(crate) fn progress_refresh(&mut self, name: &str, now: Timestamp) {
        let Some(group) = self.inventory.groups.get(name) else { return };
        if !group.runs(Process::InstanceRefresh) || !group.runs(Process::Terminate) {
            return;
        }
        let desired = group.bounds.desired;
        let Some(mut refresh) = group.refreshes.last().filter(|refresh| refresh.status.is_active()).cloned() else {
            return;
        };
        let members: Vec<_> = self.inventory.members(name).collect();
        refresh.remaining.retain(|id| members.iter().any(|member| member.id == *id && remains(member)));
        let serving = members.iter().filter(|member| warm(member, &refresh, now)).count();
        let serving = u32::try_from(serving).unwrap_or(u32::MAX);
        let full = serving >= desired;

        let mut free = Vec::new();
        let (mut blocked, mut later) = (false, false);
        for member in refresh.remaining.iter().filter_map(|id| members.iter().find(|member| member.id == *id)) {
            match what_now(member, &refresh) {
                Next::Replace => free.push(member.id.clone()),
                Next::Wait => blocked = true,
                Next::Later => later = true,
                Next::TerminationReason => {}
            }
        }

        let mut victims = Vec::new();
        refresh.blocked_since = refresh.blocked_since.filter(|_| blocked && free.is_empty());
        if refresh.status == RefreshStatus::Cancelling {
            refresh.finish(RefreshStatus::Cancelled, "Cancelled due to user request.", now);
        } else if !free.is_empty() {
            refresh.status = refresh.status.begun();
            let floor = (desired * refresh.min_healthy).div_ceil(100);
            let room = serving.saturating_sub(floor).max(u32::from(full));
            victims = free.into_iter().take(usize::try_from(room).unwrap_or(0)).collect();
        } else if blocked && full {
            refresh.status = refresh.status.begun();
            refresh.blocked_since.get_or_insert(now);
            if refresh.patience_ends().is_some_and(|end| end <= now) {
                refresh.finish(refresh.status.ended(false), STUCK, now);
            }
        } else if !blocked && !later && full {
            refresh.remaining.clear();
            refresh.status = refresh.status.ended(true);
            refresh.end = Some(now);
        }
        let over = (!refresh.status.is_active()).then_some(refresh.status);
        if let Some(slot) = self.active_refresh(name) {
            *slot = refresh;
        }
        for id in victims {
            self.begin_termination(&id, TerminationReason::Refresh, now);
        }
        if let Some(status) = over {
            self.group_happened(name, format!("instance refresh: {}", status.as_str()), now);
        }
    }

    fn active_refresh(&mut self, name: &str) -> Option<&mut Refresh> {
        let group = self.inventory.groups.get_mut(name)?;
        group.refreshes.last_mut().filter(|refresh| refresh.status.is_active())
    }
}

/// What a refresh does with one of its instances.
enum Next {
    Replace,
    /// Held up by protection or standby.
    Wait,
    /// It is on its way in.
    Later,
    /// It may stay as it is.
    TerminationReason,
}

impl Refresh {
    fn finish(&mut self, status: RefreshStatus, reason: &str, now: Timestamp) {
        self.status = status;
        self.reason = Some(reason.to_owned());
        self.end = Some(now);
    }
}

fn what_now(member: &Instance, refresh: &Refresh) -> Next {
    let by = |blocked: Blocked| match blocked {
        Blocked::Wait => Next::Wait,
        Blocked::Ignore => Next::TerminationReason,
        Blocked::Replace => Next::Replace,
    };
    match member.state {
        LifecycleState::InService if member.protected => by(refresh.protected),
        LifecycleState::InService => Next::Replace,
        LifecycleState::Standby => by(refresh.standby),
        LifecycleState::Pending
        | LifecycleState::PendingWait
        | LifecycleState::PendingProceed
        | LifecycleState::Terminating
        | LifecycleState::TerminatingWait
        | LifecycleState::TerminatingProceed
        | LifecycleState::Terminated
        | LifecycleState::Detaching
        | LifecycleState::Detached
        | LifecycleState::EnteringStandby
        | LifecycleState::WarmedPending
        | LifecycleState::WarmedPendingWait
        | LifecycleState::WarmedPendingProceed
        | LifecycleState::WarmedRunning
        | LifecycleState::WarmedStopped
        | LifecycleState::WarmedTerminating
        | LifecycleState::WarmedTerminatingWait
        | LifecycleState::WarmedTerminatingProceed => Next::Later,
    }
}

/// Whether a refresh still has to replace it.
fn remains(member: &Instance) -> bool {
    member.state.is_counted() || matches!(member.state, LifecycleState::Standby | LifecycleState::EnteringStandby)
}

/// In service, healthy, and warmed up if it is new.
fn warm(member: &Instance, refresh: &Refresh, now: Timestamp) -> bool {
    let span = Duration::from_secs(refresh.warmup.into());
    let new = member.in_service_at.is_some_and(|since| since >= refresh.start && since + span > now);
    member.state == LifecycleState::InService && member.healthy && !new
}
