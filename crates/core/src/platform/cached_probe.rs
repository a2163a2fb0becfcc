//! Keeps a busy fleet from asking a platform's servers once a second from each machine.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    activity::Activity,
    exchange::{Call, EffectId, EffectResult, Exchange, ExchangeStep},
};

/// How many snapshots an answer other than quiet stands for, the one that it came in among them.
const GOOD_FOR: u8 = 15;

/// What a probe saw last, if it was not quiet. Shared by its clones.
#[derive(Clone, Debug, Default)]
pub(super) struct ProbeCache(Arc<Mutex<Option<(Activity, u8)>>>);

impl ProbeCache {
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
pub(super) fn cached_probe(probe: Call<Activity>, cache: ProbeCache) -> Call<Activity> {
    Box::new(CachedProbe { probe, cache })
}

struct CachedProbe {
    probe: Call<Activity>,
    cache: ProbeCache,
}

impl CachedProbe {
    fn step(&self, step: ExchangeStep<Activity>) -> ExchangeStep<Activity> {
        match step {
            ExchangeStep::Perform(id, ask) => ExchangeStep::Perform(id, ask),
            ExchangeStep::Wait => ExchangeStep::Wait,
            ExchangeStep::Done(result) => {
                let activity = result.unwrap_or_else(|error| Activity::Unknown(error.message));
                self.cache.keep(&activity);
                ExchangeStep::Done(Ok(activity))
            }
        }
    }
}

impl Exchange for CachedProbe {
    type Output = Activity;

    fn start(&mut self) -> ExchangeStep<Activity> {
        if let Some(activity) = self.cache.recall() {
            return ExchangeStep::Done(Ok(activity));
        }
        let step = self.probe.start();
        self.step(step)
    }

    fn resume(&mut self, id: EffectId, result: EffectResult) -> ExchangeStep<Activity> {
        let step = self.probe.resume(id, result);
        self.step(step)
    }

    fn more(&mut self) -> ExchangeStep<Activity> {
        let step = self.probe.more();
        self.step(step)
    }
}
