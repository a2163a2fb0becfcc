//! The same jobs in a fleet and in the simulation: how long they waited in each. The simulation is told what it is told of any fleet: when the jobs
//! came, for how long they ran, and how long instances took to boot.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use lightsout_localcloud::{FleetEvent, fleet::JobState};
use lightsout_simulate::{Boots, Fleet as Kept, Job, LightsoutSettings, Setup, Trace, simulate};
use serde_json::json;

use crate::{
    fleet::{Fleet, Programs, phase, since_ms},
    report::Report,
};

/// How often it is played.
const RUNS: u64 = 5;
/// Seconds after which so many jobs come, and for how many seconds each of them runs.
const WAVES: [(u64, u32, f64); 4] = [(0, 4, 2.0), (5, 6, 1.5), (8, 3, 3.0), (16, 4, 1.0)];
const IDLE: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_secs(2);
const IN_SERVICE: Duration = Duration::from_secs(1);
const MAX: u32 = 6;

pub(crate) fn measure(programs: &Programs, report: &mut Report) -> Result<()> {
    let arguments = format!(
        "--no-docker --max {MAX} --boot {}s --idle-timeout {}s --tick {}s",
        IN_SERVICE.as_secs(),
        IDLE.as_secs(),
        TICK.as_secs()
    );
    let mut fleet = Fleet::start(programs, &arguments)?;
    let (mut real, mut simulated) = (Vec::new(), Vec::new());
    for seed in 1..=RUNS {
        let played = play(&mut fleet)?;
        let mut ours = LightsoutSettings { tick: TICK, ..LightsoutSettings::default() };
        ours.agent.idle_timeout = Some(IDLE);
        ours.agent.confirm = ours.agent.confirm.min(IDLE / 2);
        let setup = Setup {
            seed,
            boots: Boots::new(played.boots).context("no instance was ever seen ready")?,
            launch: played.launch,
            in_service: IN_SERVICE,
            max: MAX,
            ..Setup::default()
        };
        real.push(played.p95);
        simulated.push(simulate(&played.trace, &setup, &Kept::Lightsout(ours)).waits.p95);
    }
    report.add("95 % of the jobs waited no longer, in a fleet", "s", real);
    report.add("95 % of the same jobs, simulated", "s", simulated);
    Ok(())
}

/// What came of the jobs in the fleet.
struct Played {
    trace: Trace,
    /// From the start of each machine until it was ready for jobs.
    boots: Vec<Duration>,
    /// From a raise to the start of its machines.
    launch: Duration,
    p95: f64,
}

fn play(fleet: &mut Fleet) -> Result<Played> {
    let known = fleet.snapshot()?.jobs.len();
    let first = fleet.events()?.last().map_or(0, |event| event.seq);
    let begun = Instant::now();
    let mut ready: BTreeMap<String, i64> = BTreeMap::new();
    let mut waves = WAVES.iter().peekable();
    let (jobs, instances) = fleet.until("the jobs to end and the instances to leave", |fleet| {
        while let Some((_, count, seconds)) = waves.next_if(|(after, ..)| begun.elapsed().as_secs() >= *after) {
            fleet.request("POST", "jobs", &json!({ "count": count, "seconds": seconds }))?;
        }
        let mut snapshot = fleet.snapshot()?;
        for instance in snapshot.instances.iter().filter(|instance| phase(instance) == "idle") {
            if let Some(since) = since_ms(instance) {
                ready.entry(instance.id.clone()).or_insert(since - instance.launched_ms);
            }
        }
        let ended = snapshot.jobs.iter().all(|job| job.state == JobState::Done);
        let gone = snapshot.instances.iter().all(|instance| instance.ended_ms.is_some());
        Ok((waves.peek().is_none() && ended && gone).then(|| (snapshot.jobs.split_off(known), snapshot.instances)))
    })?;
    let events: Vec<FleetEvent> = fleet.events()?.into_iter().filter(|event| event.seq > first).collect();
    let queued = |id: u64| {
        let event = events.iter().find(|event| event.job == Some(id) && event.what == "queued");
        event.map(|event| event.at_ms).context("a job was never queued")
    };
    let zero = events.iter().find(|event| event.what == "queued").context("no job was queued")?.at_ms;
    let trace = jobs.iter().map(|job| {
        let runs = Duration::try_from_secs_f64(job.ran_s.context("a job never ran")?)?;
        Ok(Job { arrives: span(queued(job.id)? - zero), runs })
    });
    let trace = Trace::new(trace.collect::<Result<_>>()?);
    let raised =
        events.iter().find(|event| event.what.starts_with("desired capacity")).context("nothing was raised")?;
    let launched = instances.iter().map(|instance| instance.launched_ms).filter(|at| *at >= raised.at_ms).min();
    let mut waits: Vec<f64> = jobs.iter().map(|job| job.waited_s).collect();
    waits.sort_by(f64::total_cmp);
    Ok(Played {
        trace,
        boots: ready.into_values().map(span).collect(),
        launch: span(launched.context("nothing was launched")? - raised.at_ms),
        p95: waits[(waits.len() * 95).div_ceil(100) - 1],
    })
}

/// A span of the fleet's timeline.
fn span(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs())
}
