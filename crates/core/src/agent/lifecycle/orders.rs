//! What people order: to drain, to hold, to stop. By the control socket, by what stands on the instance, by a signal.

use std::time::Duration;

use crate::{cloud::StandingOrder, time::Tick};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Orders {
    /// A drain over the socket, or by the service's stop.
    drain: bool,
    /// Whether the service was told to stop.
    stop: bool,
    /// Neither idleness nor age, of the instance or of its runner, is a reason to leave before.
    hold: Option<Tick>,
    /// The order that stands on the instance, as it was told last.
    standing: Option<StandingOrder<Tick>>,
    /// Whether a drain that stands there calls it away: it does so until it is lifted, or overruled.
    drain_stands: bool,
}

impl Orders {
    pub(super) fn drain(&mut self) {
        self.drain = true;
    }

    /// Takes every drain back, the service's stop too.
    pub(super) fn undrain(&mut self) {
        (self.drain, self.drain_stands, self.stop) = (false, false, false);
    }

    /// Whether a drain is ordered, however.
    pub(super) fn to_drain(&self) -> bool {
        self.drain || self.drain_stands
    }

    pub(super) fn stop(&mut self) {
        (self.stop, self.drain) = (true, true);
    }

    pub(super) fn to_stop(&self) -> bool {
        self.stop
    }

    pub(super) fn hold_until(&mut self, until: Tick) {
        self.hold = Some(until);
    }

    /// Until when the instance is held, if it is.
    pub(super) fn hold(&self) -> Option<Tick> {
        self.hold
    }

    pub(super) fn held(&self) -> bool {
        self.hold.is_some()
    }

    /// Not before the hold ends.
    pub(super) fn after_hold(&self, due: Tick) -> Tick {
        self.hold.map_or(due, |until| until.max(due))
    }

    pub(super) fn end_hold(&mut self, now: Tick) {
        self.hold = self.hold.filter(|until| *until > now);
    }

    /// Takes in what stands on the instance now; nothing but a change counts, so that an order over the socket may overrule what stands.
    /// Whether a drain ends by it: one stood there that called the instance away, and nothing else orders one.
    pub(super) fn follow(&mut self, order: Option<StandingOrder<Tick>>) -> bool {
        let before = std::mem::replace(&mut self.standing, order);
        if before == order {
            return false;
        }
        let lifted = before == Some(StandingOrder::Drain) && std::mem::take(&mut self.drain_stands) && !self.drain;
        if let Some(StandingOrder::Hold { until }) = before
            && self.hold == Some(until)
        {
            self.hold = None;
        }
        match order {
            Some(StandingOrder::Drain) => self.drain_stands = true,
            Some(StandingOrder::Hold { until }) => self.hold = Some(until),
            None => {}
        }
        lifted
    }

    /// Times of the wall's clock come nearer by so much.
    pub(super) fn shift(&mut self, unseen: Duration) {
        self.hold = self.hold.map(|until| until - unseen);
        self.standing = self.standing.map(|order| order.map(|until| until - unseen));
    }
}
