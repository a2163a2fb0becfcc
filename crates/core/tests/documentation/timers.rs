//! A timer that docs/protocol.md says to be a setting's has the default that the setting has.

use std::{fs, path::Path};

use lightsout_core::settings::AGENT_KEYS;

/// The rows of the table of timers that name one setting of the agent: the setting and the default that they say.
fn timers(text: &str) -> Vec<(&str, &str)> {
    let section = text.split("\n## Timers\n").nth(1).expect("a section on timers");
    let section = section.split("\n## ").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(2);
            let (default, setting) = (cells.next()?, cells.next()?);
            Some((setting.strip_prefix("`agent.")?.strip_suffix('`')?, default))
        })
        .collect()
}

/// A setting's default as the table writes it; `None` where it is no time.
fn as_written(default: &str) -> Option<String> {
    let value = default.strip_prefix("`\"")?.split('"').next()?;
    let at = value.find(|c: char| !c.is_ascii_digit())?;
    let unit = match value.split_at(at) {
        ("", "never") => return Some("none".to_owned()),
        (_, unit @ ("s" | "h")) => unit,
        (_, "m") => "min",
        _ => return None,
    };
    Some(format!("{} {unit}", &value[..at]))
}

#[test]
fn the_protocols_timers_have_the_defaults_of_their_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let text = fs::read_to_string(path).expect("docs/protocol.md");
    let mut compared = 0;
    for (setting, said) in timers(&text) {
        let key = AGENT_KEYS.iter().find(|key| key.name == setting);
        let key = key.unwrap_or_else(|| panic!("docs/protocol.md names agent.{setting}, which is no setting"));
        if let Some(default) = key.default.and_then(as_written) {
            assert_eq!(said, default, "docs/protocol.md, the timer of agent.{setting}");
            compared += 1;
        }
    }
    assert!(compared >= 11, "the table is where the test looks for it: {compared} timers");
}
