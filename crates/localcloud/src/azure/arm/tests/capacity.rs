//! What a write of the capacity does: operations, conditions, failed allocations.

use serde_json::json;

use crate::azure::arm::testing::{Bench, refusal, value};

#[test]
fn a_raise_is_an_operation_that_lasts_until_the_machines_run() {
    let mut bench = Bench::flexible(1, &json!({}));
    let begun = bench.raise(3, &[]);
    assert_eq!(begun.status, 200);
    assert_eq!(bench.capacity(), 3, "the goal shows at once");
    assert_eq!(bench.set()["properties"]["provisioningState"], "Updating");
    bench.wait(10_000);
    assert_eq!(bench.names().len(), 3);
    assert_eq!(bench.outcome(&begun)["status"], "InProgress");
    bench.wait(20_000);
    assert_eq!(bench.outcome(&begun)["status"], "Succeeded");
    assert_eq!(bench.set()["properties"]["provisioningState"], "Succeeded");
}

#[test]
fn a_stale_raise_is_refused_where_it_names_what_it_read() {
    let mut bench = Bench::flexible(2, &json!({}));
    let read = bench.set()["etag"].as_str().unwrap().to_owned();
    let name = bench.names()[0].clone();
    bench.delete(&name);
    bench.wait(1_000);
    assert_eq!(bench.capacity(), 1);
    let late = bench.raise(2, &[("if-match", &read)]);
    assert_eq!(refusal(&late, 412), "PreconditionFailed");
    assert_eq!(bench.capacity(), 1);
    let fresh = bench.set()["etag"].as_str().unwrap().to_owned();
    assert_eq!(bench.raise(2, &[("if-match", &fresh)]).status, 200);
    assert_eq!(bench.capacity(), 2);
}

#[test]
fn without_a_condition_a_stale_write_makes_anew_what_left() {
    let mut bench = Bench::flexible(2, &json!({}));
    let name = bench.names()[0].clone();
    bench.delete(&name);
    bench.wait(1_000);
    bench.raise(2, &[]);
    bench.wait(1_000);
    assert_eq!(bench.launched.len(), 3);
}

#[test]
fn a_newer_raise_preempts_the_one_under_way() {
    let mut bench = Bench::flexible(0, &json!({}));
    let first = bench.raise(1, &[]);
    bench.wait(1_000);
    let second = bench.raise(2, &[]);
    assert_eq!(bench.outcome(&first)["error"]["code"], "OperationPreempted");
    bench.wait(30_000);
    assert_eq!(bench.outcome(&second)["status"], "Succeeded");
    assert_eq!(bench.names().len(), 2);
}

#[test]
fn a_failed_allocation_is_the_operations_and_the_capacity_stays() {
    let mut bench = Bench::flexible(1, &json!({}));
    bench.azure.fail_creations(Some("ZonalAllocationFailed: Allocation failed.".into()));
    let begun = bench.raise(2, &[]);
    assert_eq!(begun.status, 200, "nothing is known yet");
    bench.wait(1_000);
    assert_eq!(bench.outcome(&begun)["error"]["code"], "ZonalAllocationFailed");
    assert_eq!(bench.set()["properties"]["provisioningState"], "Failed");
    assert_eq!((bench.capacity(), bench.names().len()), (2, 1));
    // Nobody tries again by himself, and whoever writes the same capacity once more does.
    bench.azure.fail_creations(None);
    bench.wait(120_000);
    assert_eq!(bench.names().len(), 1);
    bench.raise(2, &[]);
    bench.wait(30_000);
    assert_eq!(bench.names().len(), 2);
    assert_eq!(bench.set()["properties"]["provisioningState"], "Succeeded");
}

