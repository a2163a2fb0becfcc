//! The page of `watch --listen`: what was read of the pools, decided, and seen of their instances, as far as it is in memory.

mod looks;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lightsout_core::{
    chart::{Chart, Listings, Readings},
    record::Decision,
};
use lightsout_page::{Gate, Page, Source};
use tokio::sync::oneshot;

#[cfg(test)]
pub(crate) use looks::look;
pub(crate) use looks::look_on;

/// So many readings of all pools together are kept, of some 250 bytes each: more than half a day of a busy pool.
const MOST_READINGS: usize = 4096;
/// So many may follow at once. Who reads through the proxy of the webhooks shares one address with it, which has 16 connections.
const MOST_FOLLOWERS: u32 = 8;

/// What is kept of all pools, for the page.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageData(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    pools: BTreeMap<String, Readings>,
    listings: Listings,
    /// When the page was read last.
    read: Option<Instant>,
}

impl Memory {
    fn readings(pools: &BTreeMap<String, Readings>) -> impl Iterator<Item = (&str, &Readings)> {
        pools.iter().map(|(name, readings)| (name.as_str(), readings))
    }
}

impl PageData {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the record of a tick. Where there are too many readings, a quarter of the pool's that has most goes, the oldest first: not one by one,
    /// since whoever follows is sent all of a pool anew that has lost some.
    pub(crate) fn keep(&self, decision: &Decision) {
        let Ok(time) = decision.time.parse() else { return };
        let mut memory = self.lock();
        let pools = &mut memory.pools;
        pools.entry(decision.pool.clone()).or_default().push(time, decision);
        while pools.values().map(Readings::len).sum::<usize>() > MOST_READINGS {
            let Some(most) = pools.values_mut().max_by_key(|readings| readings.len()).filter(|most| most.len() > 1)
            else {
                break;
            };
            most.forget(most.len().div_ceil(4));
        }
    }

    /// The pools at whose instances to look now.
    fn choose(&self) -> Vec<String> {
        let mut memory = self.lock();
        let Memory { pools, listings, .. } = &mut *memory;
        listings.choose(Memory::readings(pools))
    }

    /// How long ago somebody read the page.
    fn since_read(&self) -> Option<Duration> {
        self.lock().read.map(|read| read.elapsed())
    }

    /// Takes in what looks found.
    fn take_in(&self, found: impl FnOnce(&mut Listings)) {
        found(&mut self.lock().listings);
    }
}

impl Source for PageData {
    type Error = Infallible;

    async fn look(&mut self) -> Result<Chart, Infallible> {
        let mut memory = self.lock();
        memory.read = Some(Instant::now());
        let Memory { pools, listings, .. } = &*memory;
        Ok(Chart::of_pools(Memory::readings(pools), listings, Timestamp::now()))
    }

    fn end(&self) -> &'static str {
        "This scaler has stopped, and what it kept in memory is gone; its records are where its output goes"
    }
}

/// The page while it is served.
pub(crate) struct ServedPage {
    pub(crate) page: Page,
    /// Where to look.
    pub(crate) link: String,
    stop: oneshot::Sender<()>,
}

impl ServedPage {
    /// Draws what is kept, on a thread of its own, for whoever is let in at this address. `behind_proxy`: what is asked there may come from anywhere, so
    /// that loopback's own names prove nothing.
    pub(crate) fn start(at: SocketAddr, behind_proxy: bool, kept: PageData) -> io::Result<Self> {
        let gate = if behind_proxy { Gate::with_token() } else { Gate::new(at) }?;
        let link = gate.link(at);
        let (page, picture) = lightsout_page::open(gate, kept, MOST_FOLLOWERS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name("page".to_owned()).spawn(move || runtime.block_on(picture.run(stopped)))?;
        Ok(Self { page, link, stop })
    }

    /// Tells those who follow that it ends.
    pub(crate) async fn finish(self) {
        drop(self.stop);
        self.page.farewell().await;
    }
}

#[cfg(test)]
mod tests {
    use lightsout_core::record::Record;

    use super::*;

    /// A tick that read so many jobs.
    fn tick(second: i64, pool: &str, queued: usize) -> Decision {
        let time = Timestamp::from_second(1_795_662_000 + second).unwrap();
        let line = format!(
            "{{\"schema\":1,\"kind\":\"decision\",\"time\":\"{time}\",\"pool\":\"{pool}\",\"group\":\"g\",\"platform\":\"any\",\"result\":\"held\",\
             \"reason\":\"{queued} waiting\",\"ms\":{{\"demand\":1,\"describe\":1,\"raise\":null,\"total\":1}}}}"
        );
        let Some(Record::Decision(decision)) = Record::find(&line) else { panic!("{line}") };
        decision
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_no_pool_is_forgotten() {
        let mut kept = PageData::default();
        kept.keep(&tick(0, "quiet", 0));
        for second in 0..3 * 4096 {
            kept.keep(&tick(second, "busy", usize::try_from(second).unwrap()));
            kept.keep(&tick(second, "quiet", 0));
        }
        let chart = kept.look().await.unwrap();
        let pools: Vec<_> = chart.pools.iter().map(|pool| (pool.pool.as_str(), pool.readings.len())).collect();
        let [("busy", busy), ("quiet", 1)] = pools[..] else { panic!("{pools:?}") };
        assert!((MOST_READINGS / 2..MOST_READINGS).contains(&busy), "{busy}");
        assert!(chart.pools[0].readings.last().unwrap().sentence.ends_with("12287 waiting"), "the newest are kept");

        let many = PageData::default();
        for pool in 0..MOST_READINGS + 9 {
            many.keep(&tick(0, &format!("p{pool}"), 0));
        }
        let mut many = many;
        assert_eq!(many.look().await.unwrap().pools.len(), MOST_READINGS + 9, "each has its newest");
    }
}
