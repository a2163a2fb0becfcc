//! What a scaler sees of instances: their places in their groups, look after look, as lanes; and what agents wrote on them, where a cloud tells that
//! beside. Whether one is busy, and with what, is in none of these looks, and so in none of these lanes.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;

use super::{
    ChartInstance, ChartSpan, Ending, Readings, Tone,
    ending::{reason, tone},
    pool::{MOST_DRAWN, interest},
};
use crate::{
    agent::phase::LeaveReason,
    cloud::{Listed, Membership},
};

/// So many instances are kept, and looked at, in all pools together: as many lanes as a page draws.
const MOST_INSTANCES: usize = 400;
/// So many turns of one instance are kept, the newest; a life has four.
const MOST_STEPS: usize = 16;

/// Where an instance stands in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Launching,
    InService,
    Aside,
    Leaving,
}

impl Stage {
    /// `None`: it is in no group.
    fn of(membership: Membership) -> Option<Self> {
        Some(match membership {
            Membership::Pending { .. } => Self::Launching,
            Membership::InService { .. } => Self::InService,
            Membership::Standby | Membership::Warming { .. } | Membership::Warm => Self::Aside,
            Membership::Terminating { .. } => Self::Leaving,
            Membership::Outside => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Launching => "launching",
            Self::InService => "in_service",
            Self::Aside => "aside",
            Self::Leaving => "leaving",
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Launching => "launching",
            Self::InService => "in service",
            Self::Aside => "aside, in standby or in a warm pool",
            Self::Leaving => "leaving",
        }
    }
}

/// An instance, as it was listed.
#[derive(Clone, Debug)]
struct Known {
    pool: String,
    /// Whether the first look at its pool found it.
    early: bool,
    /// Each turn with its look; never empty.
    steps: Vec<(Timestamp, Stage)>,
    /// The last look that found it.
    seen: Timestamp,
    /// The first look that did not.
    gone: Option<Timestamp>,
    /// See [`Listed::ready`] and [`Listed::why`].
    ready: Option<Timestamp>,
    why: Option<String>,
}

impl Known {
    /// Why it leaves or has left. One that stays after all may bear the word still.
    fn why(&self) -> Option<&str> {
        let leaves = self.gone.is_some() || self.steps.last().is_some_and(|(_, stage)| *stage == Stage::Leaving);
        self.why.as_deref().filter(|_| leaves)
    }

    /// How its end is known.
    fn ended(&self, at: Timestamp) -> String {
        format!("It was seen last at {:.0}; the look at {at:.0} found it in its group no more.", self.seen)
    }
}

/// How the last look at a pool's instances ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    Read {
        /// Whether there was room for each instance.
        all: bool,
    },
    /// Its cloud lists nobody.
    Untold,
    /// It failed, with this.
    Failed(String),
    /// There was none: more is looked at elsewhere.
    LeftOut,
}

/// The instances of a scaler's pools over time. It takes memory for so many instances and no more, whatever it is told.
#[derive(Clone, Debug, Default)]
pub struct Listings {
    lives: BTreeMap<String, Known>,
    looks: BTreeMap<String, Look>,
}

