//! A fleet at rest: what the agent and the scaler use, and how soon an agent notices a job and a spot notice. Then the
//! same fleet at work.

use std::{fs, process::Command, thread, time::Duration, time::SystemTime};

use anyhow::{Context, Result};
use lightsout_localcloud::{Snapshot, fleet::InstanceView};
use serde_json::json;

use crate::{
    fleet::{Fleet, Programs, living, phase, pid, since_ms, unix_ms},
    process,
    report::Report,
};

/// How many instances.
pub(crate) const SIZE: usize = 3;
/// How long after it became idle a fleet is given to come to rest.
pub(crate) const SETTLE: Duration = Duration::from_secs(20);
/// How long the jobs of the busy fleet take, in seconds.
const WORK: u32 = 60;
/// How long the busy fleet is watched.
pub(crate) const BUSY: Duration = Duration::from_secs(40);

pub(crate) fn measure(programs: &Programs, window: Duration, samples: usize, report: &mut Report) -> Result<()> {
    let arguments = format!("--min {SIZE} --max {} --boot 500ms --idle-timeout 1h --tick 10s", SIZE + 1);
    let mut fleet = Fleet::start(programs, &arguments)?;
    fleet.until_idle(SIZE)?;
    thread::sleep(SETTLE);
    watch(&fleet, "idle", window, report)?;
    scaler(programs, "1 pool", window, report)?;
    seen_busy(&mut fleet, samples, report)?;

    occupy(&mut fleet)?;
    watch(&fleet, "busy", BUSY, report)?;
    notice(&mut fleet, samples, report)
}

/// Gives each instance a job that lasts as long as a busy fleet is watched.
pub(crate) fn occupy(fleet: &mut Fleet) -> Result<()> {
    fleet.until_idle(SIZE)?;
    (0..SIZE).try_for_each(|_| fleet.enqueue(f64::from(WORK)).map(drop))?;
    fleet.until("all to be busy", |fleet| {
        Ok((living(fleet.snapshot()?).filter(|it| phase(it) == "busy").count() == SIZE).then_some(()))
    })
}

/// Memory, processor and calls of all agents for a while.
pub(crate) fn watch(fleet: &Fleet, state: &str, window: Duration, report: &mut Report) -> Result<()> {
    let before = fleet.snapshot()?;
    let pids: Vec<u32> = living(before.clone()).filter_map(|it| pid(&it)).collect();
    let cpu = process::cpu_percent(&pids, window)?;
    let after = fleet.snapshot()?;
    let memory = pids.iter().map(|pid| process::memory(*pid)).collect::<Result<Vec<_>>>()?;
    let peaks = pids.iter().filter_map(|pid| process::peak(*pid)).collect();
    let minutes = window.as_secs_f64() / 60.0;
    let size = f64::from(u32::try_from(pids.len())?);
    let per_minute = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / size / minutes;
    let calls = |of: fn(&Snapshot) -> u64| vec![per_minute(of(&after) - of(&before))];

    report.add(format!("agent, {state}: resident (RSS)"), "MiB", memory.iter().map(|it| it.rss).collect());
    report.add(format!("agent, {state}: proportional (PSS)"), "MiB", memory.iter().map(|it| it.pss).collect());
    report.add(format!("agent, {state}: anonymous"), "MiB", memory.iter().map(|it| it.anonymous).collect());
    report.add(format!("agent, {state}: peak so far"), "MiB", peaks);
    report.add(format!("agent, {state}: of one core"), "%", cpu);
    report.add(format!("agent, {state}: AWS calls a minute"), "", calls(aws_by_instances));
    report.add(format!("agent, {state}: metadata requests a minute"), "", calls(|it| it.counters.imds.values().sum()));
    Ok(())
}

