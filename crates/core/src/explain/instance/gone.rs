//! Why an instance has gone.

use super::{
    ActivityKind, Life,
    joining::{registration, too_old},
    with,
};
use crate::{
    agent::phase::{BrokenBy, LeaveReason},
    explain::{Answer, Basis, Cause, Evidence, cloud_cli, pool::launches},
    lanes::named,
    record::{Departure, Incident, IncidentCause, IncidentKind, Way},
};

/// By its own certificate.
pub(super) fn explain(answer: &mut Answer, life: &Life<'_>, evidence: &Evidence, departure: &Departure) {
    let (trigger, begun) = decided(life, departure);
    let basis = || with(Basis::on(evidence), begun);
    let times = match departure.served {
        0 => "not once".to_owned(),
        1 => "once".to_owned(),
        served => format!("{served} times"),
    };
    let id = life.id;
    match departure.reason {
        LeaveReason::Idle => answer.find(
            Cause::IdleTimeout,
            basis(),
            format!("{id} left because it was idle: {trigger}; jobs had kept it busy {times}"),
            "nothing: that is how the fleet shrinks. A longer agent.idle_timeout keeps instances longer",
        ),
        LeaveReason::Limit => answer.find(
            Cause::JobLimit,
            basis(),
            format!("{id} left because it had served as many jobs as it may: {trigger}"),
            "nothing; or raise agent.jobs_per_instance",
        ),
        LeaveReason::Age => answer.find(
            Cause::Age,
            basis(),
            format!("{id} left because it was as old as it may become: {trigger}"),
            "nothing; or raise agent.max_age",
        ),
        LeaveReason::RunnerExpired => {
            too_old(answer, basis(), &format!("{id} left between jobs"), trigger, &life.cli);
        }
        LeaveReason::Operator => answer.find(
            Cause::Operator,
            with(basis(), life.last_of(&[IncidentKind::DrainOrdered])),
            format!("{id} left because an operator called it away, or its service was stopped: {trigger}"),
            "nothing. Who it was, its journal says: journalctl -u lightsout-agent, and the machine's own log",
        ),
        LeaveReason::Rebalance => answer.find(
            Cause::Rebalance,
            with(basis(), life.last_of(&[IncidentKind::RebalanceNotice])),
            format!("{id} left because its cloud recommended to rebalance, as a spot interruption was likely: {trigger}"),
            "more instance types and zones in the group make it rarer",
        ),
        LeaveReason::Maintenance => answer.find(
            Cause::Maintenance,
            with(basis(), life.last_of(&[IncidentKind::MaintenanceNotice])),
            format!("{id} left because its cloud scheduled maintenance for it: {trigger}"),
            "nothing",
        ),
        LeaveReason::Spot => answer.find(
            Cause::Spot,
            with(basis(), life.last_of(&[IncidentKind::SpotNotice])),
            format!("{id} went because its cloud took the Spot instance back: {trigger}"),
            "run jobs that are longer than the notice on on-demand instances; more types and zones in the group make it rarer",
        ),
        LeaveReason::ScaleIn => chosen(answer, life, basis(), trigger),
        // No departure bears the first: who stays full is broken.
        LeaveReason::Full | LeaveReason::Broken => broken(answer, life, evidence, basis(), departure, trigger),
    }
    if departure.jobs.cut {
        let jobs = &departure.jobs;
        let ids = if jobs.cut_ids.is_empty() { &jobs.ids } else { &jobs.cut_ids };
        let (basis, ids) = (with(basis(), life.last_of(&[IncidentKind::JobsCut])), named(ids).join(", "));
        let ids = if ids.is_empty() { "jobs".to_owned() } else { format!("the jobs {ids}") };
        answer.find(
            Cause::Cut,
            basis,
            format!("{ids} on {id} were failed, visibly, shortly before the spot deadline"),
            "run them again; lightsout does not",
        );
    }
    hook(answer, life);
    refused(answer, life);
    if !departure.jobs.at_stop.is_empty() {
        answer.miss(
            format!("whether the jobs {} on {id} ended by themselves", named(&departure.jobs.at_stop).join(", ")),
            "they ran when its service was told to stop, and were gone when it left: a machine that shuts down ends its jobs",
            "ask the platform how they ended",
        );
    }
    if let Some(why) = departure.not_known.first() {
        answer.miss(
            format!("all of the last part of {id}"),
            why.clone(),
            "nothing: what is missing was never written down",
        );
    }
    if departure.way >= Way::Unhealthy {
        answer.find(
            Cause::Refused,
            basis(),
            format!("{id} could not leave by its group and took a blunter way, {}", departure.way.as_str()),
            "see the rights of the instance in the README, and on an instance: lightsout-agent doctor",
        );
    }
}