impl Listings {
    /// Which of these pools are to be looked at now: those that are drawn, as long as the instances that they should have are not too many. A pool of
    /// which that was not read yet waits until it is.
    pub fn choose<'a>(&mut self, pools: impl IntoIterator<Item = (&'a str, &'a Readings)>) -> Vec<String> {
        let mut pools: Vec<_> = pools.into_iter().filter(|(_, readings)| !readings.is_empty()).collect();
        pools.sort_by_key(|(name, readings)| (Reverse(interest(readings.list())), *name));
        let mut room = MOST_INSTANCES;
        let (mut chosen, mut looks) = (Vec::new(), BTreeMap::new());
        for (place, (name, readings)) in pools.into_iter().enumerate() {
            let Some(desired) = readings.desired() else { continue };
            let wanted = usize::try_from(desired).unwrap_or(usize::MAX);
            if place < MOST_DRAWN && wanted <= room {
                room -= wanted;
                chosen.push(name.to_owned());
                looks.extend(
                    self.looks.remove(name).filter(|look| *look != Look::LeftOut).map(|it| (name.to_owned(), it)),
                );
            } else {
                looks.insert(name.to_owned(), Look::LeftOut);
            }
        }
        self.looks = looks;
        chosen
    }

    /// A pool's group listed these at this time, and nobody else; `None`: its cloud lists nobody of any group.
    pub fn read(&mut self, pool: &str, time: Timestamp, listed: Option<&[Listed]>) {
        let Some(listed) = listed else {
            self.looks.insert(pool.to_owned(), Look::Untold);
            return;
        };
        let looked = matches!(self.looks.get(pool), Some(Look::Read { .. }));
        let early = !looked && self.lives.values().all(|life| life.pool != pool);
        let mut all = true;
        for it in listed {
            if let Some(stage) = Stage::of(it.membership) {
                all &= self.see(pool, it, (time, stage), early);
            }
        }
        for life in self.lives.values_mut().filter(|life| life.pool == pool && life.seen < time) {
            life.gone.get_or_insert(time);
        }
        self.looks.insert(pool.to_owned(), Look::Read { all });
    }

    /// A look at a pool's group failed with this.
    pub fn failed(&mut self, pool: &str, why: &str) {
        self.looks.insert(pool.to_owned(), Look::Failed(why.to_owned()));
    }

    /// Whether there was room for it.
    fn see(&mut self, pool: &str, listed: &Listed, (time, stage): (Timestamp, Stage), early: bool) -> bool {
        let Listed { instance, ready, why, .. } = listed;
        match self.lives.get_mut(instance) {
            // Two groups call two instances by one name: the first has it while it lives.
            Some(life) if life.pool != pool && life.gone.is_none() => {}
            Some(life) if life.pool == pool && life.gone.is_none() => {
                life.seen = time;
                life.ready = ready.or(life.ready);
                if why.is_some() {
                    life.why.clone_from(why);
                }
                if life.steps.last().is_none_or(|(_, last)| *last != stage) {
                    life.steps.push((time, stage));
                }
                if life.steps.len() > MOST_STEPS {
                    life.steps.remove(0);
                }
            }
            // A name comes again: the life before it has its place no more.
            again => {
                if again.is_none() && !self.make_room() {
                    return false;
                }
                let (pool, steps, why) = (pool.to_owned(), vec![(time, stage)], why.clone());
                let life = Known { pool, early, steps, seen: time, gone: None, ready: *ready, why };
                self.lives.insert(instance.clone(), life);
            }
        }
        true
    }

    /// Whether there is room for one more: where not, a quarter of those that have gone make it, the earliest, and not one by one, since whoever follows
    /// is sent all anew when some are forgotten; else those that are looked at no more do.
    fn make_room(&mut self) -> bool {
        if self.lives.len() < MOST_INSTANCES {
            return true;
        }
        let named = |name: &String, since: Timestamp| (since, name.clone());
        let mut old: Vec<_> = self.lives.iter().filter_map(|(name, life)| Some(named(name, life.gone?))).collect();
        if old.is_empty() {
            let lost = self.lives.iter().filter(|(_, life)| self.is_lost(life));
            old = lost.map(|(name, life)| named(name, life.seen)).collect();
        }
        old.sort();
        for (_, name) in &old[..old.len().div_ceil(4)] {
            self.lives.remove(name);
        }
        !old.is_empty()
    }

    /// Whether nothing is known of it any more: it was there, and its group was not looked at since.
    fn is_lost(&self, life: &Known) -> bool {
        life.gone.is_none() && !matches!(self.looks.get(&life.pool), Some(Look::Read { .. }))
    }

    /// The lanes as they were at `to`, the earliest first.
    pub(super) fn lives(&self, to: Timestamp) -> Vec<ChartInstance> {
        let mut lives: Vec<ChartInstance> =
            self.lives.iter().map(|(instance, life)| self.life(instance, life, to)).collect();
        lives.sort_by(|a, b| (a.spans[0].from, &a.instance).cmp(&(b.spans[0].from, &b.instance)));
        lives
    }

    fn life(&self, instance: &str, life: &Known, to: Timestamp) -> ChartInstance {
        let ends = life.steps.iter().skip(1).map(|(time, _)| *time).chain([life.gone.unwrap_or(to)]);
        let spans = life.steps.iter().zip(ends).map(|((from, stage), end)| ChartSpan {
            state: stage.as_str(),
            from: from.as_millisecond(),
            to: end.max(*from).as_millisecond(),
            jobs: Vec::new(),
        });
        ChartInstance {
            instance: instance.to_owned(),
            pool: life.pool.clone(),
            spans: spans.collect(),
            end: life.gone.map(|at| {
                let why = life.why().and_then(reason);
                Ending {
                    at: at.as_millisecond(),
                    reason: why.map_or("gone", LeaveReason::as_str).to_owned(),
                    trigger: life.ended(at),
                    tone: why.map_or(Tone::Plain, tone),
                }
            }),
            silent: self.is_lost(life).then(|| life.seen.as_millisecond()),
            marks: Vec::new(),
            sentences: sentences(life),
        }
    }

    /// What these looks do not tell, in sentences.
    pub(super) fn unseen(&self) -> Vec<String> {
        let count = |what: fn(&Look) -> bool| self.looks.values().filter(|look| what(look)).count();
        let of_pools = |pools: usize| format!("The instances of {pools} {}", if pools == 1 { "pool" } else { "pools" });
        let sees = if self.lives.is_empty() {
            "A scaler sees groups and their sizes: what their instances do"
        } else {
            "A scaler sees which instances its groups have, and whether these launch, are in service or leave: whether one is busy or idle"
        };
        let mut told = vec![format!(
            "{sees}, which jobs they have, what they cost, and why they left unless that was read on them, stands in the records of their agents. \
             lightsout timeline --web draws both together, and what is longer ago than this scaler's memory."
        )];
        let untold = count(|look| *look == Look::Untold);
        if untold > 0 {
            told.push(format!(
                "{} are not shown: where a group is described, their cloud names none.",
                of_pools(untold)
            ));
        }
        let left_out = count(|look| *look == Look::LeftOut);
        if left_out > 0 || count(|look| *look == Look::Read { all: false }) > 0 {
            let what = if left_out > 0 { of_pools(left_out) } else { "Some instances".to_owned() };
            told.push(format!(
                "{what} are not looked at: {MOST_INSTANCES} at most are, in the {MOST_DRAWN} pools where most waits or happens."
            ));
        }
        let failed = self.looks.values().filter_map(|look| match look {
            Look::Failed(why) => Some(why),
            Look::Read { .. } | Look::Untold | Look::LeftOut => None,
        });
        if let Some(why) = failed.clone().next() {
            told.push(format!("{} could not be looked at last: {why}.", of_pools(failed.count())));
        }
        told
    }
}

fn sentences(life: &Known) -> Vec<String> {
    let mut told = Vec::new();
    for (place, (time, stage)) in life.steps.iter().enumerate() {
        let stage = stage.in_words();
        told.push(match place {
            0 if life.early => format!("It was there already when this scaler looked first, at {time:.0}: {stage}."),
            0 => format!("The look at {time:.0} found it first: {stage}."),
            _ => format!("The look at {time:.0} found it {stage}."),
        });
    }
    if let Some(at) = life.gone {
        told.push(life.ended(at));
    }
    if let Some(at) = life.ready {
        told.push(format!("Its agent wrote on it that it was ready at {at:.0}."));
    }
    let left = match life.why() {
        Some(why) => {
            told.push(format!("Why it leaves, as its agent wrote on it: {why}."));
            "and with which jobs"
        }
        None => "with which jobs, and why it left if it did",
    };
    told.push(format!("Not known: whether it was busy, {left}, because a group's list does not tell."));
    told
}

#[cfg(test)]
mod tests;
