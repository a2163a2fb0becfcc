//! Instances that do not come into service, or whose runner the platform or the machine refuses.

use crate::{
    agent::lifecycle::RUNNER_RESTARTS,
    explain::{
        Answer, Basis, Cause, Evidence, Said,
        cloud_cli::{self, CloudCli},
    },
    platform,
    record::{Incident, IncidentCause, IncidentKind},
};

/// Why an instance does not serve.
pub(in crate::explain) struct Unregistered<'a> {
    instance: &'a str,
    evidence: &'a Evidence,
    detail: &'a str,
}

/// What keeps each instance from serving that did not serve afterwards nor left, by the newest word about it.
pub(in crate::explain) fn unregistered<'a>(evidence: &[&'a Evidence]) -> Vec<Unregistered<'a>> {
    let mut newest = std::collections::BTreeMap::new();
    for it in evidence {
        if let Some(instance) = it.said.instance()
            && tells_of_joining(&it.said)
        {
            newest.insert(instance, *it);
        }
    }
    newest
        .into_iter()
        .filter_map(|(instance, evidence)| Some(Unregistered { instance, evidence, detail: refusal(&evidence.said)? }))
        .collect()
}

/// Whether it tells how far an instance has come.
fn tells_of_joining(said: &Said) -> bool {
    match said {
        Said::Departure(_) | Said::Status(_) => true,
        Said::Incident(incident) => {
            matches!(incident.what, IncidentKind::RegistrationFailed | IncidentKind::Ready | IncidentKind::Leaving)
        }
        Said::Decision(_) | Said::Job(_) | Said::Activity(_) => false,
    }
}

/// Why the runner is not registered, if that is what is said.
fn refusal(said: &Said) -> Option<&str> {
    match said {
        Said::Incident(incident) if incident.what == IncidentKind::RegistrationFailed => Some(&incident.detail),
        Said::Status(status) if status.phase == "registering" => {
            status.note.as_deref().filter(|note| *note != RUNNER_RESTARTS)
        }
        Said::Incident(_)
        | Said::Status(_)
        | Said::Departure(_)
        | Said::Decision(_)
        | Said::Job(_)
        | Said::Activity(_) => None,
    }
}

impl Unregistered<'_> {
    /// Tells it, where this shows that jobs wait for it.
    pub(in crate::explain) fn tell(&self, answer: &mut Answer, asked_for: &Evidence) {
        let Self { instance, evidence, detail } = self;
        registration(
            answer,
            Basis::on(evidence).and(asked_for),
            &format!("{instance} cannot register its runner"),
            detail,
        );
    }
}

/// Why a runner could not be registered: by the platform's answer, as far as it tells.
pub(super) fn registration(answer: &mut Answer, basis: Basis, what: &str, detail: &str) {
    let (cause, why, remedy) = if platform::status_in(detail) == Some(401) {
        (
            Cause::TokenRefused,
            "the platform does not accept the token: it is wrong, expired or revoked",
            "store a new token where the agent reads it (it reads it anew by itself); see: lightsout-agent doctor",
        )
    } else {
        (Cause::NotRegistered, "its attempts fail", "do as the message says; on the instance: lightsout-agent doctor")
    };
    answer.find(cause, basis, format!("{what}, because {why}: {detail}"), remedy);
}

/// The newest word of a runner that its platform finds too old, unless jobs ran afterwards: such a runner gets none.
pub(in crate::explain) fn outdated<'a>(
    evidence: impl DoubleEndedIterator<Item = &'a Evidence>,
) -> Option<(&'a Evidence, &'a Incident)> {
    let incidents = evidence.filter_map(|it| match &it.said {
        Said::Incident(incident) => Some((it, &**incident)),
        Said::Decision(_) | Said::Departure(_) | Said::Status(_) | Said::Job(_) | Said::Activity(_) => None,
    });
    let mut tells = incidents.filter(|(_, it)| {
        matches!(it.what, IncidentKind::RunnerExited | IncidentKind::RegistrationFailed | IncidentKind::Busy)
    });
    tells.next_back().filter(|(_, it)| it.because == Some(IncidentCause::RunnerTooOld))
}

/// Why a runner that was registered gets no jobs.
pub(in crate::explain) fn too_old(answer: &mut Answer, basis: Basis, what: &str, detail: &str, cli: &CloudCli) {
    answer.find(
        Cause::RunnerTooOld,
        basis,
        format!("{what}, because the runner on the machine image is too old for its platform: {detail}"),
        cloud_cli::with(
            "build a new machine image with a newer runner (packer/pin), then have the group's instances replaced by ones of it",
            cli.use_image(),
        ),
    );
}
