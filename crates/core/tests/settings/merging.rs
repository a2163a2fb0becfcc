//! Fragments: later files win key by key, lists of pools grow, and each problem names its file.

use super::*;
use proptest::prelude::*;

fn parse(fragments: &[(&str, &str)]) -> Result<ScalerSettings, Problems> {
    let fragments: Vec<_> = fragments.iter().map(|(path, text)| Fragment::new(*path, *text)).collect();
    ScalerSettings::parse(&fragments)
}

#[test]
fn later_files_win_key_by_key_and_pools_add_up() {
    let settings = parse(&[
        (
            "a.toml",
            "tick = '5s'\n[defaults]\nslots = 4\nspare = 1\n[[pool]]\ngroup = 'a'\nplatform.command.queue = ['q']\n",
        ),
        ("b.toml", "tick = '7s'\n[defaults]\nspare = 3\n[[pool]]\ngroup = 'b'\nplatform.command.queue = ['q']\n"),
    ])
    .unwrap();
    assert_eq!(settings.tick.as_secs(), 7);
    let pools: Vec<_> =
        settings.pools.iter().map(|pool| (pool.name.as_str(), pool.policy.slots, pool.policy.spare)).collect();
    assert_eq!(pools, [("a", 4, 3), ("b", 4, 3)]);
}

#[test]
fn a_problem_names_the_file_that_the_value_came_from() {
    let result = parse(&[
        ("a.toml", "[[pool]]\ngroup = 'a'\nplatform.command.queue = ['q']\nslots = 0\n"),
        ("b.toml", "tick = 3\n"),
        ("c.toml", "\n[[pool]]\ngroup = 'a'\nplatform.command.queue = ['q']\n"),
    ]);
    let places: Vec<_> =
        result.unwrap_err().0.into_iter().map(|problem| (problem.place.unwrap().to_string(), problem.key)).collect();
    let expected = [("a.toml:4", "pool[a].slots"), ("b.toml:1", "tick"), ("c.toml:2", "pool[a]")];
    assert_eq!(places, expected.map(|(place, key)| (place.to_owned(), key.to_owned())));
}

#[test]
fn what_is_missing_is_told_from_what_is_wrong() {
    let result = parse(&[("a.toml", "[[pool]]\ngroup = 'a'\nslots = 0\n")]);
    let missing = result.unwrap_err().0.into_iter().map(|problem| (problem.key, problem.missing));
    let expected = [("pool[a].platform", true), ("pool[a].slots", false)];
    assert_eq!(missing.collect::<Vec<_>>(), expected.map(|(key, missing)| (key.to_owned(), missing)));
}

#[test]
fn all_files_are_parsed_before_anything_is_refused() {
    let problems = parse(&[("a.toml", "x = \n"), ("b.toml", "[pool\n")]).unwrap_err().0;
    let files: Vec<_> = problems.iter().map(|problem| &*problem.place.as_ref().unwrap().file).collect();
    assert_eq!(files, ["a.toml", "b.toml"]);
}

proptest! {
    /// Anything at all leads to settings or to problems that can be printed.
    #[test]
    fn never_panics(text in "\\PC{0,80}") {
        let _ = ScalerSettings::parse(&one(&text)).map_err(|problems| problems.to_string());
        let _ = AgentSettings::parse(&one(&text)).map_err(|problems| problems.to_string());
    }

    /// Nor does any value at any place where a setting is expected.
    #[test]
    fn no_value_panics(
        key in prop::sample::select(&["tick", "pool", "defaults", "platforms", "agent", "imds", "docker", "platform"][..]),
        inner in prop::sample::select(&["group", "slots", "platform", "min", "idle_timeout", "confirm", "metrics", "from", "gitlab", "spot"][..]),
        value in prop::sample::select(&["1", "-1", "1.5", "true", "''", "'x'", "'10s'", "[]", "['']", "[1]", "{}", "{gitlab={}}", "[{}]", "1979-05-27"][..]),
    ) {
        for text in [format!("{key} = {value}"), format!("[{key}]\n{inner} = {value}"), format!("[[{key}]]\n{inner} = {value}")] {
            let _ = ScalerSettings::parse(&one(&text)).map_err(|problems| problems.to_string());
            let _ = AgentSettings::parse(&one(&text)).map_err(|problems| problems.to_string());
        }
    }
}
