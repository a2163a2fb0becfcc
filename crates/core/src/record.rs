//! What lightsout writes down for whoever asks later: one line of JSON each, of three kinds.
//!
//! A [`Decision`] is the scaler's, one for each pool and tick. An [`Incident`] is a trouble or a turn in an instance's life, and a
//! [`Departure`] its death certificate, written before it ends; both are the agent's. `docs/records.schema.json` describes them for others.

mod decision;
mod departure;
mod incident;

use serde::{Deserialize, Serialize, Serializer};

pub use self::{
    decision::{Decision, FailedLaunch, LaunchTrouble, Outcome, TickTimes, TickTrouble},
    departure::{
        BootPart, DecidedBy, Departure, JobsAtEnd, NoticeKind, NoticeSeen, PhaseSpan, Proof, ProofBy, ProofStep,
        Severity, Versions, Warning, Way,
    },
    incident::{Incident, IncidentCause, IncidentKind},
};

/// The version of the records' form. A reader that knows this one may meet keys that it does not know; a meaning changes with the number only.
pub const SCHEMA: u32 = 1;

/// Stands before each record of an agent in a log that is no JSON, such as the journal: `LIGHTSOUT_RECORD {"schema":1,...}`.
pub const MARK: &str = "LIGHTSOUT_RECORD";

/// One record of any kind.
#[expect(clippy::large_enum_variant, reason = "departures are few among them")]
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// Of the scaler, for one pool and tick.
    Decision(Decision),
    /// Of an agent, before its instance ends.
    Departure(Departure),
    /// Of an agent, when something happens that somebody may ask about.
    Incident(Incident),
}

impl Record {
    /// When it was written, RFC 3339 in UTC to the millisecond.
    pub fn time(&self) -> &str {
        match self {
            Self::Decision(decision) => &decision.time,
            Self::Departure(departure) => &departure.time,
            Self::Incident(incident) => &incident.time,
        }
    }

    /// Its group, as far as known.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Decision(decision) => Some(&decision.group),
            Self::Departure(departure) => departure.group.as_deref(),
            Self::Incident(incident) => incident.group.as_deref(),
        }
    }

    /// The instance that it is about; a decision is about none.
    pub fn instance(&self) -> Option<&str> {
        match self {
            Self::Decision(_) => None,
            Self::Departure(departure) => Some(&departure.instance),
            Self::Incident(incident) => Some(&incident.instance),
        }
    }

    /// The record as one line of JSON.
    pub fn json(&self) -> String {
        match self {
            Self::Decision(decision) => decision.json(),
            Self::Departure(departure) => departure.json(),
            Self::Incident(incident) => incident.json(),
        }
    }

    /// The JSON of a record in a line of a log, wherever in it the record stands; `None` when it holds none.
    pub fn text_in(line: &str) -> Option<&str> {
        let text = match line.split_once(MARK) {
            Some((_, rest)) => rest.trim(),
            None => line.trim(),
        };
        (text.starts_with('{') && text.ends_with('}') && text.contains("\"schema\":") && text.contains("\"kind\":"))
            .then_some(text)
    }

    /// The record in a line of a log; `None` when it holds none, or one of a form that is newer than this program.
    pub fn find(line: &str) -> Option<Self> {
        let text = Self::text_in(line)?;
        let head: Head = serde_json::from_str(text).ok()?;
        (head.schema <= SCHEMA).then(|| serde_json::from_str(text).ok()).flatten()
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Decision(body) => Line { schema: SCHEMA, kind: "decision", body }.serialize(to),
            Self::Departure(body) => Line { schema: SCHEMA, kind: "departure", body }.serialize(to),
            Self::Incident(body) => Line { schema: SCHEMA, kind: "incident", body }.serialize(to),
        }
    }
}

#[derive(Serialize)]
struct Line<'a, T> {
    schema: u32,
    kind: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Deserialize)]
struct Head {
    schema: u32,
}

#[expect(clippy::expect_used, reason = "its keys are texts, and it holds nothing that cannot be written")]
fn line<T: Serialize>(kind: &'static str, body: &T) -> String {
    serde_json::to_string(&Line { schema: SCHEMA, kind, body }).expect("a record has only text keys")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Machine;

    #[test]
    fn a_record_is_found_in_whatever_log_it_stands() {
        let incident = Incident {
            time: "2026-11-26T03:00:00.250Z".into(),
            instance: "i-1".into(),
            group: Some("linux".into()),
            machine: Machine::default(),
            platform: "gitlab".into(),
            what: IncidentKind::Ready,
            detail: "for jobs".into(),
            because: None,
            jobs: Vec::new(),
            times: 1,
        };
        let record = Record::Incident(incident.clone());
        let json = record.json();
        assert_eq!(json, serde_json::to_string(&record).unwrap());
        assert!(
            json.starts_with("{\"schema\":1,\"kind\":\"incident\",\"time\":\"2026-11-26T03:00:00.250Z\""),
            "{json}"
        );
        for line in [
            json.clone(),
            format!("{MARK} {json}"),
            format!("<6>{MARK} {json}\n"),
            format!("Nov 26 03:00:00 ip-10-0-0-1 lightsout-agent[812]: {MARK} {json}"),
        ] {
            assert_eq!(Record::find(&line), Some(record.clone()), "{line}");
        }
        assert_eq!(
            (record.instance(), record.group(), record.time()),
            (Some("i-1"), Some("linux"), incident.time.as_str())
        );
    }

    #[test]
    fn what_is_no_record_or_of_a_newer_form_is_none() {
        for line in [
            "",
            "{}",
            "now idle",
            "{\"timestamp\":\"2026-11-26T03:00:00Z\",\"level\":\"INFO\",\"message\":\"now idle\"}",
            "{\"schema\":2,\"kind\":\"incident\",\"time\":\"2026-11-26T03:00:00.250Z\",\"instance\":\"i-1\",\"platform\":\"gitlab\",\"what\":\"ready\",\"detail\":\"\"}",
            "LIGHTSOUT_RECORD {\"schema\":1,\"kind\":\"incident\",\"time\":\"cut sho",
        ] {
            assert_eq!(Record::find(line), None, "{line}");
        }
    }
}
