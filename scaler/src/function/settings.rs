//! Where the function's settings come from: its package, an object, a parameter, its environment.

use std::{collections::BTreeMap, path::Path};

use lightsout_cloud::{Provider, provider};
use lightsout_core::settings::{
    Fragment, OBJECT_VARIABLE as OBJECT, PARAMETER_VARIABLE as PARAMETER, STARTED, ScalerSettings, SecretSource,
    VERSION_VARIABLE as EXPECTED, from_variables, stored,
};
use lightsout_io::files;
use secrecy::ExposeSecret;

use super::{SettingsSource, Variables};

/// A file or folder in the package.
const PATH: &str = "LIGHTSOUT_SCALER_CONFIG";
const TEXT: &str = "LIGHTSOUT_SCALER_CONFIG_TOML";

/// Warns when the function was made for another version of this program.
pub(super) fn compare_versions(variables: &Variables) {
    let own = env!("CARGO_PKG_VERSION");
    tracing::info!(version = own, "{STARTED}");
    if let Some(expected) = given(variables, EXPECTED).filter(|expected| *expected != own) {
        tracing::warn!(
            version = own,
            expected,
            "module and function have different versions: update the package, or pin the module to the function's version"
        );
    }
}

/// Reads the settings from all places that are named, later ones over earlier ones.
///
/// # Errors
/// When one cannot be read, none is named, or they cannot work.
pub(super) async fn read(variables: &Variables, home: &SettingsSource) -> Result<ScalerSettings, String> {
    let cloud = provider(home.cloud);
    let mut fragments = packaged(variables, home.package)?;
    if let Some(address) = given(variables, OBJECT) {
        let text = (cloud.object)(None, address.to_owned()).await;
        let text = text.map_err(|error| format!("no settings from {address}: {error}; see {OBJECT}"))?;
        fragments.push(Fragment::new(address, text));
    }
    if let Some(name) = given(variables, PARAMETER) {
        let source = SecretSource::Ssm(name.to_owned());
        let text = (cloud.secrets)(None).resolve(&source).await;
        let text = text.map_err(|error| format!("no settings from {}: {}; see {PARAMETER}", error.from, error.why))?;
        fragments.push(Fragment::new(source.to_string(), text.expose_secret()));
    }
    if let Some(text) = given(variables, TEXT) {
        fragments.push(Fragment::new(TEXT, text));
    }
    if !fragments.is_empty() {
        return ScalerSettings::parse_with(&fragments, &files::zone).map_err(|problems| problems.to_string());
    }
    let translated = translated(variables, cloud).await?;
    translated.ok_or_else(|| format!("there are no settings: {}", home.remedy))
}

/// What the variables of another system say, where they are all that there is.
async fn translated(variables: &Variables, cloud: &Provider) -> Result<Option<ScalerSettings>, String> {
    let mut fetched = BTreeMap::new();
    for stored in stored(variables) {
        let text = (cloud.secrets)(None).resolve(&stored.source).await;
        let text =
            text.map_err(|error| format!("no settings from {}: {}; see {}", error.from, error.why, stored.name))?;
        fetched.insert(stored.name.to_owned(), text.expose_secret().to_owned());
    }
    let translated = from_variables(variables, &fetched).map_err(|problems| problems.to_string())?;
    Ok(translated.map(|(settings, said)| {
        for line in said {
            tracing::info!("{line}");
        }
        settings
    }))
}

/// What the package holds; nothing, where nothing is named and nothing is there.
fn packaged(variables: &Variables, package: &str) -> Result<Vec<Fragment>, String> {
    let home = Path::new(given(variables, package).unwrap_or("."));
    match given(variables, PATH) {
        Some(path) => files::read(&[home.join(path)], "scaler"),
        None => files::usual(home, "scaler"),
    }
}

/// A variable that is set, and not to nothing.
fn given<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
    variables.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
}
