//! What a platform more touches: docs/platforms.md lists it, and this is where the list is counted. CircleCI stands for all, being the one whose
//! name is no word of everyday language, nor a site that is spoken of for other reasons.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const NAME: &str = "circleci";

#[test]
fn a_seventh_platform_touches_what_the_list_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut named = BTreeSet::new();
    collect(&root, &root, &mut named);
    let text = fs::read_to_string(root.join("docs/platforms.md")).unwrap();
    let (_, list) = text.split_once("<!-- touched -->\n").unwrap();
    let (list, _) = list.split_once("<!-- /touched -->").unwrap();
    let listed: BTreeSet<String> = paths(list).map(|path| path.replace("NAME", NAME)).collect();
    let covers = |listed: &str, path: &str| path == listed || listed.ends_with('/') && path.starts_with(listed);
    let missing: Vec<_> = named.iter().filter(|path| !listed.iter().any(|listed| covers(listed, path))).collect();
    let needless: Vec<_> = listed.iter().filter(|listed| !named.iter().any(|path| covers(listed, path))).collect();
    assert!(
        missing.is_empty(),
        "they name a platform, and the list in docs/platforms.md does not have them: {missing:#?}"
    );
    assert!(needless.is_empty(), "they name no platform, and stand in the list in docs/platforms.md: {needless:#?}");
}

/// What stands between backticks at the beginning of a row.
fn paths(list: &str) -> impl Iterator<Item = String> {
    let cells = list.lines().filter_map(|row| row.strip_prefix("| `")?.split(" |").next());
    cells.flat_map(|cell| cell.split("`, `").map(|path| path.trim_matches('`').to_owned()).collect::<Vec<_>>())
}

/// The files of code, settings and tests that name the platform or are named after it; prose may speak of whom it likes.
fn collect(root: &Path, folder: &Path, named: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let built = [".git", ".venv", ".terraform", "target", "__pycache__"].contains(&name.as_str());
        if built || path.extension().is_some_and(|ending| ending == "md") || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, named);
            continue;
        }
        // The present file is about the name, and what is no text names nobody.
        let own = path.ends_with(Path::new(file!()).file_name().unwrap());
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let path = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        if !own && (text.to_lowercase().contains(NAME) || path.contains(NAME)) {
            named.insert(path);
        }
    }
}
