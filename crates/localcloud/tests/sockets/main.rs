//! The whole cloud over real sockets, with machines that run nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;
mod runners;
mod support;
mod webhooks;

use std::time::Duration;

use lightsout_localcloud::{
    FleetEvent, NewJobs, Snapshot, aws::model::CloudOptions, ci::gitlab::system_id, fleet::JobState,
};
use serde_json::{Value, json};

use self::support::{Bed, Options};

#[tokio::test]
async fn a_machine_boots_and_its_metadata_answers() {
    let bed = Bed::start(Options::default()).await;
    bed.group("ci", 0, 3, 1).await;
    let id = bed.in_service("ci", 1).await.remove(0);
    let boot = bed.machines.boot(&id);
    assert_eq!((boot.group.as_str(), boot.region.as_str(), boot.user_data.as_str()), ("ci", "eu-central-1", "#!hello"));

    let imds = bed.imds(&id).await;
    assert_eq!(imds.get("instance-id").await.text(), id);
    assert_eq!(imds.get("autoscaling/target-lifecycle-state").await.text(), "InService");
    assert_eq!(imds.get("tags/instance/aws:autoscaling:groupName").await.text(), "ci");
    let quiet = imds.get("spot/instance-action").await;
    assert_eq!(quiet.status, 404);
    assert!(quiet.text().contains("<title>404 - Not Found</title>"), "{}", quiet.text());
    assert_eq!(imds.without_token("instance-id").await.status, 401);
    assert_eq!(imds.with_token("wrong", "instance-id").await.status, 401);
    bed.down().await;
}

#[tokio::test]
async fn a_spot_notice_shows_and_a_job_of_which_nobody_told_is_lost_in_time() {
    let bed = Bed::start(Options::default()).await;
    bed.group("ci", 0, 3, 1).await;
    let id = bed.in_service("ci", 1).await.remove(0);
    bed.cloud.enqueue(NewJobs::default());
    let job = bed.request_job(&id).await.json();

    let told = bed.control("POST", &format!("instances/{id}/interrupt"), &json!({"in_s": 1})).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let notice = bed.imds(&id).await.get("spot/instance-action").await.json();
    assert_eq!(notice["action"], "terminate");
    bed.until("the job to be lost", |fleet| fleet.jobs[0].state == JobState::Lost).await;
    assert_eq!(job["id"], 1001);
    assert_eq!(bed.control("POST", "instances/i-none/interrupt", &json!({})).await.status, 404);
    bed.down().await;
}

#[tokio::test]
async fn a_job_is_requested_and_finished_by_the_runner_of_an_instance() {
    let bed = Bed::start(Options::default()).await;
    bed.group("ci", 0, 3, 1).await;
    let id = bed.in_service("ci", 1).await.remove(0);
    let queued = bed.control("POST", "jobs", &json!({"count": 2, "argv": ["true"]})).await.json();
    assert_eq!(queued, json!({"ids": [1001, 1002]}));

    let job = bed.request_job(&id).await.json();
    let fleet = bed.cloud.snapshot();
    assert_eq!((fleet.queue.waiting, fleet.queue.running), (1, 1));
    assert_eq!(fleet.instances[0].jobs, [1001]);
    assert_eq!(fleet.jobs[0].instance.as_deref(), Some(id.as_str()));
    let body = json!({"token": job["token"], "state": "success"}).to_string();
    assert_eq!(bed.call("PUT", "/api/v4/jobs/1001", &[], &body).await.status, 200);
    assert_eq!(bed.cloud.snapshot().jobs[0].state, JobState::Done);

    // The next one loses its machine.
    bed.request_job(&id).await;
    bed.machines.switch_off(&id);
    bed.until("the job to be lost", |fleet| fleet.jobs[1].state == JobState::Lost).await;
    let events = bed.call("GET", "/_lightsout/events?follow=false", &[], "").await;
    let lost = events.text().lines().any(|line| line.contains("\"job\":1002") && line.contains("lost"));
    assert!(lost, "{}", events.text());
    bed.down().await;
}

