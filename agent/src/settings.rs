//! Reads the settings, from the files and the instance's tags: at the start, and again when a signal says so.

use std::{path::PathBuf, time::Duration};

use lightsout_cloud::{Notices, PROVIDERS};
use lightsout_core::settings::{AgentSettings, TAG_PREFIX, in_force};
use lightsout_io::files;

/// How long `lightsout-agent settings` waits for the tags.
const TAGS: Duration = Duration::from_secs(3);

/// The tags of an instance that may hold settings, names and values.
pub(crate) type Tags = Vec<(String, String)>;

/// Reads and checks the settings.
///
/// # Errors
/// With a text for the operator that names every problem.
pub(crate) fn load(paths: &[PathBuf], tags: &Tags) -> Result<AgentSettings, String> {
    let fragments = files::read(paths, "agent")?;
    AgentSettings::parse_with(&fragments, tags).map_err(|problems| problems.to_string())
}

/// The tags of this instance.
///
/// # Errors
/// When they are not told in time.
pub(crate) async fn tags(notices: &dyn Notices, within: Duration) -> Result<Tags, String> {
    notices.tags(TAG_PREFIX, within).await.map_err(|error| error.to_string())
}

/// What an agent that starts now has, and where each value came from: a line each, or one JSON object.
///
/// # Errors
/// With a text for the operator that names every problem.
pub(crate) async fn show(paths: &[PathBuf], json: bool) -> Result<String, String> {
    let fragments = files::read(paths, "agent")?;
    let [provider] = PROVIDERS;
    let tags = match (provider.notices)() {
        Ok(notices) => tags(&*notices, TAGS).await,
        Err(error) => Err(error.to_string()),
    };
    let tags = tags.unwrap_or_else(|why| {
        eprintln!("without the instance's tags: {why}");
        Tags::new()
    });
    let (settings, warnings) = in_force(&fragments, &tags).map_err(|problems| problems.to_string())?;
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    if json {
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        return Ok(serde_json::json!({ "settings": settings, "warnings": warnings }).to_string());
    }
    let widest = settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    let line = |setting: &lightsout_core::settings::Setting| {
        format!("{:widest$} = {}    # {}", setting.key, setting.value, setting.from)
    };
    Ok(settings.iter().map(line).collect::<Vec<_>>().join("\n"))
}
