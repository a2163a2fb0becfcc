//! The pool's group, as its cloud describes it.

use std::time::{Duration, Instant};

use lightsout_cloud::GroupView;
use lightsout_core::{duration::not_within, metrics::cloud_reason, record::TickTrouble, settings::PoolSettings};
use tokio::time::timeout_at;

use super::TickContext;
use crate::{
    regions::PendingDescribe,
    trouble::{LONGER, Trouble},
};

/// One group out of a describe.
pub(crate) struct View {
    pub(crate) group: GroupView,
    pub(super) at: Instant,
    pub(super) took: Duration,
}

/// Waits for the describe and picks the pool's group.
pub(crate) async fn view(
    context: &TickContext,
    settings: &PoolSettings,
    describing: PendingDescribe,
    until: Instant,
) -> Result<View, Trouble> {
    let location = || context.regions.region(&settings.location()).groups.location();
    let views = timeout_at(until.into(), describing).await.map_err(|_| {
        context.meter.failed(&settings.name, "group", Some("timeout"));
        let what = format!("the groups of {} were not described", location());
        Trouble::late(not_within(what, context.deadline, LONGER))
    })?;
    let views = views.inspect_err(|error| context.meter.failed(&settings.name, "group", cloud_reason(error.kind)))?;
    match views.groups.get(&settings.group) {
        Some(Err(error)) => {
            context.meter.failed(&settings.name, "group", cloud_reason(error.kind));
            Err(error.clone().into())
        }
        Some(Ok(GroupView { unscalable: Some(why), .. })) => {
            Err(Trouble::other(format!("the group {} of {} cannot be scaled: {why}", settings.group, location())))
        }
        Some(Ok(group)) => Ok(View { group: group.clone(), at: views.at, took: views.took }),
        None => {
            context.meter.failed(&settings.name, "group", Some("not_found"));
            let message = format!(
                "there is no group {} in {}; create it, or correct group or region of the pool {}",
                settings.group,
                location(),
                settings.name
            );
            Err(Trouble { kind: TickTrouble::NotFound, message })
        }
    }
}