#[tokio::test]
async fn a_system_failure_is_the_machines_fault() {
    let bed = Bed::start(Options::default()).await;
    bed.group("ci", 0, 3, 1).await;
    let id = bed.in_service("ci", 1).await.remove(0);
    bed.cloud.enqueue(NewJobs { count: 3, ..NewJobs::default() });
    let mut fail = Vec::new();
    for reason in ["runner_system_failure", "script_failure", "runner_system_failure"] {
        let job = bed.request_job(&id).await.json();
        let body = json!({"token": job["token"], "state": "failed", "failure_reason": reason}).to_string();
        fail.push((format!("/api/v4/jobs/{}", job["id"]), body));
    }
    for (path, body) in &fail[..2] {
        assert_eq!(bed.call("PUT", path, &[], body).await.status, 200);
    }
    let told = bed.control("POST", &format!("instances/{id}/interrupt"), &json!({"in_s": 60})).await;
    assert_eq!(told.status, 200, "{}", told.text());
    assert_eq!(bed.call("PUT", &fail[2].0, &[], &fail[2].1).await.status, 200);
    let states: Vec<JobState> = bed.cloud.snapshot().jobs.iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Lost, JobState::Failed, JobState::Interrupted]);
    bed.down().await;
}

#[tokio::test]
async fn what_belongs_to_an_instance_ends_with_it() {
    let bed = Bed::start(Options::default()).await;
    bed.group("ci", 0, 3, 1).await;
    for _ in 0..20 {
        let id = bed.in_service("ci", 1).await.remove(0);
        let imds = bed.machines.boot(&id).imds;
        bed.machines.switch_off(&id);
        let ended =
            |fleet: &Snapshot| fleet.instances.iter().any(|instance| instance.id == id && instance.ended_ms.is_some());
        bed.until("it to end", ended).await;
        bed.until("its machine to be let go of", |_| !bed.machines.is_held(&id)).await;
        let address = imds.trim_start_matches("http://").to_owned();
        let refused = bed.until("its metadata service to close", |_| std::net::TcpStream::connect(&address).is_err());
        assert!(!refused.await.instances.is_empty());
    }
    bed.down().await;
}

/// What grows with the launches would end a fleet that lives for long.
#[tokio::test]
async fn what_counts_launches_does_not_grow_with_them() {
    const KEPT: usize = 4;
    let bed = Bed::start(Options { ended_kept: KEPT, ..Options::default() }).await;
    bed.group("ci", 0, 3, 1).await;
    let mut billed = Duration::ZERO;
    for launched in 1..=4 * KEPT {
        let id = bed.in_service("ci", 1).await.remove(0);
        bed.cloud.enqueue(NewJobs::default());
        let job = bed.request_job(&id).await.json();
        let body = json!({"token": job["token"], "state": "success"}).to_string();
        assert_eq!(bed.call("PUT", &format!("/api/v4/jobs/{}", job["id"]), &[], &body).await.status, 200);
        bed.imds(&id).await.get("instance-id").await;
        bed.machines.switch_off(&id);
        let ended =
            |fleet: &Snapshot| fleet.instances.iter().any(|instance| instance.id == id && instance.ended_ms.is_some());
        let fleet = bed.until("it to end", ended).await;
        let ended = fleet.instances.iter().find(|instance| instance.id == id).unwrap();
        billed += Duration::from_millis((ended.ended_ms.unwrap() - ended.launched_ms).unsigned_abs());
        // One more may have been launched by now.
        bed.until("no more than are kept", |fleet| {
            fleet.instances.iter().filter(|it| it.ended_ms.is_some()).count() <= KEPT
                && (launched..=launched + 1).contains(&fleet.launched())
                && fleet.counters.imds.len() <= KEPT + 2
        })
        .await;
    }
    let fleet = bed.cloud.snapshot();
    assert_eq!(fleet.forgotten.instances, 3 * KEPT);
    let sum = Duration::from_millis(fleet.forgotten.billed_ms);
    assert!(Duration::ZERO < sum && sum < billed, "{sum:?} of {billed:?}");
    let known = fleet.jobs.iter().filter(|job| job.instance.is_some()).count();
    assert_eq!((fleet.jobs.len(), known), (4 * KEPT, KEPT), "a job outlives the memory of its instance");
    bed.down().await;
}

