//! `once`, as a timer starts it: from the start of its process to the raise.

use std::{
    fs,
    path::Path,
    time::{Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    fleet::{Fleet, milliseconds, unix_ms},
    report::Report,
    scaler::{call, command, create_group, settings},
};

/// Jobs that wait, for which no instance has the tag.
const JOBS: u32 = 30;
const TAG: &str = "bench-once";

/// Without metrics and with them, turn by turn, so that whatever else the machine does falls on both.
pub(crate) fn measure(fleet: &Fleet, scaler: &Path, samples: usize, report: &mut Report) -> Result<()> {
    fleet.request("POST", "jobs", &json!({ "count": JOBS, "tags": [TAG] }))?;
    let kinds = [("once", &[][..]), ("once, metrics on", &["--emf"][..])];
    let mut figures = kinds.map(|_| (Vec::new(), Vec::new()));
    for turn in 0..2 * samples {
        let (raises, ends) = &mut figures[turn % 2];
        let group = format!("bench-once-{turn}");
        create_group(fleet, &group, JOBS)?;
        // The raise is to be seen, not thirty machines that boot meanwhile.
        call(fleet, &format!("Action=SuspendProcesses&AutoScalingGroupName={group}&ScalingProcesses.member.1=Launch"))?;
        let config = fleet.dir().join("bench-once.toml");
        fs::write(&config, settings(fleet, &format!("tags = [\"{TAG}\"]"), [group.clone()])?)?;
        let mut once = command(scaler, fleet);
        once.args(["once", "--log", "error", "--config"]).arg(&config).args(kinds[turn % 2].1);
        let (started, clock) = (unix_ms(SystemTime::now()), Instant::now());
        let output = once.output()?;
        ends.push(clock.elapsed().as_secs_f64() * 1000.0);
        ensure!(output.status.success(), "once failed: {}", String::from_utf8_lossy(&output.stderr));
        let events = fleet.events()?;
        let change = format!("desired capacity 0 -> {JOBS}");
        let raise = events.iter().find(|it| it.group.as_deref() == Some(&group) && it.what == change);
        raises.push(milliseconds(raise.context("once raised nothing")?.at_ms) - started);
    }
    for ((kind, _), (raises, ends)) in kinds.into_iter().zip(figures) {
        report.add(format!("scaler, {kind}: start of the process -> capacity raised"), "ms", raises);
        report.add(format!("scaler, {kind}: start -> end of the process"), "ms", ends);
    }
    Ok(())
}
