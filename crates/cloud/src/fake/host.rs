//! An instance's side of the cloud in memory: what it asks is kept, and what it is answered a test scripts.

use std::time::Duration;

use lightsout_core::cloud::{Capabilities, CloudError, CloudErrorKind, GroupSize, Leave, LifecycleHook, Membership};

use crate::{
    CloudFuture, Host,
    fake::{CAPABILITIES, Fault, Script},
};

/// One call of [`Host`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostCall {
    /// [`Host::membership`].
    Membership,
    /// [`Host::group_size`].
    GroupSize,
    /// [`Host::protect`].
    Protect(bool),
    /// [`Host::find_hook`].
    FindHook,
    /// [`Host::extend_hook`].
    ExtendHook,
    /// [`Host::complete_hook`].
    CompleteHook,
    /// [`Host::extend_launch_hook`].
    ExtendLaunchHook,
    /// [`Host::complete_launch_hook`].
    CompleteLaunchHook,
    /// [`Host::abandon_launch`].
    AbandonLaunch,
    /// [`Host::leave`].
    Leave(Leave),
    /// [`Host::report_unhealthy`].
    ReportUnhealthy,
    /// [`Host::terminate`].
    Terminate,
    /// [`Host::record_ready`].
    RecordReady,
    /// [`Host::record_reason`].
    RecordReason(String),
}

/// What there is to know of the instance and its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostState {
    /// The group's name.
    pub group: Option<String>,
    /// Its place in it.
    pub membership: Membership,
    pub group_size: GroupSize,
    /// What holds endings off.
    pub hook: Option<LifecycleHook>,
    /// What holds launches off.
    pub launch_hook: Option<LifecycleHook>,
    /// Whether it was reported unhealthy.
    pub unhealthy: bool,
    /// Why it ends.
    pub reason: Option<String>,
}

impl Default for HostState {
    /// Alone, in service and protected, in the group `g`, which may shrink to nothing; endings are held off for ten minutes.
    fn default() -> Self {
        Self {
            group: Some("g".into()),
            membership: Membership::InService { protected: true },
            group_size: GroupSize { desired: 1, min: 0, floor: 0, members: 1, rank: 0 },
            hook: Some(LifecycleHook { timeout: Duration::from_secs(600) }),
            launch_hook: None,
            unhealthy: false,
            reason: None,
        }
    }
}

/// An instance, and what it asked for. Clones are the same instance.
#[derive(Clone, Debug)]
pub struct FakeHost {
    script: Script<HostState, HostCall>,
    capabilities: Capabilities,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self { script: Script::new(HostState::default()), capabilities: CAPABILITIES }
    }
}

impl FakeHost {
    /// In a cloud that can do this.
    #[must_use]
    pub fn with(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Changes what there is, as somebody else would.
    pub fn change(&self, change: impl FnOnce(&mut HostState)) {
        change(&mut self.script.lock().state);
    }

    /// What there is now.
    pub fn state(&self) -> HostState {
        self.script.lock().state.clone()
    }

    /// What was asked so far, in order.
    pub fn calls(&self) -> Vec<HostCall> {
        self.script.calls()
    }

    /// Has the next call that is exactly this one go wrong.
    pub fn inject(&self, call: HostCall, fault: Fault) {
        self.script.inject(call, fault);
    }
}

impl Host for FakeHost {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn group(&self) -> Option<String> {
        self.script.lock().state.group.clone()
    }

    fn membership(&self) -> CloudFuture<'_, Membership> {
        Box::pin(self.script.call(HostCall::Membership, |state| Ok(state.membership)))
    }

