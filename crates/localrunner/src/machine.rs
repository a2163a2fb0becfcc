//! How a fleet on this machine marks what belongs to it, so that all of it is found again: processes by a variable,
//! containers by labels.

use std::env;

/// Holds `FLEET/INSTANCE` in the environment of each process that a fleet started, directly or not.
pub const MACHINE_ENV: &str = "LIGHTSOUT_MACHINE";
/// On each job container: the fleet that it belongs to.
pub const FLEET_LABEL: &str = "lightsout.fleet";
/// On each job container: the instance that it runs on, as `FLEET/INSTANCE`.
pub const MACHINE_LABEL: &str = "lightsout.machine";

/// The instance that this process runs on.
pub fn instance_id() -> Option<String> {
    Some(env::var(MACHINE_ENV).ok()?.rsplit_once('/')?.1.to_owned())
}

/// The labels for containers that this process starts.
pub(crate) fn labels() -> Vec<(String, String)> {
    let Ok(machine) = env::var(MACHINE_ENV) else { return Vec::new() };
    let fleet = machine.split('/').next().unwrap_or_default().to_owned();
    vec![(FLEET_LABEL.to_owned(), fleet), (MACHINE_LABEL.to_owned(), machine)]
}
