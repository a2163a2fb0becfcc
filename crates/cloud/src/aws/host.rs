//! What an EC2 instance may do to itself.

mod calls;
mod look;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use lightsout_core::cloud::{Capabilities, GroupSize, Leave, LifecycleHook, Membership};

use super::{Aws, AwsError, AwsErrorKind, CAPABILITIES, READY_TAG};
use crate::{CloudFuture, Host, HostSettings, Identity, REASON_TAG};
pub(super) use look::look_at_group;

use calls::{Calls, ENDING, Hook, LAUNCH, SelfView};

/// How long a launch waits where its hook's time-out is not known: the shortest that there is (EC2 Auto Scaling API reference,
/// `PutLifecycleHook`).
const SHORTEST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct AwsHost {
    calls: Calls,
    /// The group's name: at first as metadata told it, then as the group itself does.
    group: Mutex<Option<String>>,
    /// The hooks to answer, where the settings name them.
    named: HostSettings,
    /// The hooks that were found last, this agent's own first.
    hooks: Mutex<Vec<Hook>>,
    /// The time-out of the launch hook, once it was looked up.
    launch_timeout: Mutex<Option<Duration>>,
}

impl AwsHost {
    /// This instance, with the names of the hooks to answer.
    pub(super) fn new(identity: &Identity, named: HostSettings) -> Self {
        Self::with(identity, named, Aws::new(Some(identity.location.clone())))
    }

    fn with(identity: &Identity, named: HostSettings, aws: Aws) -> Self {
        Self {
            calls: Calls::new(&identity.instance, aws),
            group: Mutex::new(identity.group.clone()),
            named,
            launch_timeout: Mutex::new(None),
            hooks: Mutex::new(Vec::new()),
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

    /// The group's termination hooks, asked afresh; this agent's own first.
    async fn find_hooks(&self) -> Result<Vec<Hook>, AwsError> {
        let Some(group) = self.find_group().await? else { return Ok(Vec::new()) };
        let mut hooks = self.calls.hooks(&group, ENDING).await?;
        let chosen = |hook: &Hook| self.named.termination.as_ref() == Some(&hook.name);
        hooks.sort_by_key(|hook| (!chosen(hook), Reverse(hook.timeout)));
        let mut known = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != hooks {
            doubt(&group, &hooks, self.named.termination.as_deref());
            known.clone_from(&hooks);
        }
        Ok(hooks)
    }

    /// The group and the hooks that hold this instance's ending off, this agent's own first. Asked afresh: somebody may have renamed or added one
    /// since, and only where that fails as they were.
    async fn group_and_hooks(&self) -> Result<(String, Vec<Hook>), AwsError> {
        let group = self.group_or_fail().await?;
        let hooks = match self.find_hooks().await {
            Ok(hooks) => hooks,
            Err(error) => {
                let known = self.hooks.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if known.is_empty() {
                    return Err(error);
                }
                known
            }
        };
        if hooks.is_empty() { Err(no_hook()) } else { Ok((group, hooks)) }
    }

    /// The group, and the launch hook that the settings name.
    async fn group_and_launch_hook(&self) -> Result<(String, &str), AwsError> {
        let Some(hook) = self.named.launch.as_deref() else { return Err(no_launch_hook()) };
        Ok((self.group_or_fail().await?, hook))
    }

    /// How long it waits. Looked up once; an instance that may not look takes it for the shortest.
    async fn launch_timeout(&self, group: &str, hook: &str) -> Duration {
        if let Some(known) = *self.launch_timeout.lock().unwrap_or_else(PoisonError::into_inner) {
            return known;
        }
        let found = match self.calls.hooks(group, LAUNCH).await {
            Ok(hooks) => hooks.iter().find(|found| found.name == hook).map(|found| found.timeout),
            Err(error) => {
                tracing::warn!(hook, %error, "the time-out of the launch hook is not known; it is extended more often than it needs");
                None
            }
        };
        *self.launch_timeout.lock().unwrap_or_else(PoisonError::into_inner) = found;
        found.unwrap_or(SHORTEST)
    }

    /// Every hook is extended: the first that runs out ends the wait, if it says ABANDON, and one that has been answered already holds
    /// nothing.
    async fn extend_all(&self) -> Result<(), AwsError> {
        let (group, hooks) = self.group_and_hooks().await?;
        let mut result = Err(no_hook());
        for hook in &hooks {
            match self.calls.heartbeat(&group, &hook.name).await {
                Ok(()) if result.as_ref().is_err_and(|error| error.kind == AwsErrorKind::NoActiveHook) => {
                    result = Ok(());
                }
                Ok(()) => {}
                Err(error) if error.kind == AwsErrorKind::NoActiveHook => {}
                Err(error) => {
                    tracing::warn!(hook = hook.name, %error, "a termination hook could not be extended");
                    result = Err(error);
                }
            }
        }
        result
    }
}

/// Says what may cost jobs about the hooks that were found.
fn doubt(group: &str, hooks: &[Hook], chosen: Option<&str>) {
    let names = || hooks.iter().map(|hook| hook.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(chosen) = chosen
        && hooks.first().is_none_or(|hook| hook.name != chosen)
    {
        let found = if hooks.is_empty() { "none".to_owned() } else { names() };
        tracing::warn!(group, found, "the group has no termination hook {chosen}: correct agent.hook");
    }
    if let (None, [own, _, ..]) = (chosen, hooks) {
        let own = &own.name;
        tracing::warn!(
            group,
            own,
            found = names(),
            "the group has several termination hooks: name in agent.hook the one to answer"
        );
    }
    for hook in hooks.iter().filter(|hook| hook.abandons) {
        tracing::warn!(
            group,
            hook = hook.name,
            "this termination hook's default result is ABANDON: when it runs out, no other hook is waited for; make it CONTINUE"
        );
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

    fn group_size(&self) -> CloudFuture<'_, GroupSize> {
        self.call(async {
            // Detached meanwhile, it has no part in the group that it once had.
            if self.describe_self().await? == Membership::Outside {
                return Err(no_group());
            }
            self.calls.group_size(&self.group_or_fail().await?).await
        })
    }

    fn protect(&self, on: bool) -> CloudFuture<'_, ()> {
        self.call(async move { self.calls.protect(&self.group_or_fail().await?, on).await })
    }

    fn find_hook(&self) -> CloudFuture<'_, Option<LifecycleHook>> {
        self.call(async {
            let shortest = self.find_hooks().await?.iter().map(|hook| hook.timeout).min();
            Ok(shortest.map(|timeout| LifecycleHook { timeout }))
        })
    }

    fn extend_hook(&self) -> CloudFuture<'_, ()> {
        self.call(self.extend_all())
    }

