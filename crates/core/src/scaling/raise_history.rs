//! What became of the raises so far: demand that nobody meets, and instances that nobody hears of.
//!
//! It is told from the numbers of one tick after another. An instance that leaves without a job while jobs wait has a living
//! agent, and the jobs are not for it: they ask for what no agent has, or something else holds them back; or the instance
//! is broken, and so will the next one be. Raises for *these* jobs become rare. An instance that neither takes a waiting job
//! nor leaves has no agent that works: it hides a job, and is left out of the capacity. An instance cannot be seen to do
//! both.
//!
//! Numbers only raise that suspicion. Where the cloud tells of each member whether its agent has been ready in this boot
//! ([`ReadyCounts`]), nobody is left out who has: such a one waits for a job that is for it. There, members that never were are
//! left out also while others work, if jobs wait behind them. The members are looked at for it a few times an hour.
//!
//! Numbers tell this only where they are looked at often. Between two looks that are far apart an instance may have come, taken
//! a job and left, and the next job waits in its place: nothing is held against raises that were not watched.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cloud::ReadyCounts;

/// The longest that two looks may be apart for the numbers to tell what happened between them. A loop looks every 10 s
/// unless set otherwise, and may be late.
const LONGEST_GAP: Duration = Duration::from_secs(30);
/// The shortest time between two looks at the members: six an hour.
const LOOK_AGAIN: Duration = Duration::from_secs(10 * 60);
/// How many raises in a row may be in vain before the next ones become rare.
const FREE: u32 = 2;
/// How long the first rare raise waits; each one that is in vain doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest that it waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

/// What one tick saw of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Jobs that wait.
    pub queued: u32,
    /// Jobs that run; `None` when that is not known.
    pub running: Option<u32>,
    /// What is desired, at most: a number that was desired lately counts as long as it may hold.
    pub desired: u32,
    /// Jobs that one instance takes at once; at least 1.
    pub slots: u32,
    /// Instances that the demand needs, before any bound.
    pub needed: u32,
    /// How long nothing may happen beside waiting jobs until instances count as silent.
    pub silent_after: Duration,
}

impl Observation {
    /// How many of the desired instances have no job, as far as is known.
    fn without_job(self) -> u32 {
        self.desired.saturating_sub(self.running.unwrap_or(0).div_ceil(self.slots))
    }
}

/// What a plan should know of the raises before it. [`Default`]: nothing is in doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// Waiting jobs that nobody took through some raises in a row, and for which nothing is raised now.
    pub unmet: u32,
    /// How many raises in a row were in vain for them.
    pub in_vain: u32,
    /// How much longer nothing is raised for them, in milliseconds; 0: one instance is tried now.
    pub pause_ms: u64,
    /// Instances whose agents do not work, as far as can be told, and which are left out of the capacity.
    pub silent: u32,
    /// Instances whose agents have been ready, and which take none of the jobs that wait. They count as any other.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ready: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One pool's raises and what became of them. Small; it may be lost at any time, and then the next raises are free again. A later process may take it
/// over, if its times have the same origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaiseHistory {
    last: Option<Observation>,
    /// When that was.
    seen: Duration,
    raise: Option<Raise>,
    unmet: u32,
    in_vain: u32,
    not_before: Duration,
    silent: u32,
    /// How many were desired when the first became silent: those that were raised past them are not counted as well.
    base: u32,
    /// How long jobs have been waiting while nothing happened, as far as it was watched.
    still: Duration,
    /// The same whatever happened.
    #[serde(default)]
    crowded: Duration,
    /// When the members were looked at, and whether that told something of their agents.
    #[serde(default)]
    looked: Option<Duration>,
    #[serde(default)]
    told: bool,
    /// How many were ready then, while nothing happened since.
    #[serde(default)]
    ready: u32,
    /// Whether they are to be looked at now, and how many of them would be silent if as many never were ready.
    #[serde(default)]
    doubted: bool,
    #[serde(default)]
    suspected: u32,
}

/// A raise of which is not known yet what it was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Raise {
    to: u32,
    /// The fewest jobs that waited since.
    low: u32,
    /// Whether a job was taken since, by whomever.
    served: bool,
}

