//! TOML as a tree in which each value knows its place, and the merging of files.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

use toml::de::{DeTable, DeValue};

use super::{Fragment, Problem, problem::SettingLocation};
use crate::redact::shortened;

/// A table of settings.
pub(super) type Table = BTreeMap<String, Node>;

/// A value that knows where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: SettingLocation,
    pub(super) value: Value,
}

/// What TOML knows.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Bool(bool),
    List(Vec<Node>),
    Table(Table),
    /// A float or a date; as it was written.
    Other(String),
}

impl fmt::Display for Value {
    /// As it could stand in a file, long values cut short.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{:?}", shortened(text, 60)),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::List(items) if items.is_empty() => f.write_str("[]"),
            Self::List(_) => f.write_str("[...]"),
            Self::Table(_) => f.write_str("{...}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Parses all fragments and merges them in order.
pub(super) fn merged(fragments: &[Fragment]) -> Result<Table, Vec<Problem>> {
    let mut whole = Table::new();
    let mut problems = Vec::new();
    for fragment in fragments {
        match parsed(fragment) {
            Ok(table) => merge(&mut whole, table),
            Err(mut wrong) => problems.append(&mut wrong),
        }
    }
    if problems.is_empty() { Ok(whole) } else { Err(problems) }
}

fn parsed(fragment: &Fragment) -> Result<Table, Vec<Problem>> {
    let source = Source::new(fragment);
    let (table, errors) = DeTable::parse_recoverable(&fragment.text);
    if errors.is_empty() {
        return Ok(source.table(table.into_inner()));
    }
    let problem = |error: &toml::de::Error| {
        // Only the bare message: the error's long form quotes the line, and that may hold a token.
        let wrong = format!("this is not valid TOML: {}", error.message().replace('\n', ", "));
        let line = error.span().map(|span| source.line(span.start));
        Problem::new("", wrong, "correct this line").at(&SettingLocation { file: source.file.clone(), line })
    };
    Err(errors.iter().map(problem).collect())
}

/// Tables merge, lists of tables grow, anything else replaces.
fn merge(into: &mut Table, from: Table) {
    for (key, node) in from {
        match into.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(node);
            }
            Entry::Occupied(mut entry) => match (&mut entry.get_mut().value, node.value) {
                (Value::Table(old), Value::Table(new)) => merge(old, new),
                (Value::List(old), Value::List(new)) if of_tables(old) && of_tables(&new) => old.extend(new),
                (_, value) => *entry.get_mut() = Node { place: node.place, value },
            },
        }
    }
}

fn of_tables(list: &[Node]) -> bool {
    !list.is_empty() && list.iter().all(|node| matches!(node.value, Value::Table(_)))
}

/// One fragment's name and where its lines begin.
struct Source {
    file: Arc<str>,
    lines: Vec<usize>,
}

impl Source {
    fn new(fragment: &Fragment) -> Self {
        let ends = fragment.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { file: fragment.path.as_str().into(), lines: std::iter::once(0).chain(ends).collect() }
    }

    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    fn table(&self, table: DeTable<'_>) -> Table {
        let entry = |(key, value): (toml::Spanned<_>, toml::Spanned<DeValue<'_>>)| {
            // A table's own span may begin anywhere in it; its key is where people look.
            let line = self.line(key.span().start);
            (std::borrow::Cow::into_owned(key.into_inner()), self.node(line, value.into_inner()))
        };
        table.into_iter().map(entry).collect()
    }

    fn node(&self, line: usize, value: DeValue<'_>) -> Node {
        let value = match value {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::Other(number.to_string()), Value::Integer),
            DeValue::Float(number) => Value::Other(number.to_string()),
            DeValue::Boolean(flag) => Value::Bool(flag),
            DeValue::Datetime(date) => Value::Other(date.to_string()),
            DeValue::Array(items) => {
                let item =
                    |item: toml::Spanned<DeValue<'_>>| self.node(self.line(item.span().start), item.into_inner());
                Value::List(items.into_iter().map(item).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node { place: SettingLocation { file: self.file.clone(), line: Some(line) }, value }
    }
}
