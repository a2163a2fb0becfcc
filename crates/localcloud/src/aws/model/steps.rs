//! The life cycle of an instance, one step at a time.

use super::{ActivityStatus, Cloud, Ec2State, LifecycleState, LifecycleTransition, Timestamp, launch::GROUP_TAG};

impl Cloud {
    /// Takes the step that is due for an instance.
    pub(crate) fn step(&mut self, id: &str, now: Timestamp) {
        let boot = self.options.boot;
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        instance.step_due = None;
        match instance.state {
            LifecycleState::Pending | LifecycleState::WarmedPending if instance.ec2_state == Ec2State::Pending => {
                let pool = instance.group.as_ref().and_then(|name| self.inventory.groups.get(name)?.warm_pool);
                let waits_as = pool.filter(|_| instance.state.is_warming()).map(|pool| pool.state().as_str());
                instance.ec2_state = Ec2State::Running;
                instance.target_state = Some(waits_as.unwrap_or("InService"));
                instance.step_due = Some(now.max(instance.launched_at + boot));
            }
            LifecycleState::Pending => {
                if !self.begin_waiting(id, LifecycleTransition::Launching, now) {
                    self.enter_service(id, now);
                }
            }
            LifecycleState::PendingProceed => self.enter_service(id, now),
            LifecycleState::WarmedPending => {
                if !self.begin_waiting(id, LifecycleTransition::Launching, now) {
                    self.enter_warm_pool(id, now);
                }
            }
            LifecycleState::WarmedPendingProceed => self.enter_warm_pool(id, now),
            LifecycleState::Terminating | LifecycleState::WarmedTerminating => {
                if !self.begin_waiting(id, LifecycleTransition::Terminating, now) {
                    self.end_member(id, now);
                }
            }
            LifecycleState::TerminatingProceed | LifecycleState::WarmedTerminatingProceed => self.end_member(id, now),
            LifecycleState::EnteringStandby => self.reach_standby(id, now),
            LifecycleState::Detaching => self.detached(id, now),
            LifecycleState::PendingWait
            | LifecycleState::InService
            | LifecycleState::TerminatingWait
            | LifecycleState::Terminated
            | LifecycleState::Detached
            | LifecycleState::Standby
            | LifecycleState::WarmedPendingWait
            | LifecycleState::WarmedRunning
            | LifecycleState::WarmedStopped
            | LifecycleState::WarmedTerminatingWait => {}
        }
    }

    fn enter_service(&mut self, id: &str, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        let Some(name) = instance.group.clone() else { return };
        if !instance.ec2_state.is_up() {
            // A dead machine does not come into service; its group notices and replaces it.
            return;
        }
        instance.state = LifecycleState::InService;
        instance.target_state = Some("InService");
        instance.hooked = true;
        if instance.in_service_at.is_none() {
            instance.in_service_at = Some(now);
            instance.protected = self.inventory.groups.get(&name).is_some_and(|group| group.protect_new);
        }
        let protection = if instance.protected { "protected from scale-in" } else { "not protected from scale-in" };
        if let Some(activity) = instance.activity.take() {
            self.inventory.finish(activity, ActivityStatus::Successful, None, now);
        }
        if let Some(group) = self.inventory.groups.get_mut(&name) {
            group.last_scaled = Some(now);
            group.backoff = None;
        }
        self.happened(id, format!("in service, {protection}"), now);
        self.schedule_reconcile(&name, now);
    }

    fn reach_standby(&mut self, id: &str, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        instance.state = LifecycleState::Standby;
        instance.target_state = Some("Standby");
        if let Some(activity) = instance.activity.take() {
            self.inventory.finish(activity, ActivityStatus::Successful, None, now);
        }
        self.happened(id, "in standby", now);
        self.schedule_reconcile_of(id, now);
    }

    fn detached(&mut self, id: &str, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        let Some(name) = instance.group.take() else { return };
        instance.state = LifecycleState::Detached;
        instance.target_state = Some("Detached");
        instance.protected = false;
        instance.notice_due = None;
        instance.tags.remove(GROUP_TAG);
        if let Some(activity) = instance.activity.take() {
            self.inventory.finish(activity, ActivityStatus::Successful, None, now);
        }
        self.happened(id, format!("detached from {name}"), now);
        self.schedule_reconcile(&name, now);
    }

    /// The group has no more business with the instance: EC2 ends it, and then it is gone.
    fn end_member(&mut self, id: &str, now: Timestamp) {
        self.terminate_machine(id, super::StateReason::User, now);
        self.forget_if_over(id, now);
    }

    /// Takes an instance out of the books of its group once both its life cycle and its machine are at their end.
    pub(crate) fn forget_if_over(&mut self, id: &str, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        let at_end =
            instance.state.is_terminating() && instance.lifecycle_actions.is_empty() && instance.step_due.is_none();
        if !at_end || instance.ec2_state != Ec2State::Terminated {
            return;
        }
        instance.state = LifecycleState::Terminated;
        instance.notice_due = None;
        let (activity, name) = (instance.activity.take(), instance.group.clone());
        if let Some(activity) = activity {
            self.inventory.finish(activity, ActivityStatus::Successful, None, now);
        }
        self.happened(id, "gone", now);
        if let Some(name) = name {
            if let Some(group) = self.inventory.groups.get_mut(&name) {
                group.last_scaled = Some(now);
            }
            self.schedule_reconcile(&name, now);
        }
    }
}
