//! How machines are deleted, by themselves and by others, and what becomes of the capacity.

use serde_json::{Value, json};

use crate::azure::arm::testing::{Bench, refusal, value};

#[test]
fn a_delete_lowers_the_capacity_a_moment_later() {
    let mut bench = Bench::flexible(3, &json!({}));
    let name = bench.names()[1].clone();
    let begun = bench.delete(&name);
    assert_eq!(begun.status, 202);
    assert_eq!(bench.capacity(), 3, "not seen yet");
    assert_eq!(bench.outcome(&begun)["status"], "InProgress", "its machine is off already");
    assert_eq!(bench.set()["properties"]["provisioningState"], "Updating");
    bench.wait(1_000);
    assert_eq!(bench.capacity(), 2);
    assert_eq!(bench.outcome(&begun)["status"], "Succeeded");
    assert!(!bench.names().contains(&name));
    bench.wait(60_000);
    assert_eq!((bench.names().len(), bench.launched.len()), (2, 3), "nobody takes its place");
}

#[test]
fn of_two_deletes_at_once_one_is_told_to_come_again() {
    let mut bench = Bench::flexible(3, &json!({}));
    let names = bench.names();
    assert_eq!(bench.delete(&names[0]).status, 202);
    assert_eq!(refusal(&bench.delete(&names[1]), 409), "Conflict");
    let raise = bench.raise(4, &[]);
    assert_eq!(refusal(&raise, 409), "Conflict");
    bench.wait(1_000);
    assert_eq!(bench.delete(&names[1]).status, 202);
    bench.wait(1_000);
    assert_eq!(bench.capacity(), 1);
}

#[test]
fn a_delete_by_name_takes_a_protected_machine_too() {
    let mut bench = Bench::flexible(1, &json!({}));
    let name = bench.names()[0].clone();
    bench.protect(&name, &json!({"protectFromScaleIn": true, "protectFromScaleSetActions": true}));
    assert_eq!(bench.delete(&name).status, 202);
    bench.wait(1_000);
    assert_eq!(bench.names().len(), 0);
}

#[test]
fn several_are_deleted_in_one_call_and_the_unknown_are_refused() {
    let mut bench = Bench::uniform(3, &json!({}));
    let path = "virtualMachineScaleSets/ci/delete";
    let refused = bench.call("POST", path, &json!({"instanceIds": ["0", "7"]}), &[]);
    assert_eq!(refusal(&refused, 400), "InvalidParameter");
    assert!(
        refused.text().contains("instanceId 7 is not an active Virtual Machine Scale Set VM instanceId")
            || refused.text().contains("ci_7")
    );
    assert_eq!(bench.call("POST", path, &json!({"instanceIds": ["0", "2"]}), &[]).status, 202);
    bench.wait(1_000);
    assert_eq!((bench.capacity(), bench.names()), (1, vec!["ci_1".to_owned()]));
    assert_eq!(refusal(&bench.call("POST", path, &json!({}), &[]), 400), "InvalidParameter");
}

#[test]
fn what_is_gone_is_deleted_and_what_leaves_is_deleted_once() {
    let mut bench = Bench::flexible(2, &json!({}));
    bench.obedient = false;
    let name = bench.names()[0].clone();
    let first = bench.delete(&name);
    bench.wait(5_000);
    let again = bench.delete(&name);
    assert_eq!(again.status, 202);
    assert_eq!(first.get("azure-asyncoperation"), again.get("azure-asyncoperation"));
    bench.wait(5_000);
    assert_eq!(bench.capacity(), 1, "lowered once");
    bench.azure.powered_off(&name, bench.now);
    bench.drain();
    let path = format!("virtualMachineScaleSets/ci/virtualMachines/{name}");
    assert_eq!(bench.call("DELETE", &path, &Value::Null, &[]).status, 204);
    assert_eq!(refusal(&bench.call("GET", &path, &Value::Null, &[]), 404), "InstanceNotFound");
}

