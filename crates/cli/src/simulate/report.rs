//! The report: what was played, a table of what came of it, and which settings to take.

use std::time::Duration;

use lightsout_simulate::{Advice, History, Seconds, Setup, Tried, Waits, advise};
use serde_json::json;

use super::{Args, Line};
use crate::{columns::columns, duration::short, plural::plural};

/// What cannot be seen from here, so that nobody takes a simulation for a measurement.
const LIMITS: &str = "\
Simulated, not measured: calls are answered at once, runners ask for jobs without a pause, and jobs run as long as they did.
";

const HEADERS: [&str; 11] =
    ["p50", "p95", "p99", "instance h", "booting", "idle", "busy", "draining", "launched", "cut", "spot"];

pub(super) fn as_text(args: &Args, history: &History, setup: &Setup, ours: &[Line], peers: &[Line]) -> String {
    let mut text = played(args, history, setup);
    let mut rows = vec![header(args)];
    let settings = ours.iter().enumerate().map(|(index, line)| {
        let name = if index == 0 { format!("{} (now)", line.name) } else { line.name.clone() };
        (name, line)
    });
    rows.extend(
        settings.chain(peers.iter().map(|line| (line.name.clone(), line))).map(|(name, line)| row(args, name, line)),
    );
    text += "\n";
    text += &columns(&rows);
    text += "\n";
    if let Some(advice) = advice(args, ours) {
        text += &match advice.take {
            0 => format!("Keep the present settings: {}.\n", advice.why),
            take => format!("Take {}: {}.\n", ours[take].name, advice.why),
        };
    }
    for line in ours.iter().filter(|line| line.outcome.violation.is_some()) {
        let violation = line.outcome.violation.map(|it| it.to_string()).unwrap_or_default();
        text +=
            &format!("A PROMISE WAS BROKEN with {}: {violation}; please report it, with this command.\n", line.name);
    }
    text + LIMITS
}

pub(super) fn as_json(args: &Args, history: &History, setup: &Setup, ours: &[Line], peers: &[Line]) -> String {
    let line = |line: &Line| {
        let cost = args.price.map(|price| line.outcome.seconds.cost(price));
        let broken = line.outcome.violation.map(|it| it.to_string());
        json!({ "name": line.name, "outcome": line.outcome, "cost": cost, "broken_promise": broken })
    };
    let advice = advice(args, ours).map(|advice| json!({ "take": ours[advice.take].name, "why": advice.why }));
    let boots: Vec<f64> = setup.boots.samples().iter().map(Duration::as_secs_f64).collect();
    let report = json!({
        "seed": setup.seed,
        "jobs": history.trace.jobs().len(),
        "skipped": history.skipped,
        "span_seconds": history.trace.span().as_secs_f64(),
        "work_seconds": history.trace.work().as_secs_f64(),
        "boot_seconds": boots,
        "as_it_was": history.waits,
        "settings": ours.iter().map(line).collect::<Vec<_>>(),
        "peers": peers.iter().map(line).collect::<Vec<_>>(),
        "advice": advice,
    });
    format!("{report}\n")
}

fn advice(args: &Args, ours: &[Line]) -> Option<Advice> {
    let tried: Vec<Tried> =
        ours.iter().map(|line| Tried { name: line.name.clone(), outcome: line.outcome.clone() }).collect();
    advise(&tried, args.p95.map(|span| span.as_secs_f64()))
}

/// What was played.
fn played(args: &Args, history: &History, setup: &Setup) -> String {
    let trace = &history.trace;
    let jobs = plural(trace.jobs().len() as u64, "job", "jobs");
    let mut text = format!(
        "{jobs} over {}, {} of work, at most {} at once if none waited",
        long(trace.span()),
        long(trace.work()),
        trace.peak()
    );
    if args.made.is_some() {
        text += &format!("; made, with seed {}", setup.seed);
    } else if history.skipped > 0 {
        text += &format!("; {} did not run or had not ended", history.skipped);
    }
    text += "\n";
    if let Some(Waits { p50, p95, p99, .. }) = history.waits {
        text += &format!(
            "as it was: half of them waited up to {}, 95 % up to {}, 99 % up to {}\n",
            wait(p50),
            wait(p95),
            wait(p99)
        );
    }
    let boots = setup.boots.samples();
    let (first, last) = (boots.first().copied().unwrap_or_default(), boots.last().copied().unwrap_or_default());
    let from = match (args.boot.is_empty(), &history.boots) {
        (false, _) => "as --boot says".to_owned(),
        (true, Some(_)) => format!("as {} told", plural(boots.len() as u64, "instance", "instances")),
        (true, None) => "assumed; say otherwise with --boot, or hand in the records of agents".to_owned(),
    };
    let range = if first == last { short(first) } else { format!("{} to {}", short(first), short(last)) };
    text +=
        &format!("an instance starts {} after it was asked for and boots for {range} ({from})\n", short(setup.launch));
    text
}

fn header(args: &Args) -> Vec<String> {
    let mut cells = vec!["settings".to_owned()];
    cells.extend(HEADERS.map(str::to_owned));
    if args.price.is_some() {
        cells.push("cost".to_owned());
    }
    cells
}

fn row(args: &Args, name: String, line: &Line) -> Vec<String> {
    let outcome = &line.outcome;
    let seconds = outcome.seconds;
    let all = Seconds::all(&seconds).max(f64::MIN_POSITIVE);
    let share = |part: f64| format!("{:.0} %", part / all * 100.0);
    let mut cells = vec![name];
    cells.extend([outcome.waits.p50, outcome.waits.p95, outcome.waits.p99].map(wait));
    cells.push(format!("{:.1}", seconds.all() / 3600.0));
    cells.extend([seconds.booting, seconds.idle, seconds.busy, seconds.draining].map(share));
    cells.extend([outcome.launched, outcome.cut, outcome.spot].map(|number| number.to_string()));
    if let Some(price) = args.price {
        cells.push(format!("{:.2}", seconds.cost(price)));
    }
    if outcome.unserved > 0 {
        cells.push(format!("{} never ran", plural(outcome.unserved as u64, "job", "jobs")));
    }
    cells
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
