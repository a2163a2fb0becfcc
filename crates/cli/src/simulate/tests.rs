use std::{env, fs, path::Path};

use clap::Parser;

use super::{Args, report};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn asked(line: &str) -> String {
    let words = line.split_whitespace();
    let command = Command::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
    report(&command.args).unwrap_or_else(|error| format!("{error:#}"))
}

/// A file with this text, and the folder that keeps it.
fn file(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, text).expect("it is written");
    let path = path.display().to_string();
    (folder, path)
}

/// Any rule of the core that changes what a fleet does changes this table.
#[test]
fn the_documents_table_is_what_its_command_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/simulate.md");
    let text = fs::read_to_string(&path).expect("the document");
    let (before, rest) = text.rsplit_once("`lightsout simulate ").expect("the command");
    let (command, rest) = rest.split_once("`:\n\n```\n").expect("its end");
    let (table, after) = rest.split_once("```").expect("the table");
    let printed = asked(&format!("lightsout {command}"));
    if env::var_os("UPDATE_DOCS").is_some() {
        let renewed = format!("{before}`lightsout simulate {command}`:\n\n```\n{printed}```{after}");
        fs::write(&path, renewed).expect("it is written");
    } else {
        assert_eq!(table, printed, "renew it: UPDATE_DOCS=1 cargo test -p lightsout simulate");
    }
}

#[test]
fn a_seed_gives_the_same_bytes_on_however_many_threads() {
    let line = "simulate --made 500 --peers --losses 10 --json --seed";
    assert_eq!(asked(&format!("{line} 7")), asked(&format!("{line} 7")));
    assert_ne!(asked(&format!("{line} 7")), asked(&format!("{line} 8")));
}

#[test]
fn a_table_of_jobs_and_boots_of_agents_make_a_history() {
    let (_jobs, jobs) = file("jobs.csv", "queued,seconds\n0,60\n0,60\n5000,60\n");
    let departure = r#"{"schema":1,"kind":"departure","time":"2026-11-26T03:00:00Z","instance":"i-1","platform":"gitlab","reason":"idle",
        "decided_by":"agent","trigger":"","way":"group","jobs":{},"served":1,"phases":[],"boot":[{"part":"ready","until_ms":40000}],
        "proof":{"proven":true,"steps":[]},"versions":{"agent":"1"}}"#;
    let (_agents, agents) = file("agents.log", &departure.replace('\n', ""));
    let text = asked(&format!("simulate --jobs {jobs} {agents} --idle-timeout 2m --spare 0 --price 1"));
    for part in [
        "3 jobs over 1 h 23 min",
        "boots for 40s (as 1 instance told)",
        "idle_timeout 2m (now)",
        "cost",
        "Keep the present settings",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_cannot_be_read_or_makes_no_sense_says_what_to_do() {
    let (_jobs, jobs) = file("jobs.csv", "when,seconds\n0,60\n");
    for (line, parts) in [
        (
            format!("simulate --jobs {jobs}"),
            &["jobs.csv has no records", "docs/simulate.md", "names no column `queued`"][..],
        ),
        (format!("simulate --jobs {jobs}.not"), &["cannot read", "jobs.csv.not"]),
        ("simulate --made 5 --min 3 --max 2".to_owned(), &["--min 3 is above --max 2"]),
        (format!("simulate --made 5 --slots {}", ["1"; 80].join(",")), &["1200 combinations", "1000 together"]),
    ] {
        let text = asked(&line);
        assert!(parts.iter().all(|part| text.contains(part)), "{line}: {text}");
    }
    for line in [
        "simulate",
        "simulate --made 5 --tick 1ms",
        "simulate --made 5 --webhook maybe",
        "simulate --made 5 --idle-timeout 10",
    ] {
        assert!(Command::try_parse_from(line.split_whitespace()).is_err(), "{line}");
    }
}
