//! Rows about the instance's group, and about what new instances start from.

use std::time::Duration;

use crate::{agent::policy::Protection, duration::format_duration, record::LaunchTrouble};

use super::{
    Facts, Judgement, Place, Row, Scope, Verdict,
    facts::{GroupFacts, HoldFacts, NextImage, NotOffered, RefreshFacts},
    key::USE_OF_KEY,
    of, of_each,
};

/// The time-out of a termination hook that the README asks for.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The shortest time-out of a launch hook: nobody extends it until the machine is up and its agent has started.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) const ROWS: &[Row] = &[
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
                (false, None) if facts.place == Place::Desk => {
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
                    .holds
                    .as_ref()
                    .is_none_or(|holds| holds.as_ref().is_ok_and(|holds| !holds.is_empty()));
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
        id: "hook",
        scope: Scope::Group,
        meaning: "a termination hook holds off whatever ends an instance from outside; `agent.hook` names one that is there",
        remedy: "aws autoscaling put-lifecycle-hook --region {region} --auto-scaling-group-name {group} --lifecycle-hook-name lightsout-drain \
                 --lifecycle-transition autoscaling:EC2_INSTANCE_TERMINATING --heartbeat-timeout 600 --default-result CONTINUE; or correct `agent.hook`",
        judge: |facts| {
            let chosen = facts.settings.settings.as_ref().and_then(|settings| settings.hook.as_deref());
            of(facts.cloud.as_ref()?.holds.as_ref(), |holds| {
                let names = holds.iter().map(|hold| hold.name.as_str()).collect::<Vec<_>>().join(", ");
                match chosen {
                    _ if holds.is_empty() => {
                        Judgement::wrong("there is none: a refresh or a health check leaves jobs no time")
                    }
                    Some(chosen) if holds.iter().all(|hold| hold.name != chosen) => {
                        Judgement::wrong(format!("agent.hook is {chosen}, and the group has {names}"))
                    }
                    None if facts.settings.settings.is_some() && holds.len() > 1 => Judgement::warning(format!(
                        "there are several ({names}), and agent.hook does not say which is the agent's to answer"
                    )),
                    Some(_) | None => Judgement::ok(names),
                }
            })
        },
    },
    Row {
        id: "hook.time-out",
        scope: Scope::Group,
        meaning: "each termination hook waits for 600 s or longer: it can be extended to 100 times that, 48 h at most, and a longer job is cut",
        remedy: "aws autoscaling put-lifecycle-hook --region {region} --auto-scaling-group-name {group} --lifecycle-hook-name NAME --heartbeat-timeout 600",
        judge: |facts| {
            hooks(facts, |hook| (if hook.timeout < TIMEOUT { Verdict::Warning } else { Verdict::Ok }, waits(hook)))
        },
    },
    Row {
        id: "hook.result",
        scope: Scope::Group,
        meaning: "no termination hook that runs out ends the wait of the others (default result CONTINUE)",
        remedy: "aws autoscaling put-lifecycle-hook --region {region} --auto-scaling-group-name {group} --lifecycle-hook-name NAME \
                 --default-result CONTINUE",
        judge: |facts| {
            hooks(facts, |hook| {
                let (verdict, result) =
                    if hook.abandons { (Verdict::Warning, "ABANDON") } else { (Verdict::Ok, "CONTINUE") };
                (verdict, format!("{}: {result}", hook.name))
            })
        },
    },
    Row {
        id: "launch-hook",
        scope: Scope::Group,
        meaning: "each launch hook is answered: it is the one that `agent.launch_hook` names, which is there",
        remedy: "name the hook in `agent.launch_hook`; one that somebody else answers may stay; else aws autoscaling delete-lifecycle-hook --region \
                 {region} --auto-scaling-group-name {group} --lifecycle-hook-name NAME",
        judge: |facts| {
            let settings = facts.settings.settings.as_ref();
            let chosen = settings.and_then(|settings| settings.launch_hook.as_deref());
            of(facts.cloud.as_ref()?.launch_holds.as_ref(), |holds| {
                let named = |wanted: bool| {
                    let found =
                        holds.iter().map(|hold| hold.name.as_str()).filter(|name| (chosen == Some(*name)) == wanted);
                    found.collect::<Vec<_>>().join(", ")
                };
                let (answered, others) = (named(true), named(false));
                match chosen {
                    Some(chosen) if answered.is_empty() => {
                        let there = if others.is_empty() { "none for launches" } else { &others };
                        Judgement::wrong(format!("agent.launch_hook is {chosen}, and the group has {there}"))
                    }
                    // Whether an agent answers them, its settings say, which are not here.
                    None if settings.is_none() && facts.place == Place::Desk && !others.is_empty() => None,
                    _ if !others.is_empty() => Judgement::warning(format!(
                        "no agent answers {others}: unless somebody else does, each launch waits for the whole time-out"
                    )),
                    Some(_) => Judgement::ok(answered),
                    None => Judgement::ok("there is none, and agent.launch_hook names none"),
                }
            })
        },
    },
    Row {
        id: "launch-hook.time-out",
        scope: Scope::Group,
        meaning: "the launch hook waits for 60 s or longer, since nobody extends it before the machine is up, and can be extended for as long as a \
                  boot may take (`agent.before_register_timeout` and `agent.boot_deadline`)",
        remedy: "aws autoscaling put-lifecycle-hook --region {region} --auto-scaling-group-name {group} --lifecycle-hook-name NAME --heartbeat-timeout 300",
        judge: |facts| {
            let policy = &facts.settings.settings.as_ref()?.policy;
            let boot = policy.boot_deadline + policy.before_register.unwrap_or_default();
            let hook = launch_hook(facts)?;
            let seen = waits(hook);
            if hook.timeout < LAUNCH_TIMEOUT {
                Judgement::warning(seen)
            } else if hook.longest < boot {
                Judgement::warning(format!("{seen}; a boot may take {}", format_duration(boot)))
            } else {
                Judgement::ok(seen)
            }
        },
    },
    Row {
        id: "launch-hook.result",
        scope: Scope::Group,
        meaning: "an instance whose agent never answers the launch hook is replaced, and not let into service (default result ABANDON)",
        remedy: "aws autoscaling put-lifecycle-hook --region {region} --auto-scaling-group-name {group} --lifecycle-hook-name NAME \
                 --default-result ABANDON",
        judge: |facts| {
            let hook = launch_hook(facts)?;
            if hook.abandons {
                Judgement::ok(format!("{}: ABANDON", hook.name))
            } else {
                Judgement::warning(format!("{}: CONTINUE", hook.name))
            }
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
    Row {
        id: "template.image",
        scope: Scope::Group,
        meaning: "the image that new instances start from is there, may be used, and is not deprecated",
        remedy: "build an image, name it in a new version of the launch template, and have the group use that version; \
                 on Azure az vmss update --ids {group} --set virtualMachineProfile.storageProfile.imageReference.id=ID",
        judge: |facts| of_each(&facts.cloud.as_ref()?.next_images, |image| of(Some(image), judge_image)),
    },
    Row {
        id: "template.types",
        scope: Scope::Group,
        meaning: "each zone of the group has each of its instance types",
        remedy: "take the zone's subnet out of the group, or the type out of its policy: launches there fail, some of the time; where none is left, name another \
                 type: on Azure az vmss update --ids {group} --set sku.name=SIZE",
        judge: |facts| {
            of(facts.cloud.as_ref()?.not_offered.as_ref(), |NotOffered { missing, all }| {
                let seen = format!("not offered: {}", missing.join(", "));
                if missing.is_empty() {
                    Judgement::ok("all of them")
                } else if *all {
                    Judgement::wrong(format!("{seen}: nothing can start"))
                } else {
                    Judgement::warning(seen)
                }
            })
        },
    },
];

fn group(facts: &Facts, judge: impl FnOnce(&GroupFacts) -> Option<Judgement>) -> Option<Judgement> {
    match facts.cloud.as_ref()?.group.as_ref()? {
        // The row `group` says so, once.
        Err(_) if facts.place == Place::Desk => None,
        group => of(Some(group), judge),
    }
}

fn judge_image(image: &NextImage) -> Option<Judgement> {
    let later = |later: &String| format!(" (not {later})");
    let id = format!("{}{}", image.id, image.passed_over.iter().map(later).collect::<String>());
    if !image.usable {
        return Judgement::wrong(format!(
            "{id} does not exist, or this account may not use it: nothing can start from it"
        ));
    }
    match image.deprecated {
        Some(at) if at <= image.now => {
            Judgement::warning(format!("{id} is deprecated since {}", at.strftime("%Y-%m-%d")))
        }
        Some(at) => Judgement::ok(format!("{id}, until {}", at.strftime("%Y-%m-%d"))),
        None => Judgement::ok(id),
    }
}

/// How long a hook waits.
fn waits(hook: &HoldFacts) -> String {
    format!("{}: {}, {} at most", hook.name, format_duration(hook.timeout), format_duration(hook.longest))
}

/// The launch hook that the agent answers.
fn launch_hook(facts: &Facts) -> Option<&HoldFacts> {
    let chosen = facts.settings.settings.as_ref()?.launch_hook.as_deref()?;
    let holds = facts.cloud.as_ref()?.launch_holds.as_ref()?.as_ref().ok()?;
    holds.iter().find(|hold| hold.name == chosen)
}

/// The hooks that are not as they should be, or all of them.
fn hooks(facts: &Facts, judge: impl Fn(&HoldFacts) -> (Verdict, String)) -> Option<Judgement> {
    let holds = facts.cloud.as_ref()?.holds.as_ref()?.as_ref().ok().filter(|holds| !holds.is_empty())?;
    let judged: Vec<_> = holds.iter().map(judge).collect();
    let worst = if judged.iter().any(|(verdict, _)| *verdict != Verdict::Ok) { Verdict::Warning } else { Verdict::Ok };
    let seen: Vec<_> = judged.into_iter().filter(|(verdict, _)| *verdict == worst).map(|(_, seen)| seen).collect();
    Some(Judgement::new(worst, seen.join(", ")))
}
