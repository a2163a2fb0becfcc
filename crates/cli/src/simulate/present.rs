//! The present settings: what is shipped, or what the files of a scaler and of an agent say.

use lightsout_core::{
    agent::policy::AgentPolicy,
    scaling::{Entry, Schedule, Zone},
    settings::PoolSettings,
};
use lightsout_io::{command_line::Failure, files};
use lightsout_simulate::LightsoutSettings;

use super::Args;
use crate::settings;

/// What `--schedule` says for no schedule.
const NONE: &str = "none";

/// The present settings.
pub(super) fn present(args: &Args) -> Result<LightsoutSettings, Failure> {
    let mut ours = LightsoutSettings::default();
    if !args.config.is_empty() {
        let settings = settings::of_scaler(&args.config)?;
        ours.tick = settings.tick;
        let pool = chosen(settings.pools, args.pool.as_deref())?;
        (ours.scaler, ours.schedule, ours.webhook) = (pool.policy, pool.schedule, pool.webhook.is_some());
    }
    if !args.agent.is_empty() {
        let AgentPolicy { idle_timeout, confirm, max_age, jobs_per_instance, .. } =
            settings::of_agent(&args.agent)?.policy;
        ours.agent = AgentPolicy { idle_timeout, confirm, max_age, jobs_per_instance, ..AgentPolicy::default() };
    }
    Ok(ours)
}

fn chosen(pools: Vec<PoolSettings>, name: Option<&str>) -> Result<PoolSettings, Failure> {
    let names: Vec<String> = pools.iter().map(|pool| pool.name.clone()).collect();
    let mut found: Vec<PoolSettings> =
        pools.into_iter().filter(|pool| name.is_none_or(|name| name == pool.name || name == pool.group)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(pool), true) => Ok(pool),
        (None, _) => Err(Failure::Refused(format!(
            "--config has no pool {}; it has {}",
            name.unwrap_or_default(),
            names.join(", ")
        ))),
        (Some(_), false) => {
            Err(Failure::Refused(format!("--config has the pools {}; choose one with --pool", names.join(", "))))
        }
    }
}

/// The schedules that are tried, the present one first: those of `--schedule`, and without any of them none at all beside the present one.
pub(super) fn schedules(args: &Args, present: &LightsoutSettings) -> Result<Vec<Schedule>, Failure> {
    let zone = if let Some(text) = &args.zone {
        let zone = Zone::parse(text, &files::zone);
        Some(zone.map_err(|(wrong, remedy)| Failure::Refused(format!("--zone {text:?} {wrong}; {remedy}")))?)
    } else {
        let zone = present.schedule.zone();
        Some(zone.clone()).filter(|zone| !present.schedule.is_empty() || *zone != Zone::utc())
    };
    let most = present.scaler.max.map_or(args.max, |max| max.min(args.max));
    // A clock without entries is no other schedule than none.
    let now = Some(present.schedule.clone()).filter(|schedule| !schedule.is_empty());
    let mut schedules = vec![now.unwrap_or_default()];
    if args.schedule.is_empty() {
        schedules.push(Schedule::default());
    }
    for text in &args.schedule {
        schedules.push(if text.trim() == NONE {
            Schedule::default()
        } else {
            let Some(zone) = zone.clone() else {
                return Err(Failure::Refused(format!(
                    "--schedule {text:?} does not say by whose clock; add --zone UTC, or a rule such as --zone CET-1CEST,M3.5.0,M10.5.0/3"
                )));
            };
            let entries = text.split(';').map(str::parse::<Entry>).collect::<Result<Vec<_>, _>>();
            let entries = entries.map_err(|wrong| {
                Failure::Refused(format!("--schedule {text:?} {wrong}; write for example \"mon-fri 07:30-18:00 spare 4; sat spare 1\", or {NONE}"))
            })?;
            Schedule::new(entries, zone)
        });
    }
    let mut tried: Vec<Schedule> = Vec::new();
    for schedule in schedules {
        if schedule.most() > most {
            return Err(Failure::Refused(format!(
                "an entry has spare {}, which is above the most instances that there may be, {most}: it could never be kept; lower it or raise --max",
                schedule.most()
            )));
        }
        if !tried.contains(&schedule) {
            tried.push(schedule);
        }
    }
    Ok(tried)
}

/// The entries as they are written.
pub(super) fn shown(schedule: &Schedule) -> String {
    if schedule.is_empty() {
        return NONE.to_owned();
    }
    schedule.entries().iter().map(Entry::to_string).collect::<Vec<_>>().join("; ")
}
