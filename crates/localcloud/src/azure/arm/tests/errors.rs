//! Refusals and limits: versions, names, throttling, pages.

use serde_json::{Value, json};

use crate::azure::{
    arm::testing::{Bench, refusal, value},
    model::AzureOptions,
};

#[test]
fn every_call_names_a_version() {
    let mut bench = Bench::flexible(0, &json!({}));
    bench.version = "";
    let call = bench.call("GET", "virtualMachineScaleSets/ci", &Value::Null, &[]);
    assert_eq!(refusal(&call, 400), "MissingApiVersionParameter");
    let call = bench.call("GET", "virtualMachineScaleSets/ci?api-version=latest", &Value::Null, &[]);
    assert_eq!(refusal(&call, 400), "InvalidApiVersionParameter");
}

#[test]
fn names_are_found_in_any_case_and_what_is_not_there_is_not() {
    let mut bench = Bench::flexible(0, &json!({}));
    let subscription = AzureOptions::default().subscription;
    let path = format!(
        "/SUBSCRIPTIONS/{subscription}/resourcegroups/CI/Providers/microsoft.compute/VirtualMachineScaleSets/CI"
    );
    assert_eq!(bench.get(&path)["name"], "ci");
    let other = path.replace("resourcegroups/CI", "resourcegroups/other");
    assert_eq!(refusal(&bench.call("GET", &other, &Value::Null, &[]), 404), "ResourceNotFound");
    let other = path.replace(&subscription, "00000000-0000-0000-0000-000000000000");
    assert_eq!(refusal(&bench.call("GET", &other, &Value::Null, &[]), 404), "SubscriptionNotFound");
    assert_eq!(refusal(&bench.call("GET", "disks/d", &Value::Null, &[]), 404), "ResourceNotFound");
    assert_eq!(
        refusal(&bench.call("PATCH", "virtualMachineScaleSets/ci", &json!([]), &[]), 400),
        "InvalidRequestContent"
    );
    assert_eq!(
        refusal(&bench.call("DELETE", "virtualMachineScaleSets/ci", &Value::Null, &[]), 405),
        "HttpMethodNotAllowed"
    );
}

#[test]
fn a_set_answers_so_many_raises_a_minute_and_says_what_is_left() {
    let mut bench = Bench::with(AzureOptions::default());
    bench.create("Flexible", 0, &json!({}));
    for left in (0..11).rev() {
        let answer = bench.raise(0, &[]);
        let headers: Vec<_> = answer.headers.iter().filter(|(name, _)| name.contains("ratelimit")).collect();
        assert_eq!(answer.status, 200, "{left}");
        assert!(
            headers[1].1.starts_with(&format!("Microsoft.Compute/UpdateVMScaleSetResource;{left},")),
            "{headers:?}"
        );
    }
    let answer = bench.raise(0, &[]);
    assert_eq!(refusal(&answer, 429), "OperationNotAllowed");
    assert_eq!(value(&answer)["error"]["details"][0]["code"], "TooManyRequests");
    assert_eq!(answer.get("retry-after"), Some("15"));
    bench.wait(15_000);
    assert_eq!(bench.raise(0, &[]).status, 200);
}

#[test]
fn secrets_of_a_profile_do_not_come_back() {
    let mut bench = Bench::flexible(
        0,
        &json!({"properties": {"virtualMachineProfile": {
            "osProfile": {"adminUsername": "ci", "adminPassword": "hidden", "customData": "aGlkZGVu"},
            "userData": "aGlkZGVu",
        }}}),
    );
    let shown = bench.set()["properties"]["virtualMachineProfile"].to_string();
    assert!(shown.contains("adminUsername") && !shown.contains("hidden") && !shown.contains("aGlkZGVu"), "{shown}");
}

#[test]
fn a_long_list_comes_in_pages() {
    let mut bench = Bench::uniform(150, &json!({}));
    let first = bench.get("virtualMachineScaleSets/ci/virtualMachines?$expand=instanceView");
    assert_eq!(first["value"].as_array().unwrap().len(), 100);
    let next = first["nextLink"].as_str().unwrap().split_once("127.0.0.1").unwrap().1.to_owned();
    let second = bench.get(&next);
    assert_eq!(second["value"].as_array().unwrap().len(), 50);
    assert_eq!((&second["nextLink"], &second["value"][0]["instanceId"]), (&Value::Null, &json!("100")));
    assert!(second["value"][0]["properties"]["instanceView"].is_object());
}
