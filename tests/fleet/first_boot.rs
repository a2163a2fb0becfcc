//! What happens on an instance before its first job.

use std::{fmt::Write, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use lightsout_localcloud::fleet::JobState;
use serde_json::json;

use crate::rig::{Ended, Fleet, Home, agent_field, http, instance, living, phase};

/// A fleet whose agents have these settings besides, `PROGRAM` being a program of this text beside the fleet's directory.
fn fleet(arguments: &str, settings: &str, program: &str) -> (Fleet, PathBuf) {
    let home = Home::new();
    let beside = home.root().to_owned();
    let file = beside.join("program");
    fs::write(&file, format!("#!/bin/sh\ncd {} && {{ {program}; }}\n", beside.display())).expect("it is written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is there");
    let more = beside.join("more.toml");
    fs::write(&more, settings.replace("PROGRAM", &file.display().to_string())).expect("it is written");
    (home.up(&format!("--agent-settings {} {arguments}", more.display())), beside)
}

#[test]
fn the_operators_program_runs_once_before_the_first_job_whatever_becomes_of_the_agent() {
    let program =
        "echo $LIGHTSOUT_INSTANCE_ID >>ran; until [ -e go ]; do sleep 0.1; done; echo $LIGHTSOUT_INSTANCE_ID >>done";
    let (mut fleet, beside) = fleet("--jobs 1 --max 1", "[agent]\nbefore_register = ['PROGRAM']\n", program);
    let id = fleet.until_phase("preparing");
    fleet.wait("the program to begin", |_| beside.join("ran").exists().then_some(()));
    let before = fleet.until("its agent", |fleet| instance(fleet, &id).agent.as_ref()?.0["pid"].as_u64());
    fleet.crash(&id);
    fleet.until("the next agent to wait for the program", |fleet| {
        let it = instance(fleet, &id);
        (it.agent.as_ref()?.0["pid"].as_u64()? != before && phase(it) == "preparing").then_some(())
    });
    assert_eq!(fleet.snapshot().queue.running, 0, "no job before the program has ended");
    fs::write(beside.join("go"), "").expect("it is written");
    fleet.until("the job to begin", |fleet| (fleet.queue.waiting == 0).then_some(()));
    fleet.crash(&id);
    fleet.until("the job to be done", |fleet| (fleet.queue.done == 1).then_some(()));
    for file in ["ran", "done"] {
        let ran = fs::read_to_string(beside.join(file)).expect("it ran");
        assert_eq!(ran, format!("{id}\n"), "once, with its surroundings");
    }
    assert_eq!(fleet.ended().all_done()["instances"]["launched"], 1);
}

#[test]
fn an_instance_whose_program_fails_leaves_as_broken_and_keeps_its_words() {
    let program = "[ -e good ] || { echo this disk is missing; exit 7; }";
    let (mut fleet, beside) = fleet("--jobs 0 --keep --max 1", "[agent]\nbefore_register = ['PROGRAM']\n", program);
    let job = fleet.enqueue(1, 0.5)[0];
    let id = fleet.until("an instance that is broken", |fleet| {
        let it = living(fleet).find(|it| agent_field(it, "why") == "broken")?;
        let note = agent_field(it, "note");
        assert!(note.contains("exit status 7; its output is in ") && !note.contains("this disk is missing"), "{it:?}");
        Some(it.id.clone())
    });
    fs::write(beside.join("good"), "").expect("it is written");
    fleet.until_ended(&id);
    assert_ne!(fleet.until_job(job, JobState::Done).instance, Some(id), "another one serves");
    fleet.ok("down");
    let (ended, home) = fleet.ended_in();
    ended.all_done();
    let records = fs::read_to_string(home.dir().join("records.jsonl")).expect("records");
    assert!(records.contains("\"before_register_said\":\"this disk is missing\""), "{records}");
}

/// An instance of a fleet whose agents have these files of settings besides is launched for a job, ends, and is no longer counted.
fn ends_and_is_no_longer_counted(files: &[&str]) {
    let home = Home::new();
    let beside = home.root().to_owned();
    let mut arguments = "--jobs 0 --keep --max 1".to_owned();
    for (at, text) in files.iter().enumerate() {
        let file = beside.join(format!("{at}.toml"));
        fs::write(&file, text.replace("BESIDE", &beside.display().to_string())).expect("it is written");
        write!(arguments, " --agent-settings {}", file.display()).expect("a text takes all");
    }
    let mut fleet = home.up(&arguments);
    fleet.enqueue(1, 0.5);
    let id = fleet.until("an instance", |fleet| living(fleet).next().map(|it| it.id.clone()));
    fleet.until_ended(&id);
    fleet.ok("down");
    let ended = fleet.ended();
    ended.well();
    let lowered = ended.events().iter().any(|event| event.contains("by a leaving instance"));
    assert!(lowered, "by its own call: {:#?}", ended.events());
}

#[test]
fn an_instance_whose_settings_cannot_be_read_leaves_and_is_no_longer_counted() {
    ends_and_is_no_longer_counted(&["[agent]\nboot_deadline = '2s'\n", "idle_timeout = "]);
}

#[test]
fn an_instance_whose_state_folder_cannot_be_made_leaves_and_is_no_longer_counted() {
    ends_and_is_no_longer_counted(&["[agent]\nboot_deadline = '2s'\nstate_dir = 'BESIDE/0.toml/state'\n"]);
}

#[test]
fn settings_that_are_put_right_in_time_are_taken_up() {
    let home = Home::new();
    let more = home.root().join("more.toml");
    fs::write(&more, "idle_timeout = ").expect("it is written");
    let mut fleet = home.up(&format!("--jobs 1 --max 1 --agent-settings {}", more.display()));
    fleet.until("an agent to say what is wrong", |fleet| {
        living(fleet).find(|it| agent_field(it, "note").contains("more.toml")).map(drop)
    });
    fs::write(&more, "").expect("it is written");
    fleet.until("the job to be done", |fleet| (fleet.queue.done == 1).then_some(()));
    assert_eq!(fleet.ended().all_done()["instances"]["launched"], 1);
}

#[test]
fn an_instance_tells_how_long_each_part_of_its_boot_took() {
    let (mut fleet, _beside) = fleet("--jobs 1 --max 1", "[agent]\nbefore_register = ['PROGRAM']\n", "sleep 0.3; true");
    let id = fleet.until_phase("busy");
    let boot = fleet.until("the parts of its boot", |fleet| {
        let boot = instance(fleet, &id).agent.as_ref()?.0["boot"].as_array()?.clone();
        (boot.last()?["part"] == "ready").then_some(boot)
    });
    let names: Vec<&str> = boot.iter().map(|part| part["part"].as_str().expect("a name")).collect();
    let wanted = ["system", "metadata", "tags", "before_register", "in_service", "secrets", "registered", "ready"];
    assert_eq!(names, wanted);
    let until: Vec<u64> = boot.iter().map(|part| part["until_ms"].as_u64().expect("a time")).collect();
    assert!(until.is_sorted(), "{until:?}");
    assert!(until[3] - until[2] >= 300, "the program took so long: {until:?}");
    fleet.ended().all_done();
}

/// The answer to the launch hook, then service, then the job: in no other order.
fn in_order(ended: &Ended, id: &str) {
    let events = ended.events();
    let at = |what: &str| {
        let found = events.iter().position(|event| event.starts_with(id) && event.contains(what));
        found.unwrap_or_else(|| panic!("{id} {what}: {events:#?}"))
    };
    let order = [at("waits for lifecycle hook"), at("lifecycle hook lightsout-ready: CONTINUE"), at("in service")];
    assert!(order.is_sorted(), "{order:?}: {events:#?}");
}

#[test]
fn an_instance_with_a_launch_hook_is_in_service_only_when_it_is_ready_for_jobs() {
    let settings = "[agent]\nbefore_register = ['PROGRAM']\n";
    let (mut fleet, beside) = fleet("--jobs 1 --max 1 --launch-hook", settings, "until [ -e go ]; do sleep 0.1; done");
    // The answer is lost once, and refused once.
    for effect in ["throttle", "reset"] {
        fleet.post(
            "faults",
            &json!({ "target": "aws", "action": "CompleteLifecycleAction", "effect": effect, "count": 1 }),
        );
    }
    let id = fleet.until("an instance that its launch hook holds", |fleet| {
        living(fleet).find(|it| it.state == "Pending:Wait" && phase(it) == "preparing").map(|it| it.id.clone())
    });
    fleet.crash(&id);
    fleet.until("the next agent to wait for the program", |fleet| {
        (phase(instance(fleet, &id)) == "preparing").then_some(())
    });
    assert_eq!(instance(&fleet.snapshot(), &id).state, "Pending:Wait");
    fs::write(beside.join("go"), "").expect("it is written");
    fleet.until("the job to be done", |fleet| (fleet.queue.done == 1).then_some(()));
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["instances"]["launched"], 1);
    in_order(&ended, &id);
}

