//! Images, networks and quotas, as a look before the start needs them.

use serde_json::{Value, json};

use crate::azure::arm::{
    kinds,
    testing::{Bench, COMPUTE, refusal, value},
};

const NETWORK: &str = "/subscriptions/6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b/resourceGroups/ci/providers/Microsoft.Network/virtualNetworks/ci";

#[test]
fn versions_of_an_image_are_kept_dated_listed_and_taken_away() {
    let mut bench = Bench::new();
    let folder = format!("{COMPUTE}/galleries/ci/images/runner/versions");
    let one = format!("{folder}/1.0.0");
    let body = json!({"location": "westeurope", "properties": {"publishingProfile": {"targetRegions": []}}});
    assert_eq!(refusal(&bench.call("GET", &one, &Value::Null, &[]), 404), "ResourceNotFound");
    assert_eq!(refusal(&bench.call("PUT", &one, &json!({}), &[]), 400), "LocationRequired");
    assert_eq!(bench.call("PUT", &one, &body, &[]).status, 201);
    let kept = value(&bench.call("PUT", &one.replace("1.0.0", "1.1.0"), &body, &[]));
    assert_eq!((&kept["name"], &kept["properties"]["provisioningState"]), (&json!("1.1.0"), &json!("Succeeded")));
    assert!(kept["properties"]["publishingProfile"]["publishedDate"].is_string(), "{kept}");
    assert_eq!(bench.get(&one.replace("/runner/", "/RUNNER/"))["id"], json!(one));
    assert_eq!(bench.get(&folder)["value"].as_array().unwrap().len(), 2);
    assert_eq!(bench.get(&folder.replace("runner", "other"))["value"], json!([]));
    for status in [200, 204] {
        assert_eq!(bench.call("DELETE", &one, &Value::Null, &[]).status, status);
    }
    assert_eq!(bench.get(&folder)["value"].as_array().unwrap().len(), 1);
}

#[test]
fn addresses_and_processors_are_counted_by_the_machines_that_have_them() {
    let subnet = json!({"properties": {"subnet": {"id": format!("{NETWORK}/subnets/runners")}}});
    let interface = json!({"properties": {"ipConfigurations": [subnet]}});
    let network = json!({"networkProfile": {"networkInterfaceConfigurations": [interface]}});
    let mut bench = Bench::flexible(3, &json!({"properties": {"virtualMachineProfile": network}}));
    let usages = format!("{NETWORK}/usages");
    assert_eq!(refusal(&bench.call("GET", &usages, &Value::Null, &[]), 404), "ResourceNotFound");
    let subnets = json!([
        {"name": "runners", "properties": {"addressPrefix": "10.0.0.0/28"}},
        {"name": "other", "properties": {"addressPrefix": "10.0.1.0/24"}},
    ]);
    let body = json!({"location": "westeurope", "properties": {"subnets": subnets}});
    assert_eq!(bench.call("PUT", NETWORK, &body, &[]).status, 201);
    let counted = bench.get(&usages)["value"].clone();
    let numbers = |at: usize| (counted[at]["currentValue"].clone(), counted[at]["limit"].clone());
    assert_eq!((numbers(0), numbers(1)), ((json!(3), json!(11)), (json!(0), json!(251))));
    let subscription = COMPUTE.split("/resourceGroups").next().unwrap();
    let compute = format!("{subscription}/providers/Microsoft.Compute");
    let used = |bench: &mut Bench, name: &str| {
        let listed = bench.get(&format!("{compute}/locations/westeurope/usages"));
        let usages = listed["value"].as_array().unwrap().clone();
        usages.iter().find(|usage| usage["name"]["value"] == name).unwrap()["currentValue"].clone()
    };
    // Three of two processors each.
    for (name, count) in [("cores", 6), ("standardDSv5Family", 6), ("standardFSv2Family", 0), ("lowPriorityCores", 0)] {
        assert_eq!(used(&mut bench, name), json!(count), "{name}");
    }
    let sizes = bench.get(&format!("{compute}/skus?$filter=location%20eq%20'westeurope'"))["value"].clone();
    let own = sizes.as_array().unwrap().iter().find(|size| size["name"] == "Standard_D2s_v5").unwrap().clone();
    assert_eq!((&own["family"], &own["capabilities"][0]["value"]), (&json!("standardDSv5Family"), &json!("2")));
    assert_eq!(bench.get(&format!("{compute}/skus?$filter=location%20eq%20'northeurope'"))["value"], json!([]));
}

/// Everything that is written: who sends nonsense gets a refusal, and the embedded cloud goes on.
#[test]
fn what_is_no_object_where_one_must_be_is_refused() {
    let group = COMPUTE.split("/Microsoft.Compute").next().unwrap();
    let authorization =
        format!("{}/providers/Microsoft.Authorization", COMPUTE.split("/resourceGroups").next().unwrap());
    let resources = kinds::KINDS.iter().map(|kind| {
        let parts: Vec<String> = kind.name.split('/').skip(1).map(|part| format!("{part}/ci")).collect();
        let (provider, _) = kind.name.split_once('/').unwrap();
        format!("{group}/{provider}/{}", parts.join("/"))
    });
    let id = "00000000-0000-4000-8000-000000000001";
    let others = [
        format!("{COMPUTE}/virtualMachineScaleSets/ci"),
        format!("{COMPUTE}/virtualMachineScaleSets/ci/virtualMachines/1"),
        format!("{COMPUTE}/virtualMachineScaleSets/ci/providers/Microsoft.Resources/tags/default"),
        format!("{group}/Microsoft.Insights/autoscaleSettings/ci"),
        format!("{group}/Microsoft.Web/sites/ci/config/appsettings"),
        format!("{authorization}/roleDefinitions/{id}"),
        format!("{authorization}/roleAssignments/{id}"),
    ];
    let mut bench = Bench::uniform(1, &json!({}));
    let site = format!("{group}/Microsoft.Web/sites/ci");
    assert_eq!(bench.call("PUT", &site, &json!({"location": "westeurope"}), &[]).status, 201);
    let mut refused = 0;
    for path in resources.chain(others) {
        for properties in [json!("y"), json!(1), json!(true), json!(["x"])] {
            for method in ["PUT", "PATCH"] {
                let body = json!({"location": "westeurope", "properties": properties});
                let answer = bench.call(method, &path, &body, &[]);
                assert!((400..500).contains(&answer.status), "{method} {path} {body}: {}", answer.text());
                refused += usize::from(answer.status == 400);
            }
        }
    }
    assert!(refused >= 4 * (kinds::KINDS.len() + 7), "of each its PUT or its PATCH: {refused}");
    for (path, key, value) in [
        (NETWORK.to_owned(), "properties", json!({"subnets": ["10.0.0.0/24"]})),
        (NETWORK.to_owned(), "properties", json!({"subnets": [{"name": "a"}, null]})),
        (format!("{authorization}/roleDefinitions/{id}"), "properties", json!({"permissions": ["x"]})),
        (format!("{authorization}/roleDefinitions/{id}"), "properties", json!({"permissions": [{}, 1]})),
        (format!("{COMPUTE}/virtualMachineScaleSets/ci"), "sku", json!("Standard_D2s_v5")),
        (format!("{COMPUTE}/virtualMachineScaleSets/ci"), "properties", json!({"virtualMachineProfile": "x"})),
    ] {
        let body = json!({"location": "westeurope", key: value});
        refusal(&bench.call("PUT", &path, &body, &[]), 400);
    }
    assert_eq!(bench.capacity(), 1, "it answers still");
}
