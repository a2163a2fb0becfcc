//! What the documentation says of settings and platforms is what the code says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "what is tested here are files of the project")]

mod blanks;
mod default_settings;
mod durations;
mod examples;
mod metrics;
mod migration;
mod monitoring;
mod records;
mod rights;
mod seventh;
mod tables;
mod timers;

use std::{
    collections::BTreeSet,
    env, fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use lightsout_core::{
    platform::KINDS,
    settings::{
        AGENT_KEYS, DOCKER_KEYS, IMDS_KEYS, MACHINE_PRICE_KEYS, METRICS_KEYS, POOL_KEYS, PRICES_KEYS, RECORDS_KEYS,
        SCALER_KEYS, WEBHOOK_KEYS,
    },
};

use tables::{doctor_table, platform_table, section_table, tag_table, variable_table};

/// Replaces what stands between the markers of a table; panics when a marker is missing.
fn with_table(text: &str, name: &str, table: &str) -> String {
    let (open, close) = (format!("<!-- keys:{name} -->\n"), "<!-- /keys -->");
    let start = text.find(&open).unwrap_or_else(|| panic!("no {open:?}")) + open.len();
    let end = start + text[start..].find(close).unwrap_or_else(|| panic!("no {close:?} after {name}"));
    format!("{}\n{table}\n{}", &text[..start], &text[end..])
}

/// Compares a file with its tables as they should be; rewrites it when `UPDATE_DOCS` is set.
fn check(file: &str, tables: &[(&str, String)]) {
    check_whole(file, |found| {
        tables.iter().fold(found.to_owned(), |text, (name, table)| with_table(&text, name, table))
    });
}

/// Compares a file with what it should be, given what it is.
fn check_whole(file: &str, expected: impl FnOnce(&str) -> String) {
    // Several tests renew tables of one file, each from what the one before it has written.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let found = fs::read_to_string(&path).expect(file);
    let expected = expected(&found);
    if env::var_os("UPDATE_DOCS").is_some() {
        // Other tests read it meanwhile.
        let draft = path.with_extension("new");
        fs::write(&draft, expected).expect(file);
        fs::rename(&draft, &path).expect(file);
        return;
    }
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(found == expected, "{file}: run the test with UPDATE_DOCS=1; the first difference: {differs:#?}");
}

#[test]
fn the_tables_of_platforms_list_their_keys() {
    let tables: Vec<_> = KINDS.iter().map(|kind| (kind.name, platform_table(kind.keys))).collect();
    check("docs/platforms.md", &tables);
}

#[test]
fn the_tables_of_the_readme_list_their_keys() {
    let agent = section_table(&[
        ("agent.", AGENT_KEYS),
        ("docker.", DOCKER_KEYS),
        ("imds.", IMDS_KEYS),
        ("metrics.", METRICS_KEYS),
        ("records.", RECORDS_KEYS),
        ("prices.", PRICES_KEYS),
        ("prices.machines.TYPE.", MACHINE_PRICE_KEYS),
    ]);
    let scaler = section_table(&[
        ("", SCALER_KEYS),
        ("metrics.", METRICS_KEYS),
        ("pool.", POOL_KEYS),
        ("pool.webhook.", WEBHOOK_KEYS),
        ("prices.", PRICES_KEYS),
        ("prices.machines.TYPE.", MACHINE_PRICE_KEYS),
    ]);
    check("README.md", &[("agent", agent), ("scaler", scaler), ("tags", tag_table())]);
}

#[test]
fn the_table_of_variables_lists_them_all() {
    check("docs/lambda.md", &[("variables", variable_table())]);
}

#[test]
fn the_table_of_doctor_lists_its_rows() {
    check("docs/doctor.md", &[("doctor", doctor_table())]);
}

#[test]
fn the_table_of_metrics_is_the_registry() {
    check("docs/metrics.md", &[("metrics", metrics::table())]);
}

#[test]
fn a_platform_is_a_folder_and_two_lines() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for kind in KINDS {
        let mut found = Vec::new();
        mentions(&source, kind.name, &mut found);
        let own = format!("platform/{}", kind.name);
        found.retain(|mention| !mention.starts_with(&own));
        if kind.name == "command" {
            // A word of everyday language, in which the others may speak of their own.
            found.retain(|mention| !KINDS.iter().any(|other| mention.starts_with(&format!("platform/{}", other.name))));
            // And in the names of calls of Systems Manager, and of what is typed at a cloud's command line.
            found.retain(|mention| {
                !["iam/table.rs: ", "explain/cloud_cli.rs: "].iter().any(|file| mention.starts_with(file))
            });
        }
        let module = format!("platform.rs: pub mod {};", kind.name);
        let entry = format!("platform.rs: &{}::KIND,", kind.name);
        // Where its tokens can be told by how they begin.
        let tokens = format!("platform/tokens.rs: super::{}::tokens::BEGINNINGS,", kind.name);
        found.retain(|mention| *mention != tokens);
        assert_eq!(found, [module, entry], "{} stands elsewhere", kind.name);
    }
}

