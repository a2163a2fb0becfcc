//! The warm pool of a group: instances that went through their boot and wait, stopped or running, until the group needs
//! them (EC2 Auto Scaling User Guide, warm pools and their life cycle). Hibernation and the return to the pool on scale-in
//! are not there.

use super::{
    ActivityStatus, Cloud, Ec2State, Effect, LifecycleState, Process, StateReason, Timestamp, WarmPool,
    termination::TerminationReason,
};

impl Cloud {
    /// Gives a group a warm pool, or changes the one that it has.
    pub(crate) fn put_warm_pool(&mut self, name: &str, pool: WarmPool, now: Timestamp) {
        if let Some(group) = self.inventory.groups.get_mut(name) {
            group.warm_pool = Some(pool);
            self.group_happened(name, "warm pool changed", now);
            self.schedule_reconcile(name, now);
        }
    }

    /// Ends the warm pool of a group and its instances; with `force` without their hooks.
    pub(crate) fn delete_warm_pool(&mut self, name: &str, force: bool, now: Timestamp) {
        if let Some(pool) = self.inventory.groups.get_mut(name).and_then(|group| group.warm_pool.as_mut()) {
            pool.deleting = true;
        }
        let warm: Vec<_> = self.inventory.warm(name).map(|member| (member.id.clone(), member.state)).collect();
        for (id, state) in warm {
            if force {
                self.force_out(&id, now);
            } else if !state.is_terminating() {
                self.begin_termination(&id, TerminationReason::WarmPool, now);
            }
        }
        self.group_happened(name, "warm pool is being deleted", now);
        self.schedule_reconcile(name, now);
    }

    /// Brings the warm pool to its size. Its instances come from launches only.
    pub(crate) fn fill_warm_pool(&mut self, name: &str, now: Timestamp) {
        let Some(group) = self.inventory.groups.get(name) else { return };
        let Some(pool) = group.warm_pool else { return };
        let may_end = group.runs(Process::Terminate);
        let wanted = usize::try_from(pool.wanted(group.bounds)).unwrap_or(usize::MAX);
        let staying = self.inventory.warm(name).filter(|member| !member.state.is_terminating());
        let mut staying: Vec<_> = staying.map(|member| (member.serial, member.id.clone())).collect();
        if pool.deleting && self.inventory.warm(name).next().is_none() {
            if let Some(group) = self.inventory.groups.get_mut(name) {
                group.warm_pool = None;
            }
            self.group_happened(name, "warm pool deleted", now);
        } else if staying.len() < wanted {
            self.warm_up(name, u32::try_from(wanted - staying.len()).unwrap_or(u32::MAX), now);
        } else if may_end {
            staying.sort();
            for (_, id) in staying.into_iter().skip(wanted) {
                self.begin_termination(&id, TerminationReason::WarmPool, now);
            }
        }
    }

    /// Puts the oldest instance that is ready in the warm pool on its way into service; `false` when there is none.
    pub(crate) fn take_from_warm_pool(&mut self, name: &str, now: Timestamp) -> bool {
        let (boot, react) = (self.options.boot, self.options.react);
        let ready = self.inventory.warm(name).filter(|member| member.state.is_warm() && member.healthy);
        let Some(id) = ready.min_by_key(|member| member.serial).map(|member| member.id.clone()) else { return false };
        let count = self.inventory.count(name);
        let cause = format!(
            "At {} an instance was started in response to a difference between desired and actual capacity, \
             increasing the capacity from {count} to {}.",
            now.to_seconds(),
            count + 1
        );
        let description = format!("Launching a new EC2 instance from warm pool: {id}");
        let activity = self.begin_activity(name, Some(&id), description, cause, now);
        self.happened(&id, "taken from the warm pool", now);
        let Some(instance) = self.inventory.instances.get_mut(&id) else { return false };
        instance.activity = Some(activity);
        instance.state = LifecycleState::Pending;
        instance.target_state = Some("InService");
        instance.hooked = true;
        instance.step_due = Some(now + react);
        if instance.ec2_state == Ec2State::Stopped {
            instance.ec2_state = Ec2State::Pending;
            instance.step_due = Some(now + boot / 2);
            (instance.state_reason, instance.cause, instance.notice_due) = (None, None, None);
            instance.machine_on = true;
            self.effects.push_back(Effect::Launch { id: id.clone() });
        }
        true
    }

    /// The boot is over: the instance waits from now on, as its pool wants it.
    pub(crate) fn enter_warm_pool(&mut self, id: &str, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        let pool = instance.group.as_ref().and_then(|name| self.inventory.groups.get(name)?.warm_pool);
        let (Some(pool), true) = (pool, instance.ec2_state.is_up()) else { return };
        if pool.running {
            self.wait_in_warm_pool(id, LifecycleState::WarmedRunning, now);
        } else {
            instance.state = LifecycleState::WarmedPendingProceed;
            self.stop_machine(id, StateReason::User, now);
        }
    }

    /// The machine is off: if it was on its way into a warm pool, it is there now.
    pub(crate) fn reach_warm_pool(&mut self, id: &str, now: Timestamp) {
        let stopped = |state: LifecycleState| state == LifecycleState::WarmedPendingProceed;
        if self.inventory.instances.get(id).is_some_and(|instance| stopped(instance.state)) {
            self.wait_in_warm_pool(id, LifecycleState::WarmedStopped, now);
        }
    }

    fn wait_in_warm_pool(&mut self, id: &str, state: LifecycleState, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        instance.state = state;
        (instance.cause, instance.notice_due) = (None, None);
        if let Some(activity) = instance.activity.take() {
            self.inventory.finish(activity, ActivityStatus::Successful, None, now);
        }
        if let Some(group) = self.inventory.instances.get(id).and_then(|instance| instance.group.clone()) {
            if let Some(group) = self.inventory.groups.get_mut(&group) {
                group.backoff = None;
            }
            self.schedule_reconcile(&group, now);
        }
        self.happened(id, format!("waits in the warm pool, {state}"), now);
    }
}
