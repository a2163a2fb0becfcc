//! What the snapshots have shown so far.

use crate::{activity::Activity, time::Tick};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Observed {
    activity: Activity,
    /// Since when no snapshot could tell anything.
    doubt_since: Option<Tick>,
    /// Whether a job is running for the count of served jobs.
    working: bool,
    served: u32,
}

impl Observed {
    pub(super) fn new(served: u32) -> Self {
        let activity = Activity::Unknown("nothing has been observed yet".into());
        Self { activity, doubt_since: None, working: false, served }
    }

    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    pub(super) fn quiet(&self) -> bool {
        self.activity == Activity::Quiet
    }

    /// Whether a job is seen, or what may be one; a doubt is none.
    pub(super) fn job_seen(&self) -> bool {
        matches!(self.activity, Activity::Busy(_) | Activity::Occupied(_))
    }

    pub(super) fn doubt_since(&self) -> Option<Tick> {
        self.doubt_since
    }

    pub(super) fn served(&self) -> u32 {
        self.served
    }

    /// A doubt counts from now on.
    pub(super) fn restart_doubt(&mut self, now: Tick) {
        self.doubt_since = self.doubt_since.map(|_| now);
    }

    /// Takes in a snapshot; whether a job is counted as running.
    pub(super) fn take(&mut self, activity: Activity, now: Tick) -> bool {
        match &activity {
            Activity::Busy(_) if !self.working => {
                self.working = true;
                self.served = self.served.saturating_add(1);
            }
            // What keeps the instance is not always a job: a sidecar, a hook at the runner's start, what a job left behind.
            Activity::Quiet | Activity::Occupied(_) => self.working = false,
            Activity::Busy(_) | Activity::Unknown(_) => {}
        }
        self.doubt_since = matches!(activity, Activity::Unknown(_)).then(|| self.doubt_since.unwrap_or(now));
        self.activity = activity;
        self.working
    }
}
