//! The picture of what is written down of a fleet, read again and again.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use lightsout_core::{
    chart::Chart,
    explain::{Evidence, Said},
};

use super::Source;
use crate::{
    cost::{self, Price},
    evidence::Places,
    fleet_dir::FleetDir,
};

/// What `lightsout timeline` draws of these places.
pub(crate) struct Records {
    places: Places,
    dir: FleetDir,
    prices: Vec<Price>,
    end: &'static str,
    /// What the group's history told last: the cloud of a fleet that runs here ends before the last picture of it is drawn.
    history: Vec<Evidence>,
}

impl Records {
    /// Of the run in this directory, whose instances cost so much in an hour.
    pub(crate) fn of_run(dir: FleetDir, price: Option<f64>) -> Self {
        let prices = price.map(Price::of_every_pool).into_iter().collect();
        Self::new(Places::default(), dir, prices, "The run has ended; lightsout timeline -o FILE keeps its picture")
    }

    /// Of these places, or of the fleet in this directory where they name none.
    pub(crate) fn of_places(places: Places, dir: FleetDir, prices: Vec<Price>) -> Self {
        Self::new(places, dir, prices, "No longer served: this is how it was last")
    }

    fn new(places: Places, dir: FleetDir, prices: Vec<Price>, end: &'static str) -> Self {
        Self { places, dir, prices, end, history: Vec::new() }
    }
}

impl Source for Records {
    async fn look(&mut self) -> Result<Chart> {
        let mut evidence = self.places.read(&self.dir, Duration::ZERO, Timestamp::now()).await?.evidence;
        let is_history = |it: &&Evidence| matches!(it.said, Said::Activity(_));
        let history: Vec<Evidence> = evidence.iter().filter(is_history).cloned().collect();
        if history.is_empty() {
            evidence.append(&mut self.history.clone());
        } else {
            self.history = history;
        }
        // After all was read: what a running fleet says is as young as that.
        Ok(Chart::new(&evidence, Timestamp::now(), |pool| cost::per_hour(&self.prices, pool)))
    }

    fn end(&self) -> &str {
        self.end
    }
}
