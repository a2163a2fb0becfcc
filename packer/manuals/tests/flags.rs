//! The programs have one habit: a flag is the same wherever it is, and a duration is written in one way.

use std::{any::TypeId, collections::BTreeMap, time::Duration};

use clap::{Arg, Command};

/// Flags that are one word for two things, or have one value in one place and several in another, and why that stays.
const EXCEPTIONS: [(&str, &str); 7] = [
    ("by", "what rows are of, and how an agent is reached"),
    ("group", "for a policy it may be an ARN"),
    ("idle-timeout", "instances that are simulated may stay for ever"),
    ("image", "what a job's container is made of; a doctor is told that it looks at a machine's"),
    ("jobs", "how many are made, and where those of a history are"),
    ("price", "where there are several pools it names one"),
    ("webhook", "a simulation tries both"),
];

/// A flag of a command.
struct Flag {
    place: String,
    name: String,
    arg: Arg,
}

/// Those of all programs that are shown.
fn flags() -> Vec<Flag> {
    let mut found = Vec::new();
    for command in [lightsout::command(), lightsout_agent::command(), lightsout_scaler::command()] {
        gather(&command, command.get_name(), &mut found);
    }
    found
}

fn gather(command: &Command, place: &str, found: &mut Vec<Flag>) {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    found.extend(
        shown.filter_map(|arg| {
            Some(Flag { place: place.to_owned(), name: arg.get_long()?.to_owned(), arg: arg.clone() })
        }),
    );
    for command in command.get_subcommands() {
        gather(command, &format!("{place} {}", command.get_name()), found);
    }
}

/// Whether it has a value, what that is called and read by, and the short form. Of a list, what one of it is.
fn shape(arg: &Arg) -> String {
    let value = arg.get_action().takes_values().then(|| {
        let name = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
        (name.trim_end_matches(",...").to_owned(), arg.get_value_parser().type_id())
    });
    format!("{value:?}")
}

#[test]
fn a_flag_is_the_same_in_each_command_of_each_program() {
    let mut uses: BTreeMap<String, Vec<Flag>> = BTreeMap::new();
    for flag in flags() {
        uses.entry(flag.name.clone()).or_default().push(flag);
    }
    for shared in ["config", "json", "log", "log-format", "metrics", "emf", "tick"] {
        assert!(uses[shared].len() > 1, "--{shared} is in one place: is this still its name?");
    }
    let mut wrong = Vec::new();
    for (name, uses) in &uses {
        let differs = uses.iter().any(|flag| {
            let short = flag.arg.get_short() == uses[0].arg.get_short();
            !short || shape(&flag.arg) != shape(&uses[0].arg)
        });
        if differs != EXCEPTIONS.iter().any(|(flag, _)| flag == name) {
            let uses = uses.iter().map(|it| format!("\n  {}: {:?} {}", it.place, it.arg.get_short(), shape(&it.arg)));
            wrong.push(format!("--{name}{}", uses.collect::<String>()));
        }
    }
    assert!(wrong.is_empty(), "not the same everywhere, or no exception any more:\n{}", wrong.join("\n"));
}

#[test]
fn a_duration_is_called_and_read_alike_everywhere() {
    let mut durations = 0;
    for Flag { place, name, arg } in flags() {
        let is_one = arg.get_value_parser().type_id() == TypeId::of::<Duration>();
        let called = arg.get_value_names().is_some_and(|names| names.concat().starts_with("DURATION"));
        if is_one {
            assert!(called, "{place} --{name} takes a DURATION: {}", shape(&arg));
        }
        if !called {
            continue;
        }
        durations += 1;
        let alone =
            || Command::new("alone").arg(Arg::new("it").long("it").value_parser(arg.get_value_parser().clone()));
        let refused = alone().try_get_matches_from(["alone", "--it", "90"]).expect_err("a number hides its unit");
        let why = "not a duration; write a number with its unit, such as \"90s\"";
        assert!(refused.to_string().contains(why), "{place} --{name}: {refused}");
        alone().try_get_matches_from(["alone", "--it", "1m30s"]).unwrap_or_else(|error| panic!("{place}: {error}"));
    }
    assert!(durations > 10, "{durations} of them: is this still their type?");
}
/// As clap's own is: it begins with a capital letter, and its first paragraph has no full stop.
#[test]
fn help_is_written_in_one_style() {
    for Flag { place, name, arg } in flags() {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let begins = help.chars().next().is_some_and(char::is_uppercase);
        assert!(begins && !help.ends_with('.'), "{place} --{name}: {help:?}");
    }
}
