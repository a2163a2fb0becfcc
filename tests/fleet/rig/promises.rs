//! What a fleet's events say of each instance, put to the rules that the model checks too. From outside not every fact is to be had: where one is not,
//! the kindest is told that it can have been.

use std::collections::BTreeMap;

use lightsout_core::{
    cloud::{Membership, ProtectionSupport},
    invariants::{Ledger, Preparation, Violation},
    time::Tick,
};
use serde_json::Value;

struct Instance {
    ledger: Ledger,
    place: Membership,
}

/// The instances to which a promise was broken, or that broke one, each with its first.
pub(super) fn broken(events: &[Value]) -> Vec<(String, Violation)> {
    let mut instances: BTreeMap<&str, Instance> = BTreeMap::new();
    for event in events {
        let (Some(id), Some(what)) = (event["instance"].as_str(), event["what"].as_str()) else { continue };
        let new = Instance { ledger: Ledger::default(), place: Membership::Pending { waiting: false } };
        let Instance { ledger, place } = instances.entry(id).or_insert(new);
        if let Some(protection) = what.strip_prefix("in service, ") {
            *place = Membership::InService { protected: protection == "protected from scale-in" };
        } else if what == "runs" {
            // A machine of a scale set: nothing lies between its start and service.
            *place = Membership::InService { protected: false };
        } else if what == "in standby" {
            *place = Membership::Standby;
        } else if what.starts_with("detached from ") {
            *place = Membership::Outside;
        } else if what.starts_with("waits in the warm pool") {
            *place = Membership::Warm;
        } else if what == "taken from the warm pool" {
            *place = Membership::Pending { waiting: false };
        } else if what.ends_with("desired capacity lowered by one") || what == "deleted by name" {
            ledger.lowered(*place);
        } else if what.starts_with("lost with its machine") {
            ledger.job_ended(None, Tick::ZERO);
        } else if event["job"].is_u64() && what == "picked by a runner" {
            ledger.looked_for_room(false);
            ledger.runner_started(false, *place, false, ProtectionSupport::Never, Preparation::NotAsked);
        }
    }
    let broken = |(id, instance): (&str, Instance)| Some((id.to_owned(), instance.ledger.violation()?));
    instances.into_iter().filter_map(broken).collect()
}

#[test]
fn what_breaks_a_promise_is_found_in_the_events() {
    let event = |what: &str| serde_json::json!({"instance": "i-1", "job": 1, "what": what});
    let found = |events: &[&str]| broken(&events.iter().map(|what| event(what)).collect::<Vec<_>>()).pop();
    let (serves, works) = ("in service, protected from scale-in", "picked by a runner");
    let leaves = "terminating: asked to leave, and desired capacity lowered by one";
    assert_eq!(found(&[serves, works, "succeeded", leaves]), None);
    let breaks = |violation| Some(("i-1".to_owned(), violation));
    assert_eq!(found(&["created", "runs", works, "succeeded", "deleted by name"]), None);
    assert_eq!(found(&[works, serves]), breaks(Violation::StartedTooEarly));
    assert_eq!(found(&["waits in the warm pool, Stopped", works]), breaks(Violation::StartedTooEarly));
    assert_eq!(found(&[serves, leaves, leaves]), breaks(Violation::LoweredTwice));
    assert_eq!(found(&[serves, "in standby", leaves]), breaks(Violation::LoweredUncounted));
    assert_eq!(found(&[serves, works, "lost with its machine"]), breaks(Violation::JobKilled));
}