    fn complete_hook(&self) -> CloudFuture<'_, ()> {
        self.call(async {
            let (group, hooks) = self.group_and_hooks().await?;
            let chosen = self.named.termination.as_ref().is_none_or(|chosen| *chosen == hooks[0].name);
            // Where the one that the settings name is not there, another one of several may be somebody else's.
            if chosen || hooks.len() == 1 {
                self.calls.complete(&group, &hooks[0].name, true).await
            } else {
                Err(no_hook())
            }
        })
    }

    fn extend_launch_hook(&self) -> CloudFuture<'_, LifecycleHook> {
        self.call(async {
            let (group, hook) = self.group_and_launch_hook().await?;
            self.calls.heartbeat(&group, hook).await?;
            Ok(LifecycleHook { timeout: self.launch_timeout(&group, hook).await })
        })
    }

    fn complete_launch_hook(&self) -> CloudFuture<'_, ()> {
        self.call(async {
            let (group, hook) = self.group_and_launch_hook().await?;
            self.calls.complete(&group, hook, true).await
        })
    }

    fn abandon_launch(&self) -> CloudFuture<'_, ()> {
        self.call(async {
            let (group, hook) = self.group_and_launch_hook().await?;
            self.calls.complete(&group, hook, false).await
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

    fn record_ready(&self) -> CloudFuture<'_, ()> {
        self.call(async { self.calls.tag(READY_TAG, &format!("{:.0}", Timestamp::now())).await })
    }

    fn record_reason<'a>(&'a self, reason: &'a str) -> CloudFuture<'a, ()> {
        self.call(self.calls.tag(REASON_TAG, reason))
    }

    fn forget(&self) {
        self.calls.aws().forget();
    }
}

fn membership(view: &SelfView) -> Membership {
    super::membership(view.state.as_deref(), view.protected)
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
        "the group has no hook for instances that terminate, or none waits".into(),
    )
}

fn no_launch_hook() -> AwsError {
    AwsError::without_code(
        AwsErrorKind::NoActiveHook,
        "autoscaling:CompleteLifecycleAction",
        "agent.launch_hook names no hook".into(),
    )
}
