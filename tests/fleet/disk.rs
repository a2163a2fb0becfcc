//! A disk that jobs fill.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use lightsout_localcloud::fleet::JobState;
use serde_json::json;

use crate::rig::{Fleet, Home, agent_field, instance, living, phase};

/// A file system of 16 MiB of its own, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "lightsout-test"]).arg(&at).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(at))
    }

    /// A job that fills it and goes on for so many seconds.
    fn filling_job(&self, fleet: &Fleet, seconds: u32) -> u64 {
        let script = format!("head -c 12582912 /dev/zero >{}/junk; sleep {seconds}", self.0.display());
        fleet.post("jobs", &json!({ "argv": ["sh", "-c", script] }))["ids"][0].as_u64().unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn program(file: &Path, text: &str) {
    fs::write(file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_disk_that_a_job_fills_takes_no_more_jobs_and_is_cleaned_after_it() {
    let home = Home::new();
    let beside = home.root().to_owned();
    let Some(disk) = SmallDisk::mount(beside.join("disk")) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: a_disk_that_a_job_fills_takes_no_more_jobs_and_is_cleaned_after_it: a file system of its own takes root"
        );
        return;
    };
    let clean = beside.join("clean");
    let (folder, cleaned) = (beside.display(), beside.join("cleaned"));
    program(&clean, &format!("cd {folder} && echo >>cleaned; [ ! -e helps ] || rm -f disk/junk; sleep 1"));
    let more = beside.join("more.toml");
    let settings = format!(
        "[agent]\ndisk_free = '8MiB'\ndisk_paths = ['{}']\nclean = ['{}']\n",
        disk.0.display(),
        clean.display()
    );
    fs::write(&more, settings).unwrap();
    fs::write(beside.join("helps"), "").unwrap();
    let mut fleet =
        home.up(&format!("--agent-settings {} --jobs 0 --keep --max 1 --idle-timeout 60s --no-docker", more.display()));

    // It fills while a job runs, and another one waits already.
    let first = disk.filling_job(&fleet, 30);
    let id = fleet.until_job(first, JobState::Running).instance.unwrap();
    fleet.until("the instance to take no more jobs", |fleet| {
        let it = instance(fleet, &id);
        (phase(it) == "draining" && agent_field(it, "why") == "full").then(|| {
            assert!(agent_field(it, "note").contains("agent.disk_free"), "{it:?}");
        })
    });
    let running =
        |fleet: &Fleet| fleet.snapshot().jobs.iter().any(|job| job.id == first && job.state == JobState::Running);
    assert!(running(&fleet), "it drains while the job goes on");
    let second = fleet.enqueue(1, 1.0)[0];
    fleet.wait("the disk to be cleaned", |fleet| {
        // Looked at in this order, since a job that runs now may be over a moment later.
        let begun = cleaned.exists();
        let job = fleet.snapshot().jobs.into_iter().find(|job| job.id == first).unwrap();
        assert!(!begun || job.state == JobState::Done, "never under a job: {job:?}");
        begun.then_some(())
    });
    assert_eq!(fleet.until_job(second, JobState::Done).instance, Some(id.clone()), "it serves again");
    assert_eq!(fs::read_to_string(&cleaned).unwrap().lines().count(), 1);

    // Where that does not help, it leaves, and says of what there is too little.
    fs::remove_file(beside.join("helps")).unwrap();
    disk.filling_job(&fleet, 4);
    fleet.until("it to be broken", |fleet| {
        let it = instance(fleet, &id);
        (agent_field(it, "why") == "broken").then(|| {
            let note = agent_field(it, "note");
            assert!(note.contains("agent.disk_free"), "{it:?}");
        })
    });
    fleet.until_ended(&id);
    crate::explain::until_named(&mut fleet, &id, "full", &["broken", "boot-deadline", "idle-timeout"]);
    fs::remove_file(disk.0.join("junk")).unwrap();
    let fourth = fleet.enqueue(1, 0.5)[0];
    assert_ne!(fleet.until_job(fourth, JobState::Done).instance, Some(id));
    fleet.until("an instance that is idle", |fleet| living(fleet).any(|it| phase(it) == "idle").then_some(()));
    fleet.ok("down");
    fleet.ended().well();
}

#[test]
fn an_instance_that_boots_full_takes_no_job_before_there_is_room() {
    let home = Home::new();
    let beside = home.root().to_owned();
    let Some(disk) = SmallDisk::mount(beside.join("disk")) else {
        eprintln!(
            "SKIPPED an_instance_that_boots_full_takes_no_job_before_there_is_room: a file system of its own needs root"
        );
        return;
    };
    let (clean, junk) = (beside.join("clean"), disk.0.join("junk"));
    fs::write(&junk, vec![0; 12 << 20]).unwrap();
    program(&clean, &format!("cd {} && echo >>cleaned; [ ! -e helps ] || rm -f disk/junk", beside.display()));
    let more = beside.join("more.toml");
    let settings = format!(
        "[agent]\ndisk_free = '8MiB'\ndisk_paths = ['{}']\nclean = ['{}']\n",
        disk.0.display(),
        clean.display()
    );
    fs::write(&more, settings).unwrap();
    let arguments = "--jobs 0 --keep --max 1 --idle-timeout 60s --no-docker --launch-hook";
    let mut fleet = home.up(&format!("--agent-settings {} {arguments}", more.display()));

    // It fails on a disk that is full.
    let argv = ["sh", "-c", &format!("test ! -e {}", junk.display())];
    let job = fleet.post("jobs", &json!({ "argv": argv }))["ids"][0].as_u64().unwrap();
    let first = fleet.until("an instance that stays full to be broken", |fleet| {
        let it = living(fleet).find(|it| agent_field(it, "why") == "broken")?;
        assert!(agent_field(it, "note").contains("agent.disk_free"), "{it:?}");
        Some(it.id.clone())
    });
    assert_eq!(fs::read_to_string(beside.join("cleaned")).unwrap().lines().count(), 1, "it was tried");
    fs::write(beside.join("helps"), "").unwrap();
    fleet.until_ended(&first);
    let done = fleet.until_job(job, JobState::Done);
    assert_ne!(done.instance, Some(first), "{done:?}");
    fleet.ok("down");
    fleet.ended().well();
}
