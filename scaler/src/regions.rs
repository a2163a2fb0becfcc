//! The groups of each region, described at once for all pools that have one there.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, Shared},
};
use lightsout_cloud::{GroupDescription, Groups};
use lightsout_core::{cloud::CloudError, settings::Location};

use crate::call_permits::CallPermits;

/// How many changes are sent to one region at once; clouds have one budget for all calls of an account in a region.
const WRITES_AT_ONCE: usize = 16;

/// How many histories are read for failed launches in one region at once. What is told after a tick holds no raise up.
const HISTORIES_AT_ONCE: usize = 4;

/// All regions in which pools have groups.
pub(crate) struct Regions(Rc<BTreeMap<Location, Region>>);

/// One region's groups.
pub(crate) struct Region {
    pub(crate) groups: Box<dyn Groups>,
    /// For what is changed.
    pub(crate) writes: CallPermits,
    /// For histories that are read to tell why nothing comes of a raise.
    pub(crate) histories: CallPermits,
}

/// What one describe said.
#[derive(Debug)]
pub(crate) struct Views {
    pub(crate) groups: BTreeMap<String, GroupDescription>,
    /// When it was answered.
    pub(crate) at: Instant,
    /// How long it took.
    pub(crate) took: Duration,
}

/// A describe under way, for all who wait for it.
pub(crate) type PendingDescribe = Shared<LocalBoxFuture<'static, Result<Rc<Views>, CloudError>>>;

impl Regions {
    /// These regions, each with the groups that `open` gives.
    pub(crate) fn open(names: BTreeSet<Location>, open: impl Fn(Location) -> Box<dyn Groups>) -> Self {
        let region = |name: Location| Region {
            groups: open(name),
            writes: CallPermits::new(WRITES_AT_ONCE),
            histories: CallPermits::new(HISTORIES_AT_ONCE),
        };
        Self(Rc::new(names.into_iter().map(|name| (name.clone(), region(name))).collect()))
    }

    /// One of the regions that were opened.
    pub(crate) fn region(&self, name: &Location) -> &Region {
        &self.0[name]
    }

    /// Begins one describe a region.
    pub(crate) fn describe(&self, groups: BTreeMap<Location, BTreeSet<String>>) -> BTreeMap<Location, PendingDescribe> {
        groups.into_iter().map(|(name, groups)| (name.clone(), self.describe_one(name, groups))).collect()
    }

    /// Begins a describe of these groups of one region.
    pub(crate) fn describe_one(&self, name: Location, groups: BTreeSet<String>) -> PendingDescribe {
        let regions = Rc::clone(&self.0);
        let describing = async move {
            let started = Instant::now();
            let groups = regions[&name].groups.describe(&groups).await?;
            Ok(Rc::new(Views { groups, at: Instant::now(), took: started.elapsed() }))
        };
        describing.boxed_local().shared()
    }
}
