//! What the cloud announces about the instance's end, in the records' words.

use super::{Chronicle, Moment};
use crate::{
    cloud::Ending,
    record::{IncidentKind, NoticeKind},
};

impl Chronicle {
    /// Something is going to end the instance, or what runs on it, at this time if that was told.
    pub(super) fn announced(&mut self, by: Ending, at: Option<String>, now: Moment) {
        let when = at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
        match by {
            Ending::Interruption => {
                let detail = format!("the cloud ends the instance{when}");
                self.noticed(NoticeKind::Spot, IncidentKind::SpotNotice, at, &detail, now);
            }
            Ending::Maintenance => {
                let detail = format!("the cloud has scheduled maintenance{when}");
                self.noticed(NoticeKind::Maintenance, IncidentKind::MaintenanceNotice, at, &detail, now);
            }
            // What it has asked for itself is no news.
            Ending::Termination if self.retires() => {}
            Ending::Termination => {
                self.hook.began(now.tick);
                let until = at.as_ref().map(|at| format!(", and ends it at {at}")).unwrap_or_default();
                let detail = format!(
                    "the group moves the instance to Terminated{until}: a refresh, a scale-in, or somebody's wish"
                );
                self.noticed(NoticeKind::ScaleIn, IncidentKind::ScaleInNotice, at, &detail, now);
            }
        }
    }
}
