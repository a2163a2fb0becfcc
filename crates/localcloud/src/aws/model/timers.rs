//! What is due when. Deadlines live in the things that they concern, so none can be left behind.

use std::time::Duration;

use super::{Cloud, Group, Instance, LifecycleState, Timestamp};

/// Something that happens by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// The hard end that a Spot notice announced.
    Spot(String),
    /// The end of the hardware.
    Retirement(String),
    /// A machine that was told to end counts as off.
    Power(String),
    /// A group sees that a member does not run.
    Notice(String),
    /// A heartbeat of a lifecycle action runs out.
    LifecycleHook(String),
    /// The next step of a life cycle.
    Step(String),
    /// A scheduled action of a group, by their names.
    Scheduled(String, String),
    /// A group compares what it has with what it wants.
    Act(String),
}

impl Cloud {
    pub(crate) fn next_due(&self) -> Option<(Timestamp, Due)> {
        let instances = self.inventory.instances.values().flat_map(instance_dues);
        let groups = self
            .inventory
            .groups
            .values()
            .filter_map(|group| Some((self.group_due(group)?, Due::Act(group.name.clone()))));
        let scheduled = self.inventory.groups.values().flat_map(|group| {
            group
                .scheduled
                .values()
                .map(|action| (action.next, Due::Scheduled(group.name.clone(), action.name.clone())))
        });
        instances.chain(groups).chain(scheduled).min()
    }

    pub(crate) fn run(&mut self, due: Due, now: Timestamp) {
        match due {
            Due::Spot(id) => self.end_spot(&id, now),
            Due::Retirement(id) => self.retire_hardware(&id, now),
            Due::Power(id) => self.machine_off(&id, now),
            Due::Notice(id) => self.notice_not_running(&id, now),
            Due::LifecycleHook(id) => self.hook_timed_out(&id, now),
            Due::Step(id) => self.step(&id, now),
            Due::Scheduled(group, action) => self.scheduled_action(&group, &action, now),
            Due::Act(name) => self.reconcile(&name, now),
        }
    }

    /// Makes a group look at itself soon.
    pub(crate) fn schedule_reconcile(&mut self, group: &str, now: Timestamp) {
        let due = now + self.options.react;
        if let Some(group) = self.inventory.groups.get_mut(group) {
            group.act_due = Some(group.act_due.map_or(due, |set| set.min(due)));
        }
    }

    /// Makes the group of an instance look at itself soon.
    pub(crate) fn schedule_reconcile_of(&mut self, id: &str, now: Timestamp) {
        if let Some(group) = self.inventory.instances.get(id).and_then(|instance| instance.group.clone()) {
            self.schedule_reconcile(&group, now);
        }
    }

    /// When a group next looks at itself. What is derived from other times counts only while it lies ahead: once it has
    /// passed, each look takes it into account.
    fn group_due(&self, group: &Group) -> Option<Timestamp> {
        let retry = group.backoff.map(|(until, _)| until);
        let refresh = group.refreshes.last().filter(|refresh| refresh.status.is_active());
        let warmup = refresh.map(|refresh| Duration::from_secs(refresh.warmup.into()));
        let patience = refresh.and_then(super::Refresh::patience_ends);
        let members = (group.max_lifetime.is_some() || warmup.is_some())
            .then(|| self.inventory.members(&group.name).filter(|member| member.state == LifecycleState::InService))
            .into_iter()
            .flatten();
        let of_members = members.flat_map(|member| {
            let old = group.max_lifetime.map(|span| member.launched_at + span);
            let warm = warmup.zip(member.in_service_at).map(|(span, since)| since + span);
            [old, warm]
        });
        let ahead = |at: &Timestamp| *at > self.now;
        of_members.chain([retry, patience]).flatten().filter(ahead).chain(group.act_due).min()
    }
}

fn instance_dues(instance: &Instance) -> impl Iterator<Item = (Timestamp, Due)> {
    let id = || instance.id.clone();
    let up = instance.ec2_state.is_up();
    let spot = instance.spot_notice.filter(|_| up).map(|notice| (notice.time, Due::Spot(id())));
    let retirement =
        instance.maintenance.iter().filter(|event| up && event.state == "active").map(|event| event.not_before);
    let retirement = retirement.min().map(|at| (at, Due::Retirement(id())));
    let hook = instance.lifecycle_actions.iter().map(|wait| wait.due).min().map(|at| (at, Due::LifecycleHook(id())));
    let power = instance.power_due.map(|at| (at, Due::Power(id())));
    let notice = instance.notice_due.map(|at| (at, Due::Notice(id())));
    let step = instance.step_due.map(|at| (at, Due::Step(id())));
    [spot, retirement, hook, power, notice, step].into_iter().flatten()
}
