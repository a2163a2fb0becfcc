//! What all pools share: the platforms' driver, secrets, and the groups of each region.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    env,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, Shared},
};
use lightsout_cloud::aws::{
    AwsError,
    groups::{Group, GroupView},
};
use lightsout_core::settings::ScalerSettings;
use lightsout_io::http::Driver;
use tokio::sync::Semaphore;

use crate::{pool::Pool, tokens::Tokens};

/// How many changes are sent to one region at once; AWS has one budget for all calls of an account in a region.
const WRITES_AT_ONCE: usize = 16;

/// What pools need to tick.
pub(crate) struct World<G> {
    pub(crate) driver: Driver,
    pub(crate) tokens: Tokens,
    /// How long one tick of one pool may take.
    pub(crate) deadline: Duration,
    /// Whether nothing may be changed.
    pub(crate) dry_run: bool,
    regions: Rc<BTreeMap<Option<String>, Region<G>>>,
}

/// One region's groups.
pub(crate) struct Region<G> {
    pub(crate) groups: G,
    pub(crate) writes: Semaphore,
}

/// What a describe of all pools of a region said.
#[derive(Debug)]
pub(crate) struct Views {
    pub(crate) groups: BTreeMap<String, GroupView>,
    /// When it was answered.
    pub(crate) at: Instant,
    /// How long it took.
    pub(crate) took: Duration,
}

/// A describe under way, for all who wait for it.
pub(crate) type Describing = Shared<LocalBoxFuture<'static, Result<Rc<Views>, AwsError>>>;

impl<G: Group + 'static> World<G> {
    /// The regions of these settings, each with the groups that `open` gives.
    pub(crate) fn new(
        driver: Driver,
        tokens: Tokens,
        settings: &ScalerSettings,
        open: impl Fn(Option<String>) -> G,
    ) -> Self {
        let mut regions = BTreeMap::new();
        for pool in &settings.pools {
            if let Entry::Vacant(entry) = regions.entry(pool.region.clone()) {
                entry.insert(Region { groups: open(pool.region.clone()), writes: Semaphore::new(WRITES_AT_ONCE) });
            }
        }
        Self { driver, tokens, deadline: settings.deadline, dry_run: false, regions: Rc::new(regions) }
    }

    /// The region of a pool of these settings.
    pub(crate) fn region(&self, region: Option<&String>) -> &Region<G> {
        &self.regions[&region.cloned()]
    }

    /// Begins one describe a region for all of these pools.
    pub(crate) fn describe(&self, pools: &[Pool]) -> BTreeMap<Option<String>, Describing> {
        let mut names: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
        for pool in pools {
            names.entry(pool.settings.region.clone()).or_default().push(pool.settings.group.clone());
        }
        names
            .into_iter()
            .map(|(region, names)| {
                let regions = Rc::clone(&self.regions);
                let of = region.clone();
                let describing = async move {
                    let started = Instant::now();
                    let groups = regions[&of].groups.describe(&names).await?;
                    Ok(Rc::new(Views { groups, at: Instant::now(), took: started.elapsed() }))
                };
                (region, describing.boxed_local().shared())
            })
            .collect()
    }
}

/// A region's name for messages.
pub(crate) fn region_name(region: Option<&String>) -> String {
    let of_environment = || ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| env::var(name).ok());
    region.cloned().or_else(of_environment).unwrap_or_else(|| "the environment's region".into())
}
