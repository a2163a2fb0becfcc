//! Instances that must leave while they work: an operator, the cloud or a spot market wants them gone.

use std::collections::BTreeSet;

use lightsout_localcloud::fleet::JobState;
use serde_json::json;

use crate::rig::{Fleet, Home, UNKIND, agent_field, http, instance, living, phase};

/// Asks AWS for something about the fleet's group.
fn of_the_group(fleet: &Fleet, asked: &str) {
    let form = format!("Action={asked}&Version=2011-01-01&AutoScalingGroupName=lightsout-demo");
    let (status, body) =
        http::send("POST", fleet.url(), "application/x-www-form-urlencoded", &form).expect("an answer");
    assert_eq!(status, 200, "{body}");
}

#[test]
fn an_operator_who_scales_in_ends_nobody_at_work() {
    let mut fleet = Fleet::up(&format!("--jobs 6 --max 3 --job-duration 4s {UNKIND}"));
    let busy: BTreeSet<String> = fleet.until("three busy instances", |fleet| {
        let busy: BTreeSet<_> = living(fleet).filter(|it| phase(it) == "busy").map(|it| it.id.clone()).collect();
        (busy.len() == 3).then_some(busy)
    });
    assert_eq!(fleet.ok("scale-in 2"), "desired capacity of lightsout-demo is lowered by 2\n");
    fleet.until("the jobs of that moment to end", |fleet| (fleet.queue.done >= 3).then_some(()));
    let survivors: BTreeSet<String> = living(&fleet.snapshot()).map(|it| it.id.clone()).collect();
    assert_eq!(survivors, busy, "protected instances stay, whatever the desired capacity says");
    let ended = fleet.ended();
    ended.all_done();
    assert!(ended.events().iter().any(|event| event.contains("desired 3 -> 1 by an operator")), "{:?}", ended.events());
}

#[test]
fn a_refresh_replaces_everyone_and_loses_nothing() {
    let mut fleet = Fleet::up(&format!("--jobs 4 --min 2 --max 3 --keep --job-duration 4s {UNKIND}"));
    let old: Vec<String> = fleet.until("two busy instances", |fleet| {
        let busy: Vec<_> = living(fleet).filter(|it| phase(it) == "busy").map(|it| it.id.clone()).collect();
        (busy.len() >= 2).then(|| living(fleet).map(|it| it.id.clone()).collect())
    });
    assert_eq!(fleet.ok("refresh"), "an instance refresh of lightsout-demo has begun\n");
    fleet.until("all of them to be replaced", |fleet| {
        let gone = old.iter().all(|id| instance(fleet, id).ended_ms.is_some());
        let fresh = living(fleet).filter(|it| phase(it) == "idle").count();
        (gone && fresh >= 2 && fleet.queue.done == 4).then_some(())
    });
    for job in fleet.enqueue(2, 0.5) {
        let by = fleet.until_job(job, JobState::Done).instance.expect("an instance");
        assert!(!old.contains(&by));
    }
    fleet.ok("down");
    let ended = fleet.ended();
    assert_eq!(ended.well()["jobs"]["done"], 6);
}

#[test]
fn a_destroy_that_lifts_protection_waits_for_the_jobs_behind_the_hook() {
    let mut fleet = Fleet::up(&format!("--jobs 2 --max 2 --job-duration 8s {UNKIND}"));
    let busy: Vec<String> = fleet.until("two busy instances", |fleet| {
        let busy: Vec<_> = living(fleet).filter(|it| phase(it) == "busy").map(|it| it.id.clone()).collect();
        (busy.len() == 2).then_some(busy)
    });
    // As Terraform's provider does it: all sizes to 0, then no member protected, then it waits until the group is empty.
    of_the_group(&fleet, "UpdateAutoScalingGroup&MinSize=0&MaxSize=0&DesiredCapacity=0");
    let members = format!("InstanceIds.member.1={}&InstanceIds.member.2={}", busy[0], busy[1]);
    of_the_group(&fleet, &format!("SetInstanceProtection&ProtectedFromScaleIn=false&{members}"));
    fleet.until("both to end behind the hook", |fleet| {
        let waiting = busy.iter().filter(|id| instance(fleet, id).state == "Terminating:Wait").count();
        (waiting == 2).then(|| assert_eq!(fleet.queue.done, 0, "no job has ended yet"))
    });
    let ended = fleet.ended();
    let summary = ended.all_done();
    assert_eq!((&summary["jobs"]["done"], &summary["instances"]["final"]), (&2.into(), &0.into()), "{summary}");
}

