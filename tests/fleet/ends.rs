//! How `up` itself ends, and what it finds when it begins.

use rustix::process::Signal;

use crate::rig::{Fleet, Home, engine_or_skip};

#[test]
fn what_a_killed_run_left_is_cleaned_up_by_the_next() {
    let containers = engine_or_skip("containers of a killed run (its processes are tested)");
    let mut fleet = Fleet::up("--jobs 4 --max 2 --job-duration 600s");
    fleet.until("two running jobs", |fleet| (fleet.queue.running == 2).then_some(()));
    fleet.until_phase("busy");
    let home = fleet.killed();

    let output = crate::rig::lightsout(&home.dir(), "ps");
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("no fleet is running in "), "{}", output.err);

    let fleet = home.up("--jobs 2 --max 1");
    let note = fleet.notes().first().cloned().expect("a note");
    let (_, left) = note.split_once("an earlier run was killed: cleaned up ").unwrap_or_else(|| panic!("{note}"));
    let numbers: Vec<usize> = left.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [processes, jobs, instances] = numbers[..] else { panic!("{note}") };
    // At least an agent and a runner on each instance, and the scaler.
    assert!(processes >= 5, "{note}");
    assert_eq!((jobs, instances), (if containers { 2 } else { 0 }, 2), "{note}");
    let ended = fleet.ended();
    assert_eq!(ended.all_done()["jobs"]["total"], 2);
}

#[test]
fn ctrl_c_ends_everything_with_130() {
    let mut fleet = Fleet::up("--jobs 4 --max 2 --job-duration 600s");
    fleet.until("two running jobs", |fleet| (fleet.queue.running == 2).then_some(()));
    assert!(fleet.traces().0 >= 5, "{:?}", fleet.traces());
    fleet.signal(Signal::INT);
    let ended = fleet.ended();
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert_eq!(ended.summary()["jobs"]["total"], 4);
    assert!(ended.stderr.contains("ending the fleet"), "{}", ended.stderr);
}

#[test]
fn a_second_ctrl_c_does_not_wait() {
    let mut fleet = Fleet::up("--jobs 1 --max 1 --job-duration 600s");
    fleet.until_phase("busy");
    fleet.signal(Signal::TERM);
    fleet.signal(Signal::INT);
    assert_eq!(fleet.ended().code, Some(130));
}

#[test]
fn a_second_fleet_in_the_same_place_is_refused() {
    let fleet = Fleet::up("--jobs 0 --keep");
    let output = fleet.lightsout("up --jobs 1");
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""), "{output:?}");
    let wanted = format!("lightsout: a fleet already runs in {} (process ", fleet.dir().display());
    assert!(output.err.starts_with(&wanted) && output.err.contains("lightsout down"), "{}", output.err);
    // The first one is not disturbed.
    fleet.enqueue(1, 0.5);
    let mut fleet = fleet;
    fleet.until("the job to be done", |fleet| (fleet.queue.done == 1).then_some(()));
    fleet.ok("down");
    fleet.ended().well();
}

#[test]
fn a_port_that_is_taken_is_named_with_the_remedy() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let output = home.command(&format!("--jobs 1 --port {port}")).output().expect("lightsout starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("127.0.0.1:{port}; choose another --port")), "{stderr}");
}