#[tokio::test]
async fn whoever_follows_the_timeline_hears_the_end() {
    let bed = Bed::start(Options::default()).await;
    bed.cloud.enqueue(NewJobs::default());
    let nothing = json!({});
    let follow = bed.call("GET", "/_lightsout/events?since=0", &[], "");
    let (events, ended) = tokio::join!(follow, bed.control("POST", "down", &nothing));
    assert_eq!(ended.status, 200);
    let lines: Vec<FleetEvent> = events.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.first().map(|event| (event.seq, event.job)), Some((1, Some(1001))));
    assert_eq!(lines.last().map(|event| event.what.as_str()), Some("every machine is off"));
    bed.down().await;
}

#[tokio::test]
async fn jobs_are_listed_in_pages_and_not_sent_twice() {
    let bed = Bed::start(Options::default()).await;
    bed.cloud.enqueue(NewJobs { count: 3, ..NewJobs::default() });
    let token = [("private-token", "glpat-lightsout-local")];
    let page = bed.call("GET", "/api/v4/projects/lightsout%2Fdemo/jobs?scope[]=pending&per_page=2", &token, "").await;
    assert_eq!((page.status, page.json().as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(page.header("x-next-page"), Some("2"));
    // A list of waiting jobs changes with each look, for it says how long they wait.
    let target = "/api/v4/projects/lightsout%2Fdemo/jobs?scope[]=running";
    let empty = bed.call("GET", target, &token, "").await;
    let tag = empty.header("etag").expect("a tag");
    let same = bed.call("GET", target, &[token[0], ("if-none-match", tag)], "").await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    bed.down().await;
}

#[tokio::test]
async fn secrets_answer_over_the_json_protocol() {
    let bed = Bed::start(Options::default()).await;
    let target = [("x-amz-target", "AmazonSSM.GetParameter"), ("content-type", "application/x-amz-json-1.1")];
    let found = bed.call("POST", "/", &target, r#"{"Name":"/ci/token","WithDecryption":true}"#).await;
    assert_eq!((found.status, &found.json()["Parameter"]["Value"]), (200, &json!("hush")));
    let missing = bed.call("POST", "/", &target, r#"{"Name":"/none"}"#).await;
    assert_eq!((missing.status, &missing.json()["__type"]), (400, &json!("ParameterNotFound")));
    bed.down().await;
}

#[tokio::test]
async fn a_machine_that_does_not_boot_is_replaced() {
    // Time enough that the machine fails before it counts as booted, however busy this one is.
    let options = Options::default();
    let cloud = CloudOptions { boot: Duration::from_secs(1), ..options.cloud };
    let bed = Bed::start(Options { cloud, ..options }).await;
    bed.machines.fail_next_boot();
    bed.group("ci", 0, 3, 1).await;
    let ids = bed.in_service("ci", 1).await;
    let fleet = bed.cloud.snapshot();
    let failed: Vec<_> = fleet.instances.iter().filter(|instance| !ids.contains(&instance.id)).collect();
    assert_eq!(failed.len(), 1, "{:?}", fleet.instances);
    let history = bed.aws(&[("Action", "DescribeScalingActivities"), ("Version", "2011-01-01")]).await.text();
    assert!(history.contains("<StatusCode>Failed</StatusCode><StatusMessage>out of machines"), "{history}");
    assert!(bed.machines.running(&ids[0]));
    bed.down().await;
}

#[tokio::test]
async fn a_reboot_ends_what_runs_and_the_machine_comes_back() {
    let bed = Bed::start(Options::default()).await;
    bed.group("ci", 0, 3, 1).await;
    let id = bed.in_service("ci", 1).await.remove(0);
    bed.cloud.enqueue(NewJobs::default());
    assert_eq!(bed.request_job(&id).await.status, 201);
    let reboot = bed.aws(&[("Action", "RebootInstances"), ("Version", "2016-11-15"), ("InstanceId.1", &id)]).await;
    assert_eq!(reboot.status, 200, "{}", reboot.text());
    bed.until("its job is lost and it runs again", |fleet| {
        fleet.jobs.iter().all(|job| job.state == JobState::Lost)
            && bed.machines.boots(&id) == 2
            && bed.machines.running(&id)
    })
    .await;
    assert_eq!(bed.in_service("ci", 1).await, [id.as_str()], "for its group nothing happened");
    bed.machines.switch_off(&id);
    bed.until("another one", |fleet| fleet.instances.iter().any(|instance| instance.id != id)).await;
    bed.down().await;
}

#[tokio::test]
async fn an_operator_scales_in_and_crashes_agents() {
    let bed = Bed::start(Options::default()).await;
    bed.group("ci", 1, 3, 2).await;
    let ids = bed.in_service("ci", 2).await;
    assert_eq!(bed.control("POST", &format!("instances/{}/crash", ids[0]), &json!({})).await.status, 200);
    assert_eq!(bed.machines.crashes(&ids[0]), 1);
    let lowered = bed.control("POST", "groups/ci/scale-in", &json!({"by": 5})).await.json();
    assert_eq!((&lowered["before"], &lowered["desired"]), (&json!(2), &json!(1)));
    assert_eq!(bed.control("POST", "groups/none/scale-in", &json!({})).await.status, 404);
    assert_eq!(bed.control("POST", "groups/ci/scale-in", &json!({"of": 1})).await.status, 400);
    assert_eq!(bed.control("GET", "nothing", &json!(null)).await.status, 404);
    bed.down().await;
}

#[tokio::test]
async fn after_down_nothing_runs() {
    let bed = Bed::start(Options {
        cloud: CloudOptions { boot: Duration::from_secs(60), ..support::fast() },
        ..Options::default()
    })
    .await;
    bed.group("ci", 0, 3, 3).await;
    bed.until("three machines", |fleet| fleet.instances.len() == 3).await;
    let ended = bed.control("POST", "down", &json!({})).await;
    assert_eq!(ended.json(), json!({"down": true}));
    bed.cloud.ended().await;
    for instance in bed.cloud.snapshot().instances {
        assert!(!bed.machines.running(&instance.id), "{} runs on", instance.id);
    }
    bed.down().await;
}

#[tokio::test]
async fn too_long_a_body_is_refused() {
    let bed = Bed::start(Options::default()).await;
    let body = "x".repeat((8 << 20) + 1);
    // The server may close before the client has sent everything.
    if let Ok(answer) = bed.try_call("POST", "/api/v4/jobs/request", &[], &body).await {
        assert_eq!(answer.status, 413);
    }
    assert_eq!(bed.call("GET", "/_lightsout/fleet", &[], "").await.status, 200);
    bed.down().await;
}

#[test]
fn the_runner_of_an_instance_has_a_name_of_its_own() {
    assert_ne!(system_id("i-1"), system_id("i-2"));
    assert_eq!(system_id("i-1").len(), 14);
}

#[tokio::test]
async fn a_command_is_run_by_the_machine_that_it_was_sent_to() {
    let bed = Bed::start(Options::default()).await;
    bed.group("ci", 0, 3, 1).await;
    let id = bed.in_service("ci", 1).await.remove(0);
    let call = async |action: &str, body: Value| {
        let target = format!("AmazonSSM.{action}");
        bed.call("POST", "/", &[("x-amz-target", &target)], &body.to_string()).await
    };
    let known = call("DescribeInstanceInformation", json!({})).await.json();
    assert_eq!(known["InstanceInformationList"][0]["InstanceId"], id.as_str(), "{known}");
    let to = |id: &str| json!({"DocumentName": "AWS-RunShellScript", "InstanceIds": [id], "Parameters": {"commands": ["a", "b"]}});
    let sent = call("SendCommand", to(&id)).await.json();
    let asked = json!({"CommandId": sent["Command"]["CommandId"], "InstanceId": id});
    let ended = loop {
        let look = call("GetCommandInvocation", asked.clone()).await.json();
        if look["Status"] != "InProgress" {
            break look;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(
        (&ended["Status"], &ended["StandardOutputContent"]),
        (&json!("Success"), &json!(format!("{id} ran a\nb")))
    );

    let denied = json!({"target": "aws", "action": "SendCommand", "effect": {"status": {"code": 403}}, "count": 1});
    assert_eq!(bed.control("POST", "faults", &denied).await.status, 200);
    assert_eq!(call("SendCommand", to(&id)).await.json()["__type"], "AccessDeniedException");
    bed.machines.switch_off(&id);
    bed.until("its end", |fleet| fleet.instances.iter().any(|one| one.id == id && one.ended_ms.is_some())).await;
    assert_eq!(call("SendCommand", to(&id)).await.json()["__type"], "InvalidInstanceId");
    bed.down().await;
}
