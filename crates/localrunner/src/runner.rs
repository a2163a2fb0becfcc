//! What a vendor's built-in runner is to whoever sets a machine up: programs to install, and variables for them.

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The word before a program's name when it is run as a part of this program, and not by its own name.
pub const SUBCOMMAND: &str = "runner";

/// The built-in runner of one CI platform.
pub struct Runner {
    /// The platform, as `lightsout up --platform` names it.
    pub platform: &'static str,
    /// The programs that it consists of: the name by which each is called, and its entry, which takes the arguments
    /// without that name.
    pub programs: &'static [(&'static str, Entry)],
    pub(crate) install: fn(&Path, &Path) -> io::Result<PathBuf>,
    pub(crate) environment: fn(&Host<'_>) -> Vec<(&'static str, OsString)>,
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
