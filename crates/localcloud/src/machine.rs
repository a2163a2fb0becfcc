//! The machines behind the instances: what the driver needs of them, whatever they are made of.

use std::io;

use futures_util::future::BoxFuture;

use crate::fleet::AgentReport;

/// What a machine is told when it is powered on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The instance id, such as `i-0123456789abcdef0`.
    pub id: String,
    /// The Auto Scaling group that launched it; empty when none did.
    pub group: String,
    /// Where this instance's own metadata service answers, such as `http://127.0.0.1:40123`.
    pub imds: String,
    /// Where the cloud's APIs and the CI platform answer: the URL of the [`LocalCloud`](crate::LocalCloud).
    pub aws: String,
    pub region: String,
    /// The user data of the launch template, decoded.
    pub user_data: String,
    /// How many hops the answers of the metadata service travel: the TTL of their packets.
    pub hop_limit: u8,
}

/// How a script ended on a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

/// Powers machines on.
pub trait Machines: Send + Sync + 'static {
    /// Powers one on. It resolves when the machine runs; an error is a launch failure of the cloud.
    fn boot(&self, boot: Boot) -> BoxFuture<'static, io::Result<Box<dyn Machine>>>;

    /// An instance is gone for good, and its disk with it; nothing of it runs. One that is only stopped is booted again.
    fn discard(&self, _id: &str) {}
}

/// One machine that was powered on. It is dropped some time after it was powered off, and then holds nothing any more.
pub trait Machine: Send + Sync + 'static {
    /// Resolves when the machine powered itself off. It is asked once.
    fn off(&self) -> BoxFuture<'static, ()>;

    /// The cloud ends it: a clean shutdown for a moment, then a hard one. Resolves when nothing of it runs any more; it may
    /// be called after the machine powered itself off, and then removes what is left.
    fn power_off(&self) -> BoxFuture<'static, ()>;

    /// Kills the agent alone, as a crash would; everything else on the machine goes on.
    ///
    /// # Errors
    /// When there is no agent to kill.
    fn crash_agent(&self) -> io::Result<()>;

    /// Runs a script in the machine's shell, as its administrator, as the cloud's own agent on it does when it is told to.
    ///
    /// # Errors
    /// When it cannot be begun. A machine of which nothing else is said runs none.
    fn run(&self, _script: &str) -> BoxFuture<'static, io::Result<Ran>> {
        Box::pin(async { Err(io::Error::other("nothing on this machine runs commands")) })
    }

    /// From now on the answers of the metadata service travel this many hops. Where there is no network between the two it
    /// means nothing.
    fn set_hop_limit(&self, _: u8) {}

    /// What the agent says about itself in its status file, when it says anything. It is asked once more after the machine
    /// was powered off.
    fn report(&self) -> Option<AgentReport> {
        None
    }
}