#[test]
fn who_leaves_can_no_longer_be_protected() {
    let mut bench = Bench::flexible(1, &json!({}));
    bench.obedient = false;
    let name = bench.names()[0].clone();
    bench.delete(&name);
    let late = bench.protect(&name, &json!({"protectFromScaleIn": true}));
    assert_eq!(refusal(&late, 400), "InvalidParameter");
    assert!(late.text().contains("is not an active Virtual Machine Scale Set VM instanceId"), "{}", late.text());
}

#[test]
fn a_machine_of_a_flexible_set_is_a_resource_of_its_own() {
    let mut bench = Bench::flexible(2, &json!({}));
    let names = bench.names();
    let shown = bench.get(&format!("virtualMachines/{}?$expand=instanceView", names[0]));
    assert_eq!(shown["properties"]["instanceView"]["statuses"][1]["code"], "PowerState/running");
    let list = bench.get("virtualMachineScaleSets/ci/virtualMachines");
    assert_eq!(list["value"][0]["id"], shown["id"]);
    assert_eq!(list["value"][0]["properties"], Value::Null, "a list has the ids alone");
    assert_eq!(bench.call("DELETE", &format!("virtualMachines/{}", names[0]), &Value::Null, &[]).status, 202);
    bench.wait(1_000);
    assert_eq!(bench.capacity(), 1);

    let mut bench = Bench::uniform(1, &json!({}));
    let part = bench.call("GET", "virtualMachines/ci_0", &Value::Null, &[]);
    assert_eq!(refusal(&part, 404), "ResourceNotFound");
}

#[test]
fn a_uniform_set_gives_a_number_to_another_machine() {
    let mut bench = Bench::uniform(2, &json!({}));
    let first = bench.azure.machine("ci_0").unwrap().vm_id.clone();
    bench.delete("ci_0");
    bench.wait(5_000);
    bench.raise(2, &[]);
    bench.wait(30_000);
    let again = bench.azure.machine("ci_0").unwrap();
    assert!(again.ended_at.is_none() && again.vm_id != first);
    assert_ne!(again.computer_name, again.name, "an operating system goes by another name");
}

#[test]
fn a_set_is_upgraded_machine_by_machine_but_for_those_that_are_protected_from_it() {
    let mut bench = Bench::flexible(3, &json!({}));
    let names = bench.names();
    bench.protect(&names[0], &json!({"protectFromScaleSetActions": true}));
    bench.protect(&names[1], &json!({"protectFromScaleIn": true}));
    let begun = bench.call("POST", "virtualMachineScaleSets/ci/osRollingUpgrade", &json!({}), &[]);
    assert_eq!(begun.status, 202);
    assert_eq!(
        bench.told_to_end,
        [names[1].clone()],
        "protection from scale-in is none from this, and one goes after the other"
    );
    bench.wait(60_000);
    assert_eq!(bench.told_to_end, [names[1].clone(), names[2].clone()]);
    assert_eq!(bench.outcome(&begun)["status"], "Succeeded");
    assert_eq!(value(&begun_value(&mut bench))["sku"]["capacity"], 3);
}

fn begun_value(bench: &mut Bench) -> crate::http::Response {
    bench.call("GET", "virtualMachineScaleSets/ci", &Value::Null, &[])
}

#[test]
fn operations_that_have_ended_are_kept_for_those_who_ask_and_do_not_add_up() {
    let mut bench = Bench::flexible(0, &json!({}));
    let first = bench.raise(1, &[]);
    for _ in 0..120 {
        bench.raise(1, &[]);
        bench.wait(30_000);
        let name = bench.names().remove(0);
        let begun = bench.delete(&name);
        bench.wait(1_000);
        assert_eq!(bench.outcome(&begun)["status"], "Succeeded");
    }
    assert!(bench.azure.operations.len() <= 202, "{}", bench.azure.operations.len());
    let url = first.get("azure-asyncoperation").expect("an operation was begun");
    let path = url.split_once("127.0.0.1").expect("an address").1.to_owned();
    assert_eq!(bench.call("GET", &path, &Value::Null, &[]).status, 404);
}
