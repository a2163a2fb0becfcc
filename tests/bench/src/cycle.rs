//! From nothing to nothing, again and again: a job waits, the scaler raises, an instance works, idles out and ends.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use lightsout_localcloud::fleet::InstanceView;
use serde_json::Value;

use crate::{
    fleet::{Fleet, Programs, living, milliseconds, unix_ms},
    idle::idle_since,
    report::Report,
};

/// The idle timeout, in milliseconds.
const IDLE: i64 = 3_000;
/// The scaler's tick in this fleet.
const TICK: &str = "2s";
/// How long the agent may take itself from its start until its runner is registered, in milliseconds: the median of the samples.
const OWN_SHARE: f64 = 300.0;

pub(crate) fn measure(programs: &Programs, samples: usize, report: &mut Report) -> Result<()> {
    let mut fleet = Fleet::start(programs, &format!("--max 1 --boot 500ms --idle-timeout {IDLE}ms --tick {TICK}"))?;
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
    let begin = report.add("agent: begins -> the runner is registered, without the wait for the group", "ms", begins);
    report.add("idle timeout -> the cloud agreed to end it", "ms", asks);
    report.add("idle timeout -> terminated, at the embedded cloud's pace", "ms", ends);
    within_its_share(begin)
}

/// An instance is billed while its agent begins.
fn within_its_share(begin: Option<f64>) -> Result<()> {
    let median = begin.context("no agent told how long its boot took")?;
    ensure!(
        median <= OWN_SHARE,
        "the agent took {median:.0} ms from its start until its runner was registered, without the wait for the group: {OWN_SHARE} ms at most"
    );
    Ok(())
}

/// How long the agent took itself until the runner was registered, in milliseconds.
fn own_share(instance: &InstanceView) -> Option<f64> {
    share_of(instance.agent.as_ref()?.0.get("boot")?.as_array()?)
}

/// The same of the parts of its boot: neither the operator's program nor the wait for the group is the agent's own.
fn share_of(parts: &[Value]) -> Option<f64> {
    let until = |part: &str| parts.iter().find(|it| it["part"] == part)?["until_ms"].as_i64();
    Some(milliseconds(until("registered")? - until("in_service")? + until("tags")? - until("system")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_agent_takes_itself_is_bounded_and_what_it_waits_for_is_not() {
        let boot = |until: [i64; 7]| {
            let names = ["system", "metadata", "tags", "before_register", "in_service", "secrets", "registered"];
            let parts = names.into_iter().zip(until).map(|(part, until)| json!({ "part": part, "until_ms": until }));
            share_of(&parts.collect::<Vec<_>>())
        };
        // 40 ms until its tags are there, minutes of others, and then 260 ms; or one more.
        let share = boot([9_000, 9_030, 9_040, 69_000, 300_000, 300_010, 300_260]);
        assert_eq!(share, Some(300.0));
        assert!(within_its_share(share).is_ok());
        let share = boot([9_000, 9_030, 9_041, 69_000, 300_000, 300_010, 300_260]);
        assert!(within_its_share(share).unwrap_err().to_string().contains("took 301 ms"));
        assert!(within_its_share(share_of(&[])).is_err(), "what nobody measured holds nothing");
    }
}
