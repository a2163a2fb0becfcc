//! Launches that failed: what was raised does not come.

use std::{collections::BTreeMap, time::Duration};

use super::Tick;
use crate::{
    explain::{ActivityKind, Answer, Basis, Cause, Evidence, Facts, Said},
    record::LaunchTrouble,
};

/// How long before the newest record a launch may have failed and still tell something about it.
const RECENT: Duration = Duration::from_secs(30 * 60);

pub(super) fn failing(answer: &mut Answer, last: Tick<'_>, facts: &Facts<'_>) {
    let (pool, group) = (&last.decision.pool, &last.decision.group);
    if last.decision.launches_suspended {
        answer.find(
            Cause::LaunchesSuspended,
            last.basis(),
            format!("{pool} gets no instances, because the process Launch of the group {group} is suspended: a raise starts nothing"),
            format!("aws autoscaling resume-processes --auto-scaling-group-name {group} --scaling-processes Launch"),
        );
    }
    for (trouble, (evidence, message)) in failures(last, facts) {
        let (cause, what) = told(trouble);
        answer.find(
            cause,
            Basis::on(evidence).and(last.evidence),
            format!("{pool} gets no instance from its group {group}, because {what}: {message}"),
            remedy(trouble, group),
        );
    }
}

/// The newest failure of each kind. What the group's own history says goes before the scaler's excerpt of it.
fn failures<'a>(last: Tick<'a>, facts: &Facts<'a>) -> BTreeMap<LaunchTrouble, (&'a Evidence, &'a str)> {
    let launches = last.decision.failed_launches.iter().rev();
    let mut found: BTreeMap<_, _> =
        launches.map(|failed| (failed.trouble, (last.evidence, failed.message.as_str()))).collect();
    let waits = last.decision.why.as_ref().is_none_or(|plan| plan.queued > 0);
    for evidence in facts.of_group(&last.decision.group).filter(|it| waits && is_recent(it, last)) {
        if let Said::Activity(activity) = &evidence.said
            && let ActivityKind::LaunchFailed(trouble) = activity.kind
        {
            found.insert(trouble, (evidence, &activity.text));
        }
    }
    found
}

fn is_recent(evidence: &Evidence, last: Tick<'_>) -> bool {
    let ago = last.evidence.time.duration_since(evidence.time);
    Duration::try_from(ago).is_ok_and(|ago| ago <= RECENT) || ago.is_negative()
}

fn told(trouble: LaunchTrouble) -> (Cause, &'static str) {
    match trouble {
        LaunchTrouble::Capacity => (Cause::NoCapacity, "the cloud has no capacity of this kind"),
        LaunchTrouble::Quota => (Cause::Quota, "the account's quota is used up"),
        LaunchTrouble::Key => (Cause::Key, "whoever launches the group's instances may not use the key of their disks"),
        LaunchTrouble::Hook => (Cause::HookTimedOut, "its launch hook ran out or abandoned the instance"),
        LaunchTrouble::Settings => (Cause::LaunchFails, "its image, launch template or rights are missing or wrong"),
        LaunchTrouble::Other => (Cause::LaunchFails, "the launch failed"),
    }
}

fn remedy(trouble: LaunchTrouble, group: &str) -> String {
    match trouble {
        LaunchTrouble::Capacity => format!(
            "the group tries again by itself. Give it more instance types and zones (a mixed instances policy), or on-demand beside Spot; \
             see: aws autoscaling describe-scaling-activities --auto-scaling-group-name {group}"
        ),
        LaunchTrouble::Quota => {
            "ask for more: aws service-quotas list-service-quotas --service-code ec2; or use smaller or other instance \
                                 types, or lower pool.max"
                .to_owned()
        }
        LaunchTrouble::Key => {
            "let the role AWSServiceRoleForAutoScaling use the key: in the key's policy, or by aws kms create-grant \
                               --grantee-principal with the role's ARN"
                .to_owned()
        }
        LaunchTrouble::Hook => format!(
            "see what is to answer it: aws autoscaling describe-lifecycle-hooks --auto-scaling-group-name {group}; on the instance: \
             journalctl -u lightsout-agent"
        ),
        LaunchTrouble::Settings | LaunchTrouble::Other => {
            format!(
                "mend what the message names; see: aws autoscaling describe-scaling-activities --auto-scaling-group-name {group}"
            )
        }
    }
}
