//! How a machine of `lightsout up` marks what runs on it: processes by a variable, containers by labels.

/// Holds `FLEET/MACHINE` in each process that a fleet started, directly or not.
pub const MARKER: &str = "LIGHTSOUT_MACHINE";
/// On each job container: the fleet that it belongs to.
pub const FLEET_LABEL: &str = "lightsout.fleet";
/// On each job container: the machine that it runs on, as `FLEET/INSTANCE`.
pub const MACHINE_LABEL: &str = "lightsout.machine";
