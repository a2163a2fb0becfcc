//! What a tick leaves behind: the record of its decision.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use lightsout_core::{
    record::{Decision, Outcome, TickTimes},
    scaling::Plan,
};

use super::Pool;

impl Pool {
    pub(super) fn record(&self) -> Decision {
        Decision {
            time: String::new(),
            pool: self.settings.name.clone(),
            group: self.settings.group.clone(),
            cloud: Some(self.settings.cloud),
            platform: self.settings.platform.platform().to_owned(),
            result: Outcome::Held,
            to: None,
            why: None,
            reason: None,
            missing: None,
            error: None,
            trouble: None,
            failed_launches: Vec::new(),
            launches_suspended: false,
            ms: TickTimes::default(),
        }
    }

    /// The record of a run that leaves the platform alone. What failed before stands until it is asked again.
    pub(crate) fn left_alone(&self) -> Decision {
        let mut record = self.record();
        let left = self.not_before.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
        let until = format!("{:.0}", Timestamp::now() + left);
        record.time = now();
        record.reason = Some(format!("left alone until {until}, as its platform wishes"));
        if let Some((trouble, failure)) = &self.failed {
            record.result = Outcome::Failed;
            record.trouble = Some(*trouble);
            record.error = Some(format!("left alone until {until}, as its platform wishes: {failure}"));
        }
        record
    }
}

pub(super) fn explain(record: &mut Decision, decided: &Plan) {
    record.reason = Some(decided.explanation().to_string());
    record.why = Some(decided.explanation().clone());
    record.to = match decided {
        Plan::Hold(_) => None,
        Plan::Raise { to, .. } => Some(*to),
    };
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The time of day, to the millisecond.
pub(super) fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

/// The time since the Unix epoch: what is experienced is passed on between processes, and the monotonic clock stands still
/// while the machine does.
pub(super) fn wall_clock() -> Duration {
    Timestamp::now().duration_since(Timestamp::UNIX_EPOCH).try_into().unwrap_or_default()
}
