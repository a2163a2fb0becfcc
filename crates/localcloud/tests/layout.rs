//! A platform more is one folder and one place: read from the sources themselves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use lightsout_localcloud::ci::KINDS;

/// The one file beside the vendors' own that names them.
const REGISTRY: &str = "ci.rs";

#[test]
fn a_vendor_is_named_in_its_own_folder_and_in_the_registry_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src);
    assert!(files.len() > 100, "the sources are where the test looks for them: {}", files.len());
    let mut elsewhere = Vec::new();
    for kind in KINDS.iter().copied().map(lightsout_localcloud::PlatformKind::as_str) {
        let mut at_home = 0;
        for (path, text) in &files {
            let home = *path == format!("ci/{kind}.rs") || path.starts_with(&format!("ci/{kind}/"));
            at_home += usize::from(home);
            if home || path == REGISTRY {
                continue;
            }
            let named = text.lines().enumerate().filter(|(_, line)| line.to_lowercase().contains(kind));
            elsewhere.extend(named.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())));
        }
        assert!(at_home > 3, "{kind} has options, demo and tests of its own: {at_home}");
    }
    assert!(elsewhere.is_empty(), "vendors are named outside of their folders:\n{}", elsewhere.join("\n"));
}

/// All source files below a folder: their path within it, and their text.
fn sources(root: &Path) -> Vec<(String, String)> {
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("it is below").to_string_lossy().into_owned();
                files.push((name, fs::read_to_string(&path).expect("a text")));
            }
        }
    }
    files
}
