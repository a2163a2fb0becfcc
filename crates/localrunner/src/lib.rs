//! The built-in runners of `lightsout up`: what the vendors' own runners are to their platforms and to the agent, as
//! far as a demo needs it. One program stands for all of them: called by one of the names in [`RUNNERS`], it is that
//! program.
//!
//! A vendor is one file or folder, and two lines here: its module and its entry in [`RUNNERS`]. Below the vendors,
//! `worker` takes jobs and runs them, `executor` says where (in a `container` or as a `process`), and
//! `client` is where most vendors' jobs come from.

mod client;
mod container;
mod executor;
mod faults;
pub mod http;
mod job;
pub mod machine;
mod page;
mod process;
mod program;
mod runner;
mod worker;

mod buildkite;
mod circleci;
mod github;
mod gitlab;
mod spacelift;
mod stackguardian;

use std::{ffi::OsString, process::ExitCode};

pub use self::runner::{Entry, Host, Runner, SUBCOMMAND};

/// The runners, a line each.
pub const RUNNERS: &[&Runner] = &[
    &buildkite::RUNNER,
    &circleci::RUNNER,
    &github::RUNNER,
    &gitlab::RUNNER,
    &spacelift::RUNNER,
    &stackguardian::RUNNER,
];

/// The runner of this platform, as `lightsout up --platform` names it.
pub fn runner_of(platform: &str) -> Option<&'static Runner> {
    RUNNERS.iter().copied().find(|runner| runner.platform == platform)
}

/// Runs the program of this name with these arguments, if a runner has one.
pub fn run(name: &str, args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let programs = RUNNERS.iter().flat_map(|runner| runner.programs);
    let (_, entry) = programs.into_iter().find(|(program, _)| *program == name)?;
    Some(entry(&args.into_iter().collect::<Vec<_>>()))
}

/// Runs `NAME ARGS`, what follows [`SUBCOMMAND`].
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let name = args.next().unwrap_or_default();
    name.to_str().and_then(|name| run(name, args)).unwrap_or_else(|| {
        let names = RUNNERS.iter().flat_map(|runner| runner.programs).map(|(name, _)| *name).collect::<Vec<_>>();
        eprintln!("error: no built-in runner is called {}; there are: {}", name.display(), names.join(", "));
        ExitCode::from(2)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_program_has_one_runner() {
        let names: Vec<_> = RUNNERS.iter().flat_map(|runner| runner.programs).map(|(name, _)| *name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        assert!(run("no-such-runner", []).is_none());
    }

    #[test]
    fn a_runner_is_installed_as_a_program_that_can_be_started() {
        for runner in RUNNERS {
            let folder = tempfile::tempdir().unwrap();
            let program = folder.path().join("lightsout");
            std::fs::copy("/bin/true", &program).unwrap();
            let started = runner.install(&program, &folder.path().join("bin")).unwrap();
            assert!(started.is_file(), "{runner:?}: {}", started.display());
            let mut installed = std::fs::read_dir(folder.path().join("bin")).unwrap();
            assert!(installed.all(|entry| entry.unwrap().metadata().is_ok()), "{runner:?}");
        }
    }
}