impl RaiseHistory {
    /// Takes a tick's observation over. Times are since any origin. Where this one is more than 30 s after the last one, or before
    /// it, what became of the raises is forgotten, and of the gap no more than 30 s count as silence.
    pub fn see(&mut self, observation: Observation, now: Duration) {
        // Of what was before the first observation nothing is known, nor of a gap when the clock was set back.
        let gap = self.last.and(now.checked_sub(self.seen));
        if gap.is_none_or(|gap| gap > LONGEST_GAP) {
            (self.raise, self.unmet, self.in_vain, self.not_before) = (None, 0, 0, Duration::ZERO);
        }
        self.seen = now;
        let before = self.last.replace(observation).unwrap_or(observation);
        let served = observation.queued < before.queued || observation.running > before.running;
        if let Some(raise) = &mut self.raise {
            raise.low = raise.low.min(observation.queued);
            // Whoever ended a job has done it, and may leave before the instance of this raise has even begun.
            raise.served |= served || observation.running < before.running;
            // It was desired until now.
            if observation.desired < raise.to {
                if !raise.served && raise.low > 0 {
                    self.in_vain = self.in_vain.saturating_add(1);
                    self.unmet = raise.low;
                    self.not_before = now.saturating_add(pause(self.in_vain));
                }
                self.raise = None;
            }
        }
        if observation.queued < self.unmet {
            (self.unmet, self.in_vain, self.not_before) = (0, 0, Duration::ZERO);
        }
        self.silent = self.silent.min(observation.without_job());
        let watched = gap.unwrap_or_default().min(LONGEST_GAP);
        (self.still, self.crowded) = (self.still + watched, self.crowded + watched);
        if observation.queued == 0 {
            self.crowded = Duration::ZERO;
        }
        if observation.queued == 0 || served || observation.desired != before.desired {
            (self.still, self.ready) = (Duration::ZERO, 0);
        }
        let look_due = self.looked.and_then(|looked| now.checked_sub(looked)).is_none_or(|since| since >= LOOK_AGAIN);
        self.suspected = 0;
        if self.still >= observation.silent_after && (look_due || !self.told) {
            (self.still, self.crowded) = (Duration::ZERO, Duration::ZERO);
            self.suspect(observation);
            self.silent = self.suspected;
        } else if look_due && self.crowded >= observation.silent_after && observation.running.is_some() {
            // Where others work the numbers prove nothing: only the members themselves tell.
            self.crowded = Duration::ZERO;
            self.suspect(observation);
        }
        self.doubted = look_due && (self.silent > 0 || self.suspected > 0);
    }

    /// So many are suspected that one is raised past them. Those that are raised past others are not suspected as well.
    fn suspect(&mut self, observation: Observation) {
        if self.silent == 0 {
            self.base = observation.desired;
        }
        let hiding = observation.desired.saturating_sub(observation.needed) + 1;
        self.suspected = self.silent.max(hiding).min(observation.without_job()).min(self.base);
    }

    /// Whether the members are to be looked at before the next plan, and what is found handed to [`learn`](Self::learn).
    pub fn doubts_members(&self) -> bool {
        self.doubted
    }

    /// The members were looked at; `None`: they could not be, or the cloud tells nothing of their agents, and the numbers
    /// alone count.
    pub fn learn(&mut self, ready_counts: Option<ReadyCounts>, now: Duration) {
        (self.doubted, self.looked, self.told) = (false, Some(now), ready_counts.is_some());
        let suspected = std::mem::take(&mut self.suspected);
        let Some(ReadyCounts { ready, missing }) = ready_counts else { return };
        // Where most agents do not write the sign it is their version that lacks it: that it is missing is worth no more than the numbers.
        let suspected = if ready > missing { suspected } else { 0 };
        self.silent = self.silent.max(suspected).min(missing);
        self.ready = self.last.map_or(0, |last| ready.min(last.without_job().saturating_sub(self.silent)));
    }

    /// The pool was raised to this.
    pub fn raised(&mut self, to: u32) {
        let waiting = self.last.map_or(0, |last| last.queued);
        self.raise = Some(Raise { to, low: waiting, served: false });
        if let Some(last) = &mut self.last {
            last.desired = to;
        }
        self.still = Duration::ZERO;
    }

    /// What to make of it in a plan at `now`.
    pub fn outlook(&self, now: Duration) -> Outlook {
        let (silent, ready) = (self.silent, self.ready);
        if self.in_vain < FREE {
            return Outlook { silent, ready, ..Outlook::default() };
        }
        let left = self.not_before.saturating_sub(now);
        // One instance is tried when the pause is over, not one for each job.
        let tried = if left.is_zero() { self.last.map_or(1, |last| last.slots) } else { 0 };
        Outlook {
            unmet: self.unmet.saturating_sub(tried),
            in_vain: self.in_vain,
            pause_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            silent,
            ready,
        }
    }
}

fn pause(in_vain: u32) -> Duration {
    let doublings = in_vain.saturating_sub(FREE).min(10);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
