//! The one CI platform that a table of settings names.

use std::sync::Arc;

use super::{
    keys::{Side, names},
    reader::{Layer, Report, Section, header},
};
use crate::platform::{KINDS, Kind, QueueConfig, RunnerConfig};

/// Reads the queue of the one platform that the layers name.
pub(super) fn queue(report: &Report, layers: Vec<Layer<'_>>) -> Option<Arc<dyn QueueConfig>> {
    let (kind, section) = one_kind(report, layers, Side::Scaler)?;
    (kind.queue)(section)
}

/// Reads the runner of the one platform that the layers name. `single_use`: each instance serves one job and leaves.
pub(super) fn runner(report: &Report, layers: Vec<Layer<'_>>, single_use: bool) -> Option<Arc<dyn RunnerConfig>> {
    let (kind, section) = one_kind(report, layers, Side::Agent)?;
    (kind.runner)(section, single_use)
}

/// The kind that is named, by the first layer that names any, and the reader of its keys in all layers.
fn one_kind<'a>(report: &'a Report, layers: Vec<Layer<'a>>, side: Side) -> Option<(&'static Kind, Section<'a>)> {
    let named = |layer: &Layer<'a>| -> Vec<&'static Kind> {
        let has = |kind: &&Kind| layer.table.is_some_and(|table| table.contains_key(kind.name));
        KINDS.iter().copied().filter(has).collect()
    };
    let kinds = layers.iter().map(named).find(|kinds| !kinds.is_empty()).unwrap_or_default();
    let all = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    let section = Section::new(report, layers, KINDS.iter().map(|kind| kind.name).chain(["from"]));
    let found = match kinds[..] {
        [kind] => Some((kind, section.child(kind.name, names(kind.keys, side)))),
        [_, second, ..] => {
            section.contradiction(
                second.name,
                "more than one platform is named",
                format!("keep exactly one of {}", all()),
            );
            None
        }
        [] => {
            let path = section.own_path();
            let header = header(path);
            section.lacking(
                path,
                "no CI platform is named",
                format!("add a table such as [{header}.{}]; the platforms are {}", KINDS[0].name, all()),
            );
            None
        }
    };
    section.finish();
    found
}
