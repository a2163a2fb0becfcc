//! `lightsout simulate`: what other settings, and other systems' rules, would have done with one's own jobs. The world and what happens in it are
//! `lightsout-simulate`'s; here the history is read, the settings are put together, and the table is printed.

mod grid;
mod present;
mod rate;
mod report;

use std::{
    fs,
    io::{self, Read},
    num::NonZero,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use lightsout_core::record::Record;
use lightsout_io::command_line::{Failure, duration_within};
use lightsout_simulate::{Boots, Fleet, History, Outcome, PEERS, Setup, Trace, from_csv, from_records, made, simulate};

use self::{grid::Variant, report::Report};
use crate::{
    cost,
    duration::{self, HOUR, SECOND},
    evidence::{Gathered, files},
};

/// Say what other settings would have done with your own jobs, and which to take
#[derive(clap::Args)]
#[command(after_help = "\
FILE is a table of jobs (docs/simulate.md names its columns), or the records of a scaler, also of `watch --dry-run`: its standard output with
--log-format json, or what `up` wrote. Records of agents tell how long instances take to boot.

Of a list the first value is the present one; what is in no list is as --config and --agent say, or as shipped. All combinations of the lists
are tried; nothing is changed and nobody is asked.

Examples:
  lightsout simulate --jobs history.csv
  lightsout simulate --jobs history.csv agents.log --idle-timeout 10m,3m,20m --spare 0,2 --price 0.09
  lightsout simulate --jobs scaler.log --pool ci-linux --tick 60s,10s --webhook off,on --p95 30s
  lightsout simulate --jobs scaler.log --config scaler.toml --schedule \"mon-fri 07:30-18:00 spare 4\" --zone Europe/Berlin
  lightsout simulate --jobs history.csv --price 0.09 -o simulate.html
  lightsout simulate --jobs scaler.log agents.log --config scaler.toml      (its [prices], for the machines that the agents tell of)
  lightsout simulate --made 5000 --peers

Exit status: 0 for a report, 1 when there is none, 2 for arguments or settings that cannot work.")]
pub(crate) struct Args {
    /// Play the jobs of these files; `-` is standard input
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "made")]
    jobs: Vec<PathBuf>,
    /// Play this many made jobs instead, which follow from the seed
    #[arg(long, value_name = "N", conflicts_with = "jobs", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    made: Option<u32>,
    /// Over this many working days
    #[arg(long, value_name = "N", default_value_t = 5, conflicts_with = "jobs", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    days: u32,
    /// The pool whose jobs are played, where a file tells of several
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// The present settings are those of this scaler, files or folders: `slots`, `spare`, `schedule` and the like of its pool, `tick`
    #[arg(short, long, value_name = "PATH", num_args = 1..)]
    config: Vec<PathBuf>,
    /// And those of this agent: `idle_timeout`, `max_age`, `jobs_per_instance`
    #[arg(long, value_name = "PATH", num_args = 1..)]
    agent: Vec<PathBuf>,
    /// Try pool.schedule beside the present one: entries with a semicolon between them, or `none`; may be given several times
    #[arg(long, value_name = "ENTRIES")]
    schedule: Vec<String>,
    /// What pool.zone is for --schedule: UTC, a POSIX rule, or a name such as Europe/Berlin [default: that of --config]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Values of agent.idle_timeout to try; `never` for instances that stay [default: the present one, and 2m,5m,10m,20m,30m]
    #[arg(long, value_name = "DURATION,...", value_delimiter = ',', value_parser = grid::idle_timeout)]
    idle_timeout: Vec<grid::IdleTimeout>,
    /// Values of pool.spare to try [default: the present one, and 0,1,2]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    spare: Vec<u32>,
    /// Jobs that an instance takes at once; they are taken to run as fast as alone [default: the present number, or 1]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000))]
    slots: Vec<u32>,
    /// From one tick of the scaler to the next [default: the present one, or 10s]
    #[arg(long, value_name = "DURATION,...", value_delimiter = ',', value_parser = duration_within(SECOND, HOUR))]
    tick: Vec<Duration>,
    /// Whether a webhook makes the scaler look at once [default: on where the pool has one]
    #[arg(long, value_name = "off|on,...", value_delimiter = ',', value_parser = grid::on_off)]
    webhook: Vec<bool>,
    /// How long instances take from their start until they are ready; each draws one of these [default: as the records tell, else 90s]
    #[arg(long, value_name = "DURATION,...", value_delimiter = ',', value_parser = duration::parse_duration)]
    boot: Vec<Duration>,
    /// From a raise to the start of the machine
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse_duration)]
    launch: Duration,
    /// The group's smallest size
    #[arg(long, value_name = "N", default_value_t = 0)]
    min: u32,
    /// The group's largest size
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    max: u32,
    /// How many of a hundred instances the cloud takes back in an hour, as it does with spot instances
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = grid::percent)]
    losses: f64,
    /// What an instance costs in an hour, in your currency
    #[arg(long, value_name = "NUMBER", value_parser = cost::number_per_hour)]
    price: Option<f64>,
    /// The same by the types of the instances in the records, as `[prices]` of these settings has them, files or folders [default: that of --config]
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "price")]
    prices: Vec<PathBuf>,
    /// Advise the cheapest settings with which 95 % of the jobs wait no longer than this [default: than now]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_duration)]
    p95: Option<Duration>,
    /// Play the jobs by the rules and defaults of other systems, too
    #[arg(long)]
    peers: bool,
    /// Decides everything that is left to chance; the same seed gives the same report
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    /// Write the report as an HTML page to this file as well
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// One line of the report: who, and what came of it.
struct Line {
    name: String,
    outcome: Outcome,
}

