//! Whether the raises of one group stay what they were said to be: the program's word that it has raised is no proof.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lightsout_core::duration::format_about;
use serde::{Deserialize, Serialize};

/// How many raises in a row must be seen to have lowered before the group is held: after one, somebody else may have.
const IN_A_ROW: u32 = 2;
/// For how long a held group is not raised.
const HOLD: Duration = Duration::from_secs(600);

/// What one description says of a group's capacity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) desired: u32,
    /// Who counts towards it. `None`: the program lists nobody.
    pub(super) members: Option<BTreeSet<String>>,
}

/// What the first description after a raise shows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As much is desired as before, but for those that left.
    Kept,
    /// Less is desired, and the members do not tell whether more than those that left are missing.
    Unclear,
    /// Less is desired than there are members that have stayed: no instance that left can have lowered it so far.
    Lowered,
}

impl Verdict {
    /// What an operator should know.
    pub(super) fn warning(self) -> Option<&'static str> {
        match self {
            Self::Kept => None,
            Self::Unclear => Some(
                "less is desired after a raise than before, and the members do not tell whether instances left: see that `raise` of the \
                 program never lowers, and that `describe` lists all members (docs/clouds.md)",
            ),
            Self::Lowered => Some(
                "a raise has lowered the group, although its members stayed: after two in a row nothing is raised there for 10 minutes; \
                 correct `raise` of the program, or keep others from lowering (docs/clouds.md)",
            ),
        }
    }
}

/// What is remembered of one group's raises.
#[derive(Debug, Default)]
pub(super) struct Raises {
    latest: Option<Reading>,
    /// The group as it was at a raise that no description has followed yet.
    before: Option<Reading>,
    /// How many raises in a row have lowered, and when the last of them was seen.
    lowered: u32,
    seen: Option<Instant>,
}

/// The same for a later run, on the clock of the wall.
#[derive(Serialize, Deserialize)]
struct Memory {
    before: Option<Reading>,
    lowered: u32,
    seen: Option<Timestamp>,
}

impl Raises {
    /// What a later run should know; `None`: nothing.
    pub(super) fn memory(&self, now: (Instant, Timestamp)) -> Option<String> {
        let seen = self.seen.map(|seen| now.1 - now.0.saturating_duration_since(seen).min(HOLD));
        let memory = Memory { before: self.before.clone(), lowered: self.lowered, seen };
        (memory.before.is_some() || memory.lowered > 0).then(|| serde_json::to_string(&memory).ok()).flatten()
    }

    /// What an earlier run knew.
    pub(super) fn recalled(memory: &str, now: (Instant, Timestamp)) -> Option<Self> {
        let Memory { before, lowered, seen } = serde_json::from_str(memory).ok()?;
        // A clock that was put back has seen it just now.
        let ago = |seen: Timestamp| Duration::try_from(now.1.duration_since(seen)).unwrap_or_default();
        let seen = seen.and_then(|seen| now.0.checked_sub(ago(seen)));
        Some(Self { latest: None, before, lowered, seen })
    }

    /// A raise begins. Until it is known to have had no effect, the next description is compared with the last one.
    pub(super) fn begin(&mut self) {
        self.before.clone_from(&self.latest);
    }

    /// The raise had no effect, so that whatever changed is not its doing.
    pub(super) fn refused(&mut self) {
        self.before = None;
    }

    /// Takes a description over. The verdict, with what was desired before, where it is the first one after a raise.
    pub(super) fn look(&mut self, reading: &Reading, now: Instant) -> Option<(u32, Verdict)> {
        self.latest = Some(reading.clone());
        let before = self.before.take()?;
        let verdict = judge(&before, reading);
        if verdict == Verdict::Lowered {
            self.lowered = self.lowered.saturating_add(1);
            self.seen = Some(now);
        } else {
            self.lowered = 0;
        }
        Some((before.desired, verdict))
    }

    /// Why nothing is raised at the moment, and what to do. `None`: it may be.
    pub(super) fn held(&self, now: Instant) -> Option<String> {
        let left = HOLD.saturating_sub(now.saturating_duration_since(self.seen?));
        (self.lowered >= IN_A_ROW && !left.is_zero()).then(|| {
            format!(
                "{} raises in a row have lowered it, although its members stayed: nothing is raised for another {}; \
                 correct `raise` of the program, or keep others from lowering (docs/clouds.md)",
                self.lowered,
                format_about(left)
            )
        })
    }
}

/// Every place of a group that somebody held and still holds is desired still, whoever came and left beside. A place that nobody held at first may
/// have been taken, left and given up unseen, and those who were too many held none: neither counts.
fn judge(before: &Reading, now: &Reading) -> Verdict {
    let (was, left) = match (&before.members, &now.members) {
        (Some(was), Some(are)) => (was.len(), was.difference(are).count()),
        _ => (0, 0),
    };
    let (was, left) = (u32::try_from(was).unwrap_or(u32::MAX), u32::try_from(left).unwrap_or(u32::MAX));
    let kept = now.desired.saturating_add(left);
    if kept < was.min(before.desired) {
        Verdict::Lowered
    } else if kept < before.desired {
        Verdict::Unclear
    } else {
        Verdict::Kept
    }
}
