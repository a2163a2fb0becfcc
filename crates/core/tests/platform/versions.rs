//! Which version of its vendor's runner each platform asks for before it registers, and what it makes of the answer.

use lightsout_core::{
    exchange::{Effect, EffectId, EffectResult, ExchangeStep, Program, RunAs},
    platform::{HostContext, KINDS, RunnerVersion},
    settings::{AgentSettings, Fragment},
};

use crate::{
    exchange::{host, output},
    harmless::open,
};

/// The table of versions in the documentation.
fn documented() -> &'static str {
    let (_, rest) = include_str!("../../../../docs/platforms.md").split_once("**Versions.**").expect("the section");
    rest.split_once("\n**").map_or(rest, |(section, _)| section)
}

/// A platform whose runner says its version.
struct Says {
    platform: &'static str,
    settings: &'static str,
    program: &'static str,
    /// What versions that are known say.
    known: &'static [&'static str],
    /// What one that is not says, and what may fail with it.
    unknown: (&'static str, &'static str),
}

const SAY: [Says; 4] = [
    Says {
        platform: "gitlab",
        settings: "url = 'https://gitlab.example.com'\ntoken = { env = 'T' }\n",
        program: "gitlab-runner",
        known: &["Version:      16.0.1\nGit revision: 1\n", "Version:      19.4.0\nGo version:   go1.24.6\n"],
        unknown: ("Version:      15.11.0\n", "reads its configuration again"),
    },
    Says {
        platform: "github",
        settings: "organization = 'acme'\ntoken = { env = 'T' }\nlabels = ['linux']\n",
        program: "/opt/actions-runner/bin/Runner.Listener",
        known: &["2.335.1\n"],
        unknown: ("3.0.0\n", "names of its processes"),
    },
    Says {
        platform: "buildkite",
        settings: "queue = 'linux'\ntoken = { env = 'T' }\n",
        program: "buildkite-agent",
        known: &["buildkite-agent version 3.137.0+12345.abc\n", "buildkite-agent version 4.0.0-beta.15\n"],
        unknown: ("buildkite-agent version 5.0.0\n", "cancelled job may take"),
    },
    Says {
        platform: "circleci",
        settings: "token = { env = 'T' }\n",
        program: "circleci-runner",
        known: &["circleci-runner version 3.1.5\n", "3.0.20-8a1b2c3\n"],
        unknown: ("circleci-launch-agent 1.1.73189\n", "command_prefix"),
    },
];

/// The others, by the runner's row in the documentation.
const UNTOLD: [(&str, &str, &str); 5] = [
    (
        "github",
        "organization = 'acme'\ntoken = { env = 'T' }\nprogram = ['sudo', '/run.sh']\n",
        "the GitHub Actions runner",
    ),
    // It may drop its argument and begin to work.
    (
        "github",
        "organization = 'acme'\ntoken = { env = 'T' }\nprogram = ['/opt/start.sh']\n",
        "the GitHub Actions runner",
    ),
    ("spacelift", "token = { env = 'B' }\nprivate_key = { env = 'B' }\n", "spacelift-launcher"),
    ("stackguardian", "organization = 'o'\nrunner_group = 'g'\ntoken = { env = 'T' }\n", "sg-runner"),
    ("command", "run = ['/bin/ci']\n", "`command`"),
];

fn settings(platform: &str, settings: &str) -> String {
    format!("[platform.{platform}]\n{settings}")
}

/// The first thing that a registration asks.
fn asks_first(settings: &str) -> Option<Effect> {
    match open(settings).register(&HostContext { slots: 1, ..host() }).start() {
        ExchangeStep::Perform(_, effect) => Some(effect),
        ExchangeStep::Done(_) | ExchangeStep::Wait => None,
    }
}

/// What `doctor` is told when the program answers so.
fn told(settings: &str, says: &str) -> RunnerVersion {
    let settings = AgentSettings::parse(&[Fragment::new("agent.toml", settings)]).expect(settings);
    let mut question = settings.platform.needs().version.expect("each platform has an answer");
    match question.start() {
        ExchangeStep::Perform(..) => {}
        ExchangeStep::Done(version) => return version.expect("it is known"),
        ExchangeStep::Wait => panic!("it waits for nothing"),
    }
    let answered = question.resume(EffectId::default(), EffectResult::Program(Ok(output(0, says, ""))));
    let ExchangeStep::Done(version) = answered else { panic!("one answer is enough") };
    version.expect("it was answered")
}

#[test]
fn each_runner_that_has_a_version_is_asked_for_it_before_it_is_registered() {
    for Says { platform, settings: text, program, known, unknown } in SAY {
        let settings = settings(platform, text);
        let Some(Effect::Program(Program { argv, run_as, .. })) = asks_first(&settings) else {
            panic!("{platform}: no program was asked")
        };
        assert_eq!(argv, [program, "--version"]);
        assert_eq!(run_as, RunAs::Runner, "jobs of {platform} may have written to it");
        for says in known {
            let version = told(&settings, says);
            assert_eq!((version.doubt.as_deref(), version.refused.as_deref()), (None, None), "{says}");
        }
        for says in [unknown.0, "no number"] {
            let doubt = told(&settings, says).doubt.expect(says);
            assert!(doubt.contains(unknown.1), "{doubt}");
            // The documentation says the same versions.
            let (_, rest) = doubt.split_once("settings are written for ").expect("which ones");
            let (supported, _) = rest.split_once(": ").expect("what may fail");
            let at = supported.find(|c: char| c.is_ascii_digit()).expect("a number");
            let row = format!("| {} | {} |", supported[..at].trim(), &supported[at..]);
            assert!(documented().contains(&row), "docs/platforms.md has no row {row:?}");
        }
    }
    let version = told(&settings("github", SAY[1].settings), "2.328.0\n");
    assert!(version.refused.is_some_and(|why| why.contains("2.329.0")), "GitHub gives it no jobs");
}

/// `run.sh` is what an operator may call a script of their own, which drops its arguments and begins to work.
#[test]
fn no_script_of_an_operators_is_run_to_find_a_version() {
    for folder in ["/usr/local/bin", "/srv/ci"] {
        let text = format!("organization = 'acme'\ntoken = {{ env = 'T' }}\nprogram = ['{folder}/run.sh']\n");
        let Some(Effect::Program(Program { argv, .. })) = asks_first(&settings("github", &text)) else {
            panic!("no program was asked")
        };
        assert_eq!(argv, [&format!("{folder}/bin/Runner.Listener"), "--version"]);
    }
}

#[test]
fn a_runner_without_a_version_to_ask_for_is_not_asked_and_that_is_said() {
    for (platform, text, runner) in UNTOLD {
        let settings = settings(platform, text);
        if let Some(Effect::Program(program)) = asks_first(&settings) {
            assert!(!program.argv.contains(&"--version".to_owned()), "{platform}: {program:?}");
        }
        let version = told(&settings, "1.2.3");
        assert!(version.doubt.is_none() && !version.said.contains("1.2.3"), "{version:?}");
        assert!(version.said.contains("cannot be asked") || version.said.contains("of your own"), "{version:?}");
        let row = documented().lines().find(|line| line.starts_with(&format!("| {runner} | "))).expect(runner);
        assert!(row.contains("cannot be asked") || row.contains("it is not asked"), "{row}");
    }
}

#[test]
fn no_platform_is_left_out() {
    for kind in KINDS {
        let listed = SAY.iter().any(|says| says.platform == kind.name) || UNTOLD.iter().any(|row| row.0 == kind.name);
        assert!(listed, "{kind:?}: how its runner's version is found is not tested");
    }
}
