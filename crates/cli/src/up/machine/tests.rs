//! What machines hold, and for how long.

use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::{
    fleet_dir::FleetDir,
    up::{ended_logs::KEPT, platform::Platform},
};

/// Files that other tests of this process may open meanwhile.
const SLACK: usize = 20;

/// How many files this process has open.
fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Machines whose agent does nothing for a long time.
fn machines(home: &Path) -> ProcessMachines {
    let agent = home.join("agent");
    fs::write(&agent, "#!/bin/sh\nmkdir -p state && echo '{\"phase\":\"idle\"}' >state/status.json\nexec sleep 600\n")
        .unwrap();
    fs::set_permissions(&agent, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    ProcessMachines::new(Arc::new(FleetConfig {
        fleet_dir: FleetDir::new(Some(home.join("fleet"))).unwrap(),
        platform: Platform::new("gitlab".parse().unwrap()),
        program: "/bin/false".into(),
        agent: Some(agent),
        scaler: None,
        runner: "/bin/false".into(),
        docker: None,
        booted: None,
        agent_settings: Vec::new(),
        idle_timeout: Duration::from_secs(8),
        cloud: crate::up::cloud::CloudKind::Aws,
        launch_hook: false,
        slots: 1,
    }))
}

async fn boot(machines: &ProcessMachines, number: usize) -> Box<dyn Machine> {
    let boot = Boot {
        id: id(number),
        group: "g".into(),
        imds: "http://127.0.0.1:1".into(),
        aws: "http://127.0.0.1:2".into(),
        region: "eu-central-1".into(),
        user_data: String::new(),
        hop_limit: 1,
    };
    machines.boot(boot).await.unwrap()
}

/// Boots and ends a machine; its agent's last report is there until the machine is dropped.
async fn live(machines: &ProcessMachines, number: usize) {
    let machine = boot(machines, number).await;
    while machine.report().is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    machine.power_off().await;
    assert!(machine.report().is_some());
    drop(machine);
    machines.discard(&id(number));
}

fn id(number: usize) -> String {
    format!("i-{number:017x}")
}

#[tokio::test]
async fn what_a_machine_held_ends_with_it() {
    let home = TempDir::new().unwrap();
    let machines = machines(home.path());
    let instances = machines.config.fleet_dir.instances();
    live(&machines, 0).await;
    let before = open_files();
    for number in 1..KEPT + 20 {
        live(&machines, number).await;
    }
    // The runtime closes what an aborted task held in its own time.
    let begun = std::time::Instant::now();
    while open_files() > before + SLACK && begun.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after = open_files();
    assert!(after <= before + SLACK, "{before} files before, {after} after {} machines", KEPT + 20);
    let left: Vec<_> = fs::read_dir(&instances).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left.len(), KEPT);
    for dir in left {
        let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, ["agent.log"]);
    }
}

#[tokio::test]
async fn a_machine_that_is_stopped_starts_again_with_its_files() {
    let home = TempDir::new().unwrap();
    let machines = machines(home.path());
    let file = machines.config.fleet_dir.instances().join(id(0)).join("state/journal.json");
    let machine = boot(&machines, 0).await;
    while machine.report().is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    fs::write(&file, "{}").unwrap();
    machine.power_off().await;
    drop(machine);
    let again = boot(&machines, 0).await;
    assert!(file.is_file());
    again.power_off().await;
}
