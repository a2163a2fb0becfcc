//! Reads tables of settings key by key and collects everything that is wrong with them.

mod required;
mod values;

use std::cell::RefCell;

use strsim::osa_distance;

use super::{
    Fragment, Problem, Problems,
    problem::SettingLocation,
    tree::{Node, Table, Value},
};
pub(crate) use required::PLACES;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Report {
    /// Notes a problem.
    pub(crate) fn problem(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Notes a warning.
    pub(crate) fn warning(&self, problem: Problem) {
        self.warnings.borrow_mut().push(problem);
    }

    /// The warnings, or the problems when there are any; sorted, each once (a default is read for every pool).
    pub(crate) fn finish(self) -> Result<Vec<Problem>, Problems> {
        let tidy = |list: RefCell<Vec<Problem>>| {
            let mut list = list.into_inner();
            list.sort();
            list.dedup();
            list
        };
        let problems = tidy(self.problems);
        if problems.is_empty() { Ok(tidy(self.warnings)) } else { Err(Problems(problems)) }
    }
}

/// One table and what stands in for keys that it lacks.
#[derive(Clone)]
pub(crate) struct Layer<'a> {
    /// The table's path, such as `pool[linux].platform`; empty for the root.
    pub(in crate::settings) path: String,
    /// The table; `None` when it is absent.
    pub(in crate::settings) table: Option<&'a Table>,
    /// Where it stands, for what it lacks.
    pub(in crate::settings) place: Option<SettingLocation>,
}

impl<'a> Layer<'a> {
    /// The whole of the settings, which lack what the first file lacks.
    pub(in crate::settings) fn root(table: &'a Table, fragments: &[Fragment]) -> Self {
        let place = fragments.first().map(|fragment| SettingLocation::whole(fragment.path.as_str()));
        Self { path: String::new(), table: Some(table), place }
    }

    /// The table at `key`; another type of value is a problem.
    pub(crate) fn child(&self, report: &Report, key: &str) -> Self {
        let path = joined(&self.path, key);
        let node = self.table.and_then(|table| table.get(key));
        let table = match node.map(|node| (&node.value, node)) {
            Some((Value::Table(table), _)) => Some(table),
            Some((_, node)) => {
                let remedy = format!("write its keys below a line [{}]", header(&path));
                report.problem(wrong(&path, node, "expected a table", remedy));
                None
            }
            None => None,
        };
        Self { path, table, place: node.map(|node| node.place.clone()).or_else(|| self.place.clone()) }
    }
}

/// Reads the keys of a table that may have tables of defaults below it; the first that has a key wins.
pub(crate) struct Section<'a> {
    report: &'a Report,
    layers: Vec<Layer<'a>>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// A reader of these layers and keys; the first layer names what is missing. There is at least one.
    pub(crate) fn new(
        report: &'a Report,
        layers: Vec<Layer<'a>>,
        known: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        Self { report, layers, known: known.into_iter().collect() }
    }

    /// Whether any layer has the key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The path of the first layer.
    pub(crate) fn own_path(&self) -> &str {
        &self.layers[0].path
    }

    /// The path of a key in the first layer.
    fn path(&self, key: &str) -> String {
        joined(&self.layers[0].path, key)
    }

    /// The tables at `key` in every layer that has one, or the absent one of the first layer.
    pub(crate) fn children(&self, key: &str) -> Vec<Layer<'a>> {
        let all: Vec<_> = self.layers.iter().map(|layer| layer.child(self.report, key)).collect();
        let first = all[0].clone();
        let mut present: Vec<_> = all.into_iter().filter(|layer| layer.table.is_some()).collect();
        if present.is_empty() {
            present.push(first);
        }
        present
    }

    /// The section at `key`.
    pub(crate) fn child(&self, key: &str, known: impl IntoIterator<Item = &'static str>) -> Self {
        Self::new(self.report, self.children(key), known)
    }

    /// Notes that a key is missing.
    pub(crate) fn missing(&self, key: &str, what: &str, remedy: impl Into<String>) {
        self.lacking(&self.path(key), what, remedy);
    }

    /// Notes that what has this path is missing.
    pub(crate) fn lacking(&self, path: &str, what: &str, remedy: impl Into<String>) {
        let place = self.layers[0].place.clone();
        let problem = Problem::new(path, format!("is missing: {what}"), remedy);
        self.report.problem(Problem { place, missing: true, ..problem });
    }

    /// Notes that a key's value cannot be, beside the others.
    pub(crate) fn contradiction(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        match self.find(key) {
            Some((path, node)) => self.report.problem(wrong(&path, node, what, remedy)),
            None => self.missing(key, &what.into(), remedy),
        }
    }

    /// Notes that a key's value cannot be, without showing it.
    pub(crate) fn hidden(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        if let Some((path, node)) = self.find(key) {
            self.report.problem(Problem { value: None, ..wrong(&path, node, what, remedy) });
        }
    }

    /// Notes a doubt about a key that is there.
    pub(crate) fn doubt(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        if let Some((path, node)) = self.find(key) {
            self.report.warning(wrong(&path, node, what, remedy));
        }
    }

    /// Ends the reading: what is not among the keys is unknown.
    pub(crate) fn finish(self) {
        for layer in &self.layers {
            for (key, node) in layer.table.into_iter().flatten() {
                if !self.known.contains(&key.as_str()) {
                    self.report.problem(Problem {
                        value: None,
                        ..wrong(&joined(&layer.path, key), node, "is not a setting", self.suggestion(key))
                    });
                }
            }
        }
    }

    fn suggestion(&self, key: &str) -> String {
        suggestion(key, &self.known)
    }

    fn find(&self, key: &str) -> Option<(String, &'a Node)> {
        let found = |layer: &Layer<'a>| Some((joined(&layer.path, key), layer.table?.get(key)?));
        self.layers.iter().find_map(found)
    }
}

/// What may have been meant by a name that is none of these.
pub(in crate::settings) fn suggestion(key: &str, known: &[&str]) -> String {
    let near = known.iter().map(|known| (osa_distance(key, known), known)).min();
    let far = match key.chars().count() {
        0..=2 => 1,
        3..=6 => 2,
        _ => 3,
    };
    match near {
        Some((distance, known)) if distance <= far => format!("did you mean {known}?"),
        _ => {
            let mut known = known.to_vec();
            known.sort_unstable();
            known.dedup();
            format!("what can stand here: {}", known.join(", "))
        }
    }
}

/// A problem with a value that is there.
pub(crate) fn wrong(path: &str, node: &Node, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem { value: Some(node.value.to_string()), ..Problem::new(path, what, remedy).at(&node.place) }
}

/// A path as it stands in the brackets of a TOML header: without the names of pools.
pub(crate) fn header(path: &str) -> String {
    let mut depth = 0;
    let outside = |c: &char| {
        depth += i32::from(*c == '[');
        let keep = depth == 0;
        depth -= i32::from(*c == ']');
        keep
    };
    path.chars().filter(outside).collect()
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}