/// What made it so. An agent that was started again while its instance left does not know that: then it is as the earlier one wrote it down.
fn decided<'a>(life: &Life<'a>, departure: &'a Departure) -> (&'a str, Option<(&'a Evidence, &'a Incident)>) {
    let begun = life.last_of(&[IncidentKind::Leaving]).filter(|_| departure.decided_at.is_none());
    let told =
        begun.and_then(|(_, leaving)| leaving.detail.strip_prefix(departure.reason.as_str())?.strip_prefix(": "));
    match told {
        Some(trigger) => (trigger, begun),
        None => (&departure.trigger, None),
    }
}

/// The group ended it, and no certificate tells more.
pub(super) fn by_its_group(answer: &mut Answer, life: &Life<'_>, ending: (&Evidence, ActivityKind, &str)) {
    ended_for(answer, life, Basis::on(ending.0), ending);
    hook(answer, life);
    answer.miss(
        format!("what ran on {} at its end", life.id),
        "no certificate of it is among what was read: it was ended before its agent could write one, or its records are elsewhere",
        "hand in its log (journalctl -u lightsout-agent, or where it is collected)",
    );
}

/// The group chose it: a refresh, a lower capacity, a health check. An instance is not told which.
fn chosen(answer: &mut Answer, life: &Life<'_>, basis: Basis, trigger: &str) {
    if let Some(ending) = life.ending() {
        return ended_for(answer, life, basis.and(ending.0), ending);
    }
    let notice = life.last_of(&[IncidentKind::ScaleInNotice]);
    let id = life.id;
    answer.find(
        Cause::ScaleIn,
        with(basis, notice),
        format!("{id} left because its group chose it for termination: {trigger}"),
        "nothing: its jobs had as long as its cloud holds an ending off",
    );
    answer.miss(
        format!("whether a refresh, a lower capacity or a health check made the group choose {id}"),
        "an instance is not told that, and the group's history is not among what was read",
        cloud_cli::with(
            "look at what its cloud wrote down of the group",
            life.cli.history_as_evidence().or_else(|| life.cli.history()),
        ),
    );
}

/// Why the group ends it, by the group's own history.
pub(super) fn ended_for(answer: &mut Answer, life: &Life<'_>, basis: Basis, ending: (&Evidence, ActivityKind, &str)) {
    let (_, kind, text) = ending;
    let Life { id, cli, .. } = life;
    let (cause, why, remedy) = match kind {
        ActivityKind::Refresh => (
            Cause::Refresh,
            "an instance refresh replaces it",
            cloud_cli::with(
                "nothing: its jobs have as long as its termination hook waits. To end the refresh",
                cli.stop_refresh(),
            ),
        ),
        ActivityKind::Lowered => (
            Cause::ScaleIn,
            "somebody lowered the group's desired capacity",
            cloud_cli::with("find who, since lightsout never does", cli.who_lowered()),
        ),
        ActivityKind::Unhealthy => (
            Cause::Unhealthy,
            "it takes it for unhealthy",
            cloud_cli::with(
                "see its console and its status checks",
                cli.console(id).zip(cli.health(id)).map(|(console, health)| format!("{console}; {health}")),
            ),
        ),
        ActivityKind::LaunchFailed(trouble) => {
            let (cause, why) = launches::told(trouble);
            (cause, why, launches::remedy(trouble, cli))
        }
    };
    answer.find(cause, basis, format!("{id} is ended by its group because {why}: {text}"), remedy);
}

