//! What an instance may do: read its own state, and act on itself.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use lightsout_core::cloud::{
    Capabilities, CloudError, CloudErrorKind, Floor, GroupSize, Leave, LifecycleHook, Membership,
};

use crate::CloudFuture;

/// What holds of a group's floor at `now`. One that is not heeded is said, once: an idle instance asks over and over.
pub(crate) fn advised(floor: Floor, now: Timestamp) -> u32 {
    static SAID: Mutex<Option<Floor>> = Mutex::new(None);
    if let Some(why) = floor.ignored(now)
        && SAID.lock().unwrap_or_else(PoisonError::into_inner).replace(floor) != Some(floor)
    {
        tracing::warn!("{why}");
    }
    floor.advised(now)
}

/// What a cloud without hooks answers.
fn nothing_held<T: Send + 'static>() -> CloudFuture<'static, T> {
    let why = "this cloud has no hook that holds a launch off, or an ending for longer";
    Box::pin(std::future::ready(Err(CloudError::new(CloudErrorKind::NothingHeld, why))))
}

/// An instance's rights over itself. Which group it is in, and what holds its ending off, the implementation finds out.
///
/// Every call ends within a time-out of its own.
pub trait Host: Send + Sync {
    /// What this cloud can do.
    fn capabilities(&self) -> Capabilities;

    /// The name of the group, as far as known.
    fn group(&self) -> Option<String>;

    /// This instance's place in its group.
    fn membership(&self) -> CloudFuture<'_, Membership>;

    /// Whether the group can shrink. [`NotFound`](lightsout_core::cloud::CloudErrorKind::NotFound) when the instance is
    /// in none, or not any more.
    fn group_size(&self) -> CloudFuture<'_, GroupSize>;

    /// Takes or gives up protection from scale-in.
    fn protect(&self, on: bool) -> CloudFuture<'_, ()>;

    /// What would hold this instance's ending off, asked afresh; `None`: nothing, as in a cloud without hooks.
    fn find_hook(&self) -> CloudFuture<'_, Option<LifecycleHook>> {
        Box::pin(async { Ok(None) })
    }

    /// Holds off, for another time-out, an ending that is under way: with every hook that does, for the first that runs out may end the
    /// instance.
    /// [`NothingHeld`](lightsout_core::cloud::CloudErrorKind::NothingHeld) when there is none.
    fn extend_hook(&self) -> CloudFuture<'_, ()> {
        nothing_held()
    }

    /// Lets an ending that is held off go on, as far as it is this instance's to say; what others hold off they let go themselves.
    /// [`NothingHeld`](lightsout_core::cloud::CloudErrorKind::NothingHeld) when there is none.
    fn complete_hook(&self) -> CloudFuture<'_, ()> {
        nothing_held()
    }

    /// Holds off this instance's own launch for another time-out, which it tells, by the launch hook that was named to
    /// `InstanceProvider::host`; nothing else's.
    /// [`NothingHeld`](lightsout_core::cloud::CloudErrorKind::NothingHeld) when that hook does not hold it.
    fn extend_launch_hook(&self) -> CloudFuture<'_, LifecycleHook> {
        nothing_held()
    }

    /// Lets this launch go on, as far as that hook is concerned; the same error.
    fn complete_launch_hook(&self) -> CloudFuture<'_, ()> {
        nothing_held()
    }

    /// Gives this launch up: the group ends the instance and launches another; the same error.
    fn abandon_launch(&self) -> CloudFuture<'_, ()> {
        nothing_held()
    }

    /// Leaves the group and ends. Sent once: after [`Timeout`](lightsout_core::cloud::CloudErrorKind::Timeout) the
    /// membership tells whether it was applied.
    fn leave(&self, how: Leave) -> CloudFuture<'_, ()>;

    /// Has the group take this instance for unhealthy, at once, so that it is replaced.
    fn report_unhealthy(&self) -> CloudFuture<'_, ()>;

    /// Ends this instance past its group. Repeating it is harmless.
    fn terminate(&self) -> CloudFuture<'_, ()>;

    /// Writes on the instance, for the scaler, that its agent has been ready in this boot. Where the cloud has another sign of it, or none, there is
    /// nothing to do.
    fn record_ready(&self) -> CloudFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Writes on the instance, for whoever looks at it later, why it ends.
    fn record_reason<'a>(&'a self, reason: &'a str) -> CloudFuture<'a, ()>;

    /// Drops connections, credentials and certificates until the next call.
    fn forget(&self);
}
