//! Members that come and go without a launch or an end: attach, detach, standby. No hook runs for any of these.

use super::{ActivityId, Cloud, LifecycleState, Process, Timestamp, launch::GROUP_TAG};

impl Cloud {
    /// Sets the desired capacity. `change` is for the activity history, such as "a user request …".
    pub(crate) fn set_desired(&mut self, name: &str, desired: u32, change: &str, now: Timestamp) {
        let Some(group) = self.inventory.groups.get_mut(name) else { return };
        let before = std::mem::replace(&mut group.bounds.desired, desired);
        if before == desired {
            return;
        }
        let at = now.to_seconds();
        group.last_change = Some(format!("At {at} {change} changing the desired capacity from {before} to {desired}."));
        // Whoever changes the capacity wants to see it tried.
        group.backoff = None;
        self.group_happened(name, format!("desired capacity {before} -> {desired}"), now);
        self.schedule_reconcile(name, now);
    }

    /// Lowers the desired capacity by some of its own members; never below zero.
    pub(crate) fn decrement(&mut self, name: &str, by: u32, now: Timestamp) {
        let Some(group) = self.inventory.groups.get_mut(name) else { return };
        let before = group.bounds.desired;
        group.bounds.desired = before.saturating_sub(by);
        let after = group.bounds.desired;
        self.group_happened(name, format!("desired capacity {before} -> {after}, by a leaving instance"), now);
        self.schedule_reconcile(name, now);
    }

    /// Starts to detach a member.
    pub(crate) fn detach(&mut self, name: &str, id: &str, now: Timestamp) -> Option<ActivityId> {
        let cause = format!("At {} instance {id} was detached in response to a user request.", now.to_seconds());
        self.leave_service(name, id, LifecycleState::Detaching, format!("Detaching EC2 instance: {id}"), cause, now)
    }

    /// Starts to move a member to standby.
    pub(crate) fn enter_standby(&mut self, name: &str, id: &str, now: Timestamp) -> Option<ActivityId> {
        let cause =
            format!("At {} instance {id} was moved to standby in response to a user request.", now.to_seconds());
        let description = format!("Moving EC2 instance to Standby: {id}");
        self.leave_service(name, id, LifecycleState::EnteringStandby, description, cause, now)
    }

    /// Starts to move a member out of standby; desired capacity grows with it.
    pub(crate) fn exit_standby(&mut self, name: &str, id: &str, now: Timestamp) -> ActivityId {
        let at = now.to_seconds();
        let cause = format!("At {at} instance {id} was moved out of standby in response to a user request.");
        let description = format!("Moving EC2 instance out of Standby: {id}");
        let activity = self.begin_activity(name, Some(id), description, cause, now);
        self.come_in(name, id, activity, now);
        activity
    }

    /// Takes a running instance from outside into a group; desired capacity grows with it.
    pub(crate) fn attach(&mut self, name: &str, id: &str, now: Timestamp) {
        let at = now.to_seconds();
        let cause = format!("At {at} an instance was attached in response to a user request.");
        let activity =
            self.begin_activity(name, Some(id), format!("Attaching an existing EC2 instance: {id}"), cause, now);
        if let Some(instance) = self.inventory.instances.get_mut(id) {
            instance.group = Some(name.to_owned());
            instance.tags.insert(GROUP_TAG.to_owned(), name.to_owned());
            instance.in_service_at = None;
            instance.healthy = true;
        }
        self.come_in(name, id, activity, now);
    }

    /// Sets the flag that keeps scale-in away from a member.
    pub(crate) fn protect(&mut self, id: &str, protected: bool, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        if std::mem::replace(&mut instance.protected, protected) == protected {
            return;
        }
        let what = if protected { "protected from scale-in" } else { "no longer protected from scale-in" };
        self.happened(id, what, now);
        self.schedule_reconcile_of(id, now);
    }

    /// Sets what the group believes of the health of a member.
    pub(crate) fn set_health(&mut self, id: &str, healthy: bool, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        if std::mem::replace(&mut instance.healthy, healthy) == healthy {
            return;
        }
        let what = if healthy { "marked healthy" } else { "marked unhealthy" };
        self.happened(id, what, now);
        self.schedule_reconcile_of(id, now);
    }

    /// Looks again at members that stopped while the health check was suspended.
    pub(crate) fn resume(&mut self, name: &str, processes: &[Process], now: Timestamp) {
        let due = now + self.options.notice_power_off;
        if processes.contains(&Process::HealthCheck) {
            for instance in self.inventory.instances.values_mut() {
                let of_group = instance.group.as_deref() == Some(name) && instance.state.is_member();
                if of_group && instance.healthy && !instance.ec2_state.is_up() {
                    instance.notice_due.get_or_insert(due);
                }
            }
        }
        self.schedule_reconcile(name, now);
    }

    fn leave_service(
        &mut self,
        name: &str,
        id: &str,
        state: LifecycleState,
        description: String,
        cause: String,
        now: Timestamp,
    ) -> Option<ActivityId> {
        let due = now + self.options.react;
        let activity = self.begin_activity(name, Some(id), description, cause, now);
        let instance = self.inventory.instances.get_mut(id)?;
        instance.activity = Some(activity);
        instance.state = state;
        instance.step_due = Some(due);
        instance.outgoing = false;
        self.happened(id, format!("{state}"), now);
        self.schedule_reconcile(name, now);
        Some(activity)
    }

    fn come_in(&mut self, name: &str, id: &str, activity: ActivityId, now: Timestamp) {
        let (due, seen) = (now + self.options.react, now + self.options.notice_power_off);
        if let Some(instance) = self.inventory.instances.get_mut(id) {
            instance.state = LifecycleState::Pending;
            instance.target_state = Some("InService");
            instance.hooked = false;
            instance.activity = Some(activity);
            instance.step_due = Some(due);
            if !instance.ec2_state.is_up() {
                instance.notice_due.get_or_insert(seen);
            }
        }
        let Some(group) = self.inventory.groups.get_mut(name) else { return };
        group.bounds.desired += 1;
        let desired = group.bounds.desired;
        self.happened(id, "on its way into service", now);
        self.group_happened(name, format!("desired capacity {} -> {desired}", desired - 1), now);
        self.schedule_reconcile(name, now);
    }
}
