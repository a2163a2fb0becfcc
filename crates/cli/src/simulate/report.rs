//! The report: what was played, a table of what came of it, and which settings to take.

mod page;
mod schedules;

use std::time::Duration;

use lightsout_core::scaling::Schedule;
use lightsout_simulate::{Advice, History, Setup, Tried, Waits, advise};
use serde_json::json;

use self::schedules::Scheduled;
use super::{Args, Line, rate::Rate};
use crate::{columns::columns, duration::short, plural::plural};

/// What cannot be seen from here, so that nobody takes a simulation for a measurement.
const LIMITS: &str = "Simulated, not measured: calls are answered at once, runners ask for jobs without a pause, and jobs run as long as they did.";

const HEADERS: [&str; 11] =
    ["p50", "p95", "p99", "instance h", "booting", "idle", "busy", "draining", "launched", "cut", "spot"];

/// What was played, by whom, and what came of it.
pub(super) struct Report<'a> {
    args: &'a Args,
    history: &'a History,
    setup: &'a Setup,
    rate: Option<&'a Rate>,
    /// The present settings first.
    ours: &'a [Line],
    peers: &'a [Line],
    schedules: Vec<Scheduled<'a>>,
    advice: Option<Advice>,
}

impl<'a> Report<'a> {
    /// `ours` are those with the first of the schedules, then as many with each other one.
    pub(super) fn new(
        args: &'a Args,
        history: &'a History,
        setup: &'a Setup,
        rate: Option<&'a Rate>,
        ours: &'a [Line],
        peers: &'a [Line],
        schedules: &'a [Schedule],
    ) -> Self {
        let tried: Vec<Tried> =
            ours.iter().map(|line| Tried { name: line.name.clone(), outcome: line.outcome.clone() }).collect();
        let advice = advise(&tried, args.p95.map(|span| span.as_secs_f64()));
        Self { args, history, setup, rate, ours, peers, schedules: Scheduled::of(schedules, ours), advice }
    }

    pub(super) fn as_text(&self) -> String {
        let mut text: String = self.played().iter().map(|line| format!("{line}\n")).collect();
        let mut rows = vec![self.header()];
        rows.extend(self.lines().map(|(name, line)| self.row(name, line)));
        text += "\n";
        text += &columns(&rows);
        text += "\n";
        for schedule in &self.schedules {
            text += &schedule.sentence(self.per_hour());
            text += "\n";
            text += &schedule.entries().iter().map(|entry| format!("  {entry}\n")).collect::<String>();
        }
        for sentence in self.conclusions() {
            text += &sentence;
            text += "\n";
        }
        text
    }

    pub(super) fn as_json(&self) -> String {
        let line = |line: &Line| {
            let cost = self.per_hour().map(|price| line.outcome.seconds.cost(price));
            let broken = line.outcome.violation.map(|it| it.to_string());
            json!({ "name": line.name, "outcome": line.outcome, "cost": cost, "broken_promise": broken })
        };
        let advice = self.advice.as_ref();
        let advice = advice.map(|advice| json!({ "take": self.ours[advice.take].name, "why": advice.why }));
        let boots: Vec<f64> = self.setup.boots.samples().iter().map(Duration::as_secs_f64).collect();
        let report = json!({
            "seed": self.setup.seed,
            "price_per_hour": self.per_hour(),
            "jobs": self.history.trace.jobs().len(),
            "skipped": self.history.skipped,
            "span_seconds": self.history.trace.span().as_secs_f64(),
            "work_seconds": self.history.trace.work().as_secs_f64(),
            "boot_seconds": boots,
            "as_it_was": self.history.waits,
            "settings": self.ours.iter().map(line).collect::<Vec<_>>(),
            "peers": self.peers.iter().map(line).collect::<Vec<_>>(),
            "schedules": self.schedules.iter().map(Scheduled::as_json).collect::<Vec<_>>(),
            "advice": advice,
        });
        format!("{report}\n")
    }

    /// What an instance hour costs, where that is known.
    fn per_hour(&self) -> Option<f64> {
        self.rate.and_then(|rate| rate.per_hour)
    }

