//! Moving from other systems: each name that their users know has a row in `docs/migrate.toml`, and what a row names of
//! ours exists. The tables of `docs/migrate.md` and of `packer/README.md` come from there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use lightsout_core::{
    platform::KINDS,
    settings::{AGENT_KEYS, DOCKER_KEYS, IMDS_KEYS, POOL_KEYS, RECORDS_KEYS, SCALER_KEYS, WEBHOOK_KEYS},
};

use crate::{check, tables::variable_table};

/// System, part, kind, name.
type Tables<T> = BTreeMap<String, BTreeMap<String, BTreeMap<String, T>>>;
type Rows = BTreeMap<String, Row>;

/// Those parts whose tables are where images are described.
const IMAGES: [&str; 2] = ["packer", "image"];

/// What becomes of one name of theirs.
struct Row {
    to: Vec<String>,
    but: Option<String>,
    gone: Option<String>,
    later: Option<String>,
}

#[test]
fn the_tables_of_the_migration_list_their_rows() {
    let (mut images, mut others) = (Vec::new(), Vec::new());
    for (system, parts) in rows() {
        for (part, kinds) in parts {
            let tables = if IMAGES.contains(&part.as_str()) { &mut images } else { &mut others };
            tables.extend(kinds.iter().map(|(kind, rows)| (format!("{system}.{part}.{kind}"), table(kind, rows))));
        }
    }
    for (file, tables) in [("docs/migrate.md", others), ("packer/README.md", images)] {
        let tables: Vec<_> = tables.iter().map(|(name, table)| (name.as_str(), table.clone())).collect();
        check(file, &tables);
    }
}

#[test]
fn each_name_of_another_system_has_its_row() {
    let rows = rows();
    let mut count = 0;
    for (system, parts) in known() {
        for (part, kinds) in parts {
            for (kind, names) in kinds {
                let have = rows.get(&system).and_then(|it| it.get(&part)).and_then(|it| it.get(&kind));
                let missing: Vec<_> =
                    names.iter().filter(|name| !have.is_some_and(|it| it.contains_key(*name))).collect();
                assert!(missing.is_empty(), "docs/migrate.toml has no row in [{system}.{part}.{kind}] for {missing:?}");
                count += names.len();
            }
        }
    }
    assert!(count > 400, "{count} names were found");
}

