//! The settings that the packages install: each key, commented out, with what it means and what holds without it.

use lightsout_core::{
    platform::KINDS,
    settings::{
        AGENT_KEYS, AgentSettings, DOCKER_KEYS, Fragment, IMDS_KEYS, Key, MACHINE_PRICE_KEYS, METRICS_KEYS, POOL_KEYS,
        PRICES_KEYS, RECORDS_KEYS, SCALER_KEYS, ScalerSettings, Side, WEBHOOK_KEYS,
    },
};

use super::check_whole;

const AGENT: &str = "packer/packages/settings/agent.toml";
const SCALER: &str = "packer/packages/settings/scaler.toml";

const AGENT_HEAD: &str = "\
# The agent's settings. Everything is commented out: each key shows what holds without it, or is empty where that is no value.
# What an image or user data set goes into files of their own, /etc/lightsout/agent.d/*.toml, which are read after this one; so an upgrade
# never has to ask whose version of this file is to stay. One platform is needed. Then: systemctl enable --now lightsout-agent
";

const SCALER_HEAD: &str = "\
# The scaler's settings. Everything is commented out: each key shows what holds without it, or is empty where that is no value.
# Files in /etc/lightsout/scaler.d/*.toml are read after this one. At least one pool is needed, with its platform. Then:
#   lightsout-scaler check
#   systemctl enable --now lightsout-scaler-watch      (or lightsout-scaler.timer, for a tick a minute)
";

/// The tables of the agent's settings, in the order of the file.
fn agent_tables() -> Vec<(String, &'static [Key])> {
    let mut tables = vec![
        ("[agent]".to_owned(), AGENT_KEYS),
        ("[docker]".to_owned(), DOCKER_KEYS),
        ("[imds]".to_owned(), IMDS_KEYS),
        ("[metrics]".to_owned(), METRICS_KEYS),
        ("[records]".to_owned(), RECORDS_KEYS),
    ];
    tables.extend(KINDS.iter().map(|kind| (format!("[platform.{}]", kind.name), kind.keys)));
    tables.extend(prices());
    tables
}

fn scaler_tables() -> Vec<(String, &'static [Key])> {
    let mut tables = vec![
        (String::new(), SCALER_KEYS),
        ("[metrics]".to_owned(), METRICS_KEYS),
        ("[[pool]]".to_owned(), POOL_KEYS),
        ("[pool.webhook]".to_owned(), WEBHOOK_KEYS),
    ];
    tables.extend(KINDS.iter().map(|kind| (format!("[pool.platform.{}]", kind.name), kind.keys)));
    tables.extend(prices());
    tables
}

