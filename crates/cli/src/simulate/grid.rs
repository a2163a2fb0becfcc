//! The settings that are tried: each combination of what the lists name.

use std::time::Duration;

use lightsout_core::{
    agent::policy::AgentPolicy,
    scaling::{ScalerPolicy, Schedule},
};
use lightsout_io::command_line::{Failure, duration_within};
use lightsout_simulate::LightsoutSettings;

use super::{Args, present::shown};
use crate::duration::{DAY, SECOND, format_duration};

/// The most combinations that one report has lines for.
const MOST: usize = 1_000;
const IDLE_TIMEOUTS: [u64; 5] = [600, 120, 300, 1_200, 1_800];
const SPARES: [u32; 3] = [0, 1, 2];

/// Settings to try, and what is different of them.
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) ours: LightsoutSettings,
}

/// How long an instance stays without a job; `None`: for ever.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct IdleTimeout(Option<Duration>);

/// Each combination with these schedules, the present one first: those with the first schedule, then as many with each other one.
pub(super) fn variants(
    args: &Args,
    present: &LightsoutSettings,
    schedules: &[Schedule],
) -> Result<Vec<Variant>, Failure> {
    let idles = IDLE_TIMEOUTS.map(|seconds| IdleTimeout(Some(Duration::from_secs(seconds))));
    let idles = list(&args.idle_timeout, IdleTimeout(present.agent.idle_timeout), &idles);
    let spares = list(&args.spare, present.scaler.spare, &SPARES);
    let slots = list(&args.slots, present.scaler.slots, &[]);
    let ticks = list(&args.tick, present.tick, &[]);
    let webhooks = list(&args.webhook, present.webhook, &[]);
    let lists = [idles.len(), spares.len(), slots.len(), ticks.len(), webhooks.len(), schedules.len()];
    let count = lists.iter().fold(1_usize, |product, len| product.saturating_mul(*len));
    if count > MOST {
        return Err(Failure::Refused(format!(
            "{count} combinations of settings are too many; shorten the lists to {MOST} together"
        )));
    }
    let mut variants = Vec::with_capacity(count);
    for schedule in schedules {
        for slots in &slots {
            for webhook in &webhooks {
                for tick in &ticks {
                    for spare in &spares {
                        for idle in &idles {
                            let ours = LightsoutSettings {
                                agent: agent(&present.agent, *idle),
                                scaler: ScalerPolicy { slots: *slots, spare: *spare, ..present.scaler.clone() },
                                schedule: schedule.clone(),
                                tick: *tick,
                                webhook: *webhook,
                                ..present.clone()
                            };
                            variants.push(Variant { name: name(&ours, lists), ours });
                        }
                    }
                }
            }
        }
    }
    Ok(variants)
}

/// What was asked for; without that the present value, and those that are worth a try beside it.
fn list<T: Copy + PartialEq>(asked: &[T], present: T, others: &[T]) -> Vec<T> {
    if asked.is_empty() {
        let others = others.iter().copied().filter(|other| *other != present);
        return std::iter::once(present).chain(others).collect();
    }
    asked.to_vec()
}

fn agent(present: &AgentPolicy, idle: IdleTimeout) -> AgentPolicy {
    let policy = AgentPolicy { idle_timeout: idle.0, ..present.clone() };
    // As the settings have it.
    let confirm = idle.0.map_or(policy.confirm, |idle| policy.confirm.min(idle / 2));
    AgentPolicy { confirm, ..policy }
}

/// What of it is not the same in all.
fn name(ours: &LightsoutSettings, [idles, spares, slots, ticks, webhooks, schedules]: [usize; 6]) -> String {
    let idle = ours.agent.idle_timeout.map_or_else(|| "never".to_owned(), format_duration);
    let mut parts = vec![format!("idle_timeout {idle}")];
    let rest = [
        (spares, format!("spare {}", ours.scaler.spare)),
        (slots, format!("slots {}", ours.scaler.slots)),
        (ticks, format!("tick {}", format_duration(ours.tick))),
        (webhooks, format!("webhook {}", if ours.webhook { "on" } else { "off" })),
        (schedules, format!("schedule {}", shown(&ours.schedule))),
    ];
    parts.extend(rest.into_iter().filter(|(len, _)| *len > 1).map(|(_, part)| part));
    if idles == 1 && parts.len() > 1 {
        parts.remove(0);
    }
    parts.join(", ")
}

pub(super) fn idle_timeout(text: &str) -> Result<IdleTimeout, String> {
    if text == "never" {
        return Ok(IdleTimeout(None));
    }
    let span = duration_within(SECOND, 30 * DAY)(text).map_err(|error| format!("{error}, or never"))?;
    Ok(IdleTimeout(Some(span)))
}

pub(super) fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on, off, or off,on for both".to_owned()),
    }
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1_000.0).contains(number));
    number.ok_or_else(|| "write a number of percent, such as 2.5".to_owned())
}
