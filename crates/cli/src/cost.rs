//! `lightsout cost`: what a fleet did with its instances' time, and what that cost. The core folds records into lanes and sums them up; here they are
//! gathered and the table is printed.

mod pricing;

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use lightsout_core::{
    cost::{self, CostRows, Row, StateTimes, hours},
    lanes::lanes,
};
use lightsout_io::command_line::duration_within;
use serde_json::json;

pub(crate) use self::pricing::{PriceArgs, Pricing, by_machine, number_per_hour};
use crate::{
    columns::columns,
    duration::YEAR,
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

--prices reads [prices.machines], a line for each type: \"m7i.large\" = { on_demand = 0.1008, spot = 0.0403 }. The commands with which AWS and Azure
tell theirs are in docs/operations.md, under Cost.

Examples:
  lightsout cost --since 7d --log-group /lightsout/records --price 0.0892
  lightsout cost --records agents.log scaler.log --price ci-linux=0.0892 --price ci-gpu=0.526
  lightsout cost --records agents.log scaler.log --prices /etc/lightsout/scaler.toml
  lightsout cost --by job --json

Exit status: 0 when anything is known of that time, 1 when nothing is, 2 for arguments or settings that cannot work.")]
pub(crate) struct Args {
    #[command(flatten)]
    places: Places,
    /// How far back
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = duration_within(Duration::ZERO, 10 * YEAR))]
    since: Duration,
    /// Until this time, such as 2026-11-26T03:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = crate::explain::time)]
    until: Option<Timestamp>,
    /// What the rows are of
    #[arg(long, value_enum, default_value = "pool")]
    by: Rows,
    #[command(flatten)]
    prices: PriceArgs,
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

const HEADERS: [&str; 7] = ["instances", "instance h", "booting", "idle", "busy", "draining", "without job"];

/// Sums up and prints.
pub(crate) async fn run(args: &Args, fleet_dir: &FleetDir) -> Result<ExitCode> {
    let pricing = args.prices.read()?;
    let now = args.until.unwrap_or_else(Timestamp::now);
    let gathered = args.places.gather("cost", fleet_dir, args.since, now).await?;
    crate::print(&report(args, &pricing, &gathered, now)?);
    Ok(ExitCode::SUCCESS)
}

fn report(args: &Args, pricing: &Pricing, gathered: &Gathered, now: Timestamp) -> Result<String> {
    let records = gathered.records();
    let from = now.checked_sub(SignedDuration::try_from(args.since)?)?;
    let pools = cost::pools(&records);
    let by = match args.by {
        Rows::Pool => CostRows::Pool,
        Rows::Instance => CostRows::Instance,
        Rows::Job => CostRows::Job,
    };
    let (lanes, pool_of) = (lanes(&records, now), |group: &str| pools.get(group).cloned());
    let rows = cost::cost(&lanes, from, now, by, pool_of, |lane, pool| pricing.per_hour(lane, pool));
    if rows.is_empty() {
        bail!(
            "no instance is told of between {from:.0} and {now:.0}, among {}; read the records of agents, or look further back with --since",
            plural(records.len() as u64, "record", "records")
        );
    }
    pricing.check(&rows.iter().map(|row| row.pool.as_str()).collect::<Vec<_>>())?;
    let seen = lanes.iter().filter(|lane| lane.spans.iter().any(|span| span.within(from, now).is_some()));
    let pooled = seen.map(|lane| (lane, cost::pool_of(lane, pool_of)));
    let lacks = if pricing.is_empty() { Vec::new() } else { pricing.lacks(pooled) };
    let table = Table { args, pricing, rows: &rows, lacks: &lacks, from, now };
    Ok(if args.json { table.as_json() } else { table.as_text() })
}

/// What is printed, in whatever form.
struct Table<'a> {
    args: &'a Args,
    pricing: &'a Pricing,
    rows: &'a [Row],
    /// Why some instances have no price, and how many.
    lacks: &'a [(String, usize)],
    from: Timestamp,
    now: Timestamp,
}

