//! The names of what can be found.

use serde::Serialize;

macro_rules! causes {
    ($($(#[doc = $doc:literal])* $name:ident = $word:literal),+ $(,)?) => {
        /// Why something is as it is. The names stay: others search by them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Cause { $($(#[doc = $doc])* #[serde(rename = $word)] $name),+ }

        impl Cause {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }
        }
    };
}

causes! {
    // Of a pool.
    /// The scaler could not read the queue or the group, or could not raise.
    TickFailed = "tick-failed",
    /// The platform or the cloud does not accept the token or the credentials.
    TokenRefused = "token-refused",
    /// A right is missing.
    RightMissing = "right-missing",
    /// Another scaler scales.
    Standby = "standby",
    /// The scaler may change nothing.
    DryRun = "dry-run",
    /// The raises of other pools go first.
    WaitsForTurn = "waits-for-turn",
    /// The upper bound is below the need.
    AtMost = "at-most",
    /// What one tick may add is below the need.
    MaxStep = "max-step",
    /// The last raise is too fresh.
    Cooldown = "cooldown",
    /// Fewer jobs wait than count.
    Threshold = "threshold",
    /// The group may have more already than its description shows.
    Lately = "lately",
    /// Raises were in vain: instances came and left, and nobody took the jobs.
    FutileDemand = "futile-demand",
    /// The jobs ask for what no instance of the pool has.
    TagMismatch = "tag-mismatch",
    /// Instances neither take jobs nor leave.
    DeafMember = "deaf-member",
    /// The queue was read in part.
    PartialReading = "partial-reading",
    /// The cloud has no capacity.
    NoCapacity = "no-capacity",
    /// The account's quota is used up.
    Quota = "quota",
    /// The group may not use the key of the disks.
    Key = "key",
    /// Launches fail for another reason.
    LaunchFails = "launch-fails",
    /// The group launches nothing, since somebody suspended that.
    LaunchesSuspended = "launches-suspended",
    /// More was asked for a moment ago.
    Raised = "raised",
    /// There is as much as is needed.
    Enough = "enough",
    /// No job of the pool waits.
    NothingWaits = "nothing-waits",
    /// The lower bound is above the need.
    AtLeast = "at-least",
    /// Instances are kept ready.
    Spare = "spare",
    /// More is desired than is needed; the scaler never lowers.
    Surplus = "surplus",
    /// Instances leave as broken.
    Breaking = "breaking",

    // Of an instance.
    /// It works.
    Busy = "busy",
    /// It is idle, and its time is not over.
    Idle = "idle",
    /// It is idle, and its group is at its floor.
    AtFloor = "at-floor",
    /// An operator holds it.
    Held = "held",
    /// A probe cannot be read, which counts as busy.
    UnknownProbe = "unknown-probe",
    /// It does not serve yet.
    Booting = "booting",
    /// It cannot register its runner.
    NotRegistered = "not-registered",
    /// It takes no more jobs and waits for those that run.
    Draining = "draining",
    /// It is empty and on its way out.
    Retiring = "retiring",
    /// No job for the idle timeout.
    IdleTimeout = "idle-timeout",
    /// It has served as many jobs as it may.
    JobLimit = "job-limit",
    /// It was as old as it may become.
    Age = "age",
    /// An operator called it away.
    Operator = "operator",
    /// The cloud recommended to rebalance.
    Rebalance = "rebalance",
    /// The cloud scheduled maintenance.
    Maintenance = "maintenance",
    /// The group chose it.
    ScaleIn = "scale-in",
    /// An instance refresh replaced it.
    Refresh = "refresh",
    /// The cloud took it back.
    Spot = "spot",
    /// It was not ready in time.
    BootDeadline = "boot-deadline",
    /// Its runner is too old for its platform.
    RunnerTooOld = "runner-too-old",
    /// The program for each boot failed.
    BeforeRegister = "before-register",
    /// Its runner ended again and again.
    RunnerExits = "runner-exits",
    /// There was too little room for another job.
    Full = "full",
    /// It could not do its work.
    Broken = "broken",
    /// The group ended it while it waited for jobs behind its termination hook.
    HookTimedOut = "hook-timed-out",
    /// Its termination hook could not be extended, and may be still.
    HookFails = "hook-fails",
    /// A right is missing for its way out.
    Refused = "refused",
    /// Its group took it for unhealthy.
    Unhealthy = "unhealthy",

    // Of a job.
    /// It waits.
    Waiting = "waiting",
    /// An instance has it, or had it when it was last heard of.
    Running = "running",
    /// It has ended by itself.
    Ended = "ended",
    /// It was cut.
    Cut = "cut",
}
