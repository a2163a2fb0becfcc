//! A vendor is one file or folder and its two lines in `lib.rs`: what it is, no other file knows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use lightsout_localrunner::RUNNERS;

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The lines that name the vendor, outside of its own file and folder, each after its file's name.
fn mentions(vendor: &str) -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let own = |path: &Path| path.components().any(|part| Path::new(&part).file_stem().is_some_and(|it| it == vendor));
    let mut mentions = Vec::new();
    for path in sources(&src) {
        let path = path.strip_prefix(&src).unwrap();
        if own(path) {
            continue;
        }
        let text = fs::read_to_string(src.join(path)).unwrap();
        let lines = text.lines().filter(|line| line.to_lowercase().contains(vendor));
        mentions.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
    }
    mentions
}

#[test]
fn a_vendor_is_named_in_its_own_files_and_in_its_two_lines() {
    for runner in RUNNERS {
        let vendor = runner.platform;
        assert_eq!(mentions(vendor), [format!("lib.rs: mod {vendor};"), format!("lib.rs: &{vendor}::RUNNER,")]);
    }
}
