//! What becomes of the pool's instances while jobs wait.

use std::time::Duration;

use super::Tick;
use crate::{
    agent::phase::LeaveReason,
    explain::{Answer, Basis, Cause, Evidence, Facts, Said, cloud_cli::CloudCli, instance},
    record::Departure,
    scaling::Explanation,
};

/// How long before the newest record something may have happened to an instance and still tell why its jobs wait.
const RECENT: Duration = Duration::from_secs(30 * 60);

/// How near a record must be to tell what was the case at a time. The scaler ticks every ten seconds unless set otherwise.
const NEAREST_RECORD: Duration = Duration::from_secs(60);

pub(super) fn explain(answer: &mut Answer, last: Tick<'_>, plan: &Explanation, facts: &Facts<'_>, cli: &CloudCli) {
    if plan.queued == 0 {
        return;
    }
    let pool = &last.decision.pool;
    let recent: Vec<&Evidence> = facts.of_group(&last.decision.group).filter(|it| is_recent(it, last)).collect();
    let gone: Vec<(&Evidence, &Departure)> = recent
        .iter()
        .filter_map(|evidence| match &evidence.said {
            Said::Departure(departure) => Some((*evidence, &**departure)),
            Said::Decision(_) | Said::Incident(_) | Said::Status(_) | Said::Job(_) | Said::Activity(_) => None,
        })
        .collect();
    let broken: Vec<_> = gone.iter().filter(|(_, gone)| gone.reason == LeaveReason::Broken).collect();
    let unused: Vec<&Evidence> = gone
        .iter()
        .filter(|(_, gone)| gone.reason == LeaveReason::Idle && gone.served == 0)
        .filter_map(|(evidence, _)| {
            let [before, after] = waited_through(evidence, &recent)?;
            Some([*evidence, before, after])
        })
        .flatten()
        .collect();
    let in_vain = plan.outlook.map_or(0, |outlook| outlook.in_vain);
    if let (Some(basis), Some((_, newest))) = (Basis::on_all(broken.iter().map(|(it, _)| *it)), broken.last()) {
        answer.find(
            Cause::Breaking,
            basis.and(last.evidence),
            format!(
                "instances of {pool} leave as broken while jobs wait; the last was {}: {}",
                newest.instance, newest.trigger
            ),
            format!("lightsout explain {}", newest.instance),
        );
    } else if in_vain > 0
        && let Some(basis) = Basis::on_all(unused.iter().copied())
    {
        answer.find(
            Cause::TagMismatch,
            basis.and(last.evidence),
            format!(
                "instances of {pool} were ready, had no job and left as idle while {} jobs waited: the jobs ask for a tag or label that \
                 these instances do not have, or their platform holds them back",
                plan.queued
            ),
            "compare the tags of a waiting job with the runner's (on an instance: lightsout-agent settings), and look at the platform \
             whether a concurrency limit or a protected branch holds it",
        );
    } else if in_vain > 0 {
        answer.miss(
            format!("why the instances that were raised for {pool} took none of its jobs"),
            "no certificate of one that left is among what was read",
            "hand in the agents' records of the last half hour, too: journalctl -u lightsout-agent",
        );
    }
    if let Some((evidence, incident)) = instance::outdated(recent.iter().copied()) {
        let what = format!("the runner of {} gets no jobs", incident.instance);
        instance::too_old(answer, Basis::on(evidence).and(last.evidence), &what, &incident.detail, cli);
    }
    let stuck = instance::unregistered(&recent);
    for trouble in &stuck {
        trouble.tell(answer, last.evidence);
    }
    let explained = answer
        .known
        .iter()
        .any(|it| !matches!(it.cause, Cause::Enough | Cause::Spare | Cause::Surplus | Cause::AtLeast));
    if !explained && recent.iter().all(|it| matches!(it.said, Said::Decision(_))) {
        answer.miss(
            format!("what the {} desired instances of {pool} do while jobs wait", plan.desired),
            "no record of an instance and no failed launch is among what was read",
            "hand in the agents' records (journalctl -u lightsout-agent), or look: lightsout-agent status on one of them",
        );
    }
}

/// The records that say that jobs waited when this happened: the next one on either side, if both say so.
fn waited_through<'a>(evidence: &Evidence, recent: &[&'a Evidence]) -> Option<[&'a Evidence; 2]> {
    let ticks = recent.iter().filter_map(|it| match &it.said {
        Said::Decision(decision) => Some((*it, decision.why.as_ref()?.queued > 0)),
        Said::Departure(_) | Said::Incident(_) | Said::Status(_) | Said::Job(_) | Said::Activity(_) => None,
    });
    let near = |it: &Evidence| it.time.duration_since(evidence.time).unsigned_abs() <= NEAREST_RECORD;
    let (before, after): (Vec<_>, Vec<_>) = ticks.partition(|(it, _)| it.time <= evidence.time);
    let (before, after) = (before.last()?, after.first()?);
    [before, after].iter().all(|(it, waits)| *waits && near(it)).then_some([before.0, after.0])
}

fn is_recent(evidence: &Evidence, last: Tick<'_>) -> bool {
    let ago = last.evidence.time.duration_since(evidence.time);
    ago.is_negative() || Duration::try_from(ago).is_ok_and(|ago| ago <= RECENT)
}