fn prices() -> [(String, &'static [Key]); 2] {
    [("[prices]".to_owned(), PRICES_KEYS), ("[prices.machines.\"TYPE\"]".to_owned(), MACHINE_PRICE_KEYS)]
}

/// The keys of one side.
fn of(side: Side, keys: &'static [Key]) -> impl Iterator<Item = &'static Key> {
    keys.iter().filter(move |key| key.side == side || key.side == Side::Both)
}

/// A default as TOML; `None` where it is no value, or one on a condition.
fn literal(key: &Key) -> Option<String> {
    let code = key.default?.strip_prefix('`')?.strip_suffix('`')?;
    let is_toml = |text: &str| toml::from_str::<toml::Table>(&format!("x = {text}")).is_ok();
    // Paths and addresses stand there as they are.
    let quoted = format!("\"{code}\"");
    [code.to_owned(), quoted].into_iter().find(|text| is_toml(text))
}

/// A comment in lines that a terminal shows whole.
fn comment(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        if lines.last().is_some_and(|line| line.len() + 1 + word.len() > 120) {
            lines.push(String::from("#"));
        }
        *lines.last_mut().expect("a line") += &format!(" {word}");
    }
    lines.join("\n") + "\n"
}

fn file(head: &str, side: Side, tables: &[(String, &'static [Key])]) -> String {
    let mut text = head.to_owned();
    for (table, keys) in tables {
        if !table.is_empty() {
            text += &format!("\n#{table}\n");
        }
        for key in of(side, keys) {
            // A table has its own place below.
            if key.kind.starts_with("table") {
                continue;
            }
            let without = match (key.default, literal(key)) {
                (None, _) => "; no default".to_owned(),
                (Some(default), None) => format!("; without it: {default}"),
                (Some(_), Some(_)) => String::new(),
            };
            text += &format!("\n{}", comment(&format!("{} ({}{without})", key.meaning, key.kind)));
            text += format!("#{} = {}", key.name, literal(key).unwrap_or_default()).trim_end();
            text.push('\n');
        }
    }
    text
}

fn agent() -> String {
    file(AGENT_HEAD, Side::Agent, &agent_tables())
}

fn scaler() -> String {
    file(SCALER_HEAD, Side::Scaler, &scaler_tables())
}

/// What somebody gets who takes the `#` away from every value that is shown, and nothing else.
fn uncommented(text: &str, until: &str) -> String {
    let lines = text.split(until).next().unwrap_or_default().lines();
    let set =
        lines.filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.ends_with('=')));
    set.map(|line| format!("{line}\n")).collect()
}

fn fragments(texts: &[&str]) -> Vec<Fragment> {
    texts.iter().map(|text| Fragment::new("a.toml", *text)).collect()
}

#[test]
fn the_packages_settings_have_every_key_with_its_default_and_meaning() {
    check_whole(AGENT, |_| agent());
    check_whole(SCALER, |_| scaler());
    for (text, side, tables) in [(agent(), Side::Agent, agent_tables()), (scaler(), Side::Scaler, scaler_tables())] {
        let unwrapped = text.replace("\n# ", " ");
        for key in tables.iter().flat_map(|(_, keys)| of(side, keys)).filter(|key| !key.kind.starts_with("table")) {
            assert!(text.contains(&format!("\n#{} =", key.name)) && unwrapped.contains(key.meaning), "{}", key.name);
        }
    }
}

#[test]
fn as_installed_only_a_platform_and_a_pool_are_missing() {
    let problems = AgentSettings::parse(&fragments(&[&agent()])).expect_err("no platform is named");
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert!(problems.to_string().contains("platform"), "{problems}");
    let problems = ScalerSettings::parse(&fragments(&[&scaler()])).expect_err("no pool is named");
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert!(problems.to_string().contains("pool"), "{problems}");
}

#[test]
fn a_default_that_is_shown_changes_nothing_when_it_is_set() {
    let platform = "[platform.gitlab]\nurl = \"https://gitlab.example.com\"\ntoken = \"glrt-x\"\n";
    let settings = |text: &str| {
        let settings =
            AgentSettings::parse(&fragments(&[text, platform])).unwrap_or_else(|problems| panic!("{problems}"));
        format!("{:?}", AgentSettings { warnings: Vec::new(), ..settings })
    };
    let shown = uncommented(&agent(), "#[platform.");
    assert!(shown.lines().count() > 20, "{shown}");
    assert_eq!(settings(&shown), settings(""));

    let pool = "[[pool]]\ngroup = \"g\"\nplatform.gitlab = { url = \"https://gitlab.example.com\", token = \"x\", group = \"y\", tags = [\"z\"] }\n";
    let settings = |top: &str, in_pool: &str| {
        let text = format!("{top}{pool}{in_pool}");
        let settings = ScalerSettings::parse(&fragments(&[&text])).unwrap_or_else(|problems| panic!("{problems}"));
        format!("{:?}", ScalerSettings { warnings: Vec::new(), ..settings })
    };
    let shown = uncommented(&scaler(), "#[pool.webhook]");
    let (top, in_pool) = shown.split_once("[[pool]]\n").expect("a pool");
    assert!(in_pool.lines().count() > 5, "{shown}");
    assert_eq!(settings(top, in_pool), settings("", ""));
}
