//! Looks at the instances of pools for the page, apart from the ticks: no raise waits for one.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    rc::Rc,
    time::Duration,
};

use jiff::Timestamp;
use lightsout_core::{
    duration::format_about,
    settings::{Location, PoolSettings},
};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Kept;
use crate::regions::Regions;

/// How long a look at one location's groups may take.
const LOOK: Duration = Duration::from_secs(10);

/// Looks again and again, as often as the pools tick, at those that are worth a look.
pub(crate) async fn look_on(
    kept: Kept,
    regions: &Regions,
    pools: Vec<Rc<PoolSettings>>,
    every: Duration,
) -> Infallible {
    let mut clock = interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        look(&kept, regions, &pools).await;
    }
}

pub(crate) async fn look(kept: &Kept, regions: &Regions, pools: &[Rc<PoolSettings>]) {
    let chosen = kept.choose();
    let mut places: BTreeMap<Location, Vec<&PoolSettings>> = BTreeMap::new();
    for pool in pools.iter().filter(|pool| chosen.contains(&pool.name)) {
        places.entry(pool.location()).or_default().push(pool);
    }
    for (location, pools) in places {
        let groups: BTreeSet<String> = pools.iter().map(|pool| pool.group.clone()).collect();
        let listing = regions.region(&location).groups.listing(&groups);
        let listed = match timeout(LOOK, listing).await {
            Ok(listed) => listed.map_err(|error| error.to_string()),
            Err(_) => Err(format!("it was not answered within {}", format_about(LOOK))),
        };
        let now = Timestamp::now();
        kept.take_in(|listings| {
            for pool in pools {
                match &listed {
                    Ok(listed) => listings.read(&pool.name, now, listed.get(&pool.group).map(Vec::as_slice)),
                    Err(why) => listings.failed(&pool.name, why),
                }
            }
        });
    }
}
