//! What became of a raise that no tick follows.

use std::{
    collections::BTreeSet,
    rc::Rc,
    time::{Duration, Instant},
};

use lightsout_core::cloud::ChangeKind;

use super::{
    Pool, TickContext, View,
    raising::{is_guarded, second_look},
    view,
};
use crate::trouble::Trouble;

/// How far the times of a group's history may be cut off: some clouds tell whole seconds.
const HISTORY_STEP: Duration = Duration::from_secs(1);

impl Pool {
    /// Looks whether a raise stands, where no tick follows that would see it.
    ///
    /// # Errors
    /// When somebody else lowered it, as a second scaler does that writes a smaller number over a description from before.
    pub(super) async fn look_after(&mut self, context: &TickContext, before: &View, to: u32) -> Result<(), Trouble> {
        let settings = Rc::clone(&self.settings);
        // Where the cloud refuses a write over a stale reading, nobody can have missed this one; and it may be carried out later.
        if !is_guarded(context, &settings) {
            return Ok(());
        }
        let until = Instant::now() + context.deadline;
        let names = BTreeSet::from([settings.group.clone()]);
        let seen = view(context, &settings, context.regions.describe_one(settings.location(), names), until).await;
        let seen = match seen {
            Ok(seen) if seen.group.desired >= to => return Ok(()),
            Ok(seen) => seen.group.desired,
            Err(why) => {
                tracing::warn!(
                    pool = settings.name,
                    to,
                    why = why.message,
                    "whether the raise stands could not be seen"
                );
                return Ok(());
            }
        };
        // What the history tells of before the raise was known when that was decided.
        let since = self.time(before.at).saturating_sub(HISTORY_STEP);
        let history = second_look(context, &settings, false, until).await.history;
        let changes = history.and_then(Result::ok).map(|history| self.times(&history.changes)).unwrap_or_default();
        let changes = changes.iter().filter(|change| change.at >= since).map(|change| change.kind);
        let (mut left, mut lower) = (0, None);
        for change in changes {
            match change {
                ChangeKind::Left => left += 1,
                ChangeKind::Set { to: other } if other < to => lower = Some(other),
                ChangeKind::Set { .. } => {}
            }
        }
        let who = match lower {
            _ if seen + left >= to => return Ok(()),
            Some(other) => format!("somebody set it to {other}"),
            // Others write what they need above this number, and do not write it again.
            None if seen == before.group.desired => {
                tracing::warn!(pool = settings.name, to, seen, "the group's description does not show the raise yet");
                return Ok(());
            }
            None => "somebody else lowered it".to_owned(),
        };
        Err(Trouble::other(format!(
            "the group {} was raised to {to}, and its desired capacity is {seen} a moment later: {who}, perhaps a second scaler that saw the \
             group as it was before; run once again, or leave the group to one of them",
            settings.group
        )))
    }
}
