//! The metrics of all pools, where somebody wants them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use jiff::Timestamp;
use lightsout_core::{
    metrics::{Registry, ScalerMeter, TickExtras, emf},
    platform::Waits,
    record::Decision,
    settings::PoolSettings,
};
use lightsout_io::metrics::Metered;

/// Counts what pools do; without anybody who wants to know, nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Option<Arc<Counting>>);

#[derive(Debug)]
struct Counting {
    began: Instant,
    meter: Mutex<ScalerMeter>,
    /// Whether CloudWatch's lines are wanted.
    emf: bool,
}

impl Meter {
    /// Counts for these pools; `emf`: for CloudWatch's lines, too.
    pub(crate) fn new<'a>(pools: impl IntoIterator<Item = &'a PoolSettings>, emf: bool) -> Self {
        let names = pools.into_iter().map(|pool| pool.name.as_str());
        let meter = Mutex::new(ScalerMeter::new(names, emf));
        Self(Some(Arc::new(Counting { began: Instant::now(), meter, emf })))
    }

    /// What is counted, for those who show it.
    pub(crate) fn metered(&self) -> Option<Arc<dyn Metered>> {
        self.0.clone().map(|counting| counting as Arc<dyn Metered>)
    }

    /// A call failed; no word: that was to be expected.
    pub(crate) fn failed(&self, pool: &str, source: &'static str, reason: Option<&'static str>) {
        if let (Some(counting), Some(reason)) = (&self.0, reason) {
            counting.meter.lock().unwrap_or_else(PoisonError::into_inner).failed(pool, source, reason);
        }
    }

    /// A tick ended.
    pub(crate) fn ticked(&self, record: &Decision, waits: Option<Waits>) {
        if let Some(counting) = &self.0 {
            let now = counting.began.elapsed();
            counting.meter.lock().unwrap_or_else(PoisonError::into_inner).ticked(record, &TickExtras { waits }, now);
        }
    }

    /// CloudWatch's lines about what is new of a pool; none where they are not wanted.
    pub(crate) fn lines(&self, pool: &str) -> Vec<String> {
        let Some(counting) = self.0.as_ref().filter(|counting| counting.emf) else { return Vec::new() };
        let now = counting.began.elapsed();
        let mut meter = counting.meter.lock().unwrap_or_else(PoisonError::into_inner);
        emf::lines(meter.at(now), pool, Timestamp::now().as_millisecond())
    }
}

impl Metered for Counting {
    fn look(&self, at: &mut dyn FnMut(&Registry)) {
        let now = self.began.elapsed();
        at(self.meter.lock().unwrap_or_else(PoisonError::into_inner).at(now));
    }
}