impl Table<'_> {
    fn as_text(&self) -> String {
        let Self { args, pricing, rows, lacks, from, now } = *self;
        let name = match args.by {
            Rows::Pool => "pool",
            Rows::Instance => "instance",
            Rows::Job => "job",
        };
        let mut cells = vec![[&[name][..], &HEADERS].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()];
        cells.extend(rows.iter().map(|row| line(row.name.clone(), row.instances.to_string(), &row.spent)));
        if rows.len() > 1 {
            // An instance may be in several rows, so that their number is no sum of theirs.
            cells.push(line("all".to_owned(), String::new(), &sum(rows)));
        }
        if !pricing.is_empty() {
            let head = pricing.currency().map_or_else(|| "cost".to_owned(), |currency| format!("cost, {currency}"));
            let costs = rows.iter().map(|row| row.cost).chain((rows.len() > 1).then(|| whole_cost(rows)));
            let costs = costs.map(|cost| cost.map_or_else(|| "-".to_owned(), |cost| format!("{cost:.2}")));
            for (line, cost) in cells.iter_mut().zip(std::iter::once(head).chain(costs)) {
                line.push(cost);
            }
        }
        let mut text = format!("{from:.0} to {now:.0}\n\n{}", columns(&cells));
        if !lacks.is_empty() {
            let unpriced = hours(rows.iter().map(|row| row.unpriced_ms).sum());
            text += &format!("\nOf {unpriced:.2} h the price is not known, and nothing of them is in the cost:\n");
        }
        for (why, count) in lacks {
            text += &format!("  {}: {why}\n", plural(*count as u64, "instance", "instances"));
        }
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

    fn as_json(&self) -> String {
        let Self { pricing, rows, lacks, from, now, .. } = *self;
        let rows_as: Vec<_> = rows.iter().map(|row| json!({ "row": row, "cost": row.cost })).collect();
        let whole = json!({ "spent": sum(rows), "cost": whole_cost(rows) });
        let lacks: Vec<_> = lacks.iter().map(|(why, count)| json!({ "why": why, "instances": count })).collect();
        let report = json!({
            "from": format!("{from:.3}"),
            "to": format!("{now:.3}"),
            "currency": pricing.currency(),
            "rows": rows_as,
            "all": whole,
            "unpriced": lacks,
        });
        format!("{report}\n")
    }
}

/// The sum of what has a price, if anything has.
fn whole_cost(rows: &[Row]) -> Option<f64> {
    let costs: Vec<f64> = rows.iter().filter_map(|row| row.cost).collect();
    (!costs.is_empty()).then(|| costs.iter().sum())
}

fn sum(rows: &[Row]) -> StateTimes {
    rows.iter().map(|row| row.spent).sum()
}

fn line(name: String, instances: String, spent: &StateTimes) -> Vec<String> {
    let all = spent.all_ms();
    let parts = [spent.booting_ms, spent.idle_ms, spent.busy_ms, spent.draining_ms];
    let mut cells = vec![name, instances, format!("{:.2}", hours(all))];
    cells.extend(parts.map(|ms| format!("{:.2}", hours(ms))));
    cells.push(format!("{:.0} %", spent.without_job() * 100.0));
    cells
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
{"schema":1,"kind":"incident","time":"2026-11-26T03:00:00Z","instance":"i-1","group":"g","machine_type":"m7i.large","spot":true,"platform":"gitlab","what":"started","detail":""}
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
        let pricing = match command.args.prices.read() {
            Ok(pricing) => pricing,
            Err(refused) => return refused.to_string(),
        };
        report(&command.args, &pricing, &gathered, now).unwrap_or_else(|error| error.to_string())
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
    fn an_instance_has_the_price_of_its_machine_and_one_of_which_nobody_knows_it_has_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("prices.toml");
        std::fs::write(&file, "[prices]\ncurrency = \"EUR\"\nmachines.\"m7i.large\" = { on_demand = 4, spot = 1.5 }\n")
            .expect("a file");
        let file = file.display();
        let text = asked(&format!("cost --prices {file}"));
        for part in [
            "cost, EUR\nlinux",
            "60 %       7.50\nh",
            "100 %          -\nall",
            "69 %       7.50\n\nOf 1.50 h the price is not known, and nothing of them is in the cost:\n  \
             1 instance: nothing tells the type of the machine\n\nOf 2 instances",
        ] {
            assert!(text.contains(part), "{part:?}: {text}");
        }
        let text = asked(&format!("cost --prices {file} --price h=2"));
        assert!(text.contains("100 %       3.00\nall") && text.contains("69 %      10.50\n\nOf 2 instances"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&asked(&format!("cost --json --prices {file}"))).expect("JSON");
        assert_eq!(
            (&json["currency"], &json["all"]["cost"], &json["rows"][0]["cost"]),
            (&json!("EUR"), &json!(7.5), &json!(7.5))
        );
        assert_eq!(
            (&json["rows"][1]["cost"], &json["rows"][1]["row"]["unpriced_ms"]),
            (&json!(null), &json!(5_400_000))
        );
        assert!(asked("cost --prices /nowhere/prices.toml").contains("--prices"));
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
