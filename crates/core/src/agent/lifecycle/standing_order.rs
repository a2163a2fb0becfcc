//! Orders that stand on the instance: followed as if they came over the socket, and taken back when they stand there no more.

use super::Lifecycle;
use crate::{cloud::StandingOrder, time::Tick};

impl Lifecycle {
    /// Takes in what stands on the instance now; nothing but a change counts, so that an order over the socket may overrule what stands.
    pub(super) fn follow(&mut self, order: Option<StandingOrder<Tick>>, now: Tick) {
        let before = std::mem::replace(&mut self.reasons.standing_order, order);
        if before == order {
            return;
        }
        match before {
            Some(StandingOrder::Drain) => self.lift_drain(now),
            Some(StandingOrder::Hold { until }) if self.reasons.hold == Some(until) => self.reasons.hold = None,
            Some(StandingOrder::Hold { .. }) | None => {}
        }
        match order {
            Some(StandingOrder::Drain) => self.reasons.drain_stands = true,
            Some(StandingOrder::Hold { until }) => self.reasons.hold = Some(until),
            None => {}
        }
    }

    /// The drain that stood on the instance does so no more. One that was ordered otherwise, or is past taking back, goes on.
    fn lift_drain(&mut self, now: Tick) {
        let stood = std::mem::take(&mut self.reasons.drain_stands);
        if stood && !self.reasons.drain_ordered && self.can_undrain() {
            self.turn_back(now);
        }
    }
}
