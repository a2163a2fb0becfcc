//! Launches that failed: what was raised does not come.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::Tick;
use crate::{
    explain::{
        ActivityKind, Answer, Basis, Cause, Evidence, Facts, Said,
        cloud_cli::{self, CloudCli},
    },
    record::{IncidentKind, LaunchTrouble},
};

/// How long before the newest record a launch may have failed and still tell something about it.
const RECENT: Duration = Duration::from_secs(30 * 60);

pub(super) fn failing(answer: &mut Answer, last: Tick<'_>, facts: &Facts<'_>, cli: &CloudCli) {
    let (pool, group) = (&last.decision.pool, &last.decision.group);
    if last.decision.launches_suspended {
        answer.find(
            Cause::LaunchesSuspended,
            last.basis(),
            format!(
                "{pool} gets no instances, because launches of the group {group} are suspended: a raise starts nothing"
            ),
            cloud_cli::with("let it launch again", cli.resume_launches()),
        );
    }
    for (trouble, failure) in failures(last, facts) {
        let (cause, what) = told(trouble);
        answer.find(
            cause,
            Basis::on(failure.evidence).and(last.evidence),
            format!(
                "{pool} gets no instance from its group {group}, because {what}, as a launch of {:.0} shows: {}",
                failure.time, failure.message
            ),
            remedy(trouble, cli),
        );
    }
}

struct Failure<'a> {
    time: Timestamp,
    message: &'a str,
    evidence: &'a Evidence,
}

/// The newest failure of each kind. What the group's own history says goes before the scaler's excerpt of it. What failed before an instance came
/// up says no longer why none does; where a launch hook holds it, that is only once it is ready, since its agent runs before.
fn failures<'a>(last: Tick<'a>, facts: &Facts<'a>) -> BTreeMap<LaunchTrouble, Failure<'a>> {
    let waits = last.decision.why.as_ref().is_none_or(|plan| plan.queued > 0);
    if !waits {
        return BTreeMap::new();
    }
    let newest = |kinds: &[IncidentKind]| {
        facts.of_group(&last.decision.group).filter(|it| tells_of(&it.said, kinds)).map(|it| it.time).next_back()
    };
    let (came_up, ready) = (newest(&[IncidentKind::Started, IncidentKind::Ready]), newest(&[IncidentKind::Ready]));
    let past = |trouble| if trouble == LaunchTrouble::Hook { ready } else { came_up };
    let excerpt = last.decision.failed_launches.iter().rev().filter_map(|failed| {
        let failure = Failure { time: failed.time.parse().ok()?, message: &failed.message, evidence: last.evidence };
        Some((failed.trouble, failure))
    });
    let history = facts.of_group(&last.decision.group).filter(|it| is_recent(it, last)).filter_map(|evidence| {
        let Said::Activity(activity) = &evidence.said else { return None };
        let ActivityKind::LaunchFailed(trouble) = activity.kind else { return None };
        Some((trouble, Failure { time: evidence.time, message: &activity.text, evidence }))
    });
    excerpt.chain(history).filter(|(trouble, failure)| past(*trouble).is_none_or(|past| past < failure.time)).collect()
}

/// Whether it is an incident of one of these kinds.
fn tells_of(said: &Said, kinds: &[IncidentKind]) -> bool {
    match said {
        Said::Incident(incident) => kinds.contains(&incident.what),
        Said::Decision(_) | Said::Departure(_) | Said::Status(_) | Said::Job(_) | Said::Activity(_) => false,
    }
}

fn is_recent(evidence: &Evidence, last: Tick<'_>) -> bool {
    let ago = last.evidence.time.duration_since(evidence.time);
    Duration::try_from(ago).is_ok_and(|ago| ago <= RECENT) || ago.is_negative()
}

/// What a failed launch shows.
pub(in crate::explain) fn told(trouble: LaunchTrouble) -> (Cause, &'static str) {
    match trouble {
        LaunchTrouble::Capacity => (Cause::NoCapacity, "the cloud has no capacity of this kind"),
        LaunchTrouble::Quota => (Cause::Quota, "the account's quota is used up"),
        LaunchTrouble::Key => (Cause::Key, "whoever launches the group's instances may not use the key of their disks"),
        LaunchTrouble::Hook => (Cause::HookTimedOut, "its launch hook ran out or abandoned the instance"),
        LaunchTrouble::Settings => (Cause::LaunchFails, "its image, launch template or rights are missing or wrong"),
        LaunchTrouble::Other => (Cause::LaunchFails, "the launch failed"),
    }
}

/// What is to be done about it.
pub(in crate::explain) fn remedy(trouble: LaunchTrouble, cli: &CloudCli) -> String {
    match trouble {
        LaunchTrouble::Capacity => cloud_cli::with(
            "the group tries again by itself. Give it more instance types and zones, or on-demand beside Spot, and see what its cloud wrote down of it",
            cli.history(),
        ),
        LaunchTrouble::Quota => {
            let ask = cloud_cli::with("ask for more", cli.quotas());
            format!("{ask}; or use smaller or other instance types, or lower pool.max")
        }
        LaunchTrouble::Key => cli.allow_key().to_owned(),
        LaunchTrouble::Hook => {
            let see = cloud_cli::with("see what is to answer it", cli.hooks());
            format!("{see}; on the instance: journalctl -u lightsout-agent")
        }
        LaunchTrouble::Settings | LaunchTrouble::Other => {
            cloud_cli::with("mend what the message names; see what its cloud wrote down of the group", cli.history())
        }
    }
}
