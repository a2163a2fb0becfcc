use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

use lightsout_core::space::MinimumFree;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// Room of which there is too little as long as the file is there, by a folder whose file system is never free enough then.
fn space(folder: &TempDir, program: &str) -> Arc<Space> {
    let file = folder.path().join("clean");
    fs::write(&file, format!("#!/bin/sh\ncd {}\n{program}\n", folder.path().display())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    Arc::new(Space {
        needs: SpaceNeeds {
            disk: Some(MinimumFree { amount: Some(u64::MAX), percent: None }),
            inodes: None,
            memory: None,
        },
        folders: vec![folder.path().join("full")],
        clean: Some(Cleaner {
            argv: vec![file.display().to_string()].try_into().unwrap(),
            environment: BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap().into())]),
            unit: false,
            output: folder.path().join("clean.output"),
        }),
        engine: None,
        engine_data: OnceLock::new(),
        looks: Looks::within(LOOK_TIMEOUT),
        lock: folder.path().join("clean.lock"),
    })
}

#[tokio::test]
async fn room_is_made_by_the_program_and_measured_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("full")).unwrap();
    let useless = space(&folder, "exit 3");
    let said = useless.make_room(LONG).await.unwrap();
    assert!(said.contains("exit status: 3"), "{said}");
    assert!(matches!(useless.look().await, Room::Short(what) if what.contains("agent.disk_free")));
    // What is not there has no file system that could be full.
    let useful = space(&folder, "rmdir full");
    assert_eq!(useful.make_room(LONG).await.as_deref(), Ok("agent.clean has done its work"));
    assert_eq!(useful.look().await, Room::Enough);
}

/// A shell job that may use the engine fills its disk like any other.
#[test]
fn the_engine_counts_and_is_cleaned_where_jobs_may_use_it() {
    let engine = |more: &str| {
        let text = format!("[agent]\n{more}\n[platform.buildkite]\ntoken = {{ env = \"T\" }}\nqueue = \"linux\"\n");
        let fragment = lightsout_core::settings::Fragment { path: "agent.toml".into(), text };
        let settings = AgentSettings::parse(&[fragment]).unwrap();
        Space::new(&settings, None, Some(Arc::new(Engine::new(Path::new("/nonexistent"))))).engine_folder()
    };
    assert!(engine("runner_docker = true").is_some());
    assert_eq!(engine("runner_docker = false"), None);
    assert_eq!(engine(""), None);
}

#[tokio::test]
async fn what_goes_on_after_its_agent_is_known_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("full")).unwrap();
    let first = space(&folder, "sleep 30 & echo $! >pid; rmdir full");
    assert_eq!(first.is_over(), Ok(()), "nothing began");
    first.make_room(LONG).await.unwrap();
    let next = space(&folder, "touch ran");
    assert!(next.is_over().unwrap_err().contains("still being made"), "something of it goes on");
    assert!(next.make_room(LONG).await.unwrap_err().contains("no room can be made"));
    assert!(!folder.path().join("ran").exists(), "two at once");
    let pid: i32 = fs::read_to_string(folder.path().join("pid")).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    while next.is_over().is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_cannot_be_known_of_an_earlier_agents_cleaning_is_not_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut space = space(&folder, "true");
    fs::write(folder.path().join("file"), "").unwrap();
    Arc::get_mut(&mut space).unwrap().lock = folder.path().join("file/clean.lock");
    assert!(space.is_over().unwrap_err().contains("not known"));
}

#[tokio::test]
async fn a_program_that_does_not_end_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("full")).unwrap();
    let slow = space(&folder, "sleep 60 & wait");
    let why = slow.make_room(Duration::from_millis(300)).await.unwrap();
    assert!(why.contains("agent.clean_timeout"), "{why}");
    while slow.is_over().is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_program_has_nothing_of_the_agents_surroundings() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("full")).unwrap();
    let nosy = space(&folder, "env >found; readlink /proc/$$/fd/2 >>found; echo hunter2; exit 3");
    let why = nosy.make_room(LONG).await.unwrap();
    assert!(why.contains("exit status: 3") && !why.contains("hunter2"), "its words are for the log only: {why}");
    let found = fs::read_to_string(folder.path().join("found")).unwrap();
    // Cargo sets it for tests.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !found.contains("CARGO_MANIFEST_DIR"), "{found}");
    assert!(found.contains("clean.output"), "it writes to where the agent's records go: {found}");
    assert_eq!(fs::read_to_string(folder.path().join("clean.output")).unwrap(), "hunter2\n");
}

#[tokio::test]
async fn what_cannot_be_told_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("full")).unwrap();
    let mut dead = space(&folder, "true");
    Arc::get_mut(&mut dead).unwrap().looks = Looks::within(Duration::from_millis(10));
    let (server, answer) = std::sync::mpsc::channel::<()>();
    assert_eq!(dead.looks.take(move || _ = answer.recv()).await, None, "the file system does not answer");
    assert_eq!(dead.look().await, Room::Unknown);
    drop(server);
}

#[test]
fn the_engine_says_where_its_data_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daemon.json");
    assert_eq!(engine_data(&file), Path::new(ENGINE_DATA));
    fs::write(&file, "{\"data-root\": \"/mnt/docker\"}").unwrap();
    assert_eq!(engine_data(&file), Path::new("/mnt/docker"));
}

#[test]
fn this_machine_is_measured() {
    let root = file_system(Path::new("/")).unwrap();
    assert!(root.bytes.total > 0 && root.bytes.free <= root.bytes.total, "{root:?}");
    let memory = memory().unwrap();
    assert!(memory.total > 1 << 20 && memory.free <= memory.total, "{memory:?}");
}
