//! `lightsout simulate`: how long a large fleet takes to play, and in how much memory.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{fleet::Programs, process, report::Report};

/// A day of so many jobs, of which more come at once than the group may have instances.
const JOBS: usize = 100_000;
const INSTANCES: usize = 1_000;

pub(crate) fn measure(programs: &Programs, samples: usize, report: &mut Report) -> Result<()> {
    let (mut seconds, mut memory, mut reports) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..samples {
        let mut command = Command::new(&programs.lightsout);
        let (jobs, most) = (JOBS.to_string(), INSTANCES.to_string());
        command.args([
            "simulate",
            "--json",
            "--days",
            "1",
            "--made",
            &jobs,
            "--max",
            &most,
            "--idle-timeout",
            "10m",
            "--spare",
            "0",
        ]);
        let clock = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().context("lightsout does not start")?;
        let mut peak = 0.0_f64;
        // What it prints fits into a pipe, so that it never waits to be read. Its peak is gone with it: the last one seen counts.
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            peak = peak.max(process::peak(child.id()).unwrap_or(0.0));
            thread::sleep(Duration::from_millis(1));
        };
        seconds.push(clock.elapsed().as_secs_f64());
        memory.push(peak);
        ensure!(status.success(), "the simulation failed: {status}");
        reports.push(std::io::read_to_string(child.stdout.take().context("no output")?)?);
    }
    let first = reports.first().context("no sample")?;
    ensure!(reports.iter().all(|report| report == first), "one seed gave two reports");
    let told: Value = serde_json::from_str(first)?;
    let outcome = &told["settings"][0]["outcome"];
    ensure!(
        outcome["jobs"] == JOBS && outcome["peak"] == INSTANCES && outcome["unserved"] == 0,
        "another fleet was played: {outcome}"
    );
    report.add("simulate, 100,000 jobs on up to 1,000 instances", "s", seconds);
    report.add("simulate, 100,000 jobs on up to 1,000 instances: peak memory", "MiB", memory);
    Ok(())
}
