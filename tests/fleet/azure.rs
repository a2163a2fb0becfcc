//! Fleets on a scale set of the embedded Azure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use lightsout_core::record::{IncidentKind, Record};
use serde_json::{Value, json};

use crate::{
    doctor::{found_of, ids},
    doctor_azure::{self, GROUP, on_workstation, write},
    rig::{Fleet, Home, http, living, used_up},
};

/// The stream of the embedded data collection rule, and any workspace.
const STREAM: &str = "/dataCollectionRules/dcr-6f1f2a3b0c4d4e5f8a9b0c1d2e3f4a5b/streams/Custom-Lightsout_CL";
const WORKSPACE: &str = "6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b";

/// Rows of `doctor` about Azure and the platform that are shown on a sound machine, but for one.
const ROWS: usize = 15;

#[test]
fn a_scale_set_grows_works_and_goes_dark_and_log_analytics_has_the_last_word_of_each_machine() {
    let home = Home::new();
    let more = home.root().join("more.toml");
    fs::write(&more, "").expect("a file");
    let arguments = format!("--cloud azure --jobs 0 --keep --max 3 --no-docker --agent-settings {}", more.display());
    let mut fleet = home.up(&arguments);
    // Only now it is known where the cloud is.
    fs::write(&more, format!("[records]\nlog_analytics = \"{}{STREAM}\"\n", fleet.url())).expect("a file");
    fleet.post("faults", &json!({"target": "azure", "action": "Upload", "effect": "throttle", "count": 1}));
    fleet.enqueue(8, 2.0);
    let machines: Vec<String> = fleet.until("eight jobs to be done and nobody to be left", |fleet| {
        let over = fleet.queue.done == 8 && living(fleet).next().is_none();
        over.then(|| fleet.instances.iter().map(|it| it.id.clone()).collect())
    });
    let logged = logged(&fleet);
    // An ending does not wait for ever, and says so.
    let excused = |id: &str| {
        let log = fs::read_to_string(fleet.dir().join("instances").join(id).join("agent.log")).expect("a log");
        log.contains("waits for its record no longer") || log.contains("a record did not arrive there")
    };
    let excused: BTreeSet<String> = machines.iter().filter(|id| excused(id)).cloned().collect();
    assert!(used_up(&fleet, &json!("throttle")));
    fleet.ok("down");
    let ended = fleet.ended();
    let summary = ended.all_done();
    assert_eq!((&summary["jobs"]["total"], &summary["instances"]["launched"]), (&8.into(), &3.into()), "{summary}");
    assert_eq!(logged.keys().collect::<BTreeSet<_>>(), machines.iter().collect());
    let departed = |records: &[Record]| records.iter().any(|it| matches!(it, Record::Departure(_)));
    assert!(logged.values().any(|records| departed(records)), "no last word arrived: {logged:#?}");
    for (machine, records) in &logged {
        let started = |it: &Record| matches!(it, Record::Incident(incident) if incident.what == IncidentKind::Started);
        assert!(records.iter().any(started), "what was throttled is sent again: {records:#?}");
        assert!(records.iter().all(|it| it.instance() == Some(machine)), "{records:#?}");
        assert!(departed(records) || excused.contains(machine), "{machine} told nobody: {records:#?}");
    }
}

/// The records in Log Analytics, by the column that says whose they are.
fn logged(fleet: &Fleet) -> BTreeMap<String, Vec<Record>> {
    let url = format!("{}/v1/workspaces/{WORKSPACE}/query", fleet.url());
    let headers = [("content-type", "application/json"), ("authorization", "Bearer operator")];
    let query = json!({ "query": "Lightsout_CL" }).to_string();
    let (status, answer) = http::send_with("POST", &url, &headers, &query).expect("it answers");
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let mut found: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for row in answer["tables"][0]["rows"].as_array().expect("rows") {
        let [_, instance, record] = [0, 1, 2].map(|column| row[column].as_str().expect("text"));
        found.entry(instance.into()).or_default().push(Record::find(record).expect("a record"));
    }
    found
}

#[test]
fn no_job_is_lost_to_a_crash_a_scale_in_or_a_notice_of_half_a_minute() {
    let mut fleet = Fleet::up("--cloud azure --jobs 6 --job-duration 6s --max 3 --no-docker");
    let busy: Vec<String> = fleet.until("three busy machines that are protected", |fleet| {
        let busy = living(fleet).filter(|it| !it.jobs.is_empty() && it.protected);
        let busy: Vec<String> = busy.map(|it| it.id.clone()).collect();
        (busy.len() == 3).then_some(busy)
    });
    fleet.crash(&busy[0]);
    fleet.post("groups/lightsout-demo/scale-in", &json!({"by": 2}));
    fleet.post(&format!("instances/{}/interrupt", busy[1]), &json!({}));
    fleet.until("the machine that was told to be gone", |fleet| {
        fleet.instances.iter().find(|it| it.id == busy[1]).filter(|it| it.ended_ms.is_some()).map(|_| ())
    });
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["jobs"]["total"], 6);
}

