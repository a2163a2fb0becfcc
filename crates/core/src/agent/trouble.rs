//! How the troubles begin that break an instance: what the agent writes, and what explains it later reads.

/// `agent.before_register` failed.
pub(crate) const BEFORE_REGISTER: &str = "agent.before_register failed";
/// The boot deadline is over.
pub(crate) const NOT_READY: &str = "not ready within";
/// The runner's starts come to nothing.
pub(crate) const RUNNER_EXITED: &str = "the runner exited";
/// Nothing is known of what runs for too long.
pub(crate) const NOT_KNOWN: &str = "what runs here has not been known for";
/// The platform takes no runner of this age.
pub(crate) const TOO_OLD: &str = "is too old";
/// Nothing holds off an ending any more.
pub(crate) const NO_HOOK: &str = "no termination hook waits";
/// The service manager ends the agent.
pub(crate) const STOPPED: &str = "the service was told to stop (SIGTERM or SIGINT)";
