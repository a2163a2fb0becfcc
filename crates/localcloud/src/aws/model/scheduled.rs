//! Scheduled actions: bounds that a group is given at a time, once or again and again.

use super::{Bounds, Cloud, Process, Recurrence, Timestamp};

/// A scheduled action of a group.
#[derive(Clone, Debug)]
pub struct ScheduledAction {
    /// Unique within its group.
    pub name: String,
    /// The UUID inside its ARN.
    pub uuid: String,
    /// When it is due next.
    pub next: Timestamp,
    /// When it recurs, if it does.
    pub recurrence: Option<Recurrence>,
    /// After this it recurs no more.
    pub end: Option<Timestamp>,
    /// The new minimum size.
    pub min: Option<u32>,
    /// The new maximum size.
    pub max: Option<u32>,
    /// The new desired capacity.
    pub desired: Option<u32>,
}

impl ScheduledAction {
    /// The bounds of a group once this was done.
    fn applied(&self, old: Bounds) -> Bounds {
        let min = self.min.unwrap_or(old.min);
        let max = self.max.unwrap_or(old.max).max(min);
        Bounds { min, max, desired: self.desired.unwrap_or(old.desired).clamp(min, max) }
    }
}

impl Cloud {
    /// A scheduled action is due. While its process is suspended it is passed over, and not made up for later (EC2 Auto
    /// Scaling User Guide, suspending processes).
    pub(crate) fn scheduled_action(&mut self, name: &str, action: &str, now: Timestamp) {
        let Some(group) = self.inventory.groups.get_mut(name) else { return };
        let Some(mut action) = group.scheduled.remove(action) else { return };
        let done = action.clone();
        let again = action.recurrence.as_ref().and_then(|recurrence| recurrence.next_after(now));
        if let Some(next) = again.filter(|next| action.end.is_none_or(|end| *next <= end)) {
            action.next = next;
            group.scheduled.insert(action.name.clone(), action);
        }
        if !group.runs(Process::ScheduledActions) || group.deleting {
            return;
        }
        let bounds = done.applied(group.bounds);
        group.bounds = Bounds { desired: group.bounds.desired, ..bounds };
        let Bounds { min, max, desired } = bounds;
        self.group_happened(name, format!("scheduled action {}: min {min}, max {max}", done.name), now);
        self.set_desired(name, desired, &format!("the scheduled action {} executed,", done.name), now);
        self.schedule_reconcile(name, now);
    }
}
