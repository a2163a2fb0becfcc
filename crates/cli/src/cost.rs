//! `lightsout cost`: what a fleet did with its instances' time, and what that cost. The core folds records into lanes and sums them up; here they are
//! gathered and the table is printed.

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use lightsout_core::{
    cost::{self, By, Row, Spent, hours},
    lanes::lanes,
};
use serde_json::json;

use crate::{
    columns::columns,
    duration,
    evidence::{Gathered, Places},
    fleet_dir::FleetDir,
    plural::plural,
};

/// Say how long instances booted, idled, worked and drained, and what that cost
#[derive(clap::Args)]
#[command(after_help = "\
Without --records and --log-group it reads the records of the fleet that runs here, or ran last. FILE may hold what `lightsout explain` reads; the
agents' records count, and the scaler's name the pools.

An instance costs from the start of its kernel, where its records tell that, to its last one. One of whose end no record tells counts until now.

Examples:
  lightsout cost --since 7d --log-group /lightsout/records --price 0.0892
  lightsout cost --records agents.log scaler.log --price ci-linux=0.0892 --price ci-gpu=0.526
  lightsout cost --by job --json

Exit status: 0 when anything is known of that time, 1 when nothing is, 2 for bad arguments.")]
pub(crate) struct Args {
    #[command(flatten)]
    places: Places,
    /// How far back
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = duration::parse_duration)]
    since: Duration,
    /// Until this time, such as 2026-11-26T03:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = crate::explain::time)]
    until: Option<Timestamp>,
    /// What the rows are of
    #[arg(long, value_enum, default_value = "pool")]
    by: Rows,
    /// What an instance of a pool, or of every other, costs in an hour, in your currency
    #[arg(long, value_name = "[POOL=]NUMBER", value_parser = price)]
    price: Vec<Price>,
    /// Print the table as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Rows {
    Pool,
    Instance,
    Job,
}

/// What an instance hour costs in a pool; `None`: in every other.
#[derive(Clone)]
pub(crate) struct Price {
    pool: Option<String>,
    per_hour: f64,
}

impl Price {
    /// This, whatever the pool.
    pub(crate) fn of_every_pool(per_hour: f64) -> Self {
        Self { pool: None, per_hour }
    }
}

const HEADERS: [&str; 7] = ["instances", "instance h", "booting", "idle", "busy", "draining", "without job"];

/// Sums up and prints.
pub(crate) async fn run(args: &Args, fleet_dir: &FleetDir) -> Result<ExitCode> {
    let now = args.until.unwrap_or_else(Timestamp::now);
    let gathered = args.places.gather("cost", fleet_dir, args.since, now).await?;
    crate::print(&report(args, &gathered, now)?);
    Ok(ExitCode::SUCCESS)
}

fn report(args: &Args, gathered: &Gathered, now: Timestamp) -> Result<String> {
    let records = gathered.records();
    let from = now.checked_sub(SignedDuration::try_from(args.since)?)?;
    let pools = cost::pools(&records);
    let by = match args.by {
        Rows::Pool => By::Pool,
        Rows::Instance => By::Instance,
        Rows::Job => By::Job,
    };
    let rows = cost::cost(&lanes(&records, now), from, now, by, |group| pools.get(group).cloned());
    if rows.is_empty() {
        bail!(
            "no instance is told of between {from:.0} and {now:.0}, among {}; read the records of agents, or look further back with --since",
            plural(records.len() as u64, "record", "records")
        );
    }
    check_prices(&args.price, &rows.iter().map(|row| row.pool.as_str()).collect::<Vec<_>>())?;
    Ok(if args.json { as_json(args, &rows, from, now) } else { as_text(args, &rows, from, now) })
}

/// A price that is for none of these pools would silently price nothing.
///
/// # Errors
///
/// With the pools that there are.
pub(crate) fn check_prices(prices: &[Price], pools: &[&str]) -> Result<()> {
    for pool in prices.iter().filter_map(|price| price.pool.as_ref()) {
        if !pools.contains(&pool.as_str()) {
            let mut known = pools.to_vec();
            known.sort_unstable();
            known.dedup();
            bail!("--price {pool}=...: no such pool is told of; there are {}", known.join(", "));
        }
    }
    Ok(())
}

fn price_of(args: &Args, row: &Row) -> Option<f64> {
    per_hour(&args.price, &row.pool).map(|price| row.spent.price(price))
}

/// What an instance hour costs in this pool: the last price that names it, else the last that names none.
pub(crate) fn per_hour(prices: &[Price], pool: &str) -> Option<f64> {
    let of = |pool: Option<&str>| prices.iter().rev().find(|price| price.pool.as_deref() == pool);
    of(Some(pool)).or_else(|| of(None)).map(|price| price.per_hour)
}

/// The sum of what has a price, if anything has.
fn whole_price(args: &Args, rows: &[Row]) -> Option<f64> {
    let prices: Vec<f64> = rows.iter().filter_map(|row| price_of(args, row)).collect();
    (!prices.is_empty()).then(|| prices.iter().sum())
}

fn sum(rows: &[Row]) -> Spent {
    rows.iter().map(|row| row.spent).sum()
}

