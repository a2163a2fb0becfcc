//! Examples as who copies them has them: with what the text says to make, and nothing else.

use std::{fs, path::Path};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)).expect(file)
}

/// A timer's conditions with its drop-in, as systemd merges them: an empty value of any of them takes all away, of every kind
/// (systemd.timer(5), "OnActiveSec=").
fn merged(unit: &str, drop_in: &str) -> Vec<(String, String)> {
    let mut conditions = Vec::new();
    for line in unit.lines().chain(drop_in.lines()) {
        let Some((key, value)) = line.split_once('=').filter(|(key, _)| key.starts_with("On")) else { continue };
        if value.trim().is_empty() {
            conditions.clear();
        } else {
            conditions.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    conditions
}

#[test]
fn the_timer_with_its_drop_in_starts_after_a_boot_and_again() {
    let unit = read("systemd/lightsout-scaler.timer");
    for drop_in in ["", &read("examples/timer/lightsout-scaler.timer.d/pace.conf")] {
        let conditions = merged(&unit, drop_in);
        let has = |keys: &[&str]| conditions.iter().any(|(key, _)| keys.contains(&key.as_str()));
        // What counts from the last time never elapses where there was none.
        assert!(has(&["OnBootSec", "OnStartupSec", "OnActiveSec", "OnCalendar"]), "never after a boot: {conditions:?}");
        assert!(has(&["OnUnitActiveSec", "OnUnitInactiveSec", "OnCalendar"]), "once only: {conditions:?}");
        let paces = conditions.iter().filter(|(key, _)| key == "OnUnitActiveSec").count();
        assert!(paces <= 1, "the shortest of these counts, whatever the drop-in says: {conditions:?}");
    }
}

/// On an instance with a role there is no file of variables, and nobody is told to make an empty one.
#[test]
fn an_example_starts_without_the_file_that_it_needs_elsewhere_only() {
    let unit = read("examples/timer/lightsout-scaler.service.d/account.conf");
    let named: Vec<_> = unit.lines().filter_map(|line| line.strip_prefix("EnvironmentFile=")).collect();
    assert!(!named.is_empty() && named.iter().all(|file| file.starts_with("-/")), "{named:?}");
    let compose = read("examples/container/compose.yaml");
    let named: Vec<_> = compose.lines().filter(|line| line.trim_start().starts_with("env_file:")).collect();
    assert!(!named.is_empty() && named.iter().all(|line| line.contains("required: false")), "{named:?}");
}
