//! `decision`: what the scaler saw, decided and did, one record for each pool and tick.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::line;
use crate::{scaling::Explanation, settings::CloudName};

/// What became of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was to be done.
    Held,
    /// The desired capacity was raised.
    Raised,
    /// It would have been raised, but this was a dry run.
    WouldRaise,
    /// It is to be raised, and other raises of its region went first: it is carried into the next tick.
    Queued,
    /// Somebody else reads the queue, and only one can: this scaler waits to take over, see the reason.
    Standby,
    /// Something failed, see the error; nothing was changed.
    Failed,
}

impl Outcome {
    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Raised => "raised",
            Self::WouldRaise => "would_raise",
            Self::Queued => "queued",
            Self::Standby => "standby",
            Self::Failed => "failed",
        }
    }
}

/// How long the parts of a tick took, in milliseconds; `None` for a part that did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickTimes {
    /// Reading the queue.
    pub demand: Option<u64>,
    /// Reading the group; shared by all pools of a region, and at the same time as the queue.
    pub describe: Option<u64>,
    /// Raising.
    pub raise: Option<u64>,
    /// All together.
    pub total: u64,
}

/// What kind of failure keeps a tick from its work, or from a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TickTrouble {
    /// The token or the credentials are missing, wrong or expired.
    Unauthorized,
    /// They lack a right.
    Forbidden,
    /// What was named does not exist, or may not be seen.
    NotFound,
    /// Too many requests.
    Throttled,
    /// No answer, or a failure of the other side: it may pass by itself.
    Unavailable,
    /// Something else: see the message.
    Other,
}

/// Why a group could not launch an instance, as far as its own words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchTrouble {
    /// The cloud has no such machine to give now.
    Capacity,
    /// The account may have no more of them.
    Quota,
    /// The disk's key may not be used by whoever launches the group's instances.
    Key,
    /// A launch hook ran out, or its answer was to abandon the instance.
    Hook,
    /// The image, the launch template or a right is missing or wrong.
    Settings,
    /// Something else: see the message.
    Other,
}

/// A launch that failed, as the group's history tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedLaunch {
    /// When it was begun, RFC 3339 in UTC.
    pub time: String,
    pub trouble: LaunchTrouble,
    /// The cloud's own words, at most 300 characters of them.
    pub message: String,
}

/// One pool's tick. The JSON form is one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When it ended, RFC 3339 in UTC.
    pub time: String,
    pub pool: String,
    pub group: String,
    /// Whose group that is; `None` where an older scaler wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<CloudName>,
    /// Its CI platform.
    pub platform: String,
    /// What became of it.
    pub result: Outcome,
    /// The new desired capacity, when it was or would have been raised, or waits for its turn to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// Inputs, terms and limits of the plan; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Explanation>,
    /// `why` as a sentence, or what a scaler that stands by waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What of the queue was not read, and why: the plan was made for what was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// What failed; where the capacity was raised, what somebody set it to after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What kind of failure `error` or `missing` is; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<TickTrouble>,
    /// Launches of the group that failed lately, the newest first and at most three; looked up while jobs wait and nothing comes of a raise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_launches: Vec<FailedLaunch>,
    /// Whether the group's launches are switched off, so that a raise starts nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub launches_suspended: bool,
    /// How long it took.
    pub ms: TickTimes,
}

impl Decision {
    /// What went wrong, if anything did: in a tick that failed, or that did its work with a part of the queue.
    pub fn failure(&self) -> Option<&str> {
        self.error.as_deref().or(self.missing.as_deref())
    }

    /// What became of the tick, and why, as one sentence without its time and its pool.
    pub fn sentence(&self) -> String {
        let desired = self.why.as_ref().map(|why| why.desired);
        let mut text = match (self.result, desired, self.to) {
            (Outcome::Raised, Some(from), Some(to)) => format!("raised {from} -> {to}"),
            (Outcome::WouldRaise, Some(from), Some(to)) => format!("would raise {from} -> {to} (dry run)"),
            (Outcome::Queued, Some(from), Some(to)) => format!("waits for its turn to be raised {from} -> {to}"),
            (Outcome::Held | Outcome::Raised | Outcome::WouldRaise | Outcome::Queued | Outcome::Standby, ..) => {
                self.result.as_str().to_owned()
            }
            (Outcome::Failed, _, Some(to)) => format!("FAILED to raise to {to}"),
            (Outcome::Failed, _, None) => "FAILED".to_owned(),
        };
        for said in [&self.error, &self.reason].into_iter().flatten() {
            text += ": ";
            text += said;
        }
        if let Some(missing) = &self.missing {
            text += "; the queue was read in part: ";
            text += missing;
        }
        text
    }

    /// The record as one line of JSON.
    pub fn json(&self) -> String {
        line("decision", self)
    }
}

