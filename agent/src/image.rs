//! What the machine image says of itself (packer/README.md), as far as the agent goes by it.

use std::fs;

use jiff::{Timestamp, tz::TimeZone};
use lightsout_core::{doctor::facts::ImageManifest, settings::AgentSettings};

/// Where the image's scripts write it.
pub(crate) const IMAGE: &str = "/usr/share/lightsout/image.json";

/// From when on the platform may refuse the image's runner, if the image says so and it is the runner of these settings. Says so when that has passed.
pub(crate) fn runner_expires(settings: &AgentSettings) -> Option<Timestamp> {
    let expires = expiry(&fs::read(IMAGE).ok()?, settings)?;
    if expires <= Timestamp::now() {
        tracing::warn!(
            "the machine image's runner is too old: since {expires} the platform may refuse it. Build the image anew (packer/README.md), and have new \
             instances start from it"
        );
    }
    Some(expires)
}

/// One that the settings name elsewhere is not the image's, and one of another platform neither. What the image says wrongly, doctor tells.
fn expiry(image: &[u8], settings: &AgentSettings) -> Option<Timestamp> {
    let baked: ImageManifest = serde_json::from_slice(image).ok()?;
    let runner = baked.runner.filter(|_| baked.platform.as_deref() == Some(settings.platform.platform()))?;
    let own = settings.platform.needs().program.is_none_or(|program| runner.program.contains(&program));
    // The first day on which it may be refused, by UTC.
    own.then_some(runner.expires)??.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp())
}

#[cfg(test)]
mod tests {
    use lightsout_core::settings::Fragment;

    use super::*;

    #[test]
    fn the_expiry_is_that_of_the_runner_which_the_settings_start() {
        let image = |platform: &str, program: &str, expires: &str| {
            format!(
                r#"{{"platform":"{platform}","runner":{{"version":"2.330.0","program":["{program}"],"expires":{expires}}}}}"#
            )
        };
        let text = "[platform.github]\norganization = 'acme'\nlabels = ['x']\ntoken = { file = '/t' }\n".to_owned();
        let settings = AgentSettings::parse(&[Fragment { path: "agent.toml".into(), text }]).unwrap();
        let of = |text: String| expiry(text.as_bytes(), &settings);
        let day = Some("2026-12-02T00:00:00Z".parse().unwrap());
        assert_eq!(of(image("github", "/opt/actions-runner/run.sh", r#""2026-12-02""#)), day);
        assert_eq!(of(image("github", "/opt/other/run.sh", r#""2026-12-02""#)), None, "another program");
        assert_eq!(of(image("gitlab", "/opt/actions-runner/run.sh", r#""2026-12-02""#)), None, "another platform");
        assert_eq!(of(image("github", "/opt/actions-runner/run.sh", "null")), None, "none is known");
        assert_eq!(of("{".into()), None, "doctor says so");
    }
}
