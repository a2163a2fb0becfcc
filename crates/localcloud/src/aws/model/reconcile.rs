//! A group compares what it has with what it wants, and acts.

use super::{
    Activity, ActivityStatus, Cloud, Group, Instance, LifecycleState, Process, Timestamp,
    termination::TerminationReason,
};

impl Cloud {
    /// One look of a group at itself.
    pub(crate) fn reconcile(&mut self, name: &str, now: Timestamp) {
        let Some(group) = self.inventory.groups.get_mut(name) else { return };
        group.act_due = None;
        if group.deleting {
            if self.inventory.members(name).next().is_none() {
                self.inventory.groups.remove(name);
                self.group_happened(name, "group deleted", now);
            }
            return;
        }
        self.replace_unhealthy(name, now);
        self.replace_outlived(name, now);
        self.progress_refresh(name, now);

        let wanted = self.wanted(name);
        let counted = self.inventory.count(name);
        if counted < wanted {
            self.launch_missing(name, wanted - counted, now);
        } else if counted > wanted {
            self.scale_in(name, counted - wanted, now);
        }
        if self.inventory.count(name) <= wanted
            && let Some(group) = self.inventory.groups.get_mut(name)
        {
            group.surplus_reported = false;
            if counted >= wanted {
                group.last_change = None;
            }
        }
        self.retire_outgoing(name, now);
        self.fill_warm_pool(name, now);
    }

    /// The desired capacity, and one more for each instance that leaves only when its replacement is there.
    fn wanted(&self, name: &str) -> u32 {
        let desired = self.inventory.groups.get(name).map_or(0, |group| group.bounds.desired);
        let outgoing = self.inventory.counted(name).filter(|member| member.outgoing).count();
        desired + u32::try_from(outgoing).unwrap_or(0)
    }

    fn runs(&self, name: &str, process: Process) -> bool {
        self.inventory.groups.get(name).is_some_and(|group| group.runs(process))
    }

    fn replace_unhealthy(&mut self, name: &str, now: Timestamp) {
        if !self.runs(name, Process::ReplaceUnhealthy) || !self.runs(name, Process::Terminate) {
            return;
        }
        let watched = |member: &&Instance| {
            member.state.is_counted() || member.state.is_in_warm_pool() && !member.state.is_terminating()
        };
        let unhealthy = self.inventory.members(name).filter(watched).filter(|member| !member.healthy);
        let unhealthy: Vec<_> = unhealthy.map(|member| (member.id.clone(), member.ec2_state.is_up())).collect();
        for (id, up) in unhealthy {
            let reason = if up { TerminationReason::MarkedUnhealthy } else { TerminationReason::NotRunning };
            self.begin_termination(&id, reason, now);
        }
    }

    /// Ends instances that outlived the maximum, a tenth of the group at a time; protection postpones it.
    fn replace_outlived(&mut self, name: &str, now: Timestamp) {
        let Some(group) = self.inventory.groups.get(name) else { return };
        let Some(lifetime) = group.max_lifetime.filter(|_| group.runs(Process::Terminate)) else { return };
        let desired = usize::try_from(group.bounds.desired).unwrap_or(0);
        let at_a_time = (desired / 10).max(1);
        let serving = self.inventory.counted(name).filter(|member| member.state == LifecycleState::InService).count();
        let room = at_a_time.saturating_sub(desired.saturating_sub(serving));
        let mut old: Vec<_> = self
            .inventory
            .counted(name)
            .filter(|member| member.state == LifecycleState::InService && !member.protected)
            .filter(|member| member.launched_at + lifetime <= now)
            .map(|member| (member.launched_at, member.serial, member.id.clone()))
            .collect();
        old.sort();
        for (_, _, id) in old.into_iter().take(room) {
            self.begin_termination(&id, TerminationReason::Lifetime, now);
        }
    }

    fn scale_in(&mut self, name: &str, surplus: u32, now: Timestamp) {
        for _ in 0..surplus {
            let group = self.inventory.groups.get(name).filter(|group| group.runs(Process::Terminate));
            let Some(group) = group else { return };
            let Some(id) = victim(group, &self.inventory.counted(name).collect::<Vec<_>>()) else {
                self.tell_surplus(name, now);
                return;
            };
            self.begin_termination(&id, TerminationReason::ScaleIn, now);
        }
    }

    /// Records, once, that protection keeps the group larger than wanted.
    fn tell_surplus(&mut self, name: &str, now: Timestamp) {
        let Some(group) = self.inventory.groups.get_mut(name) else { return };
        if std::mem::replace(&mut group.surplus_reported, true) {
            return;
        }
        let message =
            "Could not scale to desired capacity because all remaining instances are protected from scale-in.";
        let change = group.last_change.as_deref().map_or(String::new(), |change| format!("{change}  "));
        let cause = format!("{change}At {} group reached equilibrium.", now.to_seconds());
        let id = self.ids.uuid();
        self.inventory.record(Activity {
            id,
            group: name.to_owned(),
            instance: None,
            description: message.to_owned(),
            cause,
            start: now,
            end: Some(now),
            status: ActivityStatus::Cancelled,
            message: Some(message.to_owned()),
        });
        self.group_happened(
            name,
            "stays larger than desired: all remaining instances are protected from scale-in",
            now,
        );
    }

    /// Ends outgoing instances once enough others serve. Protected ones stay until the protection goes.
    fn retire_outgoing(&mut self, name: &str, now: Timestamp) {
        if !self.runs(name, Process::Terminate) {
            return;
        }
        let desired = self.inventory.groups.get(name).map_or(0, |group| group.bounds.desired);
        let serving = |member: &&Instance| member.state == LifecycleState::InService;
        let others = self.inventory.counted(name).filter(serving).filter(|member| !member.outgoing).count();
        if u32::try_from(others).unwrap_or(u32::MAX) < desired {
            return;
        }
        let leaving = self.inventory.counted(name).filter(serving);
        let leaving = leaving.filter(|member| member.outgoing && !member.protected);
        let leaving: Vec<_> = leaving.map(|member| member.id.clone()).collect();
        for id in leaving {
            self.begin_termination(&id, TerminationReason::Rebalance, now);
        }
    }
}

/// Whom scale-in takes: an outgoing instance if there is one, else from the zone with the most instances that has an
/// unprotected one, by the termination policy of the group.
fn victim(group: &Group, counted: &[&Instance]) -> Option<String> {
    let held = |zone: &str| counted.iter().filter(|member| member.availability_zone == zone).count();
    let free = || counted.iter().filter(|member| !member.protected);
    let fullest = free().map(|member| held(&member.availability_zone)).max()?;
    let newest_first = group.termination_policies.first().is_some_and(|policy| policy == "NewestInstance");
    let candidates = free().filter(|member| member.outgoing || held(&member.availability_zone) == fullest);
    let chosen = candidates.min_by_key(|member| {
        let age = if newest_first { u64::MAX - member.serial } else { member.serial };
        let version = if newest_first { 0 } else { member.template_version };
        (!member.outgoing, version, age)
    });
    chosen.map(|member| member.id.clone())
}