/// Simulates and reports.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    crate::print(&report(args)?);
    Ok(ExitCode::SUCCESS)
}

fn report(args: &Args) -> Result<String> {
    if args.min > args.max {
        let why = format!("--min {} is above --max {}; lower the one or raise the other", args.min, args.max);
        bail!(Failure::Refused(why));
    }
    let present = present::present(args)?;
    let schedules = present::schedules(args, &present)?;
    let variants = grid::variants(args, &present, &schedules)?;
    let (history, records) = history(args)?;
    let rate = rate::rate(args, &records, history.group.as_deref())?;
    let given = Boots::new(args.boot.clone());
    let setup = Setup {
        seed: args.seed,
        boots: given.or_else(|| history.boots.clone()).unwrap_or_default(),
        launch: args.launch,
        min: args.min,
        max: args.max,
        losses: args.losses,
        ..Setup::default()
    };
    let mut fleets: Vec<(String, Fleet)> =
        variants.into_iter().map(|Variant { name, ours }| (name, Fleet::Lightsout(ours))).collect();
    let ours = fleets.len();
    if args.peers {
        fleets.extend(PEERS.map(|peer| (peer.name().to_owned(), Fleet::Peer(peer))));
    }
    let lines = play(&history.trace, &setup, &fleets);
    let (ours, peers) = lines.split_at(ours);
    let report = Report::new(args, &history, &setup, rate.as_ref(), ours, peers, &schedules);
    if let Some(path) = &args.output {
        fs::write(path, report.as_page()).with_context(|| format!("-o {}: cannot be written", path.display()))?;
    }
    Ok(if args.json { report.as_json() } else { report.as_text() })
}

/// Plays the trace to each fleet, on all cores. In which order they end does not show.
fn play(trace: &Trace, setup: &Setup, fleets: &[(String, Fleet)]) -> Vec<Line> {
    let next = AtomicUsize::new(0);
    let next = &next;
    let worker = move || {
        let mut outcomes = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((_, fleet)) = fleets.get(index) else { return outcomes };
            outcomes.push((index, simulate(trace, setup, fleet)));
        }
    };
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(fleets.len());
    let mut outcomes: Vec<(usize, Outcome)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    outcomes.sort_by_key(|(index, _)| *index);
    fleets.iter().zip(outcomes).map(|((name, _), (_, outcome))| Line { name: name.clone(), outcome }).collect()
}

/// The jobs, of whatever the files are, and the records among these.
fn history(args: &Args) -> Result<(History, Vec<Record>)> {
    if let Some(jobs) = args.made {
        let trace = made(args.seed, usize::try_from(jobs)?, args.days);
        return Ok((History { trace, ..History::default() }, Vec::new()));
    }
    let pool = args.pool.as_deref();
    let (mut tables, mut records): (Vec<History>, Vec<Record>) = (Vec::new(), Vec::new());
    for path in &args.jobs {
        let (name, text) = if path.as_os_str() == "-" {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).context("cannot read standard input")?;
            ("standard input".to_owned(), text)
        } else {
            let name = path.display().to_string();
            (name.clone(), fs::read(path).with_context(|| format!("cannot read {name}"))?)
        };
        let mut gathered = Gathered::default();
        files::read(&mut gathered, &name, &text, Timestamp::UNIX_EPOCH);
        if gathered.evidence.is_empty() {
            let table = from_csv(&text, pool).with_context(|| {
                format!("{name} has no records, and is no table of jobs; docs/simulate.md says what either looks like")
            })?;
            tables.push(table);
        } else {
            records.extend(gathered.records());
        }
    }
    match tables.len() {
        0 => Ok((from_records(&records, pool)?, records)),
        1 => {
            let mut table = tables.remove(0);
            table.boots = lightsout_simulate::boots(&records);
            Ok((table, records))
        }
        count => bail!("{count} of the files are tables of jobs; put them into one, under one first line"),
    }
}

#[cfg(test)]
mod tests;
