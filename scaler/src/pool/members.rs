//! The group's members, looked at a few times an hour at most: when it seems that some of their agents do not work.

use std::time::Duration;

use jiff::Timestamp;
use lightsout_core::{cloud::ReadyCounts, duration::not_within};
use tokio::time::{Instant, timeout_at};

use super::{Pool, TickContext};
use crate::trouble::LONGER;

/// How long a look may take, its wait for a turn included: a raise that needs none of it waits meanwhile.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

impl Pool {
    /// How many of the members have been ready, and how many should have been. `None` where that is not to be had: the numbers count alone then.
    pub(super) async fn ready_counts(&mut self, context: &TickContext) -> Option<ReadyCounts> {
        let region = context.regions.region(&self.settings.location());
        let time = LOOK_TIMEOUT.min(context.deadline / 2);
        let until = Instant::now() + time;
        let looking = async {
            let permit = timeout_at(until, region.histories.acquire(0)).await;
            let permit = permit
                .map_err(|_| "looks of other pools took all of its time; it is looked at again later".to_owned())?;
            let members = timeout_at(until, region.groups.members(&self.settings.group)).await;
            drop(permit);
            members.map_err(|_| not_within("it was not answered", time, LONGER))
        };
        let error = match looking.await {
            Ok(Ok(members)) => {
                self.members_hidden = false;
                let members = members?;
                return Some(ReadyCounts::of(&members, self.policy.silent_after, Timestamp::now()));
            }
            Ok(Err(error)) => error.to_string(),
            Err(why) => why,
        };
        if !std::mem::replace(&mut self.members_hidden, true) {
            tracing::warn!(
                pool = self.settings.name,
                group = self.settings.group,
                error,
                "the group's members cannot be looked at: an instance that waits for a job may be taken for one whose agent is dead"
            );
        }
        None
    }
}
