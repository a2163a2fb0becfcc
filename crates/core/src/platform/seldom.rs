//! Keeps a busy fleet from asking a platform's servers once a second from each machine.

use std::sync::{Arc, Mutex, PoisonError};

use super::Talk;
use crate::{
    activity::Activity,
    wire::{Conversation, Step, Told},
};

/// How many snapshots an answer other than quiet stands for, the one that it came in among them.
const GOOD_FOR: u8 = 15;

/// What a probe saw last, if it was not quiet. Shared by its clones.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<Option<(Activity, u8)>>>);

impl Memory {
    /// Makes the next snapshot ask again.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn recall(&self) -> Option<Activity> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_mut() {
            Some((activity, left @ 1..)) => {
                *left -= 1;
                Some(activity.clone())
            }
            Some(_) | None => None,
        }
    }

    fn keep(&self, activity: &Activity) {
        let kept = (*activity != Activity::Quiet).then(|| (activity.clone(), GOOD_FOR - 1));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }
}

/// A probe that asks only at every 15th snapshot while it sees a job or nothing certain: both are safe to believe for a
/// while. Quiet is never taken from memory. A failure is unknown.
pub(super) fn seldom(probe: Talk<Activity>, memory: Memory) -> Talk<Activity> {
    Box::new(Seldom { probe, memory })
}

struct Seldom {
    probe: Talk<Activity>,
    memory: Memory,
}

impl Seldom {
    fn step(&self, step: Step<Activity>) -> Step<Activity> {
        match step {
            Step::Ask(ask) => Step::Ask(ask),
            Step::Done(result) => {
                let activity = result.unwrap_or_else(|error| Activity::Unknown(error.message));
                self.memory.keep(&activity);
                Step::Done(Ok(activity))
            }
        }
    }
}

impl Conversation for Seldom {
    type Output = Activity;

    fn start(&mut self) -> Step<Activity> {
        if let Some(activity) = self.memory.recall() {
            return Step::Done(Ok(activity));
        }
        let step = self.probe.start();
        self.step(step)
    }

    fn told(&mut self, told: Told) -> Step<Activity> {
        let step = self.probe.told(told);
        self.step(step)
    }
}