    /// All that were played, with their names in tables.
    fn lines(&self) -> impl Iterator<Item = (String, &'a Line)> {
        let now = |(index, line): (usize, &'a Line)| {
            let name = if index == 0 { format!("{} (now)", line.name) } else { line.name.clone() };
            (name, line)
        };
        self.ours.iter().enumerate().map(now).chain(self.peers.iter().map(|line| (line.name.clone(), line)))
    }

    /// Which settings to take, what went wrong, and what cannot be seen from here.
    fn conclusions(&self) -> Vec<String> {
        let advised = self.advice.iter().map(|advice| match advice.take {
            0 => format!("Keep the present settings: {}.", advice.why),
            take => format!("Take {}: {}.", self.ours[take].name, advice.why),
        });
        let broken = self.ours.iter().filter_map(|line| {
            let violation = line.outcome.violation?;
            let name = &line.name;
            Some(format!("A PROMISE WAS BROKEN with {name}: {violation}; please report it, with this command."))
        });
        advised.chain(broken).chain([LIMITS.to_owned()]).collect()
    }

    /// What was played, line by line.
    fn played(&self) -> Vec<String> {
        let (args, history, setup) = (self.args, self.history, self.setup);
        let trace = &history.trace;
        let jobs = plural(trace.jobs().len() as u64, "job", "jobs");
        let mut first = format!(
            "{jobs} over {}, {} of work, at most {} at once if none waited",
            long(trace.span()),
            long(trace.work()),
            trace.peak()
        );
        if args.made.is_some() {
            first += &format!("; made, with seed {}", setup.seed);
        } else if history.skipped > 0 {
            first += &format!("; {} did not run or had not ended", history.skipped);
        }
        let mut lines = vec![first];
        lines.extend(history.waits.map(|Waits { p50, p95, p99, .. }| {
            format!(
                "as it was: half of them waited up to {}, 95 % up to {}, 99 % up to {}",
                wait(p50),
                wait(p95),
                wait(p99)
            )
        }));
        let boots = setup.boots.samples();
        let (first, last) = (boots.first().copied().unwrap_or_default(), boots.last().copied().unwrap_or_default());
        let from = match (args.boot.is_empty(), &history.boots) {
            (false, _) => "as --boot says".to_owned(),
            (true, Some(_)) => format!("as {} told", plural(boots.len() as u64, "instance", "instances")),
            (true, None) => "assumed; say otherwise with --boot, or hand in the records of agents".to_owned(),
        };
        let range = if first == last { short(first) } else { format!("{} to {}", short(first), short(last)) };
        let launch = short(setup.launch);
        lines.push(format!("an instance starts {launch} after it was asked for and boots for {range} ({from})"));
        lines.extend(self.rate.and_then(|rate| rate.from.clone()));
        lines
    }

    fn header(&self) -> Vec<String> {
        let cost = self.per_hour().map(|_| "cost");
        ["settings"].into_iter().chain(HEADERS).chain(cost).map(str::to_owned).collect()
    }

    fn row(&self, name: String, line: &Line) -> Vec<String> {
        let outcome = &line.outcome;
        let seconds = outcome.seconds;
        let mut cells = vec![name];
        cells.extend([outcome.waits.p50, outcome.waits.p95, outcome.waits.p99].map(wait));
        cells.extend([seconds.all(), seconds.booting, seconds.idle, seconds.busy, seconds.draining].map(hours));
        cells.extend([outcome.launched, outcome.cut, outcome.spot].map(|number| number.to_string()));
        cells.extend(self.per_hour().map(|price| format!("{:.2}", seconds.cost(price))));
        if outcome.unserved > 0 {
            cells.push(format!("{} never ran", plural(outcome.unserved as u64, "job", "jobs")));
        }
        cells
    }
}

/// Seconds as hours.
fn hours(seconds: f64) -> String {
    format!("{:.1}", seconds / 3600.0)
}

fn wait(seconds: f64) -> String {
    short(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// A long span: `3 d 4 h`, `5 h 10 min`, `12 min`.
fn long(span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_spans_have_two_units() {
        let shown = |minutes: u64| long(Duration::from_secs(minutes * 60));
        assert_eq!([shown(12), shown(310), shown(1_440 * 3 + 245)], ["12 min", "5 h 10 min", "3 d 4 h"]);
    }
}
