//! What the size of the pool follows from, where nothing keeps it from what it needs.

use std::time::Duration;

use super::{Tick, jobs};
use crate::{
    explain::{Answer, Cause, Facts, Job, JobState, Said},
    record::Outcome,
    scaling::{Explanation, Limit},
};

/// How long a job must have waited before a reading of the queue that should count it.
const SETTLED: Duration = Duration::from_secs(5);

pub(super) fn explain(answer: &mut Answer, last: Tick<'_>, plan: &Explanation, facts: &Facts<'_>) {
    let pool = &last.decision.pool;
    let Explanation { queued, need, desired, .. } = *plan;
    match (last.decision.result, last.decision.to) {
        (Outcome::Raised, Some(to)) => answer.find(
            Cause::Raised,
            last.basis(),
            format!("{pool} was raised from {desired} to {to} instances for {}; they boot now", jobs(plan)),
            "wait for the boot. If nothing comes for minutes, ask again: failed launches are then in the records",
        ),
        (Outcome::Held, _) if queued == 0 => {
            answer.find(
                Cause::NothingWaits,
                last.basis(),
                format!("{pool} starts nothing because no job waits that it counts: {}", jobs(plan)),
                "if a job waits all the same, compare its tags or labels, project and protection with the pool's: lightsout-scaler check",
            );
            uncounted(answer, last, facts);
        }
        (Outcome::Held, _) if need <= desired && plan.limit != Limit::Max => answer.find(
            Cause::Enough,
            last.basis(),
            format!("{pool} has what it needs: {} need {need} instances, and {desired} are desired", jobs(plan)),
            "nothing, if they boot. Else see what they do: lightsout explain INSTANCE, or lightsout-agent status on one",
        ),
        _ => {}
    }
    match &plan.entry {
        Some(entry) => answer.find(
            Cause::Spare,
            last.basis(),
            format!(
                "{pool} keeps {} instances beyond its jobs, because {entry:?} of pool.schedule is in force",
                plan.spare
            ),
            "wait until other hours begin (lightsout-scaler check tells when), or change the entry",
        ),
        None if plan.spare > 0 => answer.find(
            Cause::Spare,
            last.basis(),
            format!("{pool} keeps {} instances beyond its jobs, because pool.spare says so", plan.spare),
            "lower pool.spare",
        ),
        None => {}
    }
    if plan.limit == Limit::Min {
        answer.find(
            Cause::AtLeast,
            last.basis(),
            format!("{pool} keeps at least {} instances, though its jobs need {need}", plan.min),
            "lower the higher of the group's minimum and pool.min",
        );
    }
    if last.decision.result == Outcome::Held && desired > plan.target {
        answer.find(
            Cause::Surplus,
            last.basis(),
            format!(
                "{pool} has more than it needs: {desired} instances are desired, {} would do. The scaler never lowers; each leaves by \
                 itself when it has been idle for its idle_timeout",
                plan.target
            ),
            "wait for the idle_timeout, or ask why one is still there: lightsout explain INSTANCE",
        );
    }
}

/// Jobs that wait at the platform and are not counted, though the whole queue was read.
fn uncounted(answer: &mut Answer, last: Tick<'_>, facts: &Facts<'_>) {
    if last.decision.missing.is_some() {
        return;
    }
    let pool = &last.decision.pool;
    for evidence in facts.all() {
        let Said::Job(job) = &evidence.said else { continue };
        let Job { id, state: JobState::Waiting, tags, waited_ms, .. } = &**job else { continue };
        let waits = Duration::from_millis(*waited_ms);
        let since_tick = Duration::try_from(evidence.time.duration_since(last.evidence.time)).unwrap_or_default();
        if tags.is_empty() || evidence.time < last.evidence.time || waits < since_tick + SETTLED {
            continue;
        }
        answer.find(
            Cause::TagMismatch,
            super::Basis::on(evidence).and(last.evidence),
            format!("job {id} waits and asks for {}, and is none that {pool} counts", tags.join(", ")),
            format!("give the job a tag that {pool} and its runners have, or give them this one"),
        );
    }
}
