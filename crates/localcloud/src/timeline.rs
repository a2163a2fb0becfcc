//! The timeline: numbered events, the oldest of which are forgotten in the end.

use std::collections::VecDeque;

use crate::fleet::FleetEvent;

/// How many events are kept.
const KEPT: usize = 1 << 16;

#[derive(Default)]
pub(crate) struct Timeline {
    events: VecDeque<FleetEvent>,
    last: u64,
    /// Up to where [`Timeline::take_new`] went.
    taken: u64,
}

impl Timeline {
    /// Adds an event and numbers it.
    pub(crate) fn push(&mut self, event: FleetEvent) {
        self.last += 1;
        self.events.push_back(FleetEvent { seq: self.last, ..event });
        if self.events.len() > KEPT {
            self.events.pop_front();
        }
    }

    /// The number of the newest event; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The events after this number, oldest first.
    pub(crate) fn since(&self, seq: u64) -> impl Iterator<Item = &FleetEvent> {
        let first = self.events.partition_point(|event| event.seq <= seq);
        self.events.range(first..)
    }

    /// The events that were not taken yet.
    pub(crate) fn take_new(&mut self) -> Vec<FleetEvent> {
        let new = self.since(self.taken).cloned().collect();
        self.taken = self.last;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Source;

    fn event(what: &str) -> FleetEvent {
        let what = what.to_owned();
        FleetEvent { seq: 0, at_ms: 0, source: Source::Control, group: None, instance: None, job: None, what }
    }

    #[test]
    fn events_are_numbered_without_gaps_and_taken_once() {
        let mut timeline = Timeline::default();
        timeline.push(event("a"));
        timeline.push(event("b"));
        assert_eq!(timeline.take_new().iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2]);
        timeline.push(event("c"));
        assert_eq!(timeline.take_new().len(), 1);
        assert_eq!(timeline.since(1).map(|event| event.what.as_str()).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(timeline.since(3).count(), 0);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut timeline = Timeline::default();
        (0..KEPT + 3).for_each(|_| timeline.push(event("x")));
        assert_eq!(timeline.since(0).next().map(|event| event.seq), Some(4));
    }
}
