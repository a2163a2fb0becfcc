//! Words of incidents: what the agent writes, and what explains it later reads.

/// The platform takes no runner of this age.
pub(crate) const TOO_OLD: &str = "is too old";
/// Nothing holds off an ending any more.
pub(crate) const NO_HOOK: &str = "no termination hook waits";
/// The service manager ends the agent.
pub(crate) const STOPPED: &str = "the service was told to stop (SIGTERM or SIGINT)";
