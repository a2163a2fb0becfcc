//! What an hour of a simulated instance costs.

use jiff::Timestamp;
use lightsout_core::{
    cost::{self, CostRows},
    lanes::lanes,
    record::Record,
    settings::Prices,
};
use lightsout_io::command_line::Failure;

use super::Args;
use crate::{cost::by_machine, plural::plural, settings};

/// A price, and where it comes from.
pub(super) struct Rate {
    /// What an hour costs; `None`: that cannot be told.
    pub(super) per_hour: Option<f64>,
    /// A sentence on it, where nobody wrote the number itself.
    pub(super) from: Option<String>,
}

/// As `--price` says, else as prices of machines and the records of those that there were in this group.
pub(super) fn rate(args: &Args, records: &[Record], group: Option<&str>) -> Result<Option<Rate>, Failure> {
    if args.price.is_some() {
        return Ok(Some(Rate { per_hour: args.price, from: None }));
    }
    let prices = match by_machine(&args.prices)? {
        None if !args.config.is_empty() => settings::prices("--config", &args.config)?,
        prices => prices,
    };
    Ok(prices.map(|prices| mean(&prices, records, group)))
}

/// The mean of the instances that there were, each by its hours.
fn mean(prices: &Prices, records: &[Record], group: Option<&str>) -> Rate {
    let last = records.iter().filter_map(|record| record.time().parse().ok()).max().unwrap_or(Timestamp::UNIX_EPOCH);
    let mut lanes = lanes(records, last);
    // Of another pool's machines nothing follows.
    lanes.retain(|lane| lane.group.is_none() || group.is_none() || lane.group.as_deref() == group);
    let rows = cost::cost(
        &lanes,
        Timestamp::MIN,
        Timestamp::MAX,
        CostRows::Instance,
        |_| None,
        |lane, _| prices.per_hour(&lane.machine),
    );
    let known: Vec<(f64, f64)> =
        rows.iter().filter_map(|row| Some((row.cost?, cost::hours(row.spent.all_ms())))).collect();
    let (cost, hours) = known.iter().fold((0.0, 0.0), |(cost, hours), it| (cost + it.0, hours + it.1));
    let per_hour = (hours > 0.0).then(|| cost / hours);
    let from = per_hour.map_or_else(
        || "there is no cost: no record tells of a machine that has a price; hand in the records of agents, or say --price".to_owned(),
        |per_hour| {
            let currency = prices.currency.as_ref().map(|currency| format!(" {currency}")).unwrap_or_default();
            let told = plural(known.len() as u64, "instance", "instances");
            let others = match rows.len() - known.len() {
                0 => String::new(),
                others => format!("; {others} more have no price"),
            };
            format!("an instance hour costs {per_hour:.4}{currency}: the mean of the hours of {told} of which records tell{others}")
        },
    );
    Rate { per_hour, from: Some(from) }
}
