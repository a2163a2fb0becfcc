//! Fleets on a scale set of the embedded Azure.

use serde_json::json;

use crate::rig::{Fleet, living};

#[test]
fn a_scale_set_grows_works_and_goes_dark() {
    let ended = Fleet::up("--cloud azure --jobs 8 --max 3 --no-docker").ended();
    let summary = ended.all_done();
    assert_eq!((&summary["jobs"]["total"], &summary["instances"]["launched"]), (&8.into(), &3.into()), "{summary}");
    assert_eq!(summary["instances"]["final"], 0, "{summary}");
}

#[test]
fn no_job_is_lost_to_a_crash_a_scale_in_or_a_notice_of_half_a_minute() {
    let mut fleet = Fleet::up("--cloud azure --jobs 6 --job-seconds 6 --max 3 --no-docker");
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
    let mut fleet = Fleet::up("--cloud azure --jobs 2 --job-seconds 6 --max 2 --no-docker");
    fleet.until("two busy machines", |fleet| {
        (living(fleet).filter(|it| !it.jobs.is_empty() && it.protected).count() == 2).then_some(())
    });
    fleet.ok("refresh");
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["jobs"]["total"], 2);
}
