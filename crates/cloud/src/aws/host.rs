//! What an EC2 instance may do to itself.

mod calls;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use lightsout_core::cloud::{Capabilities, Leave, LifecycleHook, Membership, Room};

use super::{Aws, AwsError, AwsErrorKind, CAPABILITIES};
use crate::{CloudFuture, Host, Identity};
use calls::{Calls, SelfView, TerminationHook};

/// The tag on an instance that says why it ends.
const REASON_TAG: &str = "lightsout:why";

/// This instance.
#[derive(Debug)]
pub(super) struct AwsHost {
    calls: Calls,
    /// The group's name: at first as metadata told it, then as the group itself does.
    group: Mutex<Option<String>>,
    /// The hook to answer, where the settings name one.
    chosen_hook: Option<String>,
    /// The hook that was found last.
    found_hook: Mutex<Option<String>>,
}

impl AwsHost {
    /// This instance, with the name of the hook to answer where it is not to be the one that waits longest.
    pub(super) fn new(identity: &Identity, chosen_hook: Option<String>) -> Self {
        Self::with(identity, chosen_hook, Aws::new(Some(identity.location.clone())))
    }

    fn with(identity: &Identity, chosen_hook: Option<String>, aws: Aws) -> Self {
        Self {
            calls: Calls::new(&identity.instance, aws),
            group: Mutex::new(identity.group.clone()),
            chosen_hook,
            found_hook: Mutex::new(None),
        }
    }

    fn call<'a, T: 'a>(&'a self, call: impl Future<Output = Result<T, AwsError>> + Send + 'a) -> CloudFuture<'a, T> {
        self.calls.aws().call(call)
    }

    fn known_group(&self) -> Option<String> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn describe_self(&self) -> Result<Membership, AwsError> {
        let Some(view) = self.calls.describe().await? else { return Ok(Membership::Outside) };
        let membership = membership(&view);
        if view.group.is_some() {
            *self.group.lock().unwrap_or_else(PoisonError::into_inner) = view.group;
        }
        Ok(membership)
    }

    /// The group's name, found out if it is not known; `None` when the instance never was in one.
    async fn find_group(&self) -> Result<Option<String>, AwsError> {
        if let Some(group) = self.known_group() {
            return Ok(Some(group));
        }
        self.describe_self().await?;
        Ok(self.known_group())
    }

    async fn group_or_fail(&self) -> Result<String, AwsError> {
        self.find_group().await?.ok_or_else(no_group)
    }

    async fn find_hook(&self) -> Result<Option<TerminationHook>, AwsError> {
        let Some(group) = self.find_group().await? else { return Ok(None) };
        let hooks = self.calls.hooks(&group).await?.into_iter();
        let hook = hooks
            .filter(|hook| self.chosen_hook.as_ref().is_none_or(|chosen| *chosen == hook.name))
            .max_by_key(|hook| hook.timeout);
        *self.found_hook.lock().unwrap_or_else(PoisonError::into_inner) = hook.as_ref().map(|hook| hook.name.clone());
        Ok(hook)
    }

    /// The group and the hook that hold this instance's ending off.
    async fn group_and_hook(&self) -> Result<(String, String), AwsError> {
        let group = self.group_or_fail().await?;
        let found = self.found_hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let hook = match found {
            Some(hook) => Some(hook),
            None => self.find_hook().await?.map(|hook| hook.name),
        };
        Ok((group, hook.ok_or_else(no_hook)?))
    }
}

impl Host for AwsHost {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn group(&self) -> Option<String> {
        self.known_group()
    }

    fn membership(&self) -> CloudFuture<'_, Membership> {
        self.call(self.describe_self())
    }

    fn room(&self) -> CloudFuture<'_, Room> {
        self.call(async {
            // Detached meanwhile, it has no part in the group that it once had.
            if self.describe_self().await? == Membership::Outside {
                return Err(no_group());
            }
            self.calls.room(&self.group_or_fail().await?).await
        })
    }

    fn protect(&self, on: bool) -> CloudFuture<'_, ()> {
        self.call(async move { self.calls.protect(&self.group_or_fail().await?, on).await })
    }

    fn lifecycle_hook(&self) -> CloudFuture<'_, Option<LifecycleHook>> {
        self.call(async { Ok(self.find_hook().await?.map(|hook| LifecycleHook { timeout: hook.timeout })) })
    }

    fn extend_hold(&self) -> CloudFuture<'_, ()> {
        self.call(async {
            let (group, hook) = self.group_and_hook().await?;
            self.calls.heartbeat(&group, &hook).await
        })
    }

    fn complete_hold(&self) -> CloudFuture<'_, ()> {
        self.call(async {
            let (group, hook) = self.group_and_hook().await?;
            self.calls.complete(&group, &hook).await
        })
    }

    fn leave(&self, how: Leave) -> CloudFuture<'_, ()> {
        self.call(self.calls.terminate(how == Leave::Decrement))
    }

    fn report_unhealthy(&self) -> CloudFuture<'_, ()> {
        self.call(self.calls.unhealthy())
    }

    fn terminate(&self) -> CloudFuture<'_, ()> {
        self.call(self.calls.ec2_terminate())
    }

    fn record_reason<'a>(&'a self, reason: &'a str) -> CloudFuture<'a, ()> {
        self.call(self.calls.tag(REASON_TAG, reason))
    }

    fn forget(&self) {
        self.calls.aws().forget();
    }
}

/// What the group's word for this instance means.
fn membership(view: &SelfView) -> Membership {
    match view.state.as_deref() {
        None | Some("Detaching" | "Detached") => Membership::Outside,
        Some("InService") => Membership::InService { protected: view.protected },
        Some("EnteringStandby" | "Standby") => Membership::Standby,
        Some("Terminating:Wait") => Membership::Terminating { waiting: true },
        Some(state) if state.starts_with("Terminating") || state == "Terminated" => {
            Membership::Terminating { waiting: false }
        }
        // Pending*, Warmed:*, and words that are newer than this program: not in service, so not served.
        Some(_) => Membership::Pending,
    }
}

fn no_group() -> AwsError {
    AwsError::without_code(
        AwsErrorKind::NotFound,
        "autoscaling:DescribeAutoScalingInstances",
        "this instance is in no Auto Scaling group".into(),
    )
}

fn no_hook() -> AwsError {
    AwsError::without_code(
        AwsErrorKind::NoActiveHook,
        "autoscaling:DescribeLifecycleHooks",
        "the group has no hook for instances that terminate, or not the one that agent.hook names".into(),
    )
}
