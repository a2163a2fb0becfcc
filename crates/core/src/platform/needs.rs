//! What a platform's runner needs of the machine, as far as the settings tell before anybody is asked.

use std::fmt;

use crate::exchange::Call;

/// What a platform's runner needs of the machine.
#[derive(Default)]
pub struct RunnerNeeds {
    /// Its program, as the settings name it: a path, or a name to look for in `PATH`.
    pub program: Option<String>,
    /// Finds out the version of its program, or that there is none to ask for.
    pub version: Option<Call<RunnerVersion>>,
    /// The unit with which the vendor's own package starts it, besides the agent.
    pub unit: Option<&'static str>,
    /// Below which of systemd's slices its jobs' containers are, where their parent is not the one that the engine was told.
    pub slice: Option<&'static str>,
    /// Why it needs IPv4.
    pub ipv4: Option<&'static str>,
    /// What of its secrets can do more than one instance needs, and the narrower way.
    pub broad_secret: Option<&'static str>,
    /// The address of the platform, which answers to whoever asks, be it with a refusal.
    pub address: Option<String>,
}

impl fmt::Debug for RunnerNeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerNeeds").field("program", &self.program).field("unit", &self.unit).finish_non_exhaustive()
    }
}

/// What a runner says of its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerVersion {
    /// The version, or that it says none.
    pub said: String,
    /// What may fail with it.
    pub doubt: Option<String>,
    /// Why the platform gives it no jobs.
    pub refused: Option<String>,
}