#[test]
fn an_instance_whose_boot_fails_gives_its_launch_up_and_is_replaced() {
    let program = "[ -e good ] || { echo this disk is missing; exit 7; }";
    let settings = "[agent]\nbefore_register = ['PROGRAM']\n";
    let (mut fleet, beside) = fleet("--jobs 0 --keep --max 1 --launch-hook", settings, program);
    let job = fleet.enqueue(1, 0.5)[0];
    let id = fleet.until("an instance whose launch is given up", |fleet| {
        let it = fleet.instances.iter().find(|it| it.cause.as_deref() == Some("launch hook abandoned"))?;
        Some(it.id.clone())
    });
    fs::write(beside.join("good"), "").expect("it is written");
    assert_eq!(fleet.snapshot().groups[0].desired, 1, "the group replaces it by itself");
    fleet.until_ended(&id);
    assert_ne!(fleet.until_job(job, JobState::Done).instance, Some(id.clone()), "another one serves");
    fleet.ok("down");
    let ended = fleet.ended();
    ended.all_done();
    let events = ended.events();
    assert!(events.iter().all(|event| !(event.starts_with(&id) && event.ends_with("in service"))), "{events:#?}");
}

/// By way of metadata: the group's tag reaches its next instance at launch, and its agent asks for it.
#[test]
fn a_tag_of_the_group_is_a_setting_of_its_next_instance_before_its_files() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1 --idle-timeout 1h");
    let tags = [("lightsout:idle_timeout", "2s"), ("lightsout:metadata_guard", "off"), ("lightsout", "prod")];
    for (name, value) in tags {
        let form = format!(
            "Action=CreateOrUpdateTags&Version=2011-01-01&Tags.member.1.ResourceId=lightsout-demo\
             &Tags.member.1.ResourceType=auto-scaling-group&Tags.member.1.PropagateAtLaunch=true&Tags.member.1.Key={name}&Tags.member.1.Value={value}"
        );
        let sent = http::send("POST", fleet.url(), "application/x-www-form-urlencoded", &form).expect("it answers");
        assert_eq!(sent.0, 200, "{}", sent.1);
    }
    let job = fleet.enqueue(1, 0.5)[0];
    let id = fleet.until_job(job, JobState::Done).instance.expect("an instance did it");
    fleet.until_ended(&id);
    let log = fs::read_to_string(fleet.dir().join("instances").join(&id).join("agent.log")).expect("a log");
    // A name that no tag has is left out with a word, and so are not the others.
    for said in ["this instance's tags go before the files", "lightsout:idle_timeout"] {
        assert!(log.contains(said), "{log}");
    }
    fleet.ok("down");
    fleet.ended().all_done();
}