#[test]
fn what_a_row_names_of_ours_exists() {
    let ours = ours();
    let mut wrong = Vec::new();
    for (system, parts) in rows() {
        for (part, kinds) in parts {
            for (kind, rows) in kinds {
                for (name, row) in rows {
                    let at = format!("[{system}.{part}.{kind}] {name}");
                    // What is kept says where, what is not says why.
                    let says = usize::from(row.gone.is_some()) + usize::from(row.later.is_some());
                    if says > 1 || (row.gone.is_some() && !row.to.is_empty()) || (says == 0 && row.to.is_empty()) {
                        wrong.push(format!("{at}: needs `to`, or one of `gone` and `later`"));
                    }
                    let missing = row.to.iter().filter(|target| !ours.contains(*target));
                    wrong.extend(missing.map(|target| format!("{at}: there is no {target}")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "docs/migrate.toml:\n{}", wrong.join("\n"));
}

/// What the function makes of a variable by itself is what the page says of it.
#[test]
fn the_function_understands_a_variable_as_its_row_says() {
    let parts = [
        ("stackguardian-aws", "autoscaler"),
        ("stackguardian-azure", "autoscaler"),
        ("spacelift", "autoscaler"),
        ("circleci", "function"),
        ("buildkite", "scaler"),
    ];
    let mut rows = rows();
    let rows: Rows = parts
        .iter()
        .filter_map(|(system, part)| rows.get_mut(*system)?.get_mut(*part)?.remove("environment"))
        .flatten()
        .collect();
    let table = variable_table();
    let understood = table.lines().skip(2).filter_map(|line| {
        let mut code = line.split('`').skip(1).step_by(2);
        Some((code.next()?, code.next().unwrap_or_default(), code, line))
    });
    let mut count = 0;
    let said = |row: &Row| row.but.as_ref().is_some_and(|but| but.starts_with("not read from the old environment"));
    let mut unknown: BTreeSet<_> = rows.iter().filter(|(_, row)| !said(row)).map(|(name, _)| name.as_str()).collect();
    for (name, key, with, line) in understood {
        unknown.remove(name);
        // Variables that say the rest of what this one says.
        for other in with {
            unknown.remove(other);
        }
        let row = rows.get(name).unwrap_or_else(|| panic!("docs/migrate.toml has no row for {name}"));
        if line.contains("no meaning any more") {
            let scalers = row.to.iter().filter(|it| it.starts_with("pool.")).collect::<Vec<_>>();
            assert!(scalers.is_empty(), "{name} has no meaning for the function, and {scalers:?} by docs/migrate.toml");
        } else {
            let key = key.strip_prefix("pool.platform.").map_or_else(|| key.to_owned(), |it| format!("platform.{it}"));
            assert!(row.to.contains(&key), "{name} is {key} for the function, and {:?} by docs/migrate.toml", row.to);
        }
        count += 1;
    }
    assert!(count > 60, "{count} variables were found");
    assert!(
        unknown.is_empty(),
        "the old environment may stay as it is, says the page, and the function knows nothing of {unknown:?}"
    );
}

/// `SetInstanceProtection` refuses a call whole that names one instance in another state, and a hook that was there before holds, or ends, the first
/// instance of ours already.
#[test]
fn a_group_is_protected_and_its_hooks_are_looked_at_before_an_instance_of_ours_comes() {
    let page = read("docs/migrate.md");
    let (before, _) =
        page.split_once("*A new version of the launch template*").expect("the step that brings instances of ours");
    let protecting: Vec<_> = before.lines().filter(|line| line.contains("set-instance-protection")).collect();
    assert!(
        !protecting.is_empty() && protecting.iter().all(|line| line.contains("xargs -r ")),
        "nobody may be there: {protecting:?}"
    );
    let named = before.lines().filter(|line| line.contains("--query") && line.contains(".InstanceId"));
    for query in named {
        assert!(query.contains("LifecycleState=='InService'"), "it names instances that are coming or going: {query}");
    }
    for what in ["describe-lifecycle-hooks", "`agent.launch_hook`", "THEIRS --default-result CONTINUE"] {
        assert!(before.contains(what), "{what} comes too late, or not at all");
    }
}

/// Jobs in containers that used the instance's role stop working at hop limit 1, which is ours everywhere.
#[test]
fn what_jobs_lose_with_the_hop_limit_is_said_before_anything_is_applied() {
    for (page, first) in [
        ("docs/migrate.md", "## The move, with jobs running"),
        ("terraform/aws/README.md", "## Examples"),
        ("cloudformation/README.md", "aws cloudformation create-stack"),
    ] {
        let text = read(page);
        let (before, _) = text.split_once(first).expect(first);
        for what in ["hop limit 1", "role"] {
            assert!(before.contains(what), "{page} says nothing of {what} before {first}");
        }
    }
}

/// Everything that a row may name: settings, and the variables, outputs and examples of what deploys them.
fn ours() -> BTreeSet<String> {
    let mut ours = BTreeSet::new();
    for (path, keys) in [
        ("agent.", AGENT_KEYS),
        ("docker.", DOCKER_KEYS),
        ("imds.", IMDS_KEYS),
        ("records.", RECORDS_KEYS),
        ("", SCALER_KEYS),
        ("pool.", POOL_KEYS),
        ("pool.webhook.", WEBHOOK_KEYS),
    ] {
        ours.extend(keys.iter().map(|key| format!("{path}{}", key.name)));
    }
    for kind in KINDS {
        ours.extend(kind.keys.iter().map(|key| format!("platform.{}.{}", kind.name, key.name)));
    }
    ours.extend(blocks("packer", "hcl", "variable", "packer."));
    ours.extend(blocks("terraform/aws", "tf", "variable", "var."));
    ours.extend(blocks("terraform/aws", "tf", "output", "output."));
    ours.extend(blocks("terraform/azure", "tf", "variable", "azure."));
    ours.extend(blocks("terraform/azure", "tf", "output", "azure.output."));
    ours.extend(files("terraform/aws/examples").map(|name| format!("example.{name}")));
    ours
}

/// The labels of all blocks of a kind in a folder's files, such as `variable "NAME" {`.
fn blocks(folder: &str, extension: &str, kind: &str, prefix: &str) -> Vec<String> {
    let open = format!("{kind} \"");
    let mut found = Vec::new();
    for file in files(folder).filter(|file| file.ends_with(&format!(".{extension}"))) {
        let text = read(&format!("{folder}/{file}"));
        let labels = text.lines().filter_map(|line| line.strip_prefix(&open)?.split('"').next());
        found.extend(labels.map(|label| format!("{prefix}{label}")));
    }
    assert!(!found.is_empty(), "no {kind} was found in {folder}");
    found
}

fn files(folder: &str) -> impl Iterator<Item = String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.expect("an entry can be read").file_name().to_string_lossy().into_owned())
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)).expect(file)
}

fn rows() -> Tables<Rows> {
    let data: Tables<BTreeMap<String, toml::Table>> =
        toml::from_str(&read("docs/migrate.toml")).expect("docs/migrate.toml is TOML of this shape");
    data.into_iter().map(|(system, parts)| (system, parts.into_iter().map(part).collect())).collect()
}

fn part((name, kinds): (String, BTreeMap<String, BTreeMap<String, toml::Table>>)) -> (String, BTreeMap<String, Rows>) {
    let kinds = kinds.into_iter().map(|(kind, rows)| {
        assert!(["variable", "environment", "output", "setting"].contains(&kind.as_str()), "unknown kind {kind}");
        (kind, rows.into_iter().map(|(name, row)| (name.clone(), Row::read(&name, row))).collect())
    });
    (name, kinds.collect())
}

impl Row {
    fn read(name: &str, mut row: toml::Table) -> Self {
        let mut text = |key: &str| row.remove(key).map(|it| it.as_str().expect("text").to_owned());
        let (but, gone, later) = (text("but"), text("gone"), text("later"));
        let to = row.remove("to").map(|it| it.try_into().expect("a list of names")).unwrap_or_default();
        assert!(row.is_empty(), "{name} has unknown keys: {row:?}");
        Self { to, but, gone, later }
    }
}

fn known() -> Tables<Vec<String>> {
    toml::from_str(&read("crates/core/tests/documentation/known_names.toml")).expect("names by system, part and kind")
}

fn table(kind: &str, rows: &Rows) -> String {
    let theirs = match kind {
        "variable" => "Variable",
        "environment" => "In the environment",
        "output" => "Output",
        _ => "There",
    };
    let mut table = format!("| {theirs} | Here | |\n|---|---|---|\n");
    for (name, row) in rows {
        let to: Vec<_> = row.to.iter().map(|target| format!("`{target}`")).collect();
        let note = match (&row.gone, &row.later, &row.but) {
            (Some(why), ..) => format!("dropped: {why}"),
            (_, Some(what), _) => format!("**not yet**: {what}"),
            (.., Some(what)) => what.clone(),
            _ => String::new(),
        };
        table += &format!("| `{name}` | {} | {note} |\n", to.join(", "));
    }
    table.replace("|  |", "| |")
}
