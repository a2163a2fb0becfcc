//! Why an instance is still there.

use super::{
    Life, gone,
    joining::{outdated, registration, too_old},
};
use crate::{
    agent::{lifecycle::RUNNER_RESTARTS, phase::LeaveReason},
    explain::{Answer, Basis, Cause, Evidence, Status},
    lanes::named,
    record::{Incident, IncidentKind},
};

pub(super) fn explain(answer: &mut Answer, life: &Life<'_>) {
    if let Some((evidence, incident)) = outdated(life.evidence.iter().copied()) {
        let what = format!("the runner of {} gets no jobs", life.id);
        too_old(answer, Basis::on(evidence), &what, &incident.detail, &life.cli);
    }
    let status = life.status();
    let turn = life.incidents().find(|(_, incident)| is_turn(incident.what));
    match (status, turn) {
        (Some((evidence, status)), turn) if turn.is_none_or(|(it, _)| it.time <= evidence.time) => {
            by_status(answer, evidence, status);
        }
        (_, Some((evidence, incident))) => by_incident(answer, life.id, evidence, incident),
        (_, None) => {}
    }
    gone::hook(answer, life);
    gone::refused(answer, life);
    if answer.known.is_empty() {
        answer.miss(
            format!("what {} does", life.id),
            "what was read says only that it is there",
            "on the instance: lightsout-agent status",
        );
    }
}

/// Whether it tells what an instance does from then on.
fn is_turn(what: IncidentKind) -> bool {
    match what {
        IncidentKind::NotInService
        | IncidentKind::RegistrationFailed
        | IncidentKind::Ready
        | IncidentKind::Busy
        | IncidentKind::Idle
        | IncidentKind::RunnerExited
        | IncidentKind::BeforeRegisterFailed
        | IncidentKind::ActivityUnknown
        | IncidentKind::ActivityKnown
        | IncidentKind::NoRoom
        | IncidentKind::Held
        | IncidentKind::HoldEnded
        | IncidentKind::Leaving
        | IncidentKind::DrainTakenBack
        | IncidentKind::DrainFailed
        | IncidentKind::DrainOrdered
        | IncidentKind::SpotNotice
        | IncidentKind::ScaleInNotice => true,
        IncidentKind::Started
        | IncidentKind::RunnerFound
        | IncidentKind::RebalanceNotice
        | IncidentKind::MaintenanceNotice
        | IncidentKind::JobsCut
        | IncidentKind::StuckRunner
        | IncidentKind::HeartbeatRefused
        | IncidentKind::NoHook
        | IncidentKind::DeregistrationFailed
        | IncidentKind::CloudRefused => false,
    }
}

fn by_status(answer: &mut Answer, evidence: &Evidence, status: &Status) {
    let Status { instance: id, phase, why, jobs, unknown, note, held, .. } = status;
    let basis = || Basis::on(evidence);
    let because = note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
    let reason = why.as_deref().unwrap_or("it does not say why");
    if *held && why.is_none() {
        answer.find(
            Cause::Held,
            basis(),
            format!("{id} stays because an operator holds it: it does not leave for idleness or age"),
            "on the instance: lightsout-agent hold 0",
        );
    }
    match phase.as_str() {
        "busy" if !jobs.is_empty() => answer.find(
            Cause::Busy,
            basis(),
            format!("{id} works: {}", named(jobs).join(", ")),
            "nothing; if no such job runs, see the table in docs/operations.md",
        ),
        "busy" => {
            let unknown = unknown.as_deref().unwrap_or("it does not say which probe");
            answer.find(
                Cause::UnknownProbe,
                basis(),
                format!(
                    "{id} stays because it cannot be told whether a job runs on it, which counts as busy: {unknown}"
                ),
                "mend the probe that the message names; on the instance: lightsout-agent doctor",
            );
        }
        "idle" => match note.as_deref().filter(|note| note.contains("floor")) {
            Some(note) => floor(answer, basis(), id, note),
            None => answer.find(
                Cause::Idle,
                basis(),
                format!("{id} is idle, and its idle_timeout is not over{because}"),
                "nothing: it leaves by itself. To send it away now, on the instance: lightsout-agent drain",
            ),
        },
        "registering" if note.as_deref() == Some(RUNNER_RESTARTS) => {
            runner_exits(answer, basis(), &format!("{id} does not serve: {RUNNER_RESTARTS}"));
        }
        "registering" => match note {
            Some(note) => {
                let what = format!("{id} does not serve yet: it cannot register its runner");
                registration(answer, basis(), &what, note);
            }
            None => booting(answer, basis(), id, phase, ""),
        },
        "preparing" | "booting" => booting(answer, basis(), id, phase, &because),
        "draining" => answer.find(
            Cause::Draining,
            basis(),
            format!(
                "{id} takes no more jobs (reason: {reason}) and waits for the proof that none runs{because}{}",
                running(jobs)
            ),
            after_drain(reason),
        ),
        "retiring" => answer.find(
            Cause::Retiring,
            basis(),
            format!("{id} is empty and on its way out (reason: {reason}){because}"),
            "wait: it takes a blunter way by itself when one fails; on the instance: journalctl -u lightsout-agent",
        ),
        _ => {}
    }
}

