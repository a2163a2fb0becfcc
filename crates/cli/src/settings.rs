//! The settings of scaler and agents, as the commands that ask about them read their files.

use std::path::PathBuf;

use lightsout_core::settings::{AgentSettings, Prices, ScalerSettings};
use lightsout_io::{command_line::Failure, files};

/// Those of a scaler, in these files and folders.
pub(crate) fn of_scaler(paths: &[PathBuf]) -> Result<ScalerSettings, Failure> {
    let fragments = files::read(paths, "scaler").map_err(Failure::Refused)?;
    ScalerSettings::parse_with(&fragments, &files::zone).map_err(Failure::refused)
}

/// Those of an agent.
pub(crate) fn of_agent(paths: &[PathBuf]) -> Result<AgentSettings, Failure> {
    let fragments = files::read(paths, "agent").map_err(Failure::Refused)?;
    AgentSettings::parse(&fragments).map_err(Failure::refused)
}

/// The prices in those of a scaler that this flag names; `None` where there are none.
pub(crate) fn prices(flag: &str, paths: &[PathBuf]) -> Result<Option<Prices>, Failure> {
    let fragments = files::read(paths, "scaler").map_err(|why| Failure::Refused(format!("{flag}: {why}")))?;
    Prices::parse(&fragments).map_err(Failure::refused)
}
