//! What instance metadata says, read.
//!
//! Sources: EC2 User Guide, "Spot Instance interruption notices", "EC2 instance rebalance recommendations", "Scheduled
//! events for your instances"; EC2 Auto Scaling User Guide, "Retrieve the target lifecycle state through instance
//! metadata". What cannot be understood is an error, and never a notice.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use lightsout_core::{cloud::TargetState, redact};
use serde::Deserialize;

/// The path of the spot notice below `/latest/meta-data/`.
pub(super) const SPOT: &str = "spot/instance-action";
/// The path of the rebalance recommendation.
pub(super) const REBALANCE: &str = "events/recommendations/rebalance";
/// The path of scheduled maintenance.
pub(super) const MAINTENANCE: &str = "events/maintenance/scheduled";
/// The path of the target lifecycle state.
pub(super) const TARGET: &str = "autoscaling/target-lifecycle-state";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpotNotice {
    /// `terminate`, `stop` or `hibernate`: for jobs they are the same.
    pub(super) action: String,
    /// When the instance goes, about.
    pub(super) at: Timestamp,
}

/// One scheduled event of the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Maintenance {
    /// The code, such as `instance-retirement`.
    pub(super) code: String,
    /// When it may begin.
    pub(super) not_before: Timestamp,
}

/// A notice that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: cannot read {body:?}: {why}")]
pub(super) struct NoticeError {
    path: &'static str,
    body: String,
    why: String,
}

impl NoticeError {
    fn new(path: &'static str, body: &str, why: &impl ToString) -> Self {
        Self { path, body: redact(body, 200), why: why.to_string() }
    }
}

/// Whether this way of buying an instance is spot (EC2 User Guide, "Instance metadata categories": `instance-life-cycle`); `None` for one that is neither
/// that nor on demand.
pub(super) fn is_spot(life_cycle: &str) -> Option<bool> {
    match life_cycle {
        "spot" => Some(true),
        "on-demand" => Some(false),
        _ => None,
    }
}

/// Reads the body of [`SPOT`].
///
/// # Errors
/// When it is not a JSON object with `action` and an RFC 3339 `time`.
pub(super) fn spot(body: &str) -> Result<SpotNotice, NoticeError> {
    #[derive(Deserialize)]
    struct Raw {
        action: String,
        time: Timestamp,
    }
    let raw: Raw = serde_json::from_str(body).map_err(|error| NoticeError::new(SPOT, body, &error))?;
    Ok(SpotNotice { action: raw.action, at: raw.time })
}

/// Reads the body of [`REBALANCE`]: when the recommendation was given.
///
/// # Errors
/// When it is not a JSON object with an RFC 3339 `noticeTime`.
pub(super) fn rebalance(body: &str) -> Result<Timestamp, NoticeError> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "noticeTime")]
        notice_time: Timestamp,
    }
    let raw: Raw = serde_json::from_str(body).map_err(|error| NoticeError::new(REBALANCE, body, &error))?;
    Ok(raw.notice_time)
}

/// Reads the body of [`MAINTENANCE`]: the events that are still to come. An empty body or list means none.
///
/// # Errors
/// When it is not a JSON list of events with `Code`, `State` and `NotBefore`.
pub(super) fn maintenance(body: &str) -> Result<Vec<Maintenance>, NoticeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Raw {
        code: String,
        state: Option<String>,
        not_before: String,
    }
    if body.trim().is_empty() {
        return Ok(Vec::new());
    }
    let error = |why: &dyn ToString| NoticeError::new(MAINTENANCE, body, &why.to_string());
    let raw: Vec<Raw> = serde_json::from_str(body).map_err(|why| error(&why))?;
    raw.into_iter()
        .filter(|event| event.state.as_deref().is_none_or(|state| state.eq_ignore_ascii_case("active")))
        .map(|event| {
            let not_before = DateTime::strptime("%d %b %Y %H:%M:%S GMT", event.not_before.trim())
                .and_then(|civil| civil.to_zoned(TimeZone::UTC))
                .map_err(|why| error(&why))?
                .timestamp();
            Ok(Maintenance { code: event.code, not_before })
        })
        .collect()
}

/// Reads the body of [`TARGET`]. States that this version does not know are [`TargetState::Unknown`], which changes nothing.
pub(super) fn target(body: &str) -> TargetState {
    match body.trim() {
        "InService" => TargetState::InService,
        "Terminated" => TargetState::Terminated,
        state if state.starts_with("Warmed:") => TargetState::Warmed,
        _ => TargetState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn paths_are_as_the_vendor_writes_them() {
        let vendor = |path| format!("http://169.254.169.254/latest/meta-data/{path}");
        assert_eq!(vendor(SPOT), "http://169.254.169.254/latest/meta-data/spot/instance-action");
        assert_eq!(vendor(REBALANCE), "http://169.254.169.254/latest/meta-data/events/recommendations/rebalance");
        assert_eq!(vendor(MAINTENANCE), "http://169.254.169.254/latest/meta-data/events/maintenance/scheduled");
        assert_eq!(vendor(TARGET), "http://169.254.169.254/latest/meta-data/autoscaling/target-lifecycle-state");
    }

    #[test]
    fn a_way_of_buying_that_is_neither_has_no_price_of_either() {
        assert_eq!(["spot", "on-demand", "capacity-block"].map(is_spot), [Some(true), Some(false), None]);
    }

    #[test]
    fn notices_read_as_the_vendor_writes_them() {
        let notice = spot(r#"{"action": "terminate", "time": "2017-09-18T08:22:00Z"}"#).unwrap();
        assert_eq!(notice, SpotNotice { action: "terminate".into(), at: at("2017-09-18T08:22:00Z") });
        assert_eq!(rebalance(r#"{"noticeTime": "2020-10-27T08:22:00Z"}"#), Ok(at("2020-10-27T08:22:00Z")));
        let events = maintenance(
            r#"[{"NotBefore":"21 Jan 2019 09:00:43 GMT","Code":"system-reboot","Description":"scheduled reboot",
                "EventId":"instance-event-0d59937288b749b32","NotAfter":"21 Jan 2019 09:17:23 GMT","State":"active"},
                {"NotBefore":"1 Jan 2019 09:00:43 GMT","Code":"system-reboot","State":"completed"}]"#,
        )
        .unwrap();
        assert_eq!(events, [Maintenance { code: "system-reboot".into(), not_before: at("2019-01-21T09:00:43Z") }]);
        assert_eq!(maintenance("[]"), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_read_is_no_notice() {
        for body in [
            "",
            "null",
            "{}",
            "<html/>",
            r#"{"action":"terminate","time":"soon"}"#,
            r#"{"action":1,"time":"2017-09-18T08:22:00Z"}"#,
        ] {
            assert!(spot(body).is_err(), "{body}");
            assert!(rebalance(body).is_err(), "{body}");
        }
        assert!(maintenance("{}").is_err());
        assert!(maintenance(r#"[{"Code":"x","NotBefore":"2019-01-21T09:00:43Z"}]"#).is_err());
    }

    #[test]
    fn targets_read_by_their_exact_words() {
        assert_eq!(target("InService"), TargetState::InService);
        assert_eq!(target("Terminated\n"), TargetState::Terminated);
        assert_eq!(target("Warmed:Stopped"), TargetState::Warmed);
        assert_eq!(target("terminated"), TargetState::Unknown);
        assert_eq!(target("<?xml version=\"1.0\"?>404 - Not Found"), TargetState::Unknown);
    }
}
