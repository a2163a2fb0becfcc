//! What pools share: defaults, and platforms that they name.

use std::{collections::BTreeSet, sync::Arc};

use super::ZoneFiles;
use crate::{
    platform::{KINDS, QueueConfig},
    settings::{
        Problem, platform,
        reader::{Layer, Report, Section, wrong},
        tree::{Node, Value},
    },
};

/// What pools share.
pub(super) struct Shared<'a> {
    pub(super) report: &'a Report,
    pub(super) zones: ZoneFiles<'a>,
    pub(super) defaults: Layer<'a>,
    platforms: Layer<'a>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(report: &'a Report, root: &Section<'a>, zones: ZoneFiles<'a>) -> Self {
        let part = |name| root.children(name).remove(0);
        Self { report, zones, defaults: part("defaults"), platforms: part("platforms") }
    }

    /// The platform: the pool's own keys first, then those of the platform that it names, then the defaults.
    pub(super) fn platform(&self, own: &Layer<'a>, used: &mut BTreeSet<&'a str>) -> Option<Arc<dyn QueueConfig>> {
        let mut layers = Vec::new();
        let mut name = None;
        for layer in [own, &self.defaults] {
            let Some(node) = layer.table.and_then(|table| table.get("platform")) else { continue };
            if let Value::Text(text) = &node.value {
                name = name.or(Some((layer, node, text.as_str())));
                continue;
            }
            let child = layer.child(self.report, "platform");
            match child.table.and_then(|table| table.get("from")) {
                Some(from @ Node { value: Value::Text(text), .. }) => {
                    name = name.or(Some((layer, from, text.as_str())));
                }
                Some(from) => {
                    let remedy = "write for example from = \"main\" for a table below [platforms.main]";
                    self.report.problem(wrong(
                        &format!("{}.from", child.path),
                        from,
                        "expected the name of a platform",
                        remedy,
                    ));
                }
                None => {}
            }
            layers.push(child);
        }
        if let Some((layer, node, name)) = name {
            let known = self.platforms.table.is_some_and(|table| table.contains_key(name));
            if !known {
                self.report.problem(wrong(
                    &format!("{}.platform", layer.path),
                    node,
                    "there is no such platform",
                    self.remedy(name),
                ));
                return None;
            }
            used.insert(name);
            let shared = self.platforms.child(self.report, name);
            // A pool's own keys stand above those of the platform that it names; the defaults stand below.
            let at = layers.iter().take_while(|own| !own.path.starts_with("defaults")).count();
            layers.insert(at, shared);
        }
        if layers.is_empty() {
            layers.push(own.child(self.report, "platform"));
        }
        platform::queue(self.report, layers)
    }

    fn remedy(&self, name: &str) -> String {
        let names: Vec<_> = self.platforms.table.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        if names.is_empty() {
            format!("add a table such as [platforms.{name}.{}]", KINDS[0].name)
        } else {
            format!("add a table such as [platforms.{name}.{}], or name one of: {}", KINDS[0].name, names.join(", "))
        }
    }

    /// What nobody reads is checked here: keys that only a pool may have, and platforms that no pool names.
    pub(super) fn check(&self, used: &BTreeSet<&str>) {
        for key in ["name", "group"] {
            if let Some(node) = self.defaults.table.and_then(|table| table.get(key)) {
                let what = "each pool has a different one, so that there can be no default";
                self.report.problem(wrong(&format!("defaults.{key}"), node, what, "write it below [[pool]]"));
            }
        }
        for (name, node) in self.platforms.table.into_iter().flatten() {
            if !used.contains(name.as_str()) {
                let path = format!("platforms.{name}");
                let remedy = format!("write platform = {name:?} below a [[pool]], or remove it");
                self.report.warning(Problem { value: None, ..wrong(&path, node, "is used by no pool", remedy) });
            }
        }
    }
}
