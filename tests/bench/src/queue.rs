//! The queues of large organisations on platforms whose answers take their time: how long a reading is, and how much of
//! the truth the scaler knows after each tick.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    fleet::{Fleet, Programs},
    platform::{Platform, World},
    process,
    report::Report,
    scaler::{Running, create_group},
};

/// How long each answer of the platform takes.
const DELAY: Duration = Duration::from_millis(60);
/// How many ticks are watched.
const TICKS: usize = 3;

pub(crate) fn measure(programs: &Programs, report: &mut Report) -> Result<()> {
    let fleet = Fleet::start(programs, "--max 1 --tick 1h")?;
    create_group(&fleet, "bench-queue", 5_000)?;
    let projects = World::GitLab { projects: 1_000 };
    watch(&fleet, &programs.scaler, "GitLab group, 1,000 projects", projects, 1_000.0, report)?;
    let runs = World::GitHub { repositories: 500, runs: 200 };
    watch(&fleet, &programs.scaler, "GitHub organisation, 500 repositories, 200 runs", runs, 1_000.0, report)
}

/// Some ticks of `watch` on a platform where so many jobs wait and run.
fn watch(fleet: &Fleet, scaler: &Path, title: &str, world: World, jobs: f64, report: &mut Report) -> Result<()> {
    let platform = Platform::start(world, DELAY)?;
    let queue = match world {
        World::GitLab { .. } => "[pool.platform.gitlab]\ngroup = \"bench\"\ntags = [\"docker\"]",
        World::GitHub { .. } => "[pool.platform.github]\norganization = \"bench\"\nlabels = [\"linux\"]",
    };
    let config = fleet.dir().join("bench-queue.toml");
    let settings = format!("[[pool]]\ngroup = \"bench-queue\"\n{queue}\nurl = \"{}\"\ntoken = \"x\"\n", platform.url());
    fs::write(&config, settings)?;
    let (child, lines) = Running::watch(scaler, fleet, &config, &["--dry-run", "--tick", "1s", "--log", "error"])?;
    let (mut known, mut took, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines.take(TICKS) {
        let record: Value = serde_json::from_str(&line?)?;
        ensure!(record["error"].is_null(), "the queue cannot be read: {record}");
        known.push(record["to"].as_f64().unwrap_or(0.0) / jobs * 100.0);
        took.push(record["ms"]["demand"].as_f64().context("a record without the time of its reading")?);
        let before: f64 = requests.iter().sum();
        requests.push(f64::from(platform.requests()) - before);
    }
    ensure!(known.len() == TICKS, "the scaler ended after {} records", known.len());
    is_whole(title, &known)?;
    let title = format!("{title}, {} ms an answer", DELAY.as_millis());
    report.add(format!("{title}: reading"), "ms", took);
    report.add(format!("{title}: known after the first"), "%", known[..1].to_vec());
    report.add(format!("{title}: known after the last"), "%", known[TICKS - 1..].to_vec());
    report.add(format!("{title}: requests of a reading"), "", requests);
    report.add(format!("{title}: peak memory"), "MiB", process::peak(child.0.id()).into_iter().collect());
    Ok(())
}

/// Whether each tick raised to no more than there is, none knew less than the one before, and the last one knew all: in percent of the jobs.
fn is_whole(title: &str, known: &[f64]) -> Result<()> {
    ensure!(
        known.iter().all(|known| *known <= 100.0),
        "{title}: raised past the jobs that there are, to {known:?} % of them"
    );
    ensure!(known.is_sorted(), "{title}: a tick knew less than the one before: {known:?} % of the jobs");
    ensure!(known.first().is_some_and(|first| *first > 0.0), "{title}: the first tick knew nothing");
    ensure!(known.last() == Some(&100.0), "{title}: not read whole in {} ticks: {known:?} % of the jobs", known.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_is_not_whole_fails() {
        for whole in [[100.0; 3], [40.0, 80.0, 100.0]] {
            is_whole("queue", &whole).unwrap();
        }
        for (known, why) in [
            ([40.0, 80.0, 99.9], "not read whole in 3 ticks"),
            ([100.0, 60.0, 100.0], "knew less than the one before"),
            ([0.0, 50.0, 100.0], "the first tick knew nothing"),
            ([100.0, 100.0, 100.1], "past the jobs"),
        ] {
            let error = is_whole("queue", &known).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
