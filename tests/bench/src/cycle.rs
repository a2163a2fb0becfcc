//! From nothing to nothing, again and again: a job waits, the scaler raises, an instance works, idles out and ends.

use std::time::SystemTime;

use anyhow::{Context, Result};
use lightsout_localcloud::fleet::InstanceView;

use crate::{
    fleet::{Fleet, Programs, living, milliseconds, unix_ms},
    idle::idle_since,
    report::Report,
};

/// The idle timeout, in milliseconds.
const IDLE: i64 = 3_000;
/// The scaler's tick in this fleet.
const TICK: &str = "2s";

pub(crate) fn measure(programs: &Programs, samples: usize, report: &mut Report) -> Result<()> {
    let mut fleet =
        Fleet::start(programs, &format!("--max 1 --boot-seconds 0.5 --idle-timeout {IDLE}ms --tick {TICK}"))?;
    let (mut raises, mut begins, mut asks, mut ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for sample in 0..samples {
        // Spread over the tick, or every job would come at the same moment of it.
        std::thread::sleep(std::time::Duration::from_millis((sample as u64 * 700) % 2_000));
        let queued = unix_ms(SystemTime::now());
        let job = fleet.enqueue(1.0)?;
        let id = fleet.until("an instance", |fleet| Ok(living(fleet.snapshot()?).next().map(|it| it.id)))?;
        let (mut since, mut share) = (None, None);
        let ended = fleet.until("the instance to end", |fleet| {
            let instances = fleet.snapshot()?.instances;
            let instance = instances.iter().find(|it| it.id == id).context("an instance was forgotten")?;
            since = idle_since(instance).or(since);
            share = own_share(instance).or(share);
            Ok(instance.ended_ms)
        })?;
        fleet.until_done(job)?;
        begins.extend(share);
        let due = since.context("the instance was never seen idle")? + IDLE;
        let events = fleet.events()?;
        let at = |what: &str| events.iter().rev().find(|it| it.what.contains(what)).map(|it| it.at_ms);
        raises.extend(at("desired capacity 0 -> 1").map(|at| milliseconds(at) - queued));
        asks.extend(at("terminating: asked to leave").map(|at| milliseconds(at - due)));
        ends.push(milliseconds(ended - due));
    }
    report.add(format!("job waits -> capacity raised (tick {TICK})"), "ms", raises);
    report.add("agent: begins -> the runner is registered, without the wait for the group", "ms", begins);
    report.add("idle timeout -> the cloud agreed to end it", "ms", asks);
    report.add("idle timeout -> terminated, at the embedded cloud's pace", "ms", ends);
    Ok(())
}

/// How long the agent took itself until the runner was registered, in milliseconds.
fn own_share(instance: &InstanceView) -> Option<f64> {
    let parts = instance.agent.as_ref()?.0.get("boot")?.as_array()?;
    let until = |part: &str| parts.iter().find(|it| it["part"] == part)?["until_ms"].as_i64();
    Some(milliseconds(until("registered")? - until("in_service")? + until("tags")? - until("system")?))
}
