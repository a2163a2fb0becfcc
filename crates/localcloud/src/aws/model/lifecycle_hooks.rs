//! Lifecycle actions: instances that wait until somebody completes a hook, or until time runs out.

use super::{
    ActivityStatus, Cloud, Instance, LifecycleActionResult, LifecycleHook, LifecycleState, LifecycleTransition,
    Timestamp, termination::TerminationReason,
};

/// One lifecycle action that an instance waits for.
#[derive(Clone, Debug)]
pub(crate) struct LifecycleAction {
    pub(crate) token: String,
    /// The hook as it was when the wait began.
    pub(crate) hook: LifecycleHook,
    /// When the running heartbeat ends.
    pub(crate) due: Timestamp,
    /// When no heartbeat helps any more.
    last: Timestamp,
}

/// What names a lifecycle action in a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LifecycleActionKey<'a> {
    Token(&'a str),
    Instance(&'a str),
}

impl Cloud {
    /// Lets an instance wait for every hook of a transition; `false` when there is none to wait for.
    pub(crate) fn begin_waiting(&mut self, id: &str, transition: LifecycleTransition, now: Timestamp) -> bool {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return false };
        let group = instance.group.as_ref().and_then(|name| self.inventory.groups.get(name));
        let hooks: Vec<LifecycleHook> = group
            .filter(|_| instance.hooked)
            .map(|group| group.lifecycle_hooks_for(transition).cloned().collect())
            .unwrap_or_default();
        if hooks.is_empty() {
            return false;
        }
        let names: Vec<_> = hooks.iter().map(|hook| hook.name.clone()).collect();
        for hook in hooks {
            let (due, last) = (now + hook.heartbeat, now + hook.global_timeout());
            instance.lifecycle_actions.push(LifecycleAction { token: self.ids.uuid(), hook, due, last });
        }
        instance.state = match (transition, instance.state.is_in_warm_pool()) {
            (LifecycleTransition::Launching, false) => LifecycleState::PendingWait,
            (LifecycleTransition::Launching, true) => LifecycleState::WarmedPendingWait,
            (LifecycleTransition::Terminating, false) => LifecycleState::TerminatingWait,
            (LifecycleTransition::Terminating, true) => LifecycleState::WarmedTerminatingWait,
        };
        if let Some(activity) = instance.activity {
            self.inventory.set_status(activity, ActivityStatus::MidLifecycleAction);
        }
        self.happened(id, format!("waits for lifecycle hook {}", names.join(", ")), now);
        true
    }

    /// The instance that waits for a lifecycle action, by hook name.
    pub(crate) fn waiting(&self, group: &str, hook: &str, handle: LifecycleActionKey<'_>) -> Option<String> {
        let named = |instance: &&Instance| match handle {
            LifecycleActionKey::Token(token) => {
                instance.lifecycle_actions.iter().any(|wait| wait.token == token && wait.hook.name == hook)
            }
            LifecycleActionKey::Instance(id) => {
                instance.id == id && instance.lifecycle_actions.iter().any(|wait| wait.hook.name == hook)
            }
        };
        self.inventory.members(group).find(named).map(|instance| instance.id.clone())
    }

    /// Starts the heartbeat of a hook anew, as far as the global time-out allows.
    pub(crate) fn heartbeat(&mut self, id: &str, hook: &str, now: Timestamp) {
        let waits =
            self.inventory.instances.get_mut(id).into_iter().flat_map(|instance| &mut instance.lifecycle_actions);
        for wait in waits.filter(|wait| wait.hook.name == hook) {
            wait.due = (now + wait.hook.heartbeat).min(wait.last);
        }
    }

    /// Ends one lifecycle action of an instance. `how` completes "Lifecycle Action with token … was abandoned: ".
    pub(crate) fn complete(&mut self, id: &str, hook: &str, outcome: LifecycleActionResult, how: &str, now: Timestamp) {
        let react = self.options.react;
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        let Some(at) = instance.lifecycle_actions.iter().position(|wait| wait.hook.name == hook) else { return };
        let wait = instance.lifecycle_actions.remove(at);
        let abandoned = outcome == LifecycleActionResult::Abandon;
        if abandoned {
            instance.lifecycle_actions.clear();
        }
        let over = instance.lifecycle_actions.is_empty();
        let launching = matches!(instance.state, LifecycleState::PendingWait | LifecycleState::WarmedPendingWait);
        if over && !(launching && abandoned) {
            instance.state = match (launching, instance.state.is_in_warm_pool()) {
                (true, false) => LifecycleState::PendingProceed,
                (true, true) => LifecycleState::WarmedPendingProceed,
                (false, false) => LifecycleState::TerminatingProceed,
                (false, true) => LifecycleState::WarmedTerminatingProceed,
            };
            instance.step_due = Some(now + react);
            let status = if launching { ActivityStatus::PreInService } else { ActivityStatus::InProgress };
            if let Some(activity) = instance.activity {
                self.inventory.set_status(activity, status);
            }
        }
        self.happened(id, format!("lifecycle hook {hook}: {} ({how})", outcome.as_str()), now);
        if launching && abandoned {
            let why = format!(
                "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token {} was abandoned: {how}",
                wait.token
            );
            let activity = self.inventory.instances.get_mut(id).and_then(|instance| instance.activity.take());
            if let Some(activity) = activity {
                self.inventory.finish(activity, ActivityStatus::Cancelled, Some(why), now);
            }
            self.begin_termination(id, TerminationReason::LaunchAbandoned, now);
        }
    }

    /// Nobody answered in time: the default result of each hook that is due applies.
    pub(crate) fn hook_timed_out(&mut self, id: &str, now: Timestamp) {
        let waits = self.inventory.instances.get(id).into_iter().flat_map(|instance| &instance.lifecycle_actions);
        let due: Vec<_> =
            waits.filter(|wait| wait.due <= now).map(|wait| (wait.hook.name.clone(), wait.hook.default)).collect();
        for (hook, outcome) in due {
            self.complete(id, &hook, outcome, "Heartbeat Timeout", now);
        }
    }

    /// A deleted hook keeps nobody waiting: launches are abandoned, terminations go on.
    pub(crate) fn release_hook(&mut self, group: &str, hook: &LifecycleHook, now: Timestamp) {
        let outcome = match hook.transition {
            LifecycleTransition::Launching => LifecycleActionResult::Abandon,
            LifecycleTransition::Terminating => LifecycleActionResult::Continue,
        };
        while let Some(id) = self.holder(group, &hook.name) {
            self.complete(&id, &hook.name, outcome, "Lifecycle Hook Deleted", now);
        }
    }

    fn holder(&self, group: &str, hook: &str) -> Option<String> {
        let waits = |instance: &&Instance| instance.lifecycle_actions.iter().any(|wait| wait.hook.name == hook);
        self.inventory.members(group).find(waits).map(|instance| instance.id.clone())
    }
}