fn broken(
    answer: &mut Answer,
    life: &Life<'_>,
    evidence: &Evidence,
    basis: Basis,
    departure: &Departure,
    trigger: &str,
) {
    let id = life.id;
    match departure.broken_by {
        Some(BrokenBy::BeforeRegister) => {
            let said = departure.before_register_said.as_ref();
            let said = said.map(|said| format!("; the last that it said: {said}")).unwrap_or_default();
            answer.find(
                Cause::BeforeRegister,
                with(basis, life.last_of(&[IncidentKind::BeforeRegisterFailed])),
                format!("{id} left as broken because your own program for each boot failed: {trigger}{said}"),
                "mend the program that agent.before_register names; its output was in /run/lightsout/before-register/BOOT/output",
            );
        }
        Some(BrokenBy::BootDeadline) => {
            answer.find(
                Cause::BootDeadline,
                basis,
                format!("{id} left as broken because it was not ready before its boot_deadline: {trigger}"),
                "mend what the message names; only if the boot is slow and sound, raise agent.boot_deadline",
            );
            let failed =
                life.last_of(&[IncidentKind::RegistrationFailed, IncidentKind::NotInService, IncidentKind::Ready]);
            if let Some((failure, incident)) = failed
                && incident.what == IncidentKind::RegistrationFailed
            {
                let basis = Basis::on(failure).and(evidence);
                if incident.because == Some(IncidentCause::RunnerTooOld) {
                    too_old(answer, basis, &format!("the runner of {id} never ran"), &incident.detail, &life.cli);
                } else {
                    registration(answer, basis, &format!("{id} never registered its runner"), &incident.detail);
                }
            }
        }
        Some(BrokenBy::RunnerExits) => {
            let exited = life.last_of(&[IncidentKind::RunnerExited]);
            let (said, remedy) = match &departure.runner_said {
                Some(said) => (format!("; the last that it said: {said}"), "mend what the runner says"),
                None => (
                    String::new(),
                    "see what the runner said last: journalctl -u 'lightsout-runner*' on such an instance",
                ),
            };
            answer.find(
                Cause::RunnerExits,
                with(basis, exited),
                format!("{id} left as broken because its runner ended again and again right after its start: {trigger}{said}"),
                remedy,
            );
            if let Some((failure, incident)) = exited
                && incident.because == Some(IncidentCause::RunnerTooOld)
            {
                let basis = Basis::on(failure).and(evidence);
                too_old(answer, basis, &format!("the runner of {id} gets no jobs"), &incident.detail, &life.cli);
            }
        }
        Some(BrokenBy::UnknownActivity) => answer.find(
            Cause::UnknownProbe,
            with(basis, life.last_of(&[IncidentKind::ActivityUnknown])),
            format!("{id} left as broken because for too long it could not be told what runs on it: {trigger}"),
            "mend the probe that the message names; see: lightsout-agent doctor",
        ),
        Some(BrokenBy::Full) => answer.find(
            Cause::Full,
            basis,
            format!("{id} left as broken because there was too little room for another job, and none could be made: {trigger}"),
            "give the instances a larger volume or more memory, or a program that removes more (agent.clean)",
        ),
        None => answer.find(
            Cause::Broken,
            basis,
            format!("{id} left as broken: {trigger}"),
            "mend what the message names; see: lightsout-agent doctor",
        ),
    }
}

/// What holds off its ending ran out, or could not be extended.
pub(super) fn hook(answer: &mut Answer, life: &Life<'_>) {
    let (id, failed) = (life.id, life.last_of(&[IncidentKind::HeartbeatRefused]));
    let longer = life.cli.longer_hook();
    if let Some((stop, incident)) = life.incidents().find(|(_, it)| it.because == Some(IncidentCause::HookTimedOut)) {
        let why = failed.map(|(_, failed)| format!("; {}", failed.detail)).unwrap_or_default();
        answer.find(
            Cause::HookTimedOut,
            with(Basis::on(stop), failed),
            format!(
                "the termination hook of {id} ran out before {id} was empty, so that its group ended it at {:.0}, whatever ran: {}{why}",
                stop.time, incident.detail
            ),
            match failed {
                Some(_) => format!("mend what kept it from being extended, and {longer}"),
                None => longer,
            },
        );
        return;
    }
    let Some((evidence, incident)) = failed else { return };
    let detail = &incident.detail;
    if incident.because == Some(IncidentCause::HookGone) {
        answer.find(
            Cause::HookTimedOut,
            Basis::on(evidence),
            format!("the termination hook of {id} waits no longer, so that its group ends it whatever runs: {detail}"),
            format!("if nobody answered it, its time was over: {longer}"),
        );
    } else {
        answer.find(
            Cause::HookFails,
            Basis::on(evidence),
            format!("the termination hook of {id} could not be extended; after its time-out its group ends it whatever runs: {detail}"),
            "do as the message says; it is tried again until then. On the instance: lightsout-agent doctor",
        );
    }
}

/// A right is missing for its way out.
pub(super) fn refused(answer: &mut Answer, life: &Life<'_>) {
    if let Some((evidence, incident)) = life.last_of(&[IncidentKind::CloudRefused]) {
        answer.find(
            Cause::Refused,
            Basis::on(evidence),
            format!("the cloud refused {} a call: {}", life.id, incident.detail),
            "grant the right that the message names (the README lists them); on an instance: lightsout-agent doctor",
        );
    }
}
