//! Lifecycle actions: instances that wait until somebody completes a hook, or until time runs out.

use super::{ActivityStatus, Cloud, Instance, LifecycleHook, LifecycleState, Outcome, Stamp, Transition, leave::Leave};

/// One lifecycle action that an instance waits for.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) token: String,
    /// The hook as it was when the wait began.
    pub(crate) hook: LifecycleHook,
    /// When the running heartbeat ends.
    pub(crate) due: Stamp,
    /// When no heartbeat helps any more.
    last: Stamp,
}

/// What names a lifecycle action in a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handle<'a> {
    Token(&'a str),
    Instance(&'a str),
}

impl Cloud {
    /// Lets an instance wait for every hook of a transition; `false` when there is none to wait for.
    pub(crate) fn begin_waiting(&mut self, id: &str, transition: Transition, now: Stamp) -> bool {
        let Some(instance) = self.world.instances.get_mut(id) else { return false };
        let group = instance.group.as_ref().and_then(|name| self.world.groups.get(name));
        let hooks: Vec<LifecycleHook> = group
            .filter(|_| instance.hooked)
            .map(|group| group.hooks_for(transition).cloned().collect())
            .unwrap_or_default();
        if hooks.is_empty() {
            return false;
        }
        let names: Vec<_> = hooks.iter().map(|hook| hook.name.clone()).collect();
        for hook in hooks {
            let (due, last) = (now + hook.heartbeat, now + hook.global_timeout());
            instance.waits.push(Wait { token: self.ids.uuid(), hook, due, last });
        }
        instance.state = match transition {
            Transition::Launching => LifecycleState::PendingWait,
            Transition::Terminating => LifecycleState::TerminatingWait,
        };
        if let Some(activity) = instance.activity {
            self.world.set_status(activity, ActivityStatus::MidLifecycleAction);
        }
        self.happened(id, format!("waits for lifecycle hook {}", names.join(", ")), now);
        true
    }

    /// The instance that waits for a lifecycle action, by hook name.
    pub(crate) fn waiting(&self, group: &str, hook: &str, handle: Handle<'_>) -> Option<String> {
        let named = |instance: &&Instance| match handle {
            Handle::Token(token) => instance.waits.iter().any(|wait| wait.token == token && wait.hook.name == hook),
            Handle::Instance(id) => instance.id == id && instance.waits.iter().any(|wait| wait.hook.name == hook),
        };
        self.world.members(group).find(named).map(|instance| instance.id.clone())
    }

    /// Starts the heartbeat of a hook anew, as far as the global time-out allows.
    pub(crate) fn heartbeat(&mut self, id: &str, hook: &str, now: Stamp) {
        let waits = self.world.instances.get_mut(id).into_iter().flat_map(|instance| &mut instance.waits);
        for wait in waits.filter(|wait| wait.hook.name == hook) {
            wait.due = (now + wait.hook.heartbeat).min(wait.last);
        }
    }

    /// Ends one lifecycle action of an instance. `how` completes "Lifecycle Action with token … was abandoned: ".
    pub(crate) fn complete(&mut self, id: &str, hook: &str, outcome: Outcome, how: &str, now: Stamp) {
        let react = self.options.react;
        let Some(instance) = self.world.instances.get_mut(id) else { return };
        let Some(at) = instance.waits.iter().position(|wait| wait.hook.name == hook) else { return };
        let wait = instance.waits.remove(at);
        let abandoned = outcome == Outcome::Abandon;
        if abandoned {
            instance.waits.clear();
        }
        let over = instance.waits.is_empty();
        let launching = instance.state == LifecycleState::PendingWait;
        if over && !(launching && abandoned) {
            instance.state =
                if launching { LifecycleState::PendingProceed } else { LifecycleState::TerminatingProceed };
            instance.step_due = Some(now + react);
            let status = if launching { ActivityStatus::PreInService } else { ActivityStatus::InProgress };
            if let Some(activity) = instance.activity {
                self.world.set_status(activity, status);
            }
        }
        self.happened(id, format!("lifecycle hook {hook}: {} ({how})", outcome.as_str()), now);
        if launching && abandoned {
            let why = format!(
                "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token {} was abandoned: {how}",
                wait.token
            );
            let activity = self.world.instances.get_mut(id).and_then(|instance| instance.activity.take());
            if let Some(activity) = activity {
                self.world.finish(activity, ActivityStatus::Cancelled, Some(why), now);
            }
            self.begin_termination(id, Leave::LaunchAbandoned, now);
        }
    }

    /// Nobody answered in time: the default result of each hook that is due applies.
    pub(crate) fn hook_timed_out(&mut self, id: &str, now: Stamp) {
        let waits = self.world.instances.get(id).into_iter().flat_map(|instance| &instance.waits);
        let due: Vec<_> =
            waits.filter(|wait| wait.due <= now).map(|wait| (wait.hook.name.clone(), wait.hook.default)).collect();
        for (hook, outcome) in due {
            self.complete(id, &hook, outcome, "Heartbeat Timeout", now);
        }
    }

    /// A deleted hook keeps nobody waiting: launches are abandoned, terminations go on.
    pub(crate) fn release_hook(&mut self, group: &str, hook: &LifecycleHook, now: Stamp) {
        let outcome = match hook.transition {
            Transition::Launching => Outcome::Abandon,
            Transition::Terminating => Outcome::Continue,
        };
        while let Some(id) = self.holder(group, &hook.name) {
            self.complete(&id, &hook.name, outcome, "Lifecycle Hook Deleted", now);
        }
    }

    fn holder(&self, group: &str, hook: &str) -> Option<String> {
        let waits = |instance: &&Instance| instance.waits.iter().any(|wait| wait.hook.name == hook);
        self.world.members(group).find(waits).map(|instance| instance.id.clone())
    }
}
