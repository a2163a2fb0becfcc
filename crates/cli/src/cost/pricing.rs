//! What an hour of an instance costs: by what the command line says of its pool, else by the table of prices and what its records tell of its machine.

use std::{collections::BTreeMap, path::PathBuf};

use lightsout_core::{lanes::Lane, settings::Prices};
use lightsout_io::command_line::Failure;

use crate::settings;

/// Where prices come from.
#[derive(Clone, Default, clap::Args)]
pub(crate) struct PriceArgs {
    /// What an instance of a pool, or of every other, costs in an hour, in your currency; goes before --prices
    #[arg(long, value_name = "[POOL=]NUMBER", value_parser = price)]
    pub(crate) price: Vec<Price>,
    /// Price each instance by its type and by how it was bought, as its records tell them: `[prices]` of these settings, files or folders; those
    /// of the scaler, or a file of its own
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) prices: Vec<PathBuf>,
}

/// What an instance hour costs in a pool; `None`: in every other.
#[derive(Clone)]
pub(crate) struct Price {
    pool: Option<String>,
    per_hour: f64,
}

/// What is known of prices.
#[derive(Clone, Default)]
pub(crate) struct Pricing {
    by_pool: Vec<Price>,
    by_machine: Option<Prices>,
}

impl PriceArgs {
    /// The same with the files read.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or its prices make no sense.
    pub(crate) fn read(&self) -> Result<Pricing, Failure> {
        Ok(Pricing { by_pool: self.price.clone(), by_machine: by_machine(&self.prices)? })
    }
}

/// The table of prices in these settings; `None` where there are none.
pub(crate) fn by_machine(paths: &[PathBuf]) -> Result<Option<Prices>, Failure> {
    if paths.is_empty() {
        return Ok(None);
    }
    settings::prices("--prices", paths)?.map(Some).ok_or_else(|| {
        Failure::refused(
            "--prices: these settings have no [prices]; add for example [prices.machines] and \"m7i.large\" = { on_demand = 0.1008 }",
        )
    })
}

impl Pricing {
    /// This for every instance, else by these.
    pub(crate) fn of_every_pool(per_hour: Option<f64>, by_machine: Option<Prices>) -> Self {
        Self { by_pool: per_hour.map(|per_hour| Price { pool: None, per_hour }).into_iter().collect(), by_machine }
    }

    /// What an hour costs of every instance, where that is the same.
    pub(crate) fn flat(&self) -> Option<f64> {
        self.by_pool.iter().rev().find(|price| price.pool.is_none()).map(|price| price.per_hour)
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_pool.is_empty() && self.by_machine.is_none()
    }

    /// What all numbers are in, where that is told.
    pub(crate) fn currency(&self) -> Option<&str> {
        self.by_machine.as_ref()?.currency.as_deref()
    }

    /// What an hour of this instance costs, which is in that pool: the last price that names the pool, else the last that names none, else that of its machine.
    pub(crate) fn per_hour(&self, lane: &Lane, pool: &str) -> Option<f64> {
        let of_pool = self.by_pool.iter().rev().find(|price| price.pool.as_deref() == Some(pool));
        let told = of_pool.map(|price| price.per_hour).or_else(|| self.flat());
        told.or_else(|| self.by_machine.as_ref()?.per_hour(&lane.machine))
    }

    /// Why some of these instances have no price, each reason with their number.
    pub(crate) fn lacks<'a>(&self, lanes: impl Iterator<Item = (&'a Lane, String)>) -> Vec<(String, usize)> {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for (lane, pool) in lanes.filter(|(lane, pool)| self.per_hour(lane, pool).is_none()) {
            let why = match &self.by_machine {
                Some(prices) => prices.lacks(&lane.machine),
                None => format!("there is no --price {pool}=..."),
            };
            *reasons.entry(why).or_default() += 1;
        }
        reasons.into_iter().collect()
    }

    /// A price that is for none of these pools would silently price nothing.
    ///
    /// # Errors
    ///
    /// With the pools that there are.
    pub(crate) fn check(&self, pools: &[&str]) -> Result<(), Failure> {
        for pool in self.by_pool.iter().filter_map(|price| price.pool.as_ref()) {
            if !pools.contains(&pool.as_str()) {
                let mut known = pools.to_vec();
                known.sort_unstable();
                known.dedup();
                let known = known.join(", ");
                return Err(Failure::Refused(format!(
                    "--price {pool}=...: no such pool is told of; there are {known}"
                )));
            }
        }
        Ok(())
    }
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
