//! `lightsout logs ID --group`: what an instance's agent has written: its records in a log group, or its journal as Run Command reads it.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use jiff::Timestamp;
use lightsout_cloud::Operator;
use lightsout_io::command_line::{Failure, duration_within};
use serde_json::json;

use super::{Place, command, find};
use crate::{duration::YEAR, fleet_dir::FleetDir};

/// The pause between two looks at a log group.
const LOOK: Duration = Duration::from_secs(2);
/// How late an entry may come to be seen in a log group, for which each look goes back.
const LATE_MS: i64 = 60_000;

/// Where the log of an instance elsewhere is.
#[derive(clap::Args)]
pub(crate) struct Source {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Read the agent's records in this group of CloudWatch Logs, also of an instance that has ended
    #[arg(long, value_name = "NAME")]
    pub(crate) log_group: Option<String>,
    /// How far back the log group is read
    #[arg(long, value_name = "DURATION", default_value = "3h", value_parser = duration_within(Duration::ZERO, 10 * YEAR), requires = "log_group")]
    pub(crate) since: Duration,
    /// How many lines of the journal
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) lines: u32,
}

impl Source {
    /// Whether it is a cloud's, and not the fleet's of this machine.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.place.is_elsewhere() || self.log_group.is_some()
    }
}

/// Prints it; with `follow` goes on as a log group grows.
pub(crate) async fn print(source: &Source, id: &str, follow: bool, json: bool, fleet_dir: &FleetDir) -> Result<()> {
    if let Some(group) = &source.log_group {
        // The instance may have ended, so that nobody knows it but its log.
        let since = i64::try_from(source.since.as_millis()).unwrap_or(i64::MAX);
        return records(&*source.place.operator(), group, id, since, follow, json).await;
    }
    let once = "--follow needs --log-group: Run Command answers once, when a command has ended";
    ensure!(!follow, Failure::refused(once));
    let found = find(&source.place, &[id.to_owned()], fleet_dir).await?;
    let id = &found.instances.first().context("an instance was named")?.id;
    let script = format!(
        "journalctl --unit lightsout-agent --lines {} --no-pager --output short-iso | tail -c 24000",
        source.lines
    );
    let mut came = command::run(&*found.operator, std::slice::from_ref(id), &script, command::PATIENCE).await;
    let ended = came.remove(id).context("each instance has an answer")?;
    let remedy = "read its records with --log-group, if records.log_group is set";
    let ended = ended.map_err(|why| anyhow!("the journal of {id} cannot be read by Run Command: {why}; {remedy}"))?;
    ensure!(ended.code == 0, "the journal of {id} cannot be read: {}", ended.err.trim());
    ended.out.lines().for_each(|text| line(id, text, json));
    Ok(())
}

async fn records(
    operator: &dyn Operator,
    group: &str,
    id: &str,
    since_ms: i64,
    follow: bool,
    json: bool,
) -> Result<()> {
    let mut from = Timestamp::now().as_millisecond().saturating_sub(since_ms);
    let mut seen = BTreeSet::new();
    loop {
        let to = Timestamp::now().as_millisecond() + LATE_MS;
        for entry in operator.logged(group, id, (from, to)).await? {
            if seen.insert((entry.at_ms, entry.text.clone())) {
                line(id, entry.text.trim_end(), json);
            }
        }
        if !follow {
            return Ok(());
        }
        from = from.max(to - 2 * LATE_MS);
        seen.retain(|(at, _)| *at >= from);
        tokio::time::sleep(LOOK).await;
    }
}

fn line(id: &str, text: &str, json: bool) {
    crate::print(&if json { format!("{}\n", json!({ "log": id, "line": text })) } else { format!("{text}\n") });
}