#[test]
fn a_set_that_is_resilient_tries_again_by_itself() {
    let policy = json!({"properties": {"resiliencyPolicy": {"resilientVMCreationPolicy": {"enabled": true}}}});
    let mut bench = Bench::flexible(0, &policy);
    bench.azure.fail_creations(Some("no capacity".into()));
    let begun = bench.raise(1, &[]);
    bench.wait(5_000);
    assert_eq!(bench.outcome(&begun)["status"], "InProgress");
    bench.azure.fail_creations(None);
    bench.wait(60_000);
    assert_eq!(bench.outcome(&begun)["status"], "Succeeded");
    assert_eq!(bench.names().len(), 1);
}

#[test]
fn a_quota_is_refused_at_once() {
    let mut bench = Bench::flexible(0, &json!({}));
    bench.azure.fail_creations(Some("QuotaExceeded: Operation could not be completed.".into()));
    assert_eq!(refusal(&bench.raise(1, &[]), 409), "QuotaExceeded");
    assert_eq!(bench.capacity(), 0);
}

#[test]
fn a_scale_in_passes_protected_machines_over() {
    for policy in [json!({"protectFromScaleIn": true}), json!({"protectFromScaleSetActions": true})] {
        let mut bench = Bench::uniform(3, &json!({}));
        let names = bench.names();
        assert_eq!(bench.protect(&names[2], &policy).status, 200);
        bench.raise(2, &[]);
        bench.wait(1_000);
        assert_eq!(bench.names(), [names[0].clone(), names[2].clone()], "the newest that is open goes");
    }
}

#[test]
fn where_all_are_protected_a_scale_in_fails_and_takes_nobody() {
    let mut bench = Bench::flexible(2, &json!({}));
    for name in bench.names() {
        bench.protect(&name, &json!({"protectFromScaleIn": true}));
    }
    let begun = bench.raise(0, &[]);
    bench.wait(60_000);
    assert_eq!(bench.outcome(&begun)["status"], "Failed");
    assert_eq!((bench.names().len(), bench.capacity()), (2, 2));
    assert_eq!(bench.told_to_end.len(), 0);
}

#[test]
fn a_scale_in_takes_the_oldest_where_the_policy_says_so_and_keeps_zones_in_balance() {
    let mut bench = Bench::uniform(3, &json!({"properties": {"scaleInPolicy": {"rules": ["OldestVM"]}}}));
    let names = bench.names();
    bench.raise(2, &[]);
    bench.wait(1_000);
    assert_eq!(bench.names(), names[1..]);

    let mut bench = Bench::uniform(3, &json!({"zones": ["1", "2"]}));
    let zones = |bench: &Bench| bench.azure.members("ci").iter().filter_map(|it| it.zone.clone()).collect::<Vec<_>>();
    assert_eq!(zones(&bench), ["1", "2", "1"]);
    bench.raise(2, &[]);
    bench.wait(1_000);
    assert_eq!(zones(&bench), ["1", "2"]);
}

#[test]
fn a_uniform_set_starts_more_than_asked_for_unless_told_not_to() {
    let mut bench = Bench::new();
    bench.create("Uniform", 2, &json!({"properties": {"overprovision": true}}));
    bench.wait(10_000);
    assert_eq!((bench.names().len(), bench.capacity()), (3, 2));
    bench.wait(20_000);
    assert_eq!(bench.names().len(), 2);
    assert_eq!(bench.capacity(), 2, "what was more than asked for never counted");
}

#[test]
fn creation_says_where_its_operation_is() {
    let mut bench = Bench::new();
    let created = bench.create("Flexible", 1, &json!({"tags": {"team": "ci"}}));
    assert_eq!(created.status, 201);
    let set = value(&created);
    assert_eq!((&set["tags"]["team"], &set["properties"]["orchestrationMode"]), (&json!("ci"), &json!("Flexible")));
    assert_eq!(created.get("etag"), set["etag"].as_str());
    assert!(created.get("location").unwrap().contains("monitor=true"));
    bench.wait(30_000);
    assert_eq!(bench.outcome(&created)["status"], "Succeeded");
}
