//! Looks at the instances of pools for the page, apart from the ticks: no raise waits for one.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    rc::Rc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lightsout_core::{
    duration::not_within,
    settings::{Location, PoolSettings},
};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::PageData;
use crate::regions::Regions;

/// How long a look at one location's groups may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long after somebody has read the page somebody still may; and how often to look while nobody does.
const UNREAD: Duration = Duration::from_secs(60);

/// Looks again and again at those that are worth a look: as often as the pools tick while somebody reads the page, else once a minute.
pub(crate) async fn look_on(
    kept: PageData,
    regions: &Regions,
    pools: Vec<Rc<PoolSettings>>,
    every: Duration,
) -> Infallible {
    let mut clock = interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None::<Instant>;
    loop {
        clock.tick().await;
        // Before the first tick there is nothing to look at: that is no look.
        if is_due(last.map(|last| last.elapsed()), kept.since_read()) && look(&kept, regions, &pools).await {
            last = Some(Instant::now());
        }
    }
}

/// Whether to look now, so long after the last look and after somebody read the page.
fn is_due(looked: Option<Duration>, read: Option<Duration>) -> bool {
    looked.is_none_or(|looked| looked >= UNREAD) || read.is_some_and(|read| read < UNREAD)
}

/// Whether there was anything to look at.
pub(crate) async fn look(kept: &PageData, regions: &Regions, pools: &[Rc<PoolSettings>]) -> bool {
    let chosen = kept.choose();
    let mut places: BTreeMap<Location, Vec<&PoolSettings>> = BTreeMap::new();
    for pool in pools.iter().filter(|pool| chosen.contains(&pool.name)) {
        places.entry(pool.location()).or_default().push(pool);
    }
    let any = !places.is_empty();
    for (location, pools) in places {
        let groups: BTreeSet<String> = pools.iter().map(|pool| pool.group.clone()).collect();
        let listing = regions.region(&location).groups.listing(&groups);
        let listed = match timeout(LOOK_TIMEOUT, listing).await {
            Ok(listed) => listed.map_err(|error| error.to_string()),
            Err(_) => Err(not_within(
                "the instances were not listed",
                LOOK_TIMEOUT,
                "the page shows those of the last look; see why the cloud is slow",
            )),
        };
        let now = Timestamp::now();
        kept.take_in(|listings| {
            for pool in pools {
                match listed.as_ref().map(|listed| listed.get(&pool.group)) {
                    Ok(None) => listings.read(&pool.name, now, None),
                    Ok(Some(Ok(listed))) => listings.read(&pool.name, now, Some(listed)),
                    Ok(Some(Err(error))) => listings.failed(&pool.name, &error.to_string()),
                    Err(why) => listings.failed(&pool.name, why),
                }
            }
        });
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_asked_in_each_tick_while_somebody_reads_and_once_a_minute_else() {
        let s = |seconds| Some(Duration::from_secs(seconds));
        assert!(is_due(None, None), "the first look has somewhere to begin");
        assert!(!is_due(s(10), None) && is_due(s(60), None));
        assert!(is_due(s(10), s(3)) && !is_due(s(10), s(70)) && is_due(s(65), s(70)));
    }
}
