//! Everything that a describe can see, and how it looked a while ago.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::{Activity, ActivityId, ActivityStatus, Group, Instance, LaunchTemplate, Timestamp};

/// The state of the cloud.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) groups: BTreeMap<String, Group>,
    /// By id.
    pub(crate) templates: BTreeMap<String, LaunchTemplate>,
    /// Images that were deregistered.
    pub(crate) gone_images: BTreeSet<String>,
    /// When images are deprecated, by id, as it was said.
    pub(crate) deprecated_images: BTreeMap<String, String>,
    /// Whether the account has each new volume encrypted.
    pub(crate) encrypts_volumes: bool,
    /// The key for that, where it is not AWS's own.
    pub(crate) key_of_volumes: Option<String>,
    /// Oldest first, the last of them: AWS keeps six weeks (EC2 Auto Scaling API reference, `DescribeScalingActivities`).
    pub(crate) activities: VecDeque<Activity>,
    /// How many there were before those.
    dropped_activities: usize,
}

/// How many activities are kept at least.
const ACTIVITIES: usize = 2_000;

impl Inventory {
    /// The instances that a group lists, by id.
    pub(crate) fn members<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.instances
            .values()
            .filter(move |instance| instance.state.is_member() && instance.group.as_deref() == Some(group))
    }

    /// The members that count toward the desired capacity.
    pub(crate) fn counted<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.members(group).filter(|instance| instance.state.is_counted())
    }

    /// The instances of a group's warm pool.
    pub(crate) fn warm<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.members(group).filter(|instance| instance.state.is_in_warm_pool())
    }

    /// How many members count toward the desired capacity.
    pub(crate) fn count(&self, group: &str) -> u32 {
        u32::try_from(self.counted(group).count()).unwrap_or(u32::MAX)
    }

    /// A launch template by id or by name.
    pub(crate) fn template(&self, id_or_name: &str) -> Option<&LaunchTemplate> {
        self.templates.get(id_or_name).or_else(|| self.templates.values().find(|template| template.name == id_or_name))
    }

    /// Adds to the activity history.
    pub(crate) fn record(&mut self, activity: Activity) -> ActivityId {
        self.activities.push_back(activity);
        // What is under way is still to be ended.
        while self.activities.len() > ACTIVITIES && self.activities.front().is_some_and(|first| first.end.is_some()) {
            self.activities.pop_front();
            self.dropped_activities += 1;
        }
        ActivityId(self.dropped_activities + self.activities.len() - 1)
    }

    pub(crate) fn activity(&self, id: ActivityId) -> Option<&Activity> {
        self.activities.get(id.0.checked_sub(self.dropped_activities)?)
    }

    fn activity_mut(&mut self, id: ActivityId) -> Option<&mut Activity> {
        self.activities.get_mut(id.0.checked_sub(self.dropped_activities)?)
    }

    pub(crate) fn set_status(&mut self, id: ActivityId, status: ActivityStatus) {
        if let Some(activity) = self.activity_mut(id)
            && activity.end.is_none()
        {
            activity.status = status;
        }
    }

    /// Ends an activity; the first end stays.
    pub(crate) fn finish(&mut self, id: ActivityId, status: ActivityStatus, message: Option<String>, now: Timestamp) {
        if let Some(activity) = self.activity_mut(id)
            && activity.end.is_none()
        {
            activity.status = status;
            activity.message = message;
            activity.end = Some(now);
        }
    }
}

/// Earlier states, kept only while describes are to be stale.
#[derive(Clone, Debug, Default)]
pub(crate) struct InventoryHistory {
    by: Duration,
    /// Each state with the time from which it held, oldest first.
    states: VecDeque<(Timestamp, Inventory)>,
}

impl InventoryHistory {
    pub(crate) fn keep(&mut self, by: Duration) {
        self.by = by;
        if by.is_zero() {
            self.states.clear();
        }
    }

    pub(crate) fn remember(&mut self, now: Timestamp, inventory: &Inventory) {
        if self.by.is_zero() {
            return;
        }
        self.states.push_back((now, inventory.clone()));
        while self.states.get(1).is_some_and(|(from, _)| *from <= now - self.by) {
            self.states.pop_front();
        }
    }

    /// The state of a while ago, or the oldest one kept.
    pub(crate) fn view(&self, now: Timestamp) -> Option<&Inventory> {
        let held = self.states.iter().rev().find(|(from, _)| *from <= now - self.by);
        held.or_else(|| self.states.front()).map(|(_, inventory)| inventory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(number: usize) -> Activity {
        Activity {
            id: number.to_string(),
            group: "ci".into(),
            instance: None,
            description: String::new(),
            cause: String::new(),
            start: Timestamp::default(),
            end: None,
            status: ActivityStatus::InProgress,
            message: None,
        }
    }

    #[test]
    fn the_oldest_activities_are_dropped_once_they_have_ended() {
        let mut inventory = Inventory::default();
        let first = inventory.record(activity(0));
        let end = |inventory: &mut Inventory, id| {
            inventory.finish(id, ActivityStatus::Successful, None, Timestamp::default());
        };
        for number in 1..=2 * ACTIVITIES {
            let id = inventory.record(activity(number));
            assert_eq!(inventory.activity(id).map(|it| it.id.clone()), Some(number.to_string()));
            end(&mut inventory, id);
        }
        assert_eq!(inventory.activities.len(), 2 * ACTIVITIES + 1, "the first is under way");
        end(&mut inventory, first);
        assert_eq!(inventory.activities[0].status, ActivityStatus::Successful);
        let last = inventory.record(activity(9));
        assert_eq!(inventory.activities.len(), ACTIVITIES);
        end(&mut inventory, first);
        end(&mut inventory, last);
        assert!(inventory.activity(first).is_none());
        assert_eq!(inventory.activity(last).map(|it| it.id.as_str()), Some("9"));
    }
}
