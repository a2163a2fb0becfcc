//! `lightsout explain`: why nothing starts, why an instance is still there or has gone, why a job waits. Here the evidence is gathered and the
//! answer printed; the answer itself is the core's.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use jiff::Timestamp;
use lightsout_core::explain::{Answer, Question, explain};
use lightsout_io::command_line::duration_within;
use serde_json::json;

use crate::{
    duration::YEAR,
    evidence::{Gathered, Places},
    fleet_dir::FleetDir,
};

/// Say why nothing starts in a pool, why an instance is still there or has gone, or why a job waits
#[derive(clap::Args)]
#[command(after_help = "\
Without --records and --log-group it asks the fleet that runs here, and its records.

FILE may hold records (of the scaler's standard output with --log-format json, of agents' logs or journals, as text or JSON), what
`lightsout-agent status --json` prints, and what `aws autoscaling describe-scaling-activities` prints; all of it mixed.

Examples:
  lightsout explain lightsout-demo
  lightsout explain ci-linux --records scaler.log agents.log --at 2026-11-26T03:00:00Z
  lightsout explain ci-linux --log-group /aws/lambda/ci-linux-scaler lightsout/ci-linux --since 1h
  journalctl -u lightsout-agent | lightsout explain i-0a1 --records -

Exit status: 0 when something is known, 1 when nothing is, or nothing has this name, 2 for bad arguments.")]
pub(crate) struct Args {
    /// A pool or its group, an instance id or an unambiguous start of one, or a job
    #[arg(value_name = "POOL|INSTANCE|JOB")]
    name: String,
    #[command(flatten)]
    places: Places,
    /// How far back the log groups are read
    #[arg(long, value_name = "DURATION", default_value = "3h", value_parser = duration_within(Duration::ZERO, 10 * YEAR), requires = "log_groups")]
    since: Duration,
    /// As it was at this time, such as 2026-11-26T03:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// Print the answer as one JSON object
    #[arg(long)]
    json: bool,
}

/// Answers the question.
pub(crate) async fn run(args: &Args, fleet_dir: &FleetDir) -> Result<ExitCode> {
    let gathered = args.places.gather("explain", fleet_dir, args.since, args.at.unwrap_or_else(Timestamp::now)).await?;
    let question = Question::about(&args.name, &gathered.evidence)?;
    // After all was read: what a running fleet says is as young as that.
    let now = args.at.unwrap_or_else(Timestamp::now);
    let answer = explain(&question, &gathered.evidence, now);
    crate::print(&if args.json {
        as_json(&question, &answer, &gathered)
    } else {
        as_text(&question, &answer, &gathered)
    });
    Ok(if answer.is_known() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_text(question: &Question, answer: &Answer, gathered: &Gathered) -> String {
    let count = gathered.evidence.len();
    let others = if gathered.others == 0 { String::new() } else { format!("; {} other lines", gathered.others) };
    let span = span(gathered).map(|(first, last)| format!(", {first:.0} to {last:.0}")).unwrap_or_default();
    format!("{answer}({question}: read {count} records{span}{others})\n")
}

fn as_json(question: &Question, answer: &Answer, gathered: &Gathered) -> String {
    let span = span(gathered).map(|(first, last)| [format!("{first:.3}"), format!("{last:.3}")]);
    let read = json!({ "records": gathered.evidence.len(), "other_lines": gathered.others, "span": span });
    let answer = json!({ "question": question, "known": answer.known, "not_known": answer.not_known, "read": read });
    format!("{answer}\n")
}

/// The times of the first and the last piece of evidence.
fn span(gathered: &Gathered) -> Option<(Timestamp, Timestamp)> {
    let times = || gathered.evidence.iter().map(|it| it.time);
    Some((times().min()?, times().max()?))
}

/// A time on a command line.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "not a time; write one such as 2026-11-26T03:00:00Z".to_owned())
}
