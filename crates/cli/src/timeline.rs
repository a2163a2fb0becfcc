//! `lightsout timeline`: what happened in a fleet, as one page to look at, to keep and to hand on.

use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use jiff::Timestamp;
use lightsout_core::chart::Chart;
use lightsout_io::command_line::{Failure, duration_within};
use lightsout_page::{Source, page};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;

use crate::{
    cost::{PriceArgs, Pricing},
    duration::YEAR,
    evidence::{Gathered, Places},
    fleet_dir::FleetDir,
    web::{self, LOOPBACK, Records, Web},
};

/// Draw what happened in a fleet as one HTML page: lanes of instances, queue and capacity, decisions, cost
#[derive(clap::Args)]
#[command(after_help = "\
Without --records and --log-group it draws the fleet that runs here, or ran last. FILE may hold what `lightsout explain` reads: records of the scaler and
of agents, in whatever a collector wraps them, and the group's history.

The page holds everything it needs and asks nobody for anything: keep it with an incident, or send it to whoever asks.

Examples:
  lightsout timeline -o fleet.html
  lightsout timeline --from scaler.log agents.log --price ci-linux=0.0892 -o fleet.html
  lightsout timeline --log-group /aws/lambda/ci-linux-scaler lightsout/ci-linux --since 6h -o fleet.html
  journalctl -u lightsout-agent | lightsout timeline --from - > fleet.html
  lightsout timeline --from scaler.log agents.log --web 127.0.0.1:8080

Exit status: 0 when it is written, 1 when nothing could be read or written, 2 for arguments or settings that cannot work.")]
pub(crate) struct Args {
    #[command(flatten)]
    places: Places,
    /// How far back the log groups are read
    #[arg(long, value_name = "DURATION", default_value = "3h", value_parser = duration_within(Duration::ZERO, 10 * YEAR), requires = "log_groups")]
    since: Duration,
    /// Until this time, such as 2026-11-26T03:00:00Z [default: the last record's]
    #[arg(long, value_name = "TIME", value_parser = crate::explain::time)]
    until: Option<Timestamp>,
    #[command(flatten)]
    prices: PriceArgs,
    /// Write the page to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Serve the page instead, brought up to date as files grow or the fleet runs, until Ctrl-C: on loopback at a free port unless ADDR, IP or
    /// IP:PORT, says otherwise; elsewhere whoever knows the address may read
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = LOOPBACK, value_parser = web::address, conflicts_with_all = ["output", "until", "log_groups"])]
    web: Option<SocketAddr>,
}

/// Draws and writes.
pub(crate) async fn run(args: &Args, fleet_dir: &FleetDir) -> Result<ExitCode> {
    if let Some(at) = args.web {
        return serve(args, at, fleet_dir).await;
    }
    let pricing = args.prices.read()?;
    let now = args.until.unwrap_or_else(Timestamp::now);
    let gathered = args.places.gather("timeline", fleet_dir, args.since, now).await?;
    let chart = chart(args, &pricing, gathered)?;
    let text = page(&chart);
    match &args.output {
        Some(path) => fs::write(path, text).with_context(|| format!("-o {}: cannot be written", path.display()))?,
        None => crate::print(&text),
    }
    Ok(ExitCode::SUCCESS)
}

/// Serves it until it is told to end.
async fn serve(args: &Args, at: SocketAddr, fleet_dir: &FleetDir) -> Result<ExitCode> {
    if args.places.reads_input() {
        bail!(Failure::refused(
            "--web reads its files again and again, and standard input can be read once; name files"
        ));
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen to signals")?;
    // What cannot be read at all, or priced, is said here, not to whoever looks.
    let mut records = Records::of_places(args.places.clone(), fleet_dir.clone(), args.prices.read()?);
    records.look().await?;
    let web = Web::start(at, records)?;
    crate::print(&format!("live page: {}\n", web.link()));
    signals.next().await;
    web.finish().await;
    Ok(ExitCode::SUCCESS)
}

/// What is no later than asked for, until the last of it: a log of last week says nothing of today.
fn chart(args: &Args, pricing: &Pricing, gathered: Gathered) -> Result<Chart> {
    let mut evidence = gathered.evidence;
    evidence.retain(|it| args.until.is_none_or(|until| it.time <= until));
    let last = evidence.iter().map(|it| it.time).max().context("no record is as old as --until; leave it out")?;
    let chart = Chart::new(&evidence, args.until.unwrap_or(last), |lane, pool| pricing.per_hour(lane, pool));
    pricing.check(&chart.cost.iter().map(|it| it.row.pool.as_str()).collect::<Vec<_>>())?;
    Ok(chart)
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

    fn drawn(line: &str) -> Result<Chart> {
        let text = ["03:00:00", "04:00:00"].map(|time| {
            format!(
                "{{\"schema\":1,\"kind\":\"incident\",\"time\":\"2026-11-26T{time}Z\",\"instance\":\"i-1\",\"group\":\"g\",\"platform\":\"gitlab\",\"what\":\"started\",\"detail\":\"\"}}\n"
            )
        });
        let mut gathered = Gathered::default();
        files::read(&mut gathered, "a.log", text.concat().as_bytes(), Timestamp::UNIX_EPOCH);
        let command = Command::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{error}"));
        chart(&command.args, &command.args.prices.read()?, gathered)
    }

    #[test]
    fn the_picture_ends_with_the_last_record_or_where_it_is_told_to() {
        let hours = |line| drawn(line).map(|chart| (chart.to - chart.from) / 60_000).ok();
        assert_eq!(hours("timeline"), Some(60));
        assert_eq!(hours("timeline --until 2026-11-26T05:00:00Z"), Some(120));
        assert_eq!(hours("timeline --until 2026-11-26T02:00:00Z"), None);
    }

    #[tokio::test]
    async fn what_can_be_read_once_or_ends_is_no_page_to_follow() {
        let parsed = |line: &str| Command::try_parse_from(line.split_whitespace()).map(|command| command.args);
        for line in
            ["timeline --web -o a.html", "timeline --web --until 2026-11-26T05:00:00Z", "timeline --web --log-group g"]
        {
            assert!(parsed(line).is_err(), "{line}");
        }
        let args = parsed("timeline --from a.log - --web").unwrap_or_else(|error| panic!("{error}"));
        let temp = tempfile::tempdir().unwrap();
        let fleet_dir = FleetDir::new(Some(temp.path().to_owned())).unwrap();
        let refused = run(&args, &fleet_dir).await.unwrap_err();
        assert!(matches!(refused.downcast_ref(), Some(Failure::Refused(_))), "{refused}");
    }

    #[test]
    fn a_price_is_a_pools_and_one_for_nothing_is_refused() {
        let price = |line| drawn(line).map(|chart| chart.cost[0].price);
        assert_eq!(price("timeline --price 2 --price g=3").ok(), Some(Some(3.0)));
        assert!(price("timeline --price linus=3").unwrap_err().to_string().contains("there are g"));
    }
}
