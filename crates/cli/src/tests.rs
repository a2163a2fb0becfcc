//! What a person types that cannot work, and what fails: exit code 2 without a try, and 1 after one.

use std::{ffi::OsString, fs};

use clap::Parser;
use lightsout_io::command_line::Failure;

use super::{Cli, execute};

/// What becomes of the line; words in quotes are one.
fn asked(line: &str) -> Result<(), Failure> {
    let words = line.split('"').enumerate().flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().map(OsString::from).collect(),
        _ => vec![part.into()],
    });
    let cli = Cli::try_parse_from([OsString::from("lightsout")].into_iter().chain(words));
    cli.map_err(|error| Failure::Refused(error.to_string())).and_then(execute).map(drop)
}

const SCALER: &str = "[[pool]]\ngroup = 'ci'\nplatform.command.queue = ['true']\n";
const RECORD: &str = r#"{"schema":1,"kind":"incident","time":"2026-11-26T03:00:00Z","instance":"i-1","group":"ci","platform":"gitlab","what":"started","detail":""}"#;

#[test]
fn arguments_and_settings_that_cannot_work_are_refused_and_the_rest_fails() {
    let home = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).expect("it is written");
        path.display().to_string()
    };
    let (works, bad) = (file("fine.toml", SCALER), file("bad.toml", "[[pool]]\ngroup = 7\n"));
    let two = file("two.toml", &SCALER.repeat(2).replacen("'ci'", "'other'", 1));
    let (records, empty) = (file("records.log", RECORD), file("empty.log", ""));
    let dir = home.path().join("fleet").display().to_string();
    let refused = [
        ("ups", "unrecognized subcommand"),
        // Flags that make no sense, alone or together.
        ("up --jobs many", "--jobs"),
        ("up --once --keep", "--keep"),
        ("up --idle-timeout soon", "not a duration"),
        ("up --tick 10", "write a number with its unit, such as \"90s\""),
        ("up --min 6", "--min is above --max"),
        ("up --max 0", "--max 0 leaves no room"),
        ("up --cloud azure --launch-hook", "--launch-hook is for --cloud aws"),
        ("up --platform gitlob", "gitlob"),
        ("up --platform github --slots 2", "takes one job at a time"),
        ("up --platform spacelift --slots 2", "takes one job at a time"),
        ("up --platform github --runner /bin/true", "--platform gitlab or buildkite"),
        ("up --platform stackguardian --webhook", "has no webhook"),
        ("up --runner /nowhere", "--runner /nowhere: "),
        ("up --agent-settings /nowhere", "--agent-settings /nowhere: "),
        ("up --prices /nowhere.toml", "/nowhere.toml"),
        ("interrupt", "<ID>"),
        ("drain", "<ID>"),
        ("hold i-1 --for soon", "not a duration"),
        ("hold i-1 --for 99999999d", "write a duration from 1s to 365d"),
        ("cost --since 99999999d", "write a duration from 0s to 3650d"),
        ("ps --agents", "--group"),
        ("ps --region eu-central-1", "--region needs --group"),
        ("logs i-1 --since 1h", "--log-group"),
        ("logs i-1 --group ci --follow", "--follow needs --log-group"),
        ("scale-in 0", "0 is not in 1.."),
        ("enqueue --count 0", "0 is not in 1..=100000"),
        ("explain x --at noon", "not a time"),
        ("timeline --from - --web", "standard input can be read once"),
        ("simulate --made 9 --min 3 --max 2", "--min 3 is above --max 2"),
        ("simulate --made 9 --tick 10ms", "--tick"),
        ("simulate --made 9 --schedule \"mon 07:30-18:00 spare 4\"", "by whose clock"),
        ("simulate --made 9 --schedule sometimes --zone UTC", "--schedule \"sometimes\""),
        ("simulate --made 9 --zone Nowhere/Land", "--zone \"Nowhere/Land\""),
        ("simulate --made 9 --zone UTC --max 3 --schedule \"mon 07:30-18:00 spare 4\"", "could never be kept"),
        (&format!("simulate --made 9 --spare {}", "1,".repeat(1_001).trim_end_matches(',')), "too many"),
        (&format!("iam --config {works} --account 12"), "an account has twelve digits"),
        (&format!("iam --config {works} --account 123456789012 --key alias/x"), "is no ARN of a key"),
        // Settings.
        ("simulate --made 9 --config /nowhere.toml", "/nowhere.toml"),
        (&format!("simulate --made 9 --config {bad}"), "pool[#1].group"),
        (&format!("simulate --made 9 --config {works} --pool other"), "--config has no pool other; it has ci"),
        (&format!("simulate --made 9 --config {two}"), "--config has the pools other, ci; choose one with --pool"),
        ("simulate --made 9 --agent /nowhere.toml", "/nowhere.toml"),
        (&format!("simulate --made 9 --agent {bad}"), "the settings have"),
        (&format!("simulate --made 9 --prices {works}"), "--prices: these settings have no [prices]"),
        (&format!("iam --config {bad}"), "pool[#1].group"),
        ("iam --agent /nowhere.toml --group ci", "/nowhere.toml"),
        ("doctor --config /nowhere.toml", "/nowhere.toml"),
        (&format!("doctor --config {works} --agent {bad}"), "the settings have"),
        (&format!("doctor --config {works} --group other"), "no pool has this group; the settings have ci"),
        ("cost --records /nowhere --prices /nowhere.toml", "--prices: /nowhere.toml"),
        ("timeline --from /nowhere --prices /nowhere.toml", "--prices: /nowhere.toml"),
        (&format!("cost --records {records} --prices {works}"), "these settings have no [prices]"),
        (&format!("cost --records {records} --price other=2"), "--price other=...: no such pool"),
        (&format!("timeline --from {records} --price other=2"), "--price other=...: no such pool"),
        // Where 1 would say that something is missing.
        (&format!("iam --config {works} --account 123456789012 --region eu-west-1 --diff /nowhere"), "--diff /nowhere"),
    ];
    let failed = [
        ("ps", "no fleet is running"),
        ("down", "no fleet is running"),
        ("drain i-1", "no fleet is running"),
        ("logs i-1", "no log of `i-1`"),
        ("explain x", "no fleet is running"),
        ("explain x --records /nowhere", "cannot read /nowhere"),
        ("simulate --jobs /nowhere", "cannot read /nowhere"),
        ("simulate --made 9 -o /nowhere/page.html", "-o /nowhere/page.html: cannot be written"),
        (&format!("simulate --jobs {empty}"), "is no table of jobs"),
        (&format!("cost --records {empty}"), "no record is among"),
        (&format!("cost --records {records} --until 2026-11-01T00:00:00Z"), "no instance is told of"),
        (&format!("timeline --from {records} -o /nowhere/page.html"), "cannot be written"),
    ];
    let long = asked(&format!("--dir /{} up", "long/".repeat(30)));
    assert!(matches!(&long, Err(Failure::Refused(why)) if why.contains("too long a path")), "{long:?}");
    let asked = |line: &str| asked(&format!("--dir {dir} {line}"));
    let mut unlike = Vec::new();
    for (line, wanted) in refused {
        let came = asked(line);
        if !matches!(&came, Err(Failure::Refused(why)) if why.contains(wanted)) {
            unlike.push(format!("{line}: {came:?} is no refusal with {wanted:?}"));
        }
    }
    for (line, wanted) in failed {
        let came = asked(line);
        if !matches!(&came, Err(Failure::Failed(why)) if why.contains(wanted)) {
            unlike.push(format!("{line}: {came:?} is no failure with {wanted:?}"));
        }
    }
    assert!(unlike.is_empty(), "{}", unlike.join("\n"));
    assert!(!home.path().join("fleet").exists(), "nothing was begun");
}
