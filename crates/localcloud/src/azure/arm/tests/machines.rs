//! What is true of one machine: protection, its model, its power.

use std::time::Duration;

use serde_json::{Value, json};

use crate::azure::arm::testing::{Bench, refusal, value};

fn instance(bench: &mut Bench, name: &str) -> Value {
    let id = bench.azure.machine(name).unwrap().instance_id.clone();
    bench.get(&format!("virtualMachineScaleSets/ci/virtualMachines/{id}?$expand=instanceView"))
}

#[test]
fn nothing_is_protected_at_birth_and_no_set_can_ask_for_it() {
    let mut bench = Bench::flexible(
        1,
        &json!({"properties": {"virtualMachineProfile": {"protectionPolicy": {"protectFromScaleIn": true}}}}),
    );
    let name = bench.names()[0].clone();
    assert_eq!(instance(&mut bench, &name)["properties"]["protectionPolicy"], Value::Null);
    assert_eq!(bench.protect(&name, &json!({"protectFromScaleIn": true})).status, 200);
    let shown = instance(&mut bench, &name);
    assert_eq!(shown["properties"]["protectionPolicy"]["protectFromScaleIn"], true);
    assert_eq!(shown["properties"]["latestModelApplied"], true);
    assert_eq!(bench.protect(&name, &json!({"protectFromScaleIn": false})).status, 200);
    assert_eq!(instance(&mut bench, &name)["properties"]["protectionPolicy"], Value::Null);
}

#[test]
fn a_model_that_is_sent_back_whole_is_no_longer_its_sets() {
    let mut bench = Bench::uniform(1, &json!({}));
    let mut whole = instance(&mut bench, "ci_0");
    whole["properties"]["protectionPolicy"] = json!({"protectFromScaleIn": true});
    let put = bench.call("PUT", "virtualMachineScaleSets/ci/virtualMachines/0", &whole, &[]);
    assert_eq!(put.status, 200);
    let properties = value(&put)["properties"].clone();
    assert_eq!(
        (&properties["latestModelApplied"], &properties["modelDefinitionApplied"]),
        (&json!(false), &json!("VirtualMachine"))
    );
}

#[test]
fn machines_stay_on_the_model_that_they_were_made_from() {
    let mut bench = Bench::uniform(1, &json!({}));
    let body = json!({"properties": {"virtualMachineProfile": {"osProfile": {"computerNamePrefix": "new"}}}});
    bench.call("PATCH", "virtualMachineScaleSets/ci", &body, &[]);
    assert_eq!(instance(&mut bench, "ci_0")["properties"]["latestModelApplied"], false);
    assert_eq!(bench.capacity(), 1, "a write that says nothing of the capacity leaves it");
}

#[test]
fn protection_needs_a_version_that_knows_it() {
    for (mode, old, new) in [("Flexible", "2023-07-01", "2023-09-01"), ("Uniform", "2018-10-01", "2019-03-01")] {
        let mut bench = Bench::new();
        bench.create(mode, 1, &json!({}));
        bench.wait(30_000);
        let name = bench.names()[0].clone();
        bench.version = old;
        assert_eq!(refusal(&bench.protect(&name, &json!({"protectFromScaleIn": true})), 400), "BadRequest");
        bench.version = new;
        assert_eq!(bench.protect(&name, &json!({"protectFromScaleIn": true})).status, 200);
    }
}

#[test]
fn a_machine_that_powers_itself_off_is_neither_deleted_nor_replaced() {
    let mut bench = Bench::flexible(1, &json!({}));
    let name = bench.names()[0].clone();
    bench.azure.powered_off(&name, bench.now);
    bench.wait(3_600_000);
    let shown = instance(&mut bench, &name);
    assert_eq!(shown["properties"]["provisioningState"], "Succeeded");
    assert_eq!(shown["properties"]["instanceView"]["statuses"][1]["code"], "PowerState/stopped");
    assert_eq!((bench.capacity(), bench.launched.len()), (1, 1));
    assert!(bench.azure.machine(&name).unwrap().ended_at.is_none(), "it is billed");
    bench.delete(&name);
    bench.wait(1_000);
    assert_eq!((bench.capacity(), bench.names().len()), (0, 0));
}

