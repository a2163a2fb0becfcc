//! Settings from the instance's tags: the last word, for one instance or one group, without another image. They are few, and none names a
//! program, a secret or an address: who may tag an instance need not be one who may run something on it.

use super::{
    Problem,
    keys::{Side, names},
    problem::SettingLocation,
    reader::{Report, suggestion},
    tree::{Node, Table, Value},
};
use crate::platform::KINDS;

/// What the names of the tags begin with.
pub const TAG_PREFIX: &str = "lightsout:";

/// What lightsout itself writes as tags, for others than the settings.
const WRITTEN: &[&str] = &["ready", "why", "floor", "order"];

/// A setting that an instance's tag may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name behind [`TAG_PREFIX`], which is the key's.
    pub name: &'static str,
    /// Where the setting stands.
    pub section: TagSection,
    /// How its text is read.
    pub value: TagValue,
}

/// Where a setting stands that a tag may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagSection {
    /// `[agent]`.
    Agent,
    /// The table of the platform that the files name, where it has such a key.
    Platform,
}

/// How a tag's text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagValue {
    /// A whole number.
    Number,
    /// As the setting's own text.
    Text,
    /// With commas or spaces between its words.
    List,
}

/// The settings that an instance's tags may hold.
pub const TAGS: [Tag; 8] = [
    Tag { name: "slots", section: TagSection::Agent, value: TagValue::Number },
    Tag { name: "idle_timeout", section: TagSection::Agent, value: TagValue::Text },
    Tag { name: "max_age", section: TagSection::Agent, value: TagValue::Text },
    Tag { name: "jobs_per_instance", section: TagSection::Agent, value: TagValue::Number },
    Tag { name: "boot_deadline", section: TagSection::Agent, value: TagValue::Text },
    Tag { name: "labels", section: TagSection::Platform, value: TagValue::List },
    Tag { name: "tags", section: TagSection::Platform, value: TagValue::List },
    Tag { name: "queue", section: TagSection::Platform, value: TagValue::Text },
];

/// Puts what the tags say above what the files say. A tag with the prefix and another name is a doubt.
pub(super) fn apply(whole: &mut Table, tags: &[(String, String)], report: &Report) {
    for (key, text) in tags {
        let Some(name) = key.strip_prefix(TAG_PREFIX).filter(|name| !WRITTEN.contains(name)) else { continue };
        let place = SettingLocation::whole(format!("instance tag {key}"));
        let problem = |wrong: &str, remedy: String| Problem::new("", wrong, remedy).at(&place);
        let Some(tag) = TAGS.iter().find(|tag| tag.name == name) else {
            let known: Vec<_> = TAGS.iter().map(|tag| tag.name).collect();
            report.warning(problem("is not a setting that a tag can hold", suggestion(name, &known)));
            continue;
        };
        let node = Node { value: tag.value.read(text.trim(), &place), place: place.clone() };
        let (table, known) = match tag.section {
            TagSection::Agent => (child(whole, "agent", &place), true),
            TagSection::Platform => platform(whole, name),
        };
        match table {
            Some(table) if known => _ = table.insert(name.to_owned(), node),
            Some(_) => report.problem(problem(
                &format!("this platform's runner has no {name}"),
                "remove the tag from the instance and from its group".into(),
            )),
            // What the files lack is told.
            None => {}
        }
    }
}

/// The table at `key`, made if it is absent; `None` when something else stands there.
fn child<'a>(whole: &'a mut Table, key: &str, place: &SettingLocation) -> Option<&'a mut Table> {
    let absent = || Node { place: place.clone(), value: Value::Table(Table::new()) };
    table(whole.entry(key.to_owned()).or_insert_with(absent))
}

/// The table that stands there; `None` when something else does.
fn table(node: &mut Node) -> Option<&mut Table> {
    match &mut node.value {
        Value::Table(table) => Some(table),
        Value::Text(_) | Value::Integer(_) | Value::Bool(_) | Value::List(_) | Value::Other(_) => None,
    }
}

/// The table of the platform that the files name, and whether its runner has such a key.
fn platform<'a>(whole: &'a mut Table, key: &str) -> (Option<&'a mut Table>, bool) {
    let Some(tables) = whole.get_mut("platform").and_then(table) else { return (None, false) };
    let Some(kind) = KINDS.iter().find(|kind| tables.contains_key(kind.name)) else { return (None, false) };
    (tables.get_mut(kind.name).and_then(table), names(kind.keys, Side::Agent).any(|known| known == key))
}

impl TagValue {
    /// What does not fit is text, and the reader of the key says what is expected.
    fn read(self, text: &str, place: &SettingLocation) -> Value {
        match self {
            Self::Number => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Integer),
            Self::Text => Value::Text(text.to_owned()),
            Self::List => {
                let words = text.split([',', ' ']).filter(|word| !word.is_empty());
                let word = |word: &str| Node { place: place.clone(), value: Value::Text(word.to_owned()) };
                Value::List(words.map(word).collect())
            }
        }
    }
}