pub(crate) fn scaler(programs: &Programs, title: &str, window: Duration, report: &mut Report) -> Result<()> {
    let pids = process::running(&programs.scaler);
    let pid = *pids.first().context("the fleet's scaler does not run")?;
    report.add(format!("scaler, {title}, tick 10 s: of one core"), "%", process::cpu_percent(&[pid], window)?);
    let memory = process::memory(pid)?;
    report.add(format!("scaler, {title}: resident (RSS)"), "MiB", vec![memory.rss]);
    report.add(format!("scaler, {title}: proportional (PSS)"), "MiB", vec![memory.pss]);
    Ok(())
}

/// From the start of a job, as Docker tells it, to the agent's phase `busy`. One that was seen before, in the runner's
/// metrics, counts as 0.
fn seen_busy(fleet: &mut Fleet, samples: usize, report: &mut Report) -> Result<()> {
    let (mut from_start, mut from_pick) = (Vec::new(), Vec::new());
    for _ in 0..samples {
        fleet.until_idle(SIZE)?;
        let job = fleet.enqueue(3.0)?;
        let seen = fleet.until("a busy instance", |fleet| {
            Ok(living(fleet.snapshot()?).find(|it| phase(it) == "busy").and_then(|it| since_ms(&it)))
        })?;
        let started = fleet.until("the job's container", |fleet| {
            let ended = fleet.snapshot()?.jobs.iter().any(|it| it.id == job && it.ran_s.is_some_and(|ran| ran > 2.5));
            // Without Docker there never is one.
            Ok(container_start(job).map(Some).or(ended.then_some(None)))
        })?;
        let picked = fleet.events()?.into_iter().find(|it| it.job == Some(job) && it.what.contains("picked"));
        from_pick.extend(picked.map(|event| span(event.at_ms, seen)));
        from_start.extend(started.map(|started| span(started, seen)));
        fleet.until_done(job)?;
    }
    report.add("job's container started -> seen busy", "ms", from_start);
    report.add("job picked by the runner -> seen busy", "ms", from_pick);
    Ok(())
}

/// From a spot notice to the moment at which the runner was told to take no more jobs.
fn notice(fleet: &mut Fleet, samples: usize, report: &mut Report) -> Result<()> {
    let mut delays = Vec::new();
    for _ in 0..samples {
        let target = fleet.until("an instance that serves", |fleet| {
            Ok(living(fleet.snapshot()?).find(|it| matches!(phase(it), "idle" | "busy") && it.spot_notice.is_none()))
        })?;
        let begun = unix_ms(SystemTime::now());
        fleet.request("POST", &format!("instances/{}/interrupt", target.id), &json!({ "in_s": 120 }))?;
        let told = fleet.dir().join("instances").join(&target.id).join("state/runner.told");
        let at = fleet.until("the runner to be told", |_| {
            let written = fs::metadata(&told).and_then(|it| it.modified()).map(unix_ms).ok();
            // The note is there from the runner's start, and is overwritten.
            Ok(written.filter(|at| *at >= begun))
        })?;
        delays.push(at - begun);
    }
    report.add("spot notice -> no more jobs", "ms", delays);
    Ok(())
}

fn aws_by_instances(fleet: &Snapshot) -> u64 {
    let by_caller = fleet.counters.aws.values();
    by_caller.filter_map(|callers| callers.get("instance")).sum()
}

/// When the container of a job was started, in milliseconds since the Unix epoch, as `date` reads what Docker says.
fn container_start(job: u64) -> Option<i64> {
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
    };
    let label = format!("label=com.gitlab.gitlab-runner.job.id={job}");
    let id = output("docker", &["ps", "--all", "--quiet", "--no-trunc", "--filter", &label])?;
    let started = output("docker", &["inspect", "--format", "{{.State.StartedAt}}", id.lines().next()?])?;
    output("date", &["--date", &started, "+%s%3N"])?.parse().ok().filter(|at| *at > 0)
}

fn span(from_ms: i64, to_ms: i64) -> f64 {
    f64::from(i32::try_from((to_ms - from_ms).max(0)).unwrap_or(i32::MAX))
}

/// Used by the other fleets as well: the moment at which an instance became idle.
pub(crate) fn idle_since(instance: &InstanceView) -> Option<i64> {
    (phase(instance) == "idle").then(|| since_ms(instance)).flatten()
}