#[test]
fn a_rolling_upgrade_passes_machines_with_jobs_by() {
    let mut fleet = Fleet::up("--cloud azure --jobs 2 --job-duration 6s --max 2 --no-docker");
    fleet.until("two busy machines", |fleet| {
        (living(fleet).filter(|it| !it.jobs.is_empty() && it.protected).count() == 2).then_some(())
    });
    fleet.ok("refresh");
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["jobs"]["total"], 2);
}

fn set_up(fleet: &Fleet, properties: &Value) {
    let set = "Microsoft.Compute/virtualMachineScaleSets/lightsout-demo";
    write(fleet, "PATCH", set, "2024-07-01", &json!({ "properties": properties }));
}

#[test]
fn a_scale_set_of_up_is_all_ok_to_doctor_and_each_drift_is_found_by_its_own_name() {
    let mut fleet = Fleet::up("--cloud azure --jobs 1 --keep --max 2 --idle-timeout 10m --no-docker");
    let id = fleet.until_phase("idle");
    let found = |fleet: &Fleet| found_of(fleet, &id, ROWS);
    assert_eq!(found(&fleet), Vec::<Value>::new(), "the fleet of `up`");
    doctor_azure::each_drift_is_found_by_its_own_name(&fleet, &id);
    for (row, breaks, mends) in [
        (
            "scale-set.repairs",
            json!({"automaticRepairsPolicy": {"enabled": true}}),
            json!({"automaticRepairsPolicy": {"enabled": false}}),
        ),
        (
            "scale-set.upgrades",
            json!({"upgradePolicy": {"mode": "Rolling"}}),
            json!({"upgradePolicy": {"mode": "Manual"}}),
        ),
        (
            "scale-set.upgrades",
            json!({"upgradePolicy": {"automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": true}}}),
            json!({"upgradePolicy": {"automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": false}}}),
        ),
    ] {
        set_up(&fleet, &breaks);
        let seen = found(&fleet);
        assert_eq!(ids(&seen), [row], "after {breaks}: {seen:?}");
        assert!(seen[0]["remedy"].as_str().is_some_and(|remedy| remedy.contains(GROUP)), "{seen:?}");
        set_up(&fleet, &mends);
    }
    let autoscale = |enabled: bool| {
        let target = format!("{GROUP}/Microsoft.Compute/virtualMachineScaleSets/lightsout-demo");
        json!({"location": "westeurope", "properties": {"enabled": enabled, "targetResourceUri": target, "profiles": []}})
    };
    for (enabled, rows) in [(true, vec!["scale-set.autoscale"]), (false, vec![])] {
        write(&fleet, "PUT", "Microsoft.Insights/autoscaleSettings/by-cpu", "2022-10-01", &autoscale(enabled));
        assert_eq!(ids(&found(&fleet)), rows);
        assert_eq!(ids(&on_workstation(&fleet)), rows);
    }
    for (row, verdict, fault) in [
        (
            "rights",
            "unknown",
            json!({"target": "azure", "action": "Permissions_ListForResource", "effect": {"status": {"code": 403}}}),
        ),
        (
            "scale-set.identity",
            "wrong",
            json!({"target": "imds", "action": "/metadata/identity/oauth2/token", "effect": {"status": {"code": 400}}}),
        ),
    ] {
        fleet.post("faults", &fault);
        let seen = found_of(&fleet, &id, 4);
        assert!(seen.iter().any(|finding| finding["id"] == row && finding["verdict"] == verdict), "{fault}: {seen:?}");
        fleet.request("DELETE", "faults", &Value::Null).expect("the faults are cleared");
    }
    assert_eq!(found(&fleet), Vec::<Value>::new(), "all is mended");
    // A new model is another one than this machine's, for good.
    let notice = |enable: bool, minutes: &str| {
        let notice = json!({"enable": enable, "notBeforeTimeout": minutes});
        json!({"scheduledEventsProfile": {"terminateNotificationProfile": notice}})
    };
    for (row, profile) in [
        ("scale-set.notification", notice(true, "PT5M")),
        ("scale-set.notification", notice(false, "PT15M")),
        ("scale-set.eviction", json!({"priority": "Spot"})),
    ] {
        set_up(&fleet, &json!({"virtualMachineProfile": profile}));
        assert_eq!(ids(&found(&fleet)), ["scale-set.model", row], "after {profile}");
    }
    for resource in [
        "Microsoft.Network/virtualNetworks/lightsout",
        "Microsoft.Compute/galleries/lightsout/images/runner/versions/1.0.0",
    ] {
        write(&fleet, "DELETE", resource, "2023-07-03", &Value::Null);
    }
    let rows = ["template.image", "group.subnets", "scale-set.members", "scale-set.eviction"];
    assert_eq!(ids(&on_workstation(&fleet)), rows);
}
