//! The picture of what is written down of a fleet, read again and again.

use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;
use lightsout_core::{
    chart::Chart,
    explain::{Evidence, Said},
};
use lightsout_page::Source;

use crate::{cost::Pricing, evidence::Places, fleet_dir::FleetDir};

/// What `lightsout timeline` draws of these places.
pub(crate) struct Records {
    places: Places,
    dir: FleetDir,
    pricing: Pricing,
    /// Whether each is for a pool that was told of.
    checked: bool,
    end: &'static str,
    /// What the group's history told last: the cloud of a fleet that runs here ends before the last picture of it is drawn.
    history: Vec<Evidence>,
    /// Whose end is the end of all news. `None`: it is drawn once more when it has ended.
    fleet: Option<Fleet>,
}

/// The fleet in the directory, where that is what is drawn.
#[derive(Clone, Copy)]
enum Fleet {
    /// It has not been seen to run: what it left is drawn.
    Unseen,
    Seen,
}

impl Records {
    /// Of the run in this directory.
    pub(crate) fn of_run(dir: FleetDir, pricing: Pricing) -> Self {
        Self::new(Places::default(), dir, pricing, "The run has ended; lightsout timeline -o FILE keeps its picture")
    }

    /// Of these places, or of the fleet in this directory where they name none.
    pub(crate) fn of_places(places: Places, dir: FleetDir, pricing: Pricing) -> Self {
        let fleet = places.are_the_fleet().then_some(Fleet::Unseen);
        Self { fleet, ..Self::new(places, dir, pricing, "No longer served: this is how it was last") }
    }

    fn new(places: Places, dir: FleetDir, pricing: Pricing, end: &'static str) -> Self {
        Self { places, dir, pricing, checked: false, end, history: Vec::new(), fleet: None }
    }
}

impl Source for Records {
    type Error = anyhow::Error;

    async fn look(&mut self) -> Result<Chart> {
        match (self.fleet, self.dir.running().is_ok()) {
            (Some(_), true) => self.fleet = Some(Fleet::Seen),
            (Some(Fleet::Seen), false) => bail!("the fleet has ended"),
            (Some(Fleet::Unseen) | None, _) => {}
        }
        let mut evidence = self.places.read(&self.dir, Duration::ZERO, Timestamp::now()).await?.evidence;
        let is_history = |it: &&Evidence| matches!(it.said, Said::Activity(_));
        let history: Vec<Evidence> = evidence.iter().filter(is_history).cloned().collect();
        if history.is_empty() {
            evidence.append(&mut self.history.clone());
        } else {
            self.history = history;
        }
        // After all was read: what a running fleet says is as young as that.
        let chart = Chart::new(&evidence, Timestamp::now(), |lane, pool| self.pricing.per_hour(lane, pool));
        // A pool that only its scaler tells of may have instances yet; where nothing is told of, all may.
        let costs = chart.cost.iter().map(|it| it.row.pool.as_str());
        let pools: Vec<&str> = chart.pools.iter().map(|it| it.pool.as_str()).chain(costs).collect();
        if !self.checked && !pools.is_empty() {
            self.pricing.check(&pools)?;
            self.checked = true;
        }
        Ok(chart)
    }

    fn end(&self) -> &str {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;
    use crate::cost::PriceArgs;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        places: Places,
        #[command(flatten)]
        prices: PriceArgs,
    }

    const STARTED: &str = "{\"schema\":1,\"kind\":\"incident\",\"time\":\"2026-11-26T03:00:00Z\",\"instance\":\"i-1\",\"group\":\"g\",\"platform\":\"gitlab\",\"what\":\"started\",\"detail\":\"\"}\n";

    #[tokio::test]
    async fn a_price_for_no_pool_is_refused_once_pools_are_told_of() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("a.log");
        fs::write(&file, "").unwrap();
        let priced = |pool: &str| {
            let line = ["timeline", "--from", &file.display().to_string(), "--price", &format!("{pool}=2")];
            let named = Command::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
            let dir = FleetDir::new(Some(temp.path().join("fleet"))).unwrap();
            Records::of_places(named.places, dir, named.prices.read().unwrap())
        };
        let (mut right, mut wrong) = (priced("g"), priced("linus"));
        assert!(right.look().await.is_ok() && wrong.look().await.is_ok(), "nothing is told of yet");
        fs::write(&file, STARTED).unwrap();
        let error = wrong.look().await.unwrap_err().to_string();
        assert!(error.contains("--price linus=") && error.contains("there are g"), "{error}");
        assert_eq!(right.look().await.unwrap().cost[0].price.map(|price| price > 0.0), Some(true));
        // The file is another one, as after a rotation: what was right stays so.
        fs::write(&file, STARTED.replace("\"g\"", "\"h\"")).unwrap();
        assert!(right.look().await.is_ok());
    }

    #[tokio::test]
    async fn a_fleet_that_was_seen_has_no_news_after_its_end() {
        let temp = tempfile::tempdir().unwrap();
        let dir = FleetDir::new(Some(temp.path().join("fleet"))).unwrap();
        let locked = dir.lock().unwrap();
        fs::write(dir.records(), STARTED).unwrap();
        let of_places = || Records::of_places(Places::default(), dir.clone(), Pricing::default());
        let mut records = of_places();
        assert!(records.look().await.is_ok(), "what a fleet left is drawn");
        // It runs, and does not answer; then it is gone.
        locked.announce("http://127.0.0.1:1").unwrap();
        assert!(records.look().await.is_err());
        locked.retract();
        for _ in 0..2 {
            let error = records.look().await.unwrap_err().to_string();
            assert!(error.contains("has ended"), "{error}");
        }
        assert!(
            Records::of_run(dir.clone(), Pricing::default()).look().await.is_ok(),
            "a run's own page ends with all of it"
        );
        let file = dir.records().display().to_string();
        let named = Command::try_parse_from(["timeline", "--from", &file]).unwrap_or_else(|error| panic!("{error}"));
        let mut files = Records::of_places(named.places, dir.clone(), Pricing::default());
        locked.announce("http://127.0.0.1:1").unwrap();
        assert!(files.look().await.is_ok());
        locked.retract();
        assert!(files.look().await.is_ok(), "files are no fleet");
    }
}
