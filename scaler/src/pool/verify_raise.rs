//! What became of a raise that no tick follows.

use std::{collections::BTreeSet, time::Instant};

use jiff::Timestamp;
use lightsout_core::{
    cloud::{CapacityChange, ChangeKind},
    duration::not_within,
};
use tokio::time::timeout_at;

use super::{Pool, TickContext, raising::is_guarded, view};
use crate::trouble::{LONGER, Trouble};

impl Pool {
    /// Looks whether a raise stands that began at this time, where no tick follows that would see it. Gives what is wrong if the group's history
    /// shows that somebody lowered it since; a description alone may be late, and is a line in the log.
    pub(super) async fn verify_raise(
        &self,
        context: &TickContext,
        to: u32,
        began: Instant,
        until: Instant,
    ) -> Option<Trouble> {
        let settings = &*self.settings;
        // Where the cloud refuses a write over a stale reading, nobody can have missed this one; and it may be carried out later.
        if !is_guarded(context, settings) {
            return None;
        }
        let region = context.regions.region(&settings.location());
        let mut seen = None;
        let verifying = async {
            let _permit = region.histories.acquire(0).await;
            let group = BTreeSet::from([settings.group.clone()]);
            let again = context.regions.describe_one(settings.location(), group);
            let desired = view(context, settings, again, until).await?.group.desired;
            seen = Some(desired);
            if desired >= to {
                return Ok(None);
            }
            Ok(last_set(&region.groups.history(&settings.group).await?.changes, began))
        };
        let why = match timeout_at(until.into(), verifying).await {
            Ok(Ok(Some(other))) if other < to => {
                let is = seen.unwrap_or(other);
                return Some(Trouble::other(format!(
                    "the group {} was raised to {to}, and somebody set it to {other} after that, perhaps a second scaler that saw the group as it was \
                     before: its desired capacity is {is} now; run once again, or leave the group to one of them",
                    settings.group
                )));
            }
            Ok(Ok(_)) if seen.is_some_and(|seen| seen >= to) => return None,
            Ok(Ok(_)) => "its history shows nobody who lowered it".to_owned(),
            Ok(Err(Trouble { message, .. })) => message,
            Err(_) => not_within("it was not looked at", context.deadline, LONGER),
        };
        tracing::warn!(
            pool = settings.name,
            group = settings.group,
            to,
            seen,
            why,
            "no description shows the raise yet; the next run sees what became of it"
        );
        None
    }
}

/// The number that was set last since this time; of those with the same time, the highest.
fn last_set(changes: &[CapacityChange], since: Instant) -> Option<u32> {
    let since = Timestamp::now() - since.elapsed();
    let set = changes.iter().filter(|change| change.at >= since).filter_map(|change| match change.kind {
        ChangeKind::Set { to } => Some((change.at, to)),
        ChangeKind::Left => None,
    });
    set.max().map(|(_, to)| to)
}
