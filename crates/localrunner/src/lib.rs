//! The built-in runners of `lightsout up`: what the vendors' own runners are to their platforms and to the agent, as
//! far as a demo needs it. One program stands for all of them: called by one of the names in [`RUNNERS`], it is that
//! program.
//!
//! A vendor is one file or folder, and two lines here: its module and its entry in [`RUNNERS`]. Below the vendors,
//! [`worker`] takes jobs and runs them, [`executor`] says where (in a [`container`] or as a [`process`]), and
//! [`client`] is where most vendors' jobs come from.

mod client;
mod container;
mod executor;
pub mod http;
mod job;
pub mod machine;
mod page;
mod process;
mod program;
mod worker;

mod buildkite;
mod circleci;
mod github;
mod gitlab;
mod spacelift;
mod stackguardian;

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The runners, a line each.
pub const RUNNERS: [&Runner; 6] = [
    &buildkite::RUNNER,
    &circleci::RUNNER,
    &github::RUNNER,
    &gitlab::RUNNER,
    &spacelift::RUNNER,
    &stackguardian::RUNNER,
];

/// The built-in runner of one CI platform.
pub struct Runner {
    /// The platform, as `lightsout up --platform` names it.
    pub platform: &'static str,
    /// The programs that it consists of: the name by which each is called, and its entry, which takes the arguments
    /// without that name.
    pub programs: &'static [(&'static str, Entry)],
    install: fn(&Path, &Path) -> io::Result<PathBuf>,
    environment: fn(&Host<'_>) -> Vec<(&'static str, OsString)>,
}

/// A program's entry.
pub type Entry = fn(&[OsString]) -> ExitCode;

/// The machine that a runner is installed on.
#[derive(Clone, Debug)]
pub struct Host<'a> {
    /// The machine's directory.
    pub dir: &'a Path,
    /// The program that [`Runner::install`] returned.
    pub runner: &'a Path,
    /// A free port, for what the runner serves.
    pub port: u16,
    /// Jobs at once.
    pub slots: u32,
    /// The image for jobs that name none, where jobs run in containers.
    pub image: Option<&'a str>,
}

impl Runner {
    /// The runner of this platform.
    pub fn of(platform: &str) -> Option<&'static Self> {
        RUNNERS.into_iter().find(|runner| runner.platform == platform)
    }

    /// Puts its programs into the directory `bin`, each of them `program` by another name. Returns the one that the
    /// agent starts.
    ///
    /// # Errors
    /// When `bin` cannot be written to, or holds a file of that name.
    pub fn install(&self, program: &Path, bin: &Path) -> io::Result<PathBuf> {
        std::fs::create_dir_all(bin)?;
        (self.install)(program, bin)
    }

    /// What the runner must find in its environment, and thus the agent that starts it.
    pub fn environment(&self, host: &Host<'_>) -> Vec<(&'static str, OsString)> {
        (self.environment)(host)
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("platform", &self.platform).finish_non_exhaustive()
    }
}

/// Runs the program of this name with these arguments, if a runner has one.
pub fn run(name: &str, args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let programs = RUNNERS.iter().flat_map(|runner| runner.programs);
    let (_, entry) = programs.into_iter().find(|(program, _)| *program == name)?;
    Some(entry(&args.into_iter().collect::<Vec<_>>()))
}

/// The word before a program's name when it is run as a part of this program, and not by its own name.
pub const SUBCOMMAND: &str = "runner";

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
