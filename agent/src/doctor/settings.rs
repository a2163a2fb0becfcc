//! Facts for `doctor` about the agent's settings: files, tags, and what is wrong in them.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use lightsout_core::{
    doctor::facts::SettingsFacts,
    settings::{AgentSettings, SecretSource},
};
use lightsout_io::files;

use super::root::Root;
use crate::settings::Tags;

/// Reads them as the agent does. Those of another root are read from the places that are named only.
pub(crate) fn read(config: &[PathBuf], root: &Root, tags: &Tags) -> SettingsFacts {
    let places: Vec<PathBuf> = config.iter().map(|path| root.at(path)).collect();
    let fragments = match files::read(&places, "agent") {
        Ok(fragments) => fragments,
        Err(why) => return SettingsFacts { problems: vec![why], ..SettingsFacts::default() },
    };
    let mut facts =
        SettingsFacts { files: fragments.iter().map(|read| read.path.clone()).collect(), ..SettingsFacts::default() };
    match AgentSettings::parse_with(&fragments, tags) {
        Ok(settings) => {
            let platform = &settings.platform;
            let secrets = platform.secrets();
            facts.inline_secret = secrets.iter().any(|secret| matches!(secret, SecretSource::Inline(_)));
            facts.readable =
                if facts.inline_secret { readable(facts.files.iter().map(PathBuf::from)) } else { Vec::new() };
            facts.readable.extend(readable(secrets.iter().filter_map(|secret| match secret {
                SecretSource::File(path) => Some(root.at(path)),
                SecretSource::Inline(_)
                | SecretSource::Env(_)
                | SecretSource::Ssm(_)
                | SecretSource::SecretsManager { .. }
                | SecretSource::KeyVault(_) => None,
            })));
            facts.broad_secret = platform.needs().broad_secret.map(str::to_owned);
            facts.doubts = settings.warnings.iter().map(ToString::to_string).collect();
            facts.settings = Some(settings);
        }
        Err(problems) => {
            let (missing, wrong): (Vec<_>, Vec<_>) = problems.0.iter().partition(|problem| problem.missing);
            facts.missing = missing.iter().map(ToString::to_string).collect();
            facts.problems = wrong.iter().map(ToString::to_string).collect();
        }
    }
    facts
}

/// Those that everybody on this machine may read.
fn readable(files: impl Iterator<Item = PathBuf>) -> Vec<String> {
    files
        .filter(|path| fs::metadata(path).is_ok_and(|found| found.mode() & 0o004 != 0))
        .map(|path| path.display().to_string())
        .collect()
}
