//! Too little room for another job: no more are taken, room is made between jobs, and the instance serves again or is broken.

use std::time::Duration;

use super::{
    Lifecycle,
    state::{BootStep, Booting, DrainStep, Draining, State},
    timers::Timer,
};
use crate::{
    agent::{
        action::Request,
        event::Outcome,
        phase::{BrokenBy, LeaveReason},
    },
    space::Room,
    time::Tick,
};

/// So many looks in a row must find a shortage: a job's own peak passes.
const LOOKS: u8 = 3;
/// How long it counts that something was removed and no job has run since.
const IN_VAIN_FOR: Duration = Duration::from_secs(3_600);

/// Of what there is too little, and how many looks in a row have found that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shortage {
    what: String,
    looks: u8,
}

impl Lifecycle {
    /// Takes in a look at the room. What cannot be told is neither a shortage nor its end.
    pub(super) fn take_room(&mut self, room: Room) {
        let before = self.shortage.as_ref().map_or(0, |shortage| shortage.looks);
        match room {
            Room::Enough => self.shortage = None,
            Room::Short(what) => self.shortage = Some(Shortage { what, looks: before.saturating_add(1).min(LOOKS) }),
            Room::Unknown => {}
        }
    }

    /// No runner runs and none was registered for it: no job's own peak can have been met, and one look is enough.
    pub(super) fn found_short(&mut self, what: String, now: Tick) {
        self.shortage = Some(Shortage { what, looks: LOOKS });
        self.again(now);
    }

    /// Takes no more jobs where there is too little room for another.
    pub(super) fn check_shortage(&mut self, now: Tick) {
        let serves = matches!(
            self.state,
            State::Booting(Booting { step: BootStep::GetReady, .. })
                | State::Registering { .. }
                | State::Serving(_)
                | State::Returning { .. }
        );
        let lasting = self.shortage.as_ref().filter(|shortage| shortage.looks >= LOOKS);
        let Some(what) = lasting.map(|shortage| shortage.what.clone()) else { return };
        if !serves || self.reasons.trouble().is_some() {
            return;
        }
        let in_vain = self.made_room.is_some_and(|(served, at)| served == self.served() && now.since(at) < IN_VAIN_FOR);
        if in_vain && !self.orders.held() {
            // Whatever fills it, it is no job, and it would do so again.
            let words = format!("{what}, and no job has run since room was made");
            self.reasons.break_down(BrokenBy::Full, words);
        } else {
            self.note(format!("no more jobs until there is room: {what}"));
            self.leave(LeaveReason::Full, now);
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an outcome that does not fit is noted in its own words, whichever it is"
    )]
    pub(super) fn make_room_answer(&mut self, draining: Draining, outcome: Outcome, now: Tick) {
        if outcome != Outcome::Unneeded {
            self.made_room = Some((self.served(), now));
        }
        match outcome {
            // Called away by something stronger meanwhile.
            _ if draining.why != LeaveReason::Full => self.retire(draining, now),
            Outcome::Done | Outcome::Unneeded => {
                // Looks from before do not count.
                self.shortage = None;
                self.note("there is room again; serving");
                self.turn_back(now);
            }
            Outcome::RoomUnknown => {
                self.shortage = None;
                self.note("room was made, and how much there is cannot be told; serving, since that is no shortage");
                self.turn_back(now);
            }
            Outcome::StillShort { what, said } => {
                self.shortage = Some(Shortage { what, looks: LOOKS });
                self.leave_full(draining, &said, now);
            }
            other => self.leave_full(draining, &other.text(), now),
        }
    }

    /// A program that cannot be killed, or a disk that does not answer: what comes of it is not waited for. No runner starts beside it.
    pub(super) fn check_make_room_limit(&mut self, now: Tick) {
        if let State::Draining(draining) = self.state
            && self.elapsed(Timer::MakeRoomLimit, now)
        {
            if draining.why == LeaveReason::Full {
                self.leave_full(draining, "making room does not end", now);
            } else {
                self.retire(draining, now);
            }
        }
    }

    /// Once the hold has ended, or there is a stronger reason, what was seen when it began is old.
    pub(super) fn check_held(&mut self, now: Tick) {
        if let State::Draining(Draining { why, step: DrainStep::Held { weak }, .. }) = self.state
            && (why != LeaveReason::Full || !self.orders.held())
        {
            self.drain_by(DrainStep::Confirm { proven_at: now, weak });
        }
    }

    fn leave_full(&mut self, draining: Draining, why: &str, now: Tick) {
        let why = self.stays_full(why);
        self.retire(Draining { why, ..draining }, now);
        // For a restart only.
        self.ask(Request::Save(self.saved()));
    }

    /// It stays as full as it is, and is broken.
    pub(super) fn stays_full(&mut self, why: &str) -> LeaveReason {
        let shortage = self.shortage.as_ref().map_or("too little room for another job", |shortage| &shortage.what);
        let trouble = format!("{shortage}; {why}");
        self.note(trouble.clone());
        self.reasons.break_down(BrokenBy::Full, trouble);
        LeaveReason::Broken
    }
}
