//! What made an instance leave, and what ended it.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::{Value, json};

use super::{POOL, aws, end, until_named};
use crate::rig::{Fleet, Home, hits, living, phase};

/// The next instance that serves, with this tag of the group as a setting, and its first job, which lasts so long.
fn next(fleet: &mut Fleet, setting: &str, value: &str, seconds: f64) -> String {
    aws(
        fleet,
        &format!(
            "CreateOrUpdateTags&Tags.member.1.ResourceId={POOL}&Tags.member.1.ResourceType=auto-scaling-group\
             &Tags.member.1.PropagateAtLaunch=true&Tags.member.1.Key=lightsout:{setting}&Tags.member.1.Value={value}"
        ),
    );
    let seen = fleet.snapshot().instances.len();
    fleet.enqueue(1, seconds);
    fleet.until("an instance that serves", |fleet| {
        let it = fleet.instances.get(seen)?;
        matches!(phase(it), "idle" | "busy" | "draining" | "retiring").then(|| it.id.clone())
    })
}

#[test]
fn a_limit_of_jobs_maintenance_and_age_are_told_apart() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1 --idle-timeout 1h --no-docker");
    let all = ["job-limit", "age", "maintenance", "idle-timeout", "operator", "spot", "refresh", "scale-in", "broken"];
    for (setting, value, cause, says) in [
        ("jobs_per_instance", "1", "job-limit", "as many jobs as it may"),
        ("jobs_per_instance", "100", "maintenance", "scheduled maintenance"),
    ] {
        // Long enough to be seen between two looks of an agent.
        let id = next(&mut fleet, setting, value, 8.0);
        if cause == "maintenance" {
            fleet.post(&format!("instances/{id}/maintenance"), &json!({ "in_s": 3600 }));
        }
        fleet.until_ended(&id);
        let not: Vec<&str> = all.into_iter().filter(|other| *other != cause).collect();
        let text = until_named(&mut fleet, &id, cause, &not);
        assert!(text.starts_with(&id) && text.contains(says), "{text}");
    }
    // Two minutes are long for a test: an agent that is started again believes its journal.
    let id = next(&mut fleet, "max_age", "1m", 0.5);
    fleet.until_phase("idle");
    let journal = fleet.dir().join("instances").join(&id).join("state/journal.json");
    let mut entry: Value = serde_json::from_slice(&fs::read(&journal).expect("a journal")).expect("JSON");
    entry["in_service_ms"] = (entry["in_service_ms"].as_i64().expect("a time") - 120_000).into();
    fs::write(&journal, entry.to_string()).expect("it is written");
    fleet.crash(&id);
    fleet.until_ended(&id);
    let not: Vec<&str> = all.into_iter().filter(|other| *other != "age").collect();
    let text = until_named(&mut fleet, &id, "age", &not);
    assert!(text.contains("as old as it may become"), "{text}");
    end(fleet);
}

#[test]
fn a_program_for_each_boot_that_fails_is_told_from_a_runner_that_ends_again_and_again() {
    let home = Home::new();
    let beside = home.root().to_owned();
    let program = |name: &str, text: &str| {
        let file = beside.join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).expect("it is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is there");
        file.display().to_string()
    };
    let good = beside.join("good");
    let first = format!("[ -e {} ] || {{ echo this disk is missing; exit 7; }}", good.display());
    let first = program("first", &first);
    // It says its version, and ends a moment after each start.
    let runner = program("runner", "case $1 in --version) echo Version: 18.5.0;; *) sleep 0.2; exit 3;; esac");
    let more = beside.join("more.toml");
    let settings = format!("[agent]\nbefore_register = ['{first}']\n[platform.gitlab]\nprogram = '{runner}'\n");
    fs::write(&more, settings).expect("it is written");
    let mut fleet = home.up(&format!("--agent-settings {} --jobs 0 --keep --max 1 --no-docker", more.display()));
    fleet.enqueue(1, 0.5);
    let id = fleet.until("an instance", |fleet| living(fleet).next().map(|it| it.id.clone()));
    let not = ["runner-exits", "boot-deadline", "broken", "not-registered"];
    fleet.until_ended(&id);
    let text = until_named(&mut fleet, &id, "before-register", &not);
    assert!(text.contains("exit status 7") && text.contains("its output is in "), "{text}");
    until_named(&mut fleet, POOL, "breaking", &["tag-mismatch", "no-capacity"]);
    fs::write(good, "").expect("it is written");
    let id = fleet.until("another instance", |fleet| {
        living(fleet).find(|it| matches!(phase(it), "idle" | "registering" | "busy")).map(|it| it.id.clone())
    });
    until_named(&mut fleet, &id, "runner-exits", &["before-register", "boot-deadline", "runner-too-old"]);
    fleet.until_ended(&id);
    let text = until_named(&mut fleet, &id, "runner-exits", &["before-register", "boot-deadline", "runner-too-old"]);
    assert!(text.contains("left as broken"), "{text}");
    end(fleet);
}

