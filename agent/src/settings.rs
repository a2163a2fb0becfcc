//! Reads the settings: at the start, and again when a signal says so.

use std::path::PathBuf;

use lightsout_core::settings::AgentSettings;
use lightsout_io::files;

/// Reads and checks the settings.
///
/// # Errors
/// With a text for the operator that names every problem.
pub(crate) fn load(paths: &[PathBuf]) -> Result<AgentSettings, String> {
    let fragments = files::read(paths, "agent")?;
    AgentSettings::parse(&fragments).map_err(|problems| problems.to_string())
}