fn by_incident(answer: &mut Answer, id: &str, evidence: &Evidence, incident: &Incident) {
    let basis = Basis::on(evidence);
    let Incident { detail, what, .. } = incident;
    match what {
        IncidentKind::RegistrationFailed => {
            registration(answer, basis, &format!("{id} did not serve yet: it could not register its runner"), detail);
        }
        IncidentKind::NotInService => booting(answer, basis, id, "booting", &format!(": {detail}")),
        IncidentKind::ActivityUnknown => answer.find(
            Cause::UnknownProbe,
            basis,
            format!("{id} stayed because it could not be told whether a job ran on it, which counts as busy: {detail}"),
            "mend the probe that the message names; on the instance: lightsout-agent doctor",
        ),
        IncidentKind::Busy => answer.find(
            Cause::Busy,
            basis,
            format!("{id} worked when it was last heard of: {detail}"),
            "nothing; if no such job runs, see the table in docs/operations.md",
        ),
        IncidentKind::Idle => answer.find(
            Cause::Idle,
            basis,
            format!("{id} had become idle when it was last heard of, and its idle_timeout was not over"),
            "nothing: it leaves by itself. To send it away now, on the instance: lightsout-agent drain",
        ),
        IncidentKind::NoRoom => floor(answer, basis, id, detail),
        IncidentKind::Held => answer.find(
            Cause::Held,
            basis,
            format!("{id} stayed because an operator held it: {detail}"),
            "on the instance: lightsout-agent hold 0",
        ),
        IncidentKind::Leaving
        | IncidentKind::DrainFailed
        | IncidentKind::DrainOrdered
        | IncidentKind::SpotNotice
        | IncidentKind::ScaleInNotice => {
            answer.find(
                Cause::Draining,
                basis,
                format!("{id} was about to leave, and no certificate of its end is among what was read: {detail}"),
                "on the instance: lightsout-agent status",
            );
        }
        IncidentKind::RunnerExited => {
            runner_exits(answer, basis, &format!("the runner of {id} ended by itself and is started again: {detail}"));
        }
        IncidentKind::BeforeRegisterFailed => answer.find(
            Cause::BeforeRegister,
            basis,
            format!("your own program for each boot failed on {id}, so that it leaves as broken: {detail}"),
            "mend the program that agent.before_register names",
        ),
        // It serves, or served: what it does since then they do not say.
        IncidentKind::Started
        | IncidentKind::RunnerFound
        | IncidentKind::Ready
        | IncidentKind::ActivityKnown
        | IncidentKind::HoldEnded
        | IncidentKind::RebalanceNotice
        | IncidentKind::MaintenanceNotice
        | IncidentKind::DrainTakenBack
        | IncidentKind::JobsCut
        | IncidentKind::StuckRunner
        | IncidentKind::HeartbeatRefused
        | IncidentKind::NoHook
        | IncidentKind::DeregistrationFailed
        | IncidentKind::CloudRefused => {}
    }
}

fn runner_exits(answer: &mut Answer, basis: Basis, text: &str) {
    let remedy = "see what it said last, on the instance: journalctl -u 'lightsout-runner*'";
    answer.find(Cause::RunnerExits, basis, text, remedy);
}

fn floor(answer: &mut Answer, basis: Basis, id: &str, note: &str) {
    answer.find(
        Cause::AtFloor,
        basis,
        format!("{id} stays idle because its group may not shrink: {note}"),
        "lower the group's minimum, or the pool's spare or min (the tag lightsout:floor, which expires after an hour)",
    );
}

fn booting(answer: &mut Answer, basis: Basis, id: &str, phase: &str, because: &str) {
    answer.find(
        Cause::Booting,
        basis,
        format!("{id} does not serve yet: it is {phase}{because}"),
        "wait until its boot_deadline: then it leaves by itself. On the instance: journalctl -u lightsout-agent",
    );
}

fn running(jobs: &[String]) -> String {
    if jobs.is_empty() { String::new() } else { format!(": {} still run", named(jobs).join(", ")) }
}

/// What to do about one that drains, by the word of its reason.
fn after_drain(reason: &str) -> &'static str {
    if reason == LeaveReason::Spot.as_str() || reason == LeaveReason::Maintenance.as_str() {
        "nothing that keeps it: where its cloud has set a time, jobs that still run shortly before are failed, visibly; run those again"
    } else if reason == LeaveReason::Idle.as_str() || reason == LeaveReason::Operator.as_str() {
        "wait for its jobs; to have it back, on the instance: lightsout-agent undrain"
    } else {
        "wait for its jobs"
    }
}