fn as_text(args: &Args, rows: &[Row], from: Timestamp, now: Timestamp) -> String {
    let name = match args.by {
        Rows::Pool => "pool",
        Rows::Instance => "instance",
        Rows::Job => "job",
    };
    let priced = !args.price.is_empty();
    let mut cells = vec![[&[name][..], &HEADERS].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()];
    cells.extend(rows.iter().map(|row| line(row.name.clone(), row.instances.to_string(), &row.spent)));
    if rows.len() > 1 {
        // An instance may be in several rows, so that their number is no sum of theirs.
        cells.push(line("all".to_owned(), String::new(), &sum(rows)));
    }
    if priced {
        let costs = rows.iter().map(|row| price_of(args, row)).chain((rows.len() > 1).then(|| whole_price(args, rows)));
        let costs = costs.map(|cost| cost.map_or_else(|| "-".to_owned(), |cost| format!("{cost:.2}")));
        for (line, cost) in cells.iter_mut().zip(std::iter::once("cost".to_owned()).chain(costs)) {
            line.push(cost);
        }
    }
    let mut text = format!("{from:.0} to {now:.0}\n\n{}", columns(&cells));
    let open: usize = rows.iter().map(|row| row.open).sum();
    if open > 0 && !matches!(args.by, Rows::Job) {
        let instances = plural(open as u64, "instance", "instances");
        text += &format!(
            "\nOf {instances} no record tells the end: there still, or ended without a word. They count until the end of that time.\n"
        );
    }
    if args.places.reads_log_groups() {
        text += &format!(
            "\nOf the log groups nothing older than {from:.0} was read: an instance that was there by then counts from its first record after it only, \
             and one without a record since not at all. A longer --since finds them.\n"
        );
    }
    text
}

fn line(name: String, instances: String, spent: &Spent) -> Vec<String> {
    let all = spent.all_ms();
    let parts = [spent.booting_ms, spent.idle_ms, spent.busy_ms, spent.draining_ms];
    let mut cells = vec![name, instances, format!("{:.2}", hours(all))];
    cells.extend(parts.map(|ms| format!("{:.2}", hours(ms))));
    cells.push(format!("{:.0} %", spent.without_job() * 100.0));
    cells
}

fn as_json(args: &Args, rows: &[Row], from: Timestamp, now: Timestamp) -> String {
    let rows_as: Vec<_> = rows.iter().map(|row| json!({ "row": row, "cost": price_of(args, row) })).collect();
    let whole = json!({ "spent": sum(rows), "cost": whole_price(args, rows) });
    let report = json!({ "from": format!("{from:.3}"), "to": format!("{now:.3}"), "rows": rows_as, "all": whole });
    format!("{report}\n")
}

pub(crate) fn price(text: &str) -> Result<Price, String> {
    let (pool, number) = match text.split_once('=') {
        Some((pool, number)) => (Some(pool.to_owned()), number),
        None => (None, text),
    };
    let per_hour = number_per_hour(number).map_err(|error| format!("{error}, or POOL=0.0892"))?;
    Ok(Price { pool, per_hour })
}

/// What an instance hour costs, whatever its pool.
pub(crate) fn number_per_hour(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "write a number, such as 0.0892".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::evidence::files;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    const RECORDS: &str = r#"
{"schema":1,"kind":"decision","time":"2026-11-26T03:00:00Z","pool":"linux","group":"g","platform":"gitlab","result":"held","ms":{"demand":1,"describe":1,"raise":null,"total":1}}
{"schema":1,"kind":"incident","time":"2026-11-26T03:00:00Z","instance":"i-1","group":"g","platform":"gitlab","what":"started","detail":""}
{"schema":1,"kind":"incident","time":"2026-11-26T04:00:00Z","instance":"i-1","group":"g","platform":"gitlab","what":"ready","detail":""}
{"schema":1,"kind":"incident","time":"2026-11-26T05:00:00Z","instance":"i-1","group":"g","platform":"gitlab","what":"busy","detail":"","jobs":["7"]}
{"schema":1,"kind":"incident","time":"2026-11-26T07:00:00Z","instance":"i-1","group":"g","platform":"gitlab","what":"idle","detail":""}
{"schema":1,"kind":"incident","time":"2026-11-26T06:30:00Z","instance":"i-2","group":"h","platform":"gitlab","what":"started","detail":""}
"#;

    fn asked(line: &str) -> String {
        let command =
            Command::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut gathered = Gathered::default();
        files::read(&mut gathered, "a.log", RECORDS.as_bytes(), Timestamp::UNIX_EPOCH);
        let now = "2026-11-26T08:00:00Z".parse().expect("a time");
        report(&command.args, &gathered, now).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn a_pool_costs_its_instances_time_and_a_group_without_a_pool_has_its_own_row() {
        let text = asked("cost --price linux=2 --price 10");
        assert_eq!(
            text,
            "2026-11-19T08:00:00Z to 2026-11-26T08:00:00Z\n\n\
             pool   instances  instance h  booting  idle  busy  draining  without job   cost\n\
             linux          1        5.00     1.00  2.00  2.00      0.00         60 %  10.00\n\
             h              1        1.50     1.50  0.00  0.00      0.00        100 %  15.00\n\
             all                     6.50     2.50  2.00  2.00      0.00         69 %  25.00\n\
             \nOf 2 instances no record tells the end: there still, or ended without a word. They count until the end of that time.\n"
        );
        assert!(
            !text.contains("log groups") && asked("cost --log-group g").contains("nothing older than 2026-11-19T08")
        );
        assert!(asked("cost --by job --since 2h").contains("(no job)"), "the last two hours have none with a name");
        assert!(asked("cost --by instance --json").contains("\"busy_ms\":7200000"));
    }

    #[test]
    fn what_prices_nothing_or_lies_outside_is_said() {
        let wrong = asked("cost --price linus=2");
        assert!(wrong.contains("linus") && wrong.contains("there are h, linux"), "{wrong}");
        let none = asked("cost --since 0s");
        assert!(none.contains("no instance is told of") && none.contains("--since"), "{none}");
        assert!(Command::try_parse_from(["cost", "--price", "linux=much"]).is_err());
    }
}