impl fmt::Display for Decision {
    /// The record as one line to read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} [{}, {} ms", self.time, self.pool, self.sentence(), self.platform, self.ms.total)?;
        if self.pool != self.group {
            write!(f, ", group {}", self.group)?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        platform::Demand,
        scaling::{Capacity, PlanHistory, ScalerPolicy, plan},
    };

    fn record(result: Outcome, to: Option<u32>) -> Decision {
        let demand = Demand { queued: 3, running: Some(4), poll_after: None };
        let capacity = Capacity { max: 10, desired: 5, ..Capacity::default() };
        let why = plan(&ScalerPolicy::default(), &demand, capacity, PlanHistory::default()).explanation().clone();
        Decision {
            time: "2026-11-21T03:00:00.250Z".into(),
            pool: "linux".into(),
            group: "linux".into(),
            cloud: Some(CloudName::Aws),
            platform: "gitlab".into(),
            result,
            to,
            reason: Some(why.to_string()),
            why: Some(why),
            missing: None,
            error: None,
            trouble: None,
            failed_launches: Vec::new(),
            launches_suspended: false,
            ms: TickTimes { demand: Some(31), describe: Some(12), raise: None, total: 43 },
        }
    }

    #[test]
    fn reads_well_at_3_am() {
        let raised = record(Outcome::Raised, Some(7));
        let failed = Decision {
            why: None,
            reason: None,
            error: Some("GitLab answers 502".into()),
            group: "ci-linux".into(),
            ..record(Outcome::Failed, None)
        };
        let standby = Decision {
            why: None,
            reason: Some("waits for the session of the runner scale set linux".into()),
            ..record(Outcome::Standby, None)
        };
        let partly =
            Decision { missing: Some("1 of 9 projects was refused".into()), ..record(Outcome::Raised, Some(7)) };
        let refused = Decision { error: Some("AWS refused it".into()), ..record(Outcome::Failed, Some(7)) };
        for (record, expected) in [
            (
                raised,
                "2026-11-21T03:00:00.250Z linux raised 5 -> 7: 3 waiting + 4 running: need 7; desired is 5 [gitlab, 43 ms]",
            ),
            (
                record(Outcome::WouldRaise, Some(7)),
                "2026-11-21T03:00:00.250Z linux would raise 5 -> 7 (dry run): 3 waiting + 4 running: need 7; desired is 5 [gitlab, 43 ms]",
            ),
            (
                record(Outcome::Queued, Some(7)),
                "2026-11-21T03:00:00.250Z linux waits for its turn to be raised 5 -> 7: 3 waiting + 4 running: need 7; desired is 5 \
                 [gitlab, 43 ms]",
            ),
            (
                record(Outcome::Held, None),
                "2026-11-21T03:00:00.250Z linux held: 3 waiting + 4 running: need 7; desired is 5 [gitlab, 43 ms]",
            ),
            (
                standby,
                "2026-11-21T03:00:00.250Z linux standby: waits for the session of the runner scale set linux [gitlab, 43 ms]",
            ),
            (
                partly,
                "2026-11-21T03:00:00.250Z linux raised 5 -> 7: 3 waiting + 4 running: need 7; desired is 5; the queue was read in part: \
                 1 of 9 projects was refused [gitlab, 43 ms]",
            ),
            (failed, "2026-11-21T03:00:00.250Z linux FAILED: GitLab answers 502 [gitlab, 43 ms, group ci-linux]"),
            (
                refused,
                "2026-11-21T03:00:00.250Z linux FAILED to raise to 7: AWS refused it: 3 waiting + 4 running: need 7; desired is 5 \
                 [gitlab, 43 ms]",
            ),
        ] {
            assert_eq!(record.to_string(), expected);
        }
    }

    #[test]
    fn is_one_line_of_json_that_can_be_read_back() {
        let record = record(Outcome::Raised, Some(7));
        let json = record.json();
        assert_eq!(
            json,
            "{\"schema\":1,\"kind\":\"decision\",\"time\":\"2026-11-21T03:00:00.250Z\",\"pool\":\"linux\",\"group\":\"linux\",\"cloud\":\"aws\",\"platform\":\"gitlab\",\"result\":\"raised\",\
             \"to\":7,\"why\":{\"queued\":3,\"running\":4,\"slots\":1,\"utilisation\":100,\"threshold\":1,\"spare\":0,\
             \"need\":7,\"min\":0,\"max\":10,\"desired\":5,\"target\":7,\"limit\":\"none\"},\
             \"reason\":\"3 waiting + 4 running: need 7; desired is 5\",\
             \"ms\":{\"demand\":31,\"describe\":12,\"raise\":null,\"total\":43}}"
        );
        assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), record);
    }
}
