//! What bounds a raise, and what the scaler doubts after earlier ones.

use std::time::Duration;

use super::{Tick, jobs};
use crate::{
    duration::format_duration,
    explain::{
        Answer, Cause,
        cloud_cli::{self, CloudCli},
    },
    scaling::{Explanation, Limit, STALENESS},
};

/// What keeps the target below the need.
pub(super) fn bounds(answer: &mut Answer, last: Tick<'_>, plan: &Explanation, cli: &CloudCli) {
    let pool = &last.decision.pool;
    let Explanation { queued, need, max, desired, threshold, target, .. } = *plan;
    let demand = jobs(plan);
    if queued > 0 && queued < threshold {
        answer.find(
            Cause::Threshold,
            last.basis(),
            format!("{pool} starts nothing for its {queued} waiting jobs: fewer than {threshold} count as none"),
            format!("lower pool.threshold of {pool}, or wait for more jobs"),
        );
    }
    match plan.limit {
        Limit::None | Limit::Min => {}
        Limit::Max => answer.find(
            Cause::AtMost,
            last.basis(),
            format!("{pool} is at its maximum: {demand} need {need} instances, at most {max} are allowed, and {desired} are desired"),
            cloud_cli::with(
                format!("raise the lower of the group's maximum and pool.max of {pool}"),
                cli.raise_maximum(need),
            ),
        ),
        Limit::Step => answer.find(
            Cause::MaxStep,
            last.basis(),
            format!("{pool} grows in steps: {demand} need {need} instances, and one tick goes to {target} only"),
            format!("nothing, the next ticks go on; or raise pool.max_step of {pool}"),
        ),
        Limit::Cooldown { left_ms } => answer.find(
            Cause::Cooldown,
            last.basis(),
            format!(
                "{pool} cools down: {demand} need {need} instances, {desired} are desired, and so soon after a raise nothing is raised for \
                 another {}",
                format_duration(Duration::from_millis(left_ms))
            ),
            format!("wait, or shorten pool.cooldown of {pool}"),
        ),
    }
    if let Some(lately) = plan.lately.filter(|lately| !plan.again && need > desired && need <= *lately) {
        answer.find(
            Cause::Lately,
            last.basis(),
            format!(
                "{pool} is not raised because its group may have {lately} already: so many were desired within {}, though its description \
                 shows {desired}",
                format_duration(STALENESS)
            ),
            "wait half a minute: then the description is believed. Look who lowered the group, if it was no instance",
        );
    }
}

/// Raises in vain, and silent instances.
pub(super) fn doubts(answer: &mut Answer, last: Tick<'_>, plan: &Explanation) {
    let Some(outlook) = plan.outlook else { return };
    let pool = &last.decision.pool;
    if outlook.silent > 0 {
        answer.find(
            Cause::DeafMember,
            last.basis(),
            format!(
                "{} of the {} desired instances of {pool} neither took a waiting job nor left, so that their agents or runners do not work; \
                 they are not counted, and one is raised past them at a time",
                outlook.silent, plan.desired
            ),
            "on the instance that has been in service longest: lightsout-agent status; journalctl -u lightsout-agent. End those that are dead",
        );
    }
    if outlook.in_vain > 0 {
        let then = match outlook.pause_ms {
            0 => "so one instance is tried for them".to_owned(),
            left => format!(
                "so nothing is raised for {} of them for another {}",
                outlook.unmet,
                format_duration(Duration::from_millis(left))
            ),
        };
        answer.find(
            Cause::FutileDemand,
            last.basis(),
            format!(
                "the last {} raises of {pool} were in vain: their instances left, and nobody took the {} jobs that wait; {then}",
                outlook.in_vain, plan.queued
            ),
            "mend why they took no job, or cancel the jobs; the scaler tries one instance now and then by itself",
        );
    } else if outlook.ready > 0 && plan.queued > 0 {
        answer.find(
            Cause::FutileDemand,
            last.basis(),
            format!(
                "{} instances of {pool} have been ready for a while and took none of the {} jobs that wait: those ask for what no instance has, \
                 or wait for something else",
                outlook.ready, plan.queued
            ),
            "compare what a waiting job asks for (tags, labels, queue) with what the runners offer, and see what it waits for at the platform",
        );
    }
}