    fn group_size(&self) -> CloudFuture<'_, GroupSize> {
        Box::pin(self.script.call(HostCall::GroupSize, |state| {
            inside(state)?;
            Ok(state.group_size)
        }))
    }

    fn protect(&self, on: bool) -> CloudFuture<'_, ()> {
        Box::pin(self.script.call(HostCall::Protect(on), move |state| {
            inside(state)?;
            match &mut state.membership {
                Membership::InService { protected } => *protected = on,
                Membership::Warming { .. }
                | Membership::Warm
                | Membership::Pending { .. }
                | Membership::Standby
                | Membership::Terminating { .. }
                | Membership::Outside => {
                    return Err(in_progress());
                }
            }
            Ok(())
        }))
    }

    fn find_hook(&self) -> CloudFuture<'_, Option<LifecycleHook>> {
        Box::pin(self.script.call(HostCall::FindHook, |state| Ok(state.hook)))
    }

    fn extend_hook(&self) -> CloudFuture<'_, ()> {
        let extendable = self.capabilities.extends_endings();
        Box::pin(self.script.call(HostCall::ExtendHook, move |state| {
            if extendable && state.membership == (Membership::Terminating { waiting: true }) {
                Ok(())
            } else {
                Err(nothing_held())
            }
        }))
    }

    fn complete_hook(&self) -> CloudFuture<'_, ()> {
        Box::pin(self.script.call(HostCall::CompleteHook, |state| {
            if state.membership != (Membership::Terminating { waiting: true }) {
                return Err(nothing_held());
            }
            state.membership = Membership::Terminating { waiting: false };
            Ok(())
        }))
    }

    fn extend_launch_hook(&self) -> CloudFuture<'_, LifecycleHook> {
        Box::pin(self.script.call(HostCall::ExtendLaunchHook, |state| {
            held(state)?;
            state.launch_hook.ok_or_else(nothing_held)
        }))
    }

    fn complete_launch_hook(&self) -> CloudFuture<'_, ()> {
        Box::pin(self.script.call(HostCall::CompleteLaunchHook, |state| {
            let warm = matches!(held(state)?, Membership::Warming { .. } | Membership::Warm);
            state.membership = if warm { Membership::Warm } else { Membership::InService { protected: true } };
            Ok(())
        }))
    }

    fn abandon_launch(&self) -> CloudFuture<'_, ()> {
        Box::pin(self.script.call(HostCall::AbandonLaunch, |state| {
            held(state)?;
            // No hook holds the ending of one that never was in service.
            state.membership = Membership::Terminating { waiting: false };
            Ok(())
        }))
    }

    fn leave(&self, how: Leave) -> CloudFuture<'_, ()> {
        let always_lowers = self.capabilities.leaving_lowers_capacity;
        Box::pin(self.script.call(HostCall::Leave(how), move |state| {
            inside(state)?;
            if let Membership::Terminating { .. } | Membership::Warming { .. } | Membership::Warm = state.membership {
                return Err(in_progress());
            }
            if how == Leave::Decrement && state.group_size.desired <= state.group_size.min {
                return Err(CloudError::new(CloudErrorKind::AtFloor, "the group is at its minimum"));
            }
            if how == Leave::Decrement || always_lowers {
                state.group_size.desired = state.group_size.desired.saturating_sub(1);
            }
            end(state);
            Ok(())
        }))
    }

    fn report_unhealthy(&self) -> CloudFuture<'_, ()> {
        Box::pin(self.script.call(HostCall::ReportUnhealthy, |state| {
            inside(state)?;
            state.unhealthy = true;
            end(state);
            Ok(())
        }))
    }

    fn terminate(&self) -> CloudFuture<'_, ()> {
        Box::pin(self.script.call(HostCall::Terminate, |state| {
            // Past the group nothing is held off.
            state.membership = match state.membership {
                Membership::Outside => Membership::Outside,
                Membership::Warming { .. }
                | Membership::Warm
                | Membership::Pending { .. }
                | Membership::InService { .. }
                | Membership::Standby
                | Membership::Terminating { .. } => Membership::Terminating { waiting: false },
            };
            Ok(())
        }))
    }

    fn record_ready(&self) -> CloudFuture<'_, ()> {
        Box::pin(self.script.call(HostCall::RecordReady, |_| Ok(())))
    }

    fn record_reason<'a>(&'a self, reason: &'a str) -> CloudFuture<'a, ()> {
        Box::pin(self.script.call(HostCall::RecordReason(reason.to_owned()), move |state| {
            state.reason = Some(reason.to_owned());
            Ok(())
        }))
    }

    fn forget(&self) {}
}

/// Begins the ending, which the hook holds off.
fn end(state: &mut HostState) {
    let count = matches!(state.membership, Membership::InService { .. } | Membership::Pending { .. });
    state.group_size.members = state.group_size.members.saturating_sub(u32::from(count));
    state.membership = Membership::Terminating { waiting: state.hook.is_some() };
}

/// The place in which the launch hook holds it.
fn held(state: &HostState) -> Result<Membership, CloudError> {
    let held =
        matches!(state.membership, Membership::Warming { waiting: true } | Membership::Pending { waiting: true });
    if held && state.launch_hook.is_some() { Ok(state.membership) } else { Err(nothing_held()) }
}

fn inside(state: &HostState) -> Result<(), CloudError> {
    match (state.membership, &state.group) {
        (Membership::Outside, _) | (_, None) => {
            Err(CloudError::new(CloudErrorKind::NotFound, "the instance is in no group"))
        }
        (
            Membership::Warming { .. }
            | Membership::Warm
            | Membership::Pending { .. }
            | Membership::InService { .. }
            | Membership::Standby
            | Membership::Terminating { .. },
            Some(_),
        ) => Ok(()),
    }
}

fn in_progress() -> CloudError {
    CloudError::new(CloudErrorKind::InProgress, "the instance is in a state in which this cannot be done")
}

fn nothing_held() -> CloudError {
    CloudError::new(CloudErrorKind::NothingHeld, "no ending of this instance is held off")
}