/// Each answer of a platform goes through what hides tokens, which must know those of all platforms: words alone, or each platform needs every
/// other.
#[test]
fn what_hides_tokens_needs_no_platform() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |file: &str| fs::read_to_string(source.join(file)).expect(file);
    for file in ["exchange.rs", "exchange/text.rs", "redact.rs"] {
        let text = read(file).replace("platform::tokens", "");
        assert!(!text.contains("platform::"), "{file} needs more of the platforms than how their tokens begin");
    }
    let all = read("platform/tokens.rs");
    let folders =
        all.lines().filter_map(|line| line.trim().strip_prefix("super::")?.strip_suffix("::tokens::BEGINNINGS,"));
    let files: Vec<_> = folders.map(|folder| format!("platform/{folder}/tokens.rs")).collect();
    assert!(files.len() > 3 && all.matches("::").count() == 3 * files.len(), "{all}");
    for file in files {
        assert!(!read(&file).replace("in crate::platform", "").contains("::"), "{file} is more than words");
    }
}

/// Each line below a folder that names the platform, as `file: line`.
fn mentions(folder: &Path, name: &str, found: &mut Vec<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            mentions(&path, name, found);
            continue;
        }
        // Tests need names for their examples.
        if path.ends_with("tests.rs") {
            continue;
        }
        let file = path.strip_prefix(&root).expect("below the source").display().to_string();
        let text = fs::read_to_string(&path).expect("text");
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for line in product.lines().filter(|line| line.to_lowercase().contains(name)) {
            found.push(format!("{file}: {}", line.trim()));
        }
    }
}

/// The names of all tests of the project: functions of Rust files, and of the scripts under `tests`.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                functions(&path, found);
            }
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for line in text.lines().map(str::trim_start) {
            let rust = line.trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ");
            let shell = line.strip_suffix("() {");
            let python = line.strip_prefix("def ").and_then(|rest| rest.split('(').next());
            let terraform = line.strip_prefix("run \"").and_then(|rest| rest.strip_suffix("\" {"));
            let rust = rust.and_then(|rest| rest.split(['(', '<']).next());
            if let Some(function) = rust.or(shell).or(python).or(terraform) {
                found.insert(function.to_owned());
            }
        }
    }
}

#[test]
fn each_failure_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut known = BTreeSet::new();
    functions(&root, &mut known);
    let text = fs::read_to_string(root.join("docs/failures.md")).expect("docs/failures.md");
    let rows = text.lines().filter(|line| {
        line.starts_with("| ") && !line.starts_with("| What happened |") && !line.starts_with("| Who |")
    });
    let mut count = 0;
    for row in rows {
        let last = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        let named: Vec<_> = last.split('`').skip(1).step_by(2).collect();
        // What cannot happen here needs a sentence instead.
        assert!(!named.is_empty() || last.starts_with("cannot happen: "), "no test is named in {row}");
        let missing: Vec<_> = named.iter().filter(|name| !known.contains(**name)).collect();
        assert!(missing.is_empty(), "there is no test {missing:?}, named in {row}");
        count += 1;
    }
    assert!(count > 0, "the rows were not found");
}
