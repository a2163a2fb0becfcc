use std::{env, fs, path::Path};

use clap::Parser;

use super::{Args, report};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

/// What is printed. What stands in quotes is one word.
fn asked(line: &str) -> String {
    let words = line.split('"').enumerate().flat_map(|(index, part)| {
        let words: Vec<&str> = if index % 2 == 1 { vec![part] } else { part.split_whitespace().collect() };
        words
    });
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

/// The tables of a document, each with the command that stands under it.
fn tables(text: &str) -> Vec<(String, String)> {
    let parts: Vec<&str> = text.split("```\n\nMade by `lightsout ").collect();
    let pairs = parts.windows(2).filter_map(|pair| match pair {
        [before, after] => {
            let (_, table) = before.rsplit_once("```\n")?;
            let (command, _) = after.split_once('`')?;
            Some((command.to_owned(), table.to_owned()))
        }
        _ => None,
    });
    pairs.collect()
}

/// Any rule of the core that changes what a fleet does changes these tables.
#[test]
fn the_documents_tables_are_what_their_commands_print() {
    for (name, count) in [("docs/simulate.md", 2), ("README.md", 1)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
        let mut text = fs::read_to_string(&path).expect("the document");
        let tables = tables(&text);
        assert_eq!(tables.len(), count, "tables of {name}");
        for (command, table) in tables {
            let printed = asked(&command);
            if env::var_os("UPDATE_DOCS").is_some() {
                text = text.replacen(&table, &printed, 1);
                fs::write(&path, &text).expect("it is written");
            } else {
                assert_eq!(table, printed, "{name}; renew it: UPDATE_DOCS=1 cargo test -p lightsout simulate");
            }
        }
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
fn a_simulated_hour_costs_what_an_hour_of_the_instances_in_the_records_did() {
    let (_jobs, jobs) = file("jobs.csv", "queued,seconds\n0,60\n");
    // One hour as spot, three on demand, and one of a machine of which nothing is told.
    let told = |instance: &str, hour: u32, what: &str, machine: &str| {
        format!(
            "{{\"schema\":1,\"kind\":\"incident\",\"time\":\"2026-11-26T{hour:02}:00:00Z\",\"instance\":\"{instance}\",\"platform\":\"gitlab\",{machine}\
             \"what\":\"{what}\",\"detail\":\"\"}}\n"
        )
    };
    let kind = |spot: bool| format!("\"machine_type\":\"m7i.large\",\"spot\":{spot},");
    let records = [
        told("i-1", 7, "started", &kind(true)),
        told("i-2", 5, "started", &kind(false)),
        told("i-3", 7, "started", ""),
        told("i-4", 8, "started", &kind(true)),
    ];
    let (_agents, agents) = file("agents.log", &records.concat());
    let (_prices, prices) =
        file("scaler.toml", "[prices]\ncurrency = \"USD\"\nmachines.\"m7i.large\" = { on_demand = 2, spot = 1 }\n");
    let text = asked(&format!("simulate --jobs {jobs} {agents} --idle-timeout 2m --spare 0 --prices {prices}"));
    let line = "an instance hour costs 1.7500 USD: the mean of the hours of 2 instances of which records tell; 1 more have no price\n";
    assert!(text.contains(line) && text.contains("spot  cost\n"), "{text}");
    let without = asked(&format!("simulate --jobs {jobs} --idle-timeout 2m --spare 0 --prices {prices}"));
    assert!(
        without.contains("there is no cost: no record tells of a machine") && !without.contains("spot  cost"),
        "{without}"
    );
    let (_scaler, scaler) =
        file("whole.toml", &format!("{BY_DAY}[prices.machines]\n\"m7i.large\" = {{ on_demand = 2, spot = 1 }}\n"));
    let config = asked(&format!(
        "simulate --jobs {jobs} {agents} --idle-timeout 2m --spare 0 --schedule none --config {scaler}"
    ));
    assert!(config.contains("an instance hour costs 1.7500: the mean"), "{config}");
}

/// One log may have the agents of all pools.
#[test]
fn a_simulated_hour_costs_what_the_instances_of_the_pool_did_and_those_of_no_other() {
    let decision = |second: u32, queued: u32, running: u32| {
        format!(
            "{{\"schema\":1,\"kind\":\"decision\",\"time\":\"2026-11-26T05:00:{second:02}Z\",\"pool\":\"linux\",\"group\":\"ci-linux\",\
             \"platform\":\"gitlab\",\"result\":\"held\",\"why\":{{\"queued\":{queued},\"running\":{running},\"slots\":1,\"utilisation\":100,\
             \"threshold\":1,\"spare\":0,\"need\":0,\"min\":0,\"max\":9,\"desired\":1,\"target\":1,\"limit\":\"none\"}},\"reason\":\"\",\
             \"ms\":{{\"demand\":1,\"describe\":1,\"raise\":null,\"total\":2}}}}\n"
        )
    };
    let told = |hour: u32, group: &str, machine: &str| {
        format!(
            "{{\"schema\":1,\"kind\":\"incident\",\"time\":\"2026-11-26T{hour:02}:00:00Z\",\"instance\":\"i-{group}\",\"group\":\"{group}\",\
             \"platform\":\"gitlab\",\"machine_type\":\"{machine}\",\"spot\":false,\"what\":\"started\",\"detail\":\"\"}}\n"
        )
    };
    let records = [
        decision(0, 1, 0),
        decision(10, 0, 1),
        decision(50, 0, 0),
        told(5, "ci-linux", "m7i.large"),
        told(5, "ci-gpu", "p5.48xlarge"),
        told(8, "ci-linux", "m7i.large"),
    ];
    let (_records, log) = file("all.log", &records.concat());
    let machines = "machines.\"m7i.large\" = { on_demand = 2 }\nmachines.\"p5.48xlarge\" = { on_demand = 98 }\n";
    let (_prices, prices) = file("scaler.toml", &format!("[prices]\n{machines}"));
    let text = asked(&format!("simulate --jobs {log} --pool linux --idle-timeout 2m --spare 0 --prices {prices}"));
    assert!(text.contains("an instance hour costs 2.0000: the mean of the hours of 1 instance "), "{text}");
}

/// The settings of a pool that works by day.
const BY_DAY: &str = "tick = \"30s\"\n[[pool]]\nname = \"ci\"\ngroup = \"g\"\nspare = 1\nschedule = [\"mon-fri 08:00-18:00 spare 4\"]\n\
    zone = \"UTC\"\n[pool.platform.gitlab]\nurl = \"https://ci.example\"\ngroup = \"g\"\ntags = [\"t\"]\ntoken = \"x\"\n";

#[test]
fn the_settings_of_files_are_the_present_ones_and_a_list_goes_before_them() {
    let (_scaler, scaler) = file("scaler.toml", BY_DAY);
    let (_agent, agent) = file(
        "agent.toml",
        "[agent]\nidle_timeout = \"4m\"\n[platform.gitlab]\nurl = \"https://ci.example\"\ntoken = \"glrt-x\"\n",
    );
    let names = |more: &str| {
        let text = asked(&format!("simulate --made 20 --config {scaler} --agent {agent} --json {more}"));
        let report: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        let names = report["settings"].as_array().expect("settings").iter().map(|it| it["name"].clone());
        names.map(|name| name.as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let all = names("");
    assert_eq!(all[0], "idle_timeout 4m, spare 1, schedule mon-fri 08:00-18:00 spare 4");
    assert!(all.contains(&"idle_timeout 2m, spare 0, schedule none".to_owned()), "{all:?}");
    assert_eq!(all.len(), 6 * 3 * 2);
    let few = names("--idle-timeout 1m --spare 0 --tick 10s,60s");
    assert_eq!(few[0], "tick 10s, schedule mon-fri 08:00-18:00 spare 4");
    assert_eq!(few.len(), 4);
    let others =
        names("--idle-timeout 1m --spare 0 --schedule none --schedule \"sat spare 1; mon spare 2\" --zone UTC");
    assert_eq!(others[1..], ["schedule none", "schedule sat spare 1; mon spare 2"]);
}

#[test]
fn a_schedule_that_is_tried_says_what_it_would_cost_and_save_and_what_each_entry_did() {
    let line = "simulate --made 300 --idle-timeout 10m --spare 0 --zone UTC --schedule \"mon-fri 08:00-18:00 spare 4\"";
    let text = asked(&format!("{line} --price 1"));
    let sentence = text.lines().find(|line| line.starts_with("Schedule ")).unwrap_or_else(|| panic!("{text}"));
    for part in [
        "\"mon-fri 08:00-18:00 spare 4\" (clock of UTC), instead of none: ",
        " h more of instances, +",
        "together wait ",
        " h less, half",
    ] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
    // Five days of ten hours each.
    assert!(text.contains("\"mon-fri 08:00-18:00 spare 4\" was in force for 2 d 2 h; of 2"), "{text}");
    let report = asked(&format!("{line} --json"));
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let [now, then] = [0, 1].map(|index| &report["settings"][index]["outcome"]);
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let waits = number(&then["waits"]["total"]) - number(&now["waits"]["total"]);
    assert!(waits < 0.0 && (number(&report["schedules"][0]["more_waiting_seconds"]) - waits).abs() < 1e-6, "{report}");
    let costs = number(&then["seconds"]["idle"]) - number(&now["seconds"]["idle"]);
    assert!(costs > 3_600.0 && number(&report["schedules"][0]["more_instance_seconds"]) > 3_600.0, "{report}");
}

#[test]
fn the_page_has_every_number_of_the_report_and_no_script() {
    let (_folder, path) = file("simulate.html", "");
    let line = format!(
        "simulate --made 60 --idle-timeout 10m,2m --spare 0 --peers --price 0.5 --schedule \"mon spare 1\" --zone <+02>-2 --json -o {path}"
    );
    let report: serde_json::Value = serde_json::from_str(&asked(&line)).expect("JSON");
    let page = fs::read_to_string(&path).expect("the page");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{page}");
    assert!(
        !page.contains("script") && !page.contains("http:") && !page.contains("https:") && !page.contains("/*"),
        "it asks nobody, and runs nothing"
    );
    assert!(page.contains("(clock of &lt;+02&gt;-2)") && !page.contains("<+02"), "what is told is text");
    let played: Vec<&serde_json::Value> =
        ["settings", "peers"].into_iter().flat_map(|key| report[key].as_array().expect("a list")).collect();
    assert_eq!(page.matches("<tr class=").count(), played.len());
    assert_eq!(page.matches("<circle ").count(), played.len());
    for it in played {
        let name = it["name"].as_str().expect("a name");
        let (_, row) = page.split_once(&format!("data-name=\"{name}\"><th>")).unwrap_or_else(|| panic!("{name}"));
        let (row, _) = row.split_once("</tr>").expect("its end");
        let outcome = &it["outcome"];
        for (what, value) in [
            ("p95", &outcome["waits"]["p95"]),
            ("booting", &outcome["seconds"]["booting"]),
            ("idle", &outcome["seconds"]["idle"]),
            ("cut", &outcome["cut"]),
            ("cost", &it["cost"]),
        ] {
            let (_, shown) = row.split_once(&format!("data-what=\"{what}\" data-value=\"")).expect("a cell");
            let shown: f64 = shown.split('"').next().and_then(|text| text.parse().ok()).expect("a number");
            let number = value.as_f64().expect("a number");
            assert!((shown - number).abs() < 1e-6, "{name}, {what}: {shown} for {number}");
        }
    }
    let advised = report["advice"]["take"].as_str().expect("advice");
    let (_, taken) = page.split_once("taken\" data-name=\"").expect("one is taken");
    assert!(taken.starts_with(advised), "{advised}");
    let (_folder, nowhere) = file("a", "");
    assert!(asked(&format!("simulate --made 5 -o {nowhere}/b.html")).contains("cannot be written"));
}

#[test]
fn a_schedule_that_cannot_be_says_what_to_write() {
    let (_scaler, scaler) = file(
        "scaler.toml",
        &format!(
            "{BY_DAY}{}",
            BY_DAY.replace("tick = \"30s\"\n", "").replace("\"ci\"", "\"gpu\"").replace("\"g\"", "\"h\"")
        ),
    );
    for (line, parts) in [
        ("--schedule \"mon spare 2\"".to_owned(), &["--schedule \"mon spare 2\"", "by whose clock", "--zone UTC"][..]),
        (
            "--schedule \"moon spare 2\" --zone UTC".to_owned(),
            &["\"moon\"", "mon, tue", "mon-fri 07:30-18:00 spare 4; sat spare 1"],
        ),
        ("--schedule \"mon spare 2\" --zone UTC+2".to_owned(), &["--zone \"UTC+2\"", "opposite", "<+02>-2"]),
        ("--schedule \"mon spare 2\" --zone UTC --max 1".to_owned(), &["spare 2", "above the most", "--max"]),
        (format!("--config {scaler}"), &["the pools ci, gpu", "--pool"]),
        (format!("--config {scaler} --pool cpu"), &["no pool cpu", "ci, gpu"]),
        (format!("--config {scaler}.not"), &["cannot be read", "scaler.toml.not"]),
    ] {
        let text = asked(&format!("simulate --made 5 {line}"));
        assert!(parts.iter().all(|part| text.contains(part)), "{line}: {text}");
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
