//! What happens by itself, in the order of time.

use super::Azure;
use crate::time::Timestamp;

/// Something that is due.
#[derive(Clone, Debug)]
enum Due {
    Left(String),
    Reconcile(String),
    Step(String),
    Event(String),
}

impl Azure {
    /// Runs every timer that is due, each at its own time. Time never goes back: an earlier `now` counts as the last one.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        while let Some((at, due)) = self.next_due()
            && at <= now
        {
            self.now = self.now.max(at);
            match due {
                Due::Left(set) => self.left(&set),
                Due::Reconcile(set) => self.reconcile(&set),
                Due::Step(machine) => self.booted(&machine),
                Due::Event(id) => self.event_due(&id),
            }
            self.settle();
        }
        self.now = self.now.max(now);
    }

    /// When [`Azure::advance`] next has something to do.
    pub(crate) fn next_timer(&self) -> Option<Timestamp> {
        self.next_due().map(|(at, _)| at)
    }

    fn next_due(&self) -> Option<(Timestamp, Due)> {
        let sets = self.scale_sets.iter().flat_map(|(key, set)| {
            let left = set.leaving.map(|(at, _)| (at, Due::Left(key.clone())));
            left.into_iter().chain(set.reconcile_at.map(|at| (at, Due::Reconcile(key.clone()))))
        });
        let steps = self.machines.iter().filter_map(|(name, it)| Some((it.step_due?, Due::Step(name.clone()))));
        let events = self.events.iter().filter_map(|event| Some((event.due()?, Due::Event(event.id.clone()))));
        sets.chain(steps).chain(events).min_by_key(|(at, _)| *at)
    }
}