#[test]
fn a_launch_hook_that_runs_out_is_named_and_a_termination_hook_that_cannot_be_extended_until_that_runs_out() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 2 --launch-hook --idle-timeout 1h --no-docker");
    // The shortest that there is.
    for (hook, transition) in [("lightsout-drain", "TERMINATING"), ("lightsout-ready", "LAUNCHING")] {
        aws(
            &fleet,
            &format!(
                "PutLifecycleHook&AutoScalingGroupName={POOL}&LifecycleHookName={hook}\
                 &LifecycleTransition=autoscaling:EC2_INSTANCE_{transition}&HeartbeatTimeout=30"
            ),
        );
    }
    fleet.enqueue(1, 600.0);
    let busy = fleet.until_phase("busy");
    for action in ["RecordLifecycleActionHeartbeat", "CompleteLifecycleAction"] {
        fleet.post("faults", &json!({ "target": "aws", "action": action, "effect": { "status": { "code": 500 } } }));
    }
    fleet.enqueue(1, 600.0);
    fleet.until("an instance that its launch hook holds", |fleet| {
        living(fleet).find(|it| it.state == "Pending:Wait").map(|_| ())
    });
    aws(&fleet, &format!("TerminateInstanceInAutoScalingGroup&InstanceId={busy}&ShouldDecrementDesiredCapacity=true"));
    until_named(&mut fleet, &busy, "hook-fails", &["hook-timed-out"]);
    let text = until_named(&mut fleet, POOL, "hook-timed-out", &["no-capacity", "quota", "key", "launch-fails"]);
    assert!(text.contains("launch hook ran out") && text.contains("Heartbeat Timeout"), "{text}");
    // Its job runs on, so that its group ends it under the job when the time of the termination hook is over, too.
    fleet.until_ended(&busy);
    let not = ["hook-fails", "idle-timeout", "operator", "refresh", "unhealthy"];
    let text = until_named(&mut fleet, &busy, "hook-timed-out", &not);
    assert!(text.starts_with("the termination hook of") && text.contains("its time-out is 30s"), "{text}");
    until_named(&mut fleet, &busy, "scale-in", &not);
    end(fleet);
}

#[test]
fn a_runner_that_its_platform_finds_too_old_is_named_while_it_is_tried_and_after() {
    let mut fleet =
        Fleet::up("--platform github --jobs 0 --keep --max 1 --no-docker --idle-timeout 1h --fault runner-too-old");
    fleet.enqueue(1, 0.5);
    let id = fleet.until("an instance", |fleet| living(fleet).next().map(|it| it.id.clone()));
    let not = ["not-registered", "token-refused", "boot-deadline", "busy"];
    let text = until_named(&mut fleet, &id, "runner-too-old", &not);
    assert!(text.contains("is deprecated and cannot receive messages"), "{text}");
    until_named(&mut fleet, POOL, "runner-too-old", &["tag-mismatch", "no-capacity", "deaf-member"]);
    fleet.until_ended(&id);
    until_named(&mut fleet, &id, "runner-too-old", &not);
    until_named(&mut fleet, &id, "runner-exits", &not);
    assert!(hits(&fleet, &json!("runner-too-old")) > 1);
    end(fleet);
}