#[test]
fn an_owner_stops_deallocates_starts_and_restarts() {
    let mut bench = Bench::uniform(1, &json!({}));
    let power = |bench: &mut Bench| {
        instance(bench, "ci_0")["properties"]["instanceView"]["statuses"][1]["code"].as_str().unwrap().to_owned()
    };
    for (action, state) in
        [("powerOff", "stopped"), ("deallocate", "deallocated"), ("start", "running"), ("restart", "running")]
    {
        let begun =
            bench.call("POST", &format!("virtualMachineScaleSets/ci/virtualMachines/0/{action}"), &Value::Null, &[]);
        assert_eq!(begun.status, 202, "{action}");
        bench.wait(30_000);
        assert_eq!(power(&mut bench), format!("PowerState/{state}"), "{action}");
        assert_eq!(bench.outcome(&begun)["status"], "Succeeded", "{action}");
        assert_eq!(bench.capacity(), 1);
    }
    assert_eq!(bench.launched.len(), 3);
}

fn spot(policy: &str) -> Bench {
    Bench::flexible(
        2,
        &json!({"properties": {"virtualMachineProfile": {"priority": "Spot", "evictionPolicy": policy}}}),
    )
}

#[test]
fn an_evicted_machine_is_deallocated_and_counts_unless_the_policy_deletes_it() {
    for (policy, capacity, left) in [("Deallocate", 2, 2), ("Delete", 1, 1)] {
        let mut bench = spot(policy);
        let name = bench.names()[0].clone();
        let evicted = bench.call("POST", &format!("virtualMachines/{name}/simulateEviction"), &Value::Null, &[]);
        assert_eq!(evicted.status, 204);
        bench.wait(29_000);
        assert!(bench.told_to_end.is_empty(), "half a minute's notice");
        bench.wait(2_000);
        assert_eq!(bench.told_to_end, [name]);
        bench.wait(60_000);
        assert_eq!((bench.capacity(), bench.names().len(), bench.launched.len()), (capacity, left, 2), "{policy}");
    }
}

#[test]
fn only_spot_machines_are_evicted() {
    let mut bench = Bench::flexible(1, &json!({}));
    let name = bench.names()[0].clone();
    let refused = bench.call("POST", &format!("virtualMachines/{name}/simulateEviction"), &Value::Null, &[]);
    assert_eq!(refusal(&refused, 409), "OperationNotAllowed");
}

fn with_terminate_notice(capacity: u32) -> Bench {
    let notice = json!({"enable": true, "notBeforeTimeout": "PT5M"});
    Bench::flexible(
        capacity,
        &json!({"properties": {"virtualMachineProfile": {
            "scheduledEventsProfile": {"terminateNotificationProfile": notice},
        }}}),
    )
}

#[test]
fn a_delete_waits_for_the_machine_to_agree_or_for_its_time() {
    let mut bench = with_terminate_notice(2);
    let names = bench.names();
    let begun = bench.delete(&names[0]);
    bench.wait(299_000);
    assert!(bench.told_to_end.is_empty());
    assert_eq!(bench.outcome(&begun)["status"], "InProgress");
    assert_eq!(bench.capacity(), 1, "the capacity does not wait");
    bench.wait(2_000);
    assert_eq!(bench.told_to_end, [names[0].clone()]);

    bench.delete(&names[1]);
    let id = bench.azure.events_for(&names[1]).1[0].id.clone();
    bench.azure.agree(&names[1], &[id], bench.now).unwrap();
    bench.drain();
    assert_eq!(bench.told_to_end, names);
}

#[test]
fn machines_that_are_deleted_together_wait_for_each_other() {
    let mut bench = with_terminate_notice(2);
    let names = bench.names();
    bench.call("POST", "virtualMachineScaleSets/ci/delete", &json!({"instanceIds": names}), &[]);
    let (_, events) = bench.azure.events_for(&names[0]);
    assert_eq!(events.len(), 2, "each sees both");
    let second = events.iter().find(|event| event.machine == names[1]).unwrap().id.clone();
    bench.azure.agree(&names[1], &[second], bench.now).unwrap();
    bench.wait(200_000);
    assert!(bench.told_to_end.is_empty(), "the first has not agreed");
    bench.wait(Duration::from_secs(120).as_millis().try_into().unwrap());
    assert_eq!(bench.told_to_end.len(), 2);
}

#[test]
fn spot_sets_cannot_have_terminate_notices_nor_flexible_ones_a_system_identity() {
    let notice = json!({"terminateNotificationProfile": {"enable": true, "notBeforeTimeout": "PT5M"}});
    let mut bench = Bench::new();
    let spot = json!({"properties": {"virtualMachineProfile": {"priority": "Spot", "scheduledEventsProfile": notice}}});
    assert_eq!(refusal(&bench.create("Flexible", 0, &spot), 400), "OperationNotAllowed");
    let identity = json!({"identity": {"type": "SystemAssigned"}});
    assert_eq!(refusal(&bench.create("Flexible", 0, &identity), 400), "OperationNotAllowed");
    assert_eq!(bench.create("Uniform", 0, &identity).status, 201);
}
