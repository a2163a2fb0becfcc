//! Fleets that nobody disturbs.

use lightsout_localcloud::fleet::JobState;

use crate::rig::{Fleet, Home, agent_field, engine_or_skip, living, phase};

/// What `lightsout up` does without any flag, which is what the first reader of the README tries.
#[test]
fn defaults_do_twenty_jobs_in_containers_and_go_dark() {
    if !engine_or_skip("defaults_do_twenty_jobs_in_containers_and_go_dark") {
        return;
    }
    let fleet = Fleet::start(Home::new(), "");
    assert!(
        fleet.notes().iter().any(|note| note.starts_with("jobs run in containers: Docker ")),
        "{:?}",
        fleet.notes()
    );
    let ended = fleet.ended();
    let summary = ended.all_done();
    assert_eq!((&summary["jobs"]["total"], &summary["instances"]["launched"]), (&20.into(), &5.into()), "{summary}");
    assert!(summary["jobs"]["wait_p95_s"].as_f64() >= summary["jobs"]["wait_p50_s"].as_f64(), "{summary}");
    // The queue asks for all five at once, and each leaves by itself, one by one.
    assert_eq!(ended.desired(), [5, 4, 3, 2, 1, 0]);
    let first = ended.lines.iter().find_map(|line| line.get("decision")).expect("a decision");
    assert_eq!((&first["result"], &first["to"]), (&"raised".into(), &5.into()), "the first tick raises");
}

#[test]
fn two_slots_are_two_jobs_at_once_and_half_the_instances() {
    let mut fleet = Fleet::up("--jobs 6 --slots 2 --max 5 --job-duration 3s");
    let mut most = 0;
    fleet.until("all jobs to be done", |fleet| {
        most = living(fleet).map(|it| it.jobs.len()).chain([most]).max().unwrap_or(0);
        (fleet.queue.done == 6).then_some(())
    });
    assert_eq!(most, 2);
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["instances"]["launched"], 3);
}

#[test]
fn the_last_instance_of_the_minimum_stays() {
    let mut fleet = Fleet::up("--min 1 --jobs 3 --keep");
    // One that may go, goes; the last one asks as well, and is told that there is no room.
    fleet.until("the instance of the floor to stay", |fleet| {
        let mut left = living(fleet);
        let (last, others) = (left.next()?, left.count());
        (fleet.queue.done == 3 && others == 0 && agent_field(last, "note").contains("at its floor")).then(|| {
            assert_eq!((phase(last), last.protected), ("idle", true));
        })
    });
    let before = fleet.snapshot();
    assert_eq!((before.groups[0].desired, before.groups[0].in_service), (1, 1));
    // It still works.
    for job in fleet.enqueue(1, 0.5) {
        fleet.until_job(job, JobState::Done);
    }
    assert_eq!(fleet.ok("down"), "the fleet is down\n");
    let ended = fleet.ended();
    let summary = ended.well();
    assert_eq!((&summary["jobs"]["done"], &summary["instances"]["final"]), (&4.into(), &1.into()), "{summary}");
    assert!(ended.desired().iter().all(|desired| *desired >= 1), "{:?}", ended.desired());
}

/// With a tick that is far away, only the hook can have made the scaler look.
#[test]
fn a_webhook_makes_the_scaler_look_at_once() {
    for platform in ["gitlab", "github", "buildkite"] {
        let mut fleet =
            Fleet::up(&format!("--platform {platform} --webhook --tick 30m --jobs 0 --keep --max 1 --no-docker"));
        fleet.until("the first tick", |fleet| {
            let described = fleet.counters.aws.get("DescribeAutoScalingGroups");
            let scaler = described.is_some_and(|callers| callers.contains_key("AKIALIGHTSOUTSCALER0"));
            (scaler && !fleet.counters.platform.is_empty()).then_some(())
        });
        for job in fleet.enqueue(1, 0.5) {
            fleet.until_job(job, JobState::Done);
        }
        fleet.ok("down");
        fleet.ended().all_done();
    }
}
