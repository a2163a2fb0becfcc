//! Why an instance is still there, or why it has gone.

mod gone;
mod joining;
mod there;

use std::time::Duration;

use jiff::Timestamp;

pub(super) use self::joining::{outdated, too_old, unregistered};

use super::{
    ActivityKind, Answer, Basis, Evidence, Facts, Said, Status,
    cloud_cli::{self, CloudCli},
};
use crate::record::{Departure, Incident, IncidentKind};

/// How old the newest word about an instance that lives may be and still say what holds now.
const FRESH: Duration = Duration::from_secs(120);

pub(super) fn explain(id: &str, facts: &Facts<'_>, now: Timestamp) -> Answer {
    let mut answer = Answer::default();
    let life = Life { id, evidence: facts.of_instance(id).collect(), cli: CloudCli::of_instance(id, facts) };
    let Some(newest) = life.evidence.last() else {
        answer.miss(
            format!("what became of {id}"),
            "nothing about it is among what was read: its agent never began, or its records are elsewhere",
            cloud_cli::with(
                "hand in its log (journalctl -u lightsout-agent), or look at its console",
                life.cli.console(id),
            ),
        );
        return answer;
    };
    if let Some((evidence, departure)) = life.departure() {
        gone::explain(&mut answer, &life, evidence, departure);
        return answer;
    }
    match life.ending() {
        Some((ending, kind, text)) if life.status().is_some_and(|(status, _)| status.time >= ending.time) => {
            there::explain(&mut answer, &life);
            gone::ended_for(&mut answer, &life, Basis::on(ending), (ending, kind, text));
        }
        Some(ending) => {
            gone::by_its_group(&mut answer, &life, ending);
            return answer;
        }
        None => there::explain(&mut answer, &life),
    }
    let age = Duration::try_from(now.duration_since(newest.time)).unwrap_or_default();
    if age > FRESH {
        answer.miss(
            format!("how it stands with {id} since {:.0}", newest.time),
            "nothing newer about it, and no certificate of its end, is among what was read",
            format!("on the instance: lightsout-agent status; or hand in its later records, up to now, and ask again: lightsout explain {id}"),
        );
    }
    answer
}

/// All that is known of one instance, oldest first.
struct Life<'a> {
    id: &'a str,
    evidence: Vec<&'a Evidence>,
    cli: CloudCli,
}

impl<'a> Life<'a> {
    /// The certificate of its end: the last one, since one is written before each blunter way.
    fn departure(&self) -> Option<(&'a Evidence, &'a Departure)> {
        self.evidence.iter().rev().find_map(|evidence| match &evidence.said {
            Said::Departure(departure) => Some((*evidence, &**departure)),
            Said::Decision(_) | Said::Incident(_) | Said::Status(_) | Said::Job(_) | Said::Activity(_) => None,
        })
    }

    /// The newest that its agent says of itself.
    fn status(&self) -> Option<(&'a Evidence, &'a Status)> {
        self.evidence.iter().rev().find_map(|evidence| match &evidence.said {
            Said::Status(status) => Some((*evidence, &**status)),
            Said::Decision(_) | Said::Departure(_) | Said::Incident(_) | Said::Job(_) | Said::Activity(_) => None,
        })
    }

    /// What happened to it, newest first.
    fn incidents(&self) -> impl Iterator<Item = (&'a Evidence, &'a Incident)> {
        self.evidence.iter().rev().filter_map(|evidence| match &evidence.said {
            Said::Incident(incident) => Some((*evidence, &**incident)),
            Said::Decision(_) | Said::Departure(_) | Said::Status(_) | Said::Job(_) | Said::Activity(_) => None,
        })
    }

    /// The newest incident of these kinds.
    fn last_of(&self, kinds: &[IncidentKind]) -> Option<(&'a Evidence, &'a Incident)> {
        self.incidents().find(|(_, incident)| kinds.contains(&incident.what))
    }

    /// Why the group ended it, as the group's own history tells.
    fn ending(&self) -> Option<(&'a Evidence, ActivityKind, &'a str)> {
        self.evidence.iter().rev().find_map(|evidence| match &evidence.said {
            Said::Activity(activity) => Some((*evidence, activity.kind, activity.text.as_str())),
            Said::Decision(_) | Said::Departure(_) | Said::Incident(_) | Said::Status(_) | Said::Job(_) => None,
        })
    }
}

/// With the incident as further evidence, where there is one.
fn with(basis: Basis, incident: Option<(&Evidence, &Incident)>) -> Basis {
    match incident {
        Some((evidence, _)) => basis.and(evidence),
        None => basis,
    }
}
