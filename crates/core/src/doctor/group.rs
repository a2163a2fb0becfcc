//! Rows about the instance's group itself.

use crate::{agent::policy::Protection, duration::format_duration, record::LaunchTrouble};

use super::{
    Facts, Judgement, Place, Row, Scope, Verdict,
    facts::{GroupFacts, RefreshFacts},
    key::USE_OF_KEY,
    of,
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "group",
        scope: Scope::Workstation,
        meaning: "the pool's group is in this account and region",
        remedy: "correct `pool.group` or `pool.region`, or look with the credentials of the account that has it",
        judge: |facts| {
            let cloud = facts.cloud.as_ref()?;
            match (&cloud.group, &cloud.scale_set, &cloud.program) {
                (Some(Ok(group)), ..) => Judgement::ok(group.address.clone()),
                (Some(Err(why)), ..) => Judgement::unknown(why.clone()),
                (None, Some(_), _) => Judgement::ok("it is a scale set"),
                (None, None, Some(_)) => Judgement::ok("the program knows it"),
                (None, None, None) => Judgement::wrong("there is no such group"),
            }
        },
    },
    Row {
        id: "group.size",
        scope: Scope::Group,
        meaning: "the group can grow, and can shrink to nothing",
        remedy: "aws autoscaling update-auto-scaling-group --region {region} --auto-scaling-group-name {group} --min-size 0 --max-size N",
        judge: |facts| {
            group(facts, |group| {
                let size = format!("from {} to {}", group.min, group.max);
                match (group.min, group.max) {
                    (_, 0) => Judgement::wrong(format!("{size}: nothing can ever start")),
                    (0, _) => Judgement::ok(size),
                    (min, _) => Judgement::warning(format!("{size}: {min} stay for ever, also without a job")),
                }
            })
        },
    },
    Row {
        id: "group.protection",
        scope: Scope::Group,
        meaning: "new instances are protected from scale-in from their birth, unless `agent.protection` says when they are busy only",
        remedy: "aws autoscaling update-auto-scaling-group --region {region} --auto-scaling-group-name {group} \
                 --new-instances-protected-from-scale-in",
        judge: |facts| {
            const RISK: &str =
                "they are not: whoever lowers the desired capacity may end an instance while a job runs on it";
            let settings = facts.settings.settings.as_ref();
            let while_busy = settings.map(|found| found.policy.protection == Protection::WhileBusy);
            group(facts, |group| match (group.protects_new, while_busy) {
                (true, _) => Judgement::ok("they are"),
                (false, Some(true)) => Judgement::ok("they are not, as agent.protection has it"),
                (false, None) if facts.place == Place::Workstation => {
                    Judgement::warning(format!("{RISK}, unless agent.protection is \"while-busy\" there"))
                }
                (false, Some(false) | None) => Judgement::wrong(RISK),
            })
        },
    },
    Row {
        id: "group.units",
        scope: Scope::Group,
        meaning: "the group counts instances, without weights",
        remedy: "take WeightedCapacity and DesiredCapacityType out of the group's mixed instances policy",
        judge: |facts| {
            group(facts, |group| match &group.unscalable {
                None => Judgement::ok("instances"),
                Some(why) => Judgement::wrong(why.clone()),
            })
        },
    },
    Row {
        id: "group.zones",
        scope: Scope::Group,
        meaning: "the group ends no instance to spread the others over zones (process AZRebalance suspended)",
        remedy: "aws autoscaling suspend-processes --region {region} --auto-scaling-group-name {group} --scaling-processes AZRebalance",
        judge: |facts| {
            group(facts, |group| {
                if group.balances_zones {
                    Judgement::wrong("AZRebalance runs: it starts and ends instances that nobody asked for")
                } else {
                    Judgement::ok("AZRebalance is suspended")
                }
            })
        },
    },
    Row {
        id: "group.processes",
        scope: Scope::Group,
        meaning: "nothing of the group that scaler and agents need is suspended",
        remedy: "aws autoscaling resume-processes --region {region} --auto-scaling-group-name {group} --scaling-processes NAMES",
        judge: |facts| {
            group(facts, |group| {
                let named: Vec<_> = group.suspended.iter().map(|(name, what)| format!("{name} ({what})")).collect();
                if named.is_empty() {
                    Judgement::ok("none")
                } else {
                    Judgement::wrong(format!("suspended: {}", named.join(", ")))
                }
            })
        },
    },
    Row {
        id: "group.capacity-rebalancing",
        scope: Scope::Group,
        meaning: "the group replaces nothing because an interruption is likely: the agent leaves by itself",
        remedy: "aws autoscaling update-auto-scaling-group --region {region} --auto-scaling-group-name {group} --no-capacity-rebalance",
        judge: |facts| {
            group(facts, |group| {
                if group.replaces_at_risk {
                    Judgement::warning(
                        "capacity rebalancing is on: it starts instances that nobody asked for, beside those that cannot be ended",
                    )
                } else {
                    Judgement::ok("capacity rebalancing is off")
                }
            })
        },
    },
    Row {
        id: "group.max-lifetime",
        scope: Scope::Group,
        meaning: "the group ends no instance for its age: `agent.max_age` does that between jobs",
        remedy: "aws autoscaling update-auto-scaling-group --region {region} --auto-scaling-group-name {group} --max-instance-lifetime 0",
        judge: |facts| {
            group(facts, |group| match group.longest_life {
                None => Judgement::ok("it has no limit"),
                Some(life) => Judgement::warning(format!("MaxInstanceLifetime is {}", format_duration(life))),
            })
        },
    },
    Row {
        id: "group.health-check",
        scope: Scope::Group,
        meaning: "nothing but the machine's own state counts as its health (health check type EC2)",
        remedy: "aws autoscaling update-auto-scaling-group --region {region} --auto-scaling-group-name {group} --health-check-type EC2",
        judge: |facts| {
            group(facts, |group| match &group.health_by {
                None => Judgement::ok("EC2"),
                Some(by) => Judgement::warning(format!(
                    "{by}: an instance that fails its check is ended, and a job has the hook's time"
                )),
            })
        },
    },
    Row {
        id: "group.warm-pool",
        scope: Scope::Group,
        meaning: "a warm pool takes no instance back that has served",
        remedy: "aws autoscaling put-warm-pool --region {region} --auto-scaling-group-name {group} --instance-reuse-policy ReuseOnScaleIn=false",
        judge: |facts| {
            group(facts, |group| match group.warm_pool.as_deref() {
                None => Judgement::ok("there is none"),
                Some([]) => Judgement::ok("it takes none back"),
                Some(doubts) => Judgement::warning(doubts.join("; ")),
            })
        },
    },
    Row {
        id: "group.other-scalers",
        scope: Scope::Group,
        meaning: "nothing else changes the group's capacity by itself: no scaling policy, no scheduled action",
        remedy: "aws autoscaling delete-policy or delete-scheduled-action --region {region} --auto-scaling-group-name {group}, for each that is named",
        judge: |facts| {
            of(facts.cloud.as_ref()?.other_scalers.as_ref(), |found| {
                if found.is_empty() { Judgement::ok("nothing does") } else { Judgement::warning(found.join(", ")) }
            })
        },
    },
    Row {
        id: "group.refresh",
        scope: Scope::Group,
        meaning: "a running instance refresh replaces protected instances (`ScaleInProtectedInstances`: `Refresh`), which finish their jobs behind \
                  the termination hook",
        remedy: "aws autoscaling cancel-instance-refresh --region {region} --auto-scaling-group-name {group}, then start-instance-refresh with \
                 --preferences ScaleInProtectedInstances=Refresh",
        judge: |facts| {
            of(facts.cloud.as_ref()?.refresh.as_ref(), |refresh| {
                let held = facts
                    .cloud
                    .as_ref()?
                    .termination_hooks
                    .as_ref()
                    .is_none_or(|hooks| hooks.as_ref().is_ok_and(|hooks| !hooks.is_empty()));
                match refresh {
                    None => Judgement::ok("none runs"),
                    Some(RefreshFacts::Ends) if held => {
                        Judgement::ok("one runs, and ends protected instances behind the hook")
                    }
                    Some(RefreshFacts::Ends) => {
                        Judgement::wrong("one runs, ends protected instances, and no termination hook holds it off")
                    }
                    Some(RefreshFacts::Waits) => {
                        Judgement::warning("one runs, and waits for protection that never ends")
                    }
                    Some(RefreshFacts::Skips) => {
                        Judgement::warning("one runs, and leaves every protected instance as it is")
                    }
                }
            })
        },
    },
    Row {
        id: "group.launches",
        scope: Scope::Group,
        meaning: "the group's last launch succeeded",
        remedy: "see what the cloud says: correct the launch template and the group's subnets, have the quota raised, or allow more types",
        judge: |facts| {
            of(facts.cloud.as_ref()?.failed_launch.as_ref(), |failed| match failed {
                None => Judgement::ok("it did, or there was none lately"),
                Some(failed) => {
                    let seen = format!("that of {} failed: {}", failed.time, failed.message);
                    match failed.trouble {
                        LaunchTrouble::Capacity | LaunchTrouble::Quota | LaunchTrouble::Hook | LaunchTrouble::Other => {
                            Judgement::warning(seen)
                        }
                        LaunchTrouble::Settings => Judgement::wrong(seen),
                        LaunchTrouble::Key => Some(Judgement {
                            remedy: Some(USE_OF_KEY.to_owned()),
                            ..Judgement::new(Verdict::Wrong, seen)
                        }),
                    }
                }
            })
        },
    },
];

fn group(facts: &Facts, judge: impl FnOnce(&GroupFacts) -> Option<Judgement>) -> Option<Judgement> {
    match facts.cloud.as_ref()?.group.as_ref()? {
        // The row `group` says so, once.
        Err(_) if facts.place == Place::Workstation => None,
        group => of(Some(group), judge),
    }
}
