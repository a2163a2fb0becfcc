//! What is in force, key by key, and where each value came from.

use serde::Serialize;

use super::{
    AGENT_KEYS, AgentSettings, DOCKER_KEYS, Fragment, IMDS_KEYS, Key, MACHINE_PRICE_KEYS, METRICS_KEYS, PRICES_KEYS,
    Problem, Problems, RECORDS_KEYS, Side,
    reader::Report,
    tags,
    tree::{Node, Table, Value, merged},
};
use crate::platform::KINDS;

/// One key of the agent's settings. Whatever may be a secret is a reference, or left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its path, such as `agent.slots`.
    pub key: String,
    /// The value as it could stand in a file, or in words what holds where none is written.
    pub value: String,
    /// The file and line, the instance's tag, or `default`.
    pub from: String,
}

/// The agent's settings that follow from these files and tags, and what is doubtful about them.
///
/// # Errors
/// With all problems at once, as [`AgentSettings::parse`].
pub fn in_force(fragments: &[Fragment], tags: &[(String, String)]) -> Result<(Vec<Setting>, Vec<Problem>), Problems> {
    let warnings = AgentSettings::parse_with(fragments, tags)?.warnings;
    let mut whole = merged(fragments).map_err(Problems)?;
    tags::apply(&mut whole, tags, &Report::default());
    let mut all = Vec::new();
    for (section, keys) in [
        ("agent", AGENT_KEYS),
        ("docker", DOCKER_KEYS),
        ("imds", IMDS_KEYS),
        ("metrics", METRICS_KEYS),
        ("prices", PRICES_KEYS),
        ("records", RECORDS_KEYS),
    ] {
        list(section, keys, table(&whole, section), &mut all);
    }
    let machines = table(&whole, "prices").and_then(|prices| table(prices, "machines"));
    for (name, machine) in
        machines.into_iter().flat_map(|machines| machines.keys().map(move |it| (it, table(machines, it))))
    {
        list(&format!("prices.machines.{name:?}"), MACHINE_PRICE_KEYS, machine, &mut all);
    }
    let platforms = table(&whole, "platform");
    for kind in KINDS {
        if let Some(own) = platforms.and_then(|platforms| table(platforms, kind.name)) {
            list(&format!("platform.{}", kind.name), kind.keys, Some(own), &mut all);
        }
    }
    Ok((all, warnings))
}

fn table<'a>(of: &'a Table, key: &str) -> Option<&'a Table> {
    match &of.get(key)?.value {
        Value::Table(table) => Some(table),
        Value::Text(_) | Value::Integer(_) | Value::Bool(_) | Value::List(_) | Value::Other(_) => None,
    }
}

fn list(section: &str, keys: &[Key], table: Option<&Table>, all: &mut Vec<Setting>) {
    for key in keys.iter().filter(|key| key.side != Side::Scaler) {
        let (value, from) = match (table.and_then(|table| table.get(key.name)), key.default) {
            (Some(node), _) => (shown(key, node), node.place.to_string()),
            (None, Some(default)) => (default.replace('`', ""), "default".to_owned()),
            // One of several that may stand there; another one does.
            (None, None) => continue,
        };
        all.push(Setting { key: format!("{section}.{}", key.name), value, from });
    }
}

/// Secrets stand as references; what may hold one is not shown.
fn shown(key: &Key, node: &Node) -> String {
    match (&node.value, key.kind) {
        (Value::Table(_), "secret") => written(&node.value),
        (_, "secret") => "(stands there)".into(),
        (Value::List(variables), _) if key.may_hold_secrets() => {
            let name = |node: &Node| match &node.value {
                Value::Text(text) => {
                    text.split_once('=').map_or(format!("{text:?}"), |(name, _)| format!("\"{name}=...\""))
                }
                Value::Integer(_) | Value::Bool(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => {
                    written(&node.value)
                }
            };
            format!("[{}]", variables.iter().map(name).collect::<Vec<_>>().join(", "))
        }
        (Value::Text(text), _) if key.may_hold_secrets() => format!("({} lines)", text.lines().count()),
        (value, _) => written(value),
    }
}

/// As it could stand in a file.
fn written(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Other(text) => text.clone(),
        Value::List(items) => {
            format!("[{}]", items.iter().map(|item| written(&item.value)).collect::<Vec<_>>().join(", "))
        }
        Value::Table(table) => {
            let entry = |(key, node): (&String, &Node)| format!("{key} = {}", written(&node.value));
            format!("{{ {} }}", table.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}
