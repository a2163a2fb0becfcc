//! Autoscale settings, rights where no roles are set up, and tags.

use serde_json::{Value, json};

use crate::azure::arm::testing::{Bench, COMPUTE, refusal, value};

#[test]
fn autoscale_settings_are_kept_listed_by_their_group_and_taken_away() {
    let mut bench = Bench::flexible(0, &json!({}));
    let folder = COMPUTE.replace("Microsoft.Compute", "microsoft.insights/autoscaleSettings");
    let target = format!("{COMPUTE}/virtualMachineScaleSets/ci");
    let setting =
        json!({"location": "westeurope", "properties": {"enabled": true, "targetResourceUri": target, "profiles": []}});
    let path = format!("{folder}/by-cpu");
    assert_eq!(refusal(&bench.call("GET", &path, &Value::Null, &[]), 404), "ResourceNotFound");
    assert_eq!(
        refusal(&bench.call("PUT", &path, &json!({"location": "westeurope"}), &[]), 400),
        "InvalidRequestContent"
    );
    for status in [201, 200] {
        let kept = bench.call("PUT", &path, &setting, &[]);
        assert_eq!((kept.status, &value(&kept)["name"]), (status, &json!("by-cpu")));
    }
    assert_eq!(bench.get(&folder.replace("/ci/", "/CI/"))["value"][0]["properties"]["targetResourceUri"], target);
    assert_eq!(bench.get(&folder.replace("/ci/", "/other/"))["value"], json!([]));
    let subscription = folder.split("/resourceGroups").next().unwrap();
    let all = format!("{subscription}/providers/Microsoft.Insights/autoscaleSettings");
    assert_eq!(bench.get(&all)["value"][0]["name"], "by-cpu");
    assert_eq!(bench.capacity(), 0);
    for status in [200, 204] {
        assert_eq!(bench.call("DELETE", &path, &Value::Null, &[]).status, status);
    }
    assert_eq!(bench.get(&folder)["value"], json!([]));
}

#[test]
fn who_is_let_in_may_do_everything_to_what_is_there() {
    let mut bench = Bench::flexible(1, &json!({}));
    let machine = format!("virtualMachines/{}", bench.names()[0]);
    for resource in ["virtualMachineScaleSets/ci", machine.as_str()] {
        let listed = bench.get(&format!("{resource}/providers/Microsoft.Authorization/permissions"));
        assert_eq!(listed["value"][0]["actions"], json!(["*"]), "{resource}");
    }
    let absent = "virtualMachineScaleSets/no/providers/Microsoft.Authorization/permissions";
    assert_eq!(refusal(&bench.call("GET", absent, &Value::Null, &[]), 404), "ResourceNotFound");
}

#[test]
fn tags_are_written_beside_the_others_and_a_machine_of_a_uniform_set_has_none_of_its_own() {
    let mut bench = Bench::flexible(1, &json!({"tags": {"team": "ci"}}));
    let machine = format!("virtualMachines/{}", bench.names()[0]);
    let before = bench.get("virtualMachineScaleSets/ci")["etag"].clone();
    for resource in ["virtualMachineScaleSets/ci", machine.as_str()] {
        let tags = format!("{resource}/providers/Microsoft.Resources/tags/default");
        let merge = json!({"operation": "Merge", "properties": {"tags": {"lightsout:ready": "now"}}});
        assert_eq!(bench.call("PATCH", &tags, &merge, &[]).status, 200);
        let both = json!({"team": "ci", "lightsout:ready": "now"});
        assert_eq!((&bench.get(resource)["tags"], &bench.get(&tags)["properties"]["tags"]), (&both, &both));
        let long = json!({"operation": "Merge", "properties": {"tags": {"a": "x".repeat(257)}}});
        assert_eq!(refusal(&bench.call("PATCH", &tags, &long, &[]), 400), "InvalidTagValueLength");
    }
    assert_ne!(bench.get("virtualMachineScaleSets/ci")["etag"], before);
    let listed = |bench: &mut Bench, set: &str| {
        bench.get(&format!(
            "virtualMachines?$filter='virtualMachineScaleSet/id' eq '{COMPUTE}/virtualMachineScaleSets/{set}'"
        ))["value"]
            .clone()
    };
    assert_eq!(listed(&mut bench, "ci")[0]["tags"]["lightsout:ready"], "now");
    assert_eq!(listed(&mut bench, "other"), json!([]));
    let absent = "virtualMachineScaleSets/no/providers/Microsoft.Resources/tags/default";
    assert_eq!(refusal(&bench.call("GET", absent, &Value::Null, &[]), 404), "ResourceNotFound");
    let mut bench = Bench::uniform(1, &json!({}));
    let member = format!("virtualMachineScaleSets/ci/virtualMachines/{}", bench.names()[0].trim_start_matches("ci_"));
    let tags = format!("{member}/providers/Microsoft.Resources/tags/default");
    assert_eq!(refusal(&bench.call("GET", &tags, &Value::Null, &[]), 400), "ResourceNotTaggable");
    assert_eq!(listed(&mut bench, "ci"), json!([]));
}
