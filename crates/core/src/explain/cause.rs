//! The names of what can be found.

use serde::Serialize;

/// Why something is as it is. The names stay: others search by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    // Of a pool.
    /// The scaler could not read the queue or the group, or could not raise.
    TickFailed,
    /// The platform or the cloud does not accept the token or the credentials.
    TokenRefused,
    /// A right is missing.
    RightMissing,
    /// Another scaler scales.
    Standby,
    /// The scaler may change nothing.
    DryRun,
    /// The raises of other pools go first.
    WaitsForTurn,
    /// The upper bound is below the need.
    AtMost,
    /// What one tick may add is below the need.
    MaxStep,
    /// The last raise is too fresh.
    Cooldown,
    /// Fewer jobs wait than count.
    Threshold,
    /// The group may have more already than its description shows.
    Lately,
    /// Raises were in vain: instances came and left, and nobody took the jobs.
    FutileDemand,
    /// The jobs ask for what no instance of the pool has.
    TagMismatch,
    /// Instances neither take jobs nor leave.
    DeafMember,
    /// The queue was read in part.
    PartialReading,
    /// The cloud has no capacity.
    NoCapacity,
    /// The account's quota is used up.
    Quota,
    /// The group may not use the key of the disks.
    Key,
    /// Launches fail for another reason.
    LaunchFails,
    /// The group launches nothing, since somebody suspended that.
    LaunchesSuspended,
    /// More was asked for a moment ago.
    Raised,
    /// There is as much as is needed.
    Enough,
    /// No job of the pool waits.
    NothingWaits,
    /// The lower bound is above the need.
    AtLeast,
    /// Instances are kept ready.
    Spare,
    /// More is desired than is needed; the scaler never lowers.
    Surplus,
    /// Instances leave as broken.
    Breaking,

    // Of an instance.
    /// It works.
    Busy,
    /// It is idle, and its time is not over.
    Idle,
    /// It is idle, and its group is at its floor.
    AtFloor,
    /// An operator holds it.
    Held,
    /// A probe cannot be read, which counts as busy.
    UnknownProbe,
    /// It does not serve yet.
    Booting,
    /// It cannot register its runner.
    NotRegistered,
    /// It takes no more jobs and waits for those that run.
    Draining,
    /// It is empty and on its way out.
    Retiring,
    /// No job for the idle timeout.
    IdleTimeout,
    /// It has served as many jobs as it may.
    JobLimit,
    /// It was as old as it may become.
    Age,
    /// An operator called it away.
    Operator,
    /// The cloud recommended to rebalance.
    Rebalance,
    /// The cloud scheduled maintenance.
    Maintenance,
    /// The group chose it.
    ScaleIn,
    /// An instance refresh replaced it.
    Refresh,
    /// The cloud took it back.
    Spot,
    /// It was not ready in time.
    BootDeadline,
    /// Its runner is too old for its platform.
    RunnerTooOld,
    /// The program for each boot failed.
    BeforeRegister,
    /// Its runner ended again and again.
    RunnerExits,
    /// There was too little room for another job.
    Full,
    /// It could not do its work.
    Broken,
    /// The group ended it while it waited for jobs behind its termination hook.
    HookTimedOut,
    /// Its termination hook could not be extended, and may be still.
    HookFails,
    /// A right is missing for its way out.
    Refused,
    /// Its group took it for unhealthy.
    Unhealthy,

    // Of a job.
    /// It waits.
    Waiting,
    /// An instance has it.
    Running,
    /// It has ended by itself.
    Ended,
    /// It was cut.
    Cut,
}
