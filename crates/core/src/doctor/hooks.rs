//! Rows about the group's lifecycle hooks: those that hold endings off, and those that hold launches back.

use std::time::Duration;

use super::{Facts, Judgement, Place, Row, Scope, Verdict, facts::HookFacts, of};
use crate::duration::format_duration;

/// The time-out of a termination hook that the README asks for.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The shortest time-out of a launch hook: nobody extends it until the machine is up and its agent has started.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "hook",
        scope: Scope::Group,
        meaning: "a termination hook holds off whatever ends an instance from outside; `agent.hook` names one that is there",
        remedy: "aws autoscaling put-lifecycle-hook --region {region} --auto-scaling-group-name {group} --lifecycle-hook-name lightsout-drain \
                 --lifecycle-transition autoscaling:EC2_INSTANCE_TERMINATING --heartbeat-timeout 600 --default-result CONTINUE; or correct `agent.hook`",
        judge: |facts| {
            let chosen = facts.settings.settings.as_ref().and_then(|settings| settings.hook.as_deref());
            of(facts.cloud.as_ref()?.termination_hooks.as_ref(), |hooks| {
                let names = hooks.iter().map(|hook| hook.name.as_str()).collect::<Vec<_>>().join(", ");
                match chosen {
                    _ if hooks.is_empty() => {
                        Judgement::wrong("there is none: a refresh or a health check leaves jobs no time")
                    }
                    Some(chosen) if hooks.iter().all(|hook| hook.name != chosen) => {
                        Judgement::wrong(format!("agent.hook is {chosen}, and the group has {names}"))
                    }
                    None if facts.settings.settings.is_some() && hooks.len() > 1 => Judgement::warning(format!(
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
            of(facts.cloud.as_ref()?.launch_hooks.as_ref(), |hooks| {
                let named = |wanted: bool| {
                    let found =
                        hooks.iter().map(|hook| hook.name.as_str()).filter(|name| (chosen == Some(*name)) == wanted);
                    found.collect::<Vec<_>>().join(", ")
                };
                let (answered, others) = (named(true), named(false));
                match chosen {
                    Some(chosen) if answered.is_empty() => {
                        let there = if others.is_empty() { "none for launches" } else { &others };
                        Judgement::wrong(format!("agent.launch_hook is {chosen}, and the group has {there}"))
                    }
                    // Whether an agent answers them, its settings say, which are not here.
                    None if settings.is_none() && facts.place == Place::Workstation && !others.is_empty() => None,
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
];

/// How long a hook waits.
fn waits(hook: &HookFacts) -> String {
    format!("{}: {}, {} at most", hook.name, format_duration(hook.timeout), format_duration(hook.longest))
}

/// The launch hook that the agent answers.
fn launch_hook(facts: &Facts) -> Option<&HookFacts> {
    let chosen = facts.settings.settings.as_ref()?.launch_hook.as_deref()?;
    let hooks = facts.cloud.as_ref()?.launch_hooks.as_ref()?.as_ref().ok()?;
    hooks.iter().find(|hook| hook.name == chosen)
}

/// The hooks that are not as they should be, or all of them.
fn hooks(facts: &Facts, judge: impl Fn(&HookFacts) -> (Verdict, String)) -> Option<Judgement> {
    let hooks = facts.cloud.as_ref()?.termination_hooks.as_ref()?.as_ref().ok().filter(|hooks| !hooks.is_empty())?;
    let judged: Vec<_> = hooks.iter().map(judge).collect();
    let worst = if judged.iter().any(|(verdict, _)| *verdict != Verdict::Ok) { Verdict::Warning } else { Verdict::Ok };
    let seen: Vec<_> = judged.into_iter().filter(|(verdict, _)| *verdict == worst).map(|(_, seen)| seen).collect();
    Some(Judgement::new(worst, seen.join(", ")))
}
