//! How an instance leaves its group.

use super::{ActivityId, ActivityStatus, Cloud, LifecycleState, Timestamp};

/// Why a group ends an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TerminationReason {
    /// Somebody called `TerminateInstanceInAutoScalingGroup`; with the old desired capacity when it was decremented.
    Asked { decremented_from: Option<u32> },
    /// The group is larger than it should be.
    ScaleIn,
    /// EC2 does not run it.
    NotRunning,
    /// Somebody called `SetInstanceHealth`.
    MarkedUnhealthy,
    /// A replacement is there.
    Rebalance,
    /// An instance refresh.
    Refresh,
    /// Its maximum lifetime is over.
    Lifetime,
    /// Its launch hook was abandoned.
    LaunchAbandoned,
    /// The warm pool is larger than it should be, or is deleted.
    WarmPool,
    /// The group is deleted by force.
    GroupDeleted,
}

impl TerminationReason {
    /// Why it left, in few words.
    fn short(self) -> &'static str {
        match self {
            Self::Asked { decremented_from: Some(_) } => "asked to leave, and desired capacity lowered by one",
            Self::Asked { decremented_from: None } => "asked to leave",
            Self::ScaleIn => "scale-in",
            Self::NotRunning => "found not running",
            Self::MarkedUnhealthy => "marked unhealthy",
            Self::Rebalance => "rebalanced",
            Self::Refresh => "instance refresh",
            Self::Lifetime => "maximum lifetime over",
            Self::LaunchAbandoned => "launch hook abandoned",
            Self::WarmPool => "not needed in the warm pool",
            Self::GroupDeleted => "group deleted",
        }
    }

    /// Whether the hooks of the group run. They do not when the instance never came to life, nor on a forced deletion.
    fn runs_hooks(self) -> bool {
        !matches!(self, Self::LaunchAbandoned | Self::GroupDeleted)
    }

    /// The sentence of the activity history. `count` is the number of members that counted before.
    fn sentence(self, id: &str, count: u32, now: Timestamp) -> String {
        let at = now.to_seconds();
        let lower = count.saturating_sub(1);
        let out = format!("At {at} an instance was taken out of service in response to");
        match self {
            Self::Asked { decremented_from: Some(desired) } => format!(
                "At {at} instance {id} was taken out of service in response to a user request, shrinking the capacity \
                 from {desired} to {}.",
                desired.saturating_sub(1)
            ),
            Self::Asked { decremented_from: None } => {
                format!("At {at} instance {id} was taken out of service in response to a user request.")
            }
            Self::ScaleIn => format!(
                "{out} a difference between desired and actual capacity, shrinking the capacity from {count} to \
                 {lower}.  At {at} instance {id} was selected for termination."
            ),
            Self::NotRunning => {
                format!("{out} an EC2 health check indicating it has been terminated or stopped.")
            }
            Self::MarkedUnhealthy => format!("{out} a user health-check."),
            Self::Rebalance => format!("{out} an EC2 instance rebalance recommendation."),
            Self::Refresh => format!("{out} an instance refresh."),
            Self::Lifetime => format!("{out} its maximum instance lifetime."),
            Self::LaunchAbandoned => format!("{out} an abandoned lifecycle action."),
            Self::WarmPool => {
                format!("{out} a difference between desired and actual warm pool size.")
            }
            Self::GroupDeleted => format!("{out} a user request to delete the group."),
        }
    }
}

impl Cloud {
    /// Somebody asks a member to leave; with `decrement` nobody takes its place.
    pub(crate) fn ask_to_leave(&mut self, name: &str, id: &str, decrement: bool, now: Timestamp) -> Option<ActivityId> {
        // An instance in standby does not count, so that there is nothing to lower.
        let counted = self.inventory.instances.get(id).is_some_and(|instance| instance.state.is_counted());
        let desired = self.inventory.groups.get(name).map_or(0, |group| group.bounds.desired);
        let decremented_from = Some(desired).filter(|_| decrement && counted);
        if decremented_from.is_some() {
            self.decrement(name, 1, now);
        }
        self.begin_termination(id, TerminationReason::Asked { decremented_from }, now)
    }

    /// Starts the way out of a member: `Terminating`, then the hooks, then EC2. Nothing can call it back.
    pub(crate) fn begin_termination(
        &mut self,
        id: &str,
        reason: TerminationReason,
        now: Timestamp,
    ) -> Option<ActivityId> {
        let react = self.options.react;
        let instance = self.inventory.instances.get(id)?;
        let name = instance.group.clone()?;
        let change = self.inventory.groups.get(&name).and_then(|group| group.last_change.clone());
        let change = change
            .filter(|_| reason == TerminationReason::ScaleIn)
            .map_or(String::new(), |change| format!("{change}  "));
        let cause = change + &reason.sentence(id, self.inventory.count(&name), now);
        let own = instance.state_reason;
        if let Some(activity) = instance.activity {
            let why = own.filter(|_| instance.state.is_pending()).map_or_else(
                || format!("Instance was taken out of service: {}.", reason.short()),
                |own| {
                    let (code, message) = (own.code(), own.message());
                    format!(
                        "Instance became unhealthy while waiting for instance to be in InService state. Termination \
                         Reason: {code}: {message}"
                    )
                },
            );
            self.inventory.finish(activity, ActivityStatus::Cancelled, Some(why), now);
        }
        let activity = self.begin_activity(&name, Some(id), format!("Terminating EC2 instance: {id}"), cause, now);
        let instance = self.inventory.instances.get_mut(id)?;
        instance.activity = Some(activity);
        (instance.state, instance.target_state) = if instance.state.is_in_warm_pool() {
            (LifecycleState::WarmedTerminating, Some("Warmed:Terminated"))
        } else {
            (LifecycleState::Terminating, Some("Terminated"))
        };
        instance.lifecycle_actions.clear();
        instance.outgoing = false;
        instance.hooked = reason.runs_hooks();
        instance.step_due = Some(now + react);
        instance.cause.get_or_insert_with(|| reason.short().to_owned());
        self.happened(id, format!("terminating: {}", reason.short()), now);
        self.schedule_reconcile(&name, now);
        Some(activity)
    }

    /// Ends a member that may already be on its way out, without any more hooks.
    pub(crate) fn force_out(&mut self, id: &str, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        if instance.state.is_terminating() {
            instance.lifecycle_actions.clear();
            instance.hooked = false;
            let waits =
                matches!(instance.state, LifecycleState::TerminatingWait | LifecycleState::WarmedTerminatingWait);
            if waits {
                instance.state = LifecycleState::TerminatingProceed;
                instance.step_due = Some(now);
            }
        } else if instance.state.is_member() {
            self.begin_termination(id, TerminationReason::GroupDeleted, now);
        }
    }
}
