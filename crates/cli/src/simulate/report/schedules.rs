//! What a schedule would have cost and saved.

use std::time::Duration;

use lightsout_core::scaling::Schedule;
use lightsout_simulate::Held;
use serde_json::{Value, json};

use super::{hours, long, wait};
use crate::{
    plural::plural,
    simulate::{Line, present::shown},
};

/// A schedule that was tried, beside the present one with the same settings.
pub(super) struct Scheduled<'a> {
    schedule: &'a Schedule,
    line: &'a Line,
    /// The present schedule and what came of it; `None`: it is this one.
    now: Option<(&'a Schedule, &'a Line)>,
}

impl<'a> Scheduled<'a> {
    /// Of these schedules those that say something, with the present settings otherwise. `lines` are those with the first of the schedules, then
    /// as many with each other one.
    pub(super) fn of(schedules: &'a [Schedule], lines: &'a [Line]) -> Vec<Self> {
        let each = lines.len() / schedules.len().max(1);
        let firsts = schedules.iter().zip(lines.iter().step_by(each.max(1)));
        let now = firsts.clone().next();
        firsts
            .enumerate()
            .filter(|(index, (schedule, _))| *index > 0 || !schedule.is_empty())
            .map(|(index, (schedule, line))| Self { schedule, line, now: now.filter(|_| index > 0) })
            .collect()
    }

    /// What it changed, at this price of an instance hour.
    pub(super) fn sentence(&self, price: Option<f64>) -> String {
        let this = clocked(self.schedule);
        let outcome = &self.line.outcome;
        let Some((schedule, now)) = self.now else { return format!("The present schedule, {this}:") };
        let now = &now.outcome;
        let more = |seconds: f64, more, less| {
            let which = if seconds < 0.0 { less } else { more };
            format!("{} h {which}", hours(seconds.abs()))
        };
        let costs = more(self.more_seconds(), "more of instances", "less of instances");
        let cost = price.map(|price| format!(", {:+.2} of cost", self.more_seconds() / 3600.0 * price));
        format!(
            "Schedule {this}, instead of {}: {costs}{}; all jobs together wait {}, half of them up to {} instead of {}, 95 % up to {} instead of {}{}",
            clocked(schedule),
            cost.unwrap_or_default(),
            more(self.more_waiting(), "longer", "less"),
            wait(outcome.waits.p50),
            wait(now.waits.p50),
            wait(outcome.waits.p95),
            wait(now.waits.p95),
            if outcome.entries.is_empty() { "." } else { ":" },
        )
    }

    /// What each of its entries had to do.
    pub(super) fn entries(&self) -> Vec<String> {
        let entry = |Held { entry, seconds, jobs, waits }: &Held| {
            let span = long(Duration::try_from_secs_f64(*seconds).unwrap_or_default());
            let jobs = plural(*jobs as u64, "job", "jobs");
            let (half, most) = (wait(waits.p50), wait(waits.p95));
            format!(
                "{entry:?} was in force for {span}; of {jobs} that came meanwhile half waited up to {half}, 95 % up to {most}"
            )
        };
        self.line.outcome.entries.iter().map(entry).collect()
    }

    pub(super) fn as_json(&self) -> Value {
        let entries: Vec<String> = self.schedule.entries().iter().map(ToString::to_string).collect();
        json!({
            "entries": entries,
            "zone": self.schedule.zone().to_string(),
            "settings": self.line.name,
            "instead_of": self.now.map(|(_, line)| &line.name),
            "more_instance_seconds": self.more_seconds(),
            "more_waiting_seconds": self.more_waiting(),
        })
    }

    fn more_seconds(&self) -> f64 {
        self.now.map_or(0.0, |(_, now)| self.line.outcome.seconds.all() - now.outcome.seconds.all())
    }

    fn more_waiting(&self) -> f64 {
        self.now.map_or(0.0, |(_, now)| self.line.outcome.waits.total - now.outcome.waits.total)
    }
}

/// With the clock by which it goes.
fn clocked(schedule: &Schedule) -> String {
    if schedule.is_empty() { shown(schedule) } else { format!("{:?} (clock of {})", shown(schedule), schedule.zone()) }
}