#[test]
fn a_rebalanced_instance_finishes_takes_no_more_and_leaves() {
    let mut fleet = Fleet::up(&format!("--jobs 0 --keep --max 2 {UNKIND}"));
    let running = fleet.enqueue(1, 6.0)[0];
    let id = fleet.until_phase("busy");
    assert_eq!(fleet.ok(&format!("rebalance {id}")), format!("{id} is recommended to rebalance\n"));
    fleet.until("it to drain", |fleet| {
        let it = instance(fleet, &id);
        (phase(it) == "draining").then(|| assert_eq!(agent_field(it, "why"), "rebalance"))
    });
    let later = fleet.enqueue(3, 0.5);
    assert_eq!(fleet.until_job(running, JobState::Done).instance.as_ref(), Some(&id));
    for job in later {
        assert_ne!(fleet.until_job(job, JobState::Done).instance.as_ref(), Some(&id));
    }
    fleet.until_ended(&id);
    fleet.until("all to end", |fleet| living(fleet).next().is_none().then_some(()));
    fleet.ok("down");
    fleet.ended().all_done();
}

/// The agent has an hour of patience with the risk, and asks nobody whether its successor is there: the group ends it when that is in service.
#[test]
fn capacity_rebalancing_ends_an_idle_instance_once_its_replacement_is_in_service() {
    let home = Home::new();
    let more = home.root().join("more.toml");
    let settings = "[agent]\nprotection = \"while-busy\"\nrebalance_after = \"1h\"\n[imds]\nrebalance = \"1s\"\n";
    std::fs::write(&more, settings).expect("a file");
    let more = more.display();
    let mut fleet =
        home.up(&format!("--jobs 1 --job-duration 1s --keep --max 1 --idle-timeout 10m --agent-settings {more}"));
    of_the_group(&fleet, "UpdateAutoScalingGroup&CapacityRebalance=true");
    fleet.until("the job to be done", |fleet| (fleet.queue.done == 1).then_some(()));
    let id = fleet.until_phase("idle");
    fleet.ok(&format!("rebalance {id}"));
    let successor = fleet.until("a replacement in service beside it, and then alone", |fleet| {
        let successor = living(fleet).find(|it| it.id != id && it.state == "InService")?;
        (instance(fleet, &id).ended_ms.is_some() && phase(successor) == "idle").then(|| successor.id.clone())
    });
    let done = fleet.enqueue(1, 0.5)[0];
    assert_eq!(fleet.until_job(done, JobState::Done).instance, Some(successor));
    fleet.ok("down");
    let ended = fleet.ended();
    let told = ended.events().join("\n");
    assert!(told.contains("rebalanced") && !told.contains("desired 1 -> 0"), "{told}");
    assert_eq!(ended.well()["jobs"]["done"], 2);
}

#[test]
fn a_spot_notice_leaves_time_for_a_job_that_fits() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1");
    let job = fleet.enqueue(1, 4.0)[0];
    let id = fleet.until_phase("busy");
    assert_eq!(fleet.ok(&format!("interrupt {id} --in 20s")), format!("{id} has a spot notice: it ends in 20s\n"));
    let deadline = instance(&fleet.snapshot(), &id).spot_notice.as_ref().expect("a notice").time_ms;
    assert_eq!(fleet.until_job(job, JobState::Done).instance.as_ref(), Some(&id));
    let ended = fleet.until("it to end", |fleet| instance(fleet, &id).ended_ms);
    assert!(ended < deadline, "it leaves by itself, {} ms before it would be ended", deadline - ended);
    fleet.ok("down");
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["jobs"]["interrupted"], 0);
}

#[test]
fn a_job_that_cannot_finish_before_a_spot_deadline_fails_visibly_in_time() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1");
    let job = fleet.enqueue(1, 300.0)[0];
    let id = fleet.until_phase("busy");
    fleet.post(&format!("instances/{id}/interrupt"), &json!({ "in_s": 20 }));
    let deadline = instance(&fleet.snapshot(), &id).spot_notice.as_ref().expect("a notice").time_ms;
    let failed = fleet.until("the job to end", |fleet| {
        let job = fleet.jobs.iter().find(|it| it.id == job)?;
        (job.state != JobState::Running).then(|| (job.clone(), fleet.at_ms))
    });
    let (job, at_ms) = failed;
    assert_eq!((job.state, job.failure.as_deref()), (JobState::Interrupted, Some("runner_system_failure")));
    assert!(at_ms < deadline, "{} ms late", at_ms - deadline);
    fleet.until_ended(&id);
    fleet.ok("down");
    let ended = fleet.ended();
    let summary = ended.well();
    assert_eq!((&summary["jobs"]["interrupted"], &summary["jobs"]["done"]), (&1.into(), &0.into()), "{summary}");
    assert_eq!(summary["instances"]["final"], 0, "{summary}");
}
