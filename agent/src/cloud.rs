//! Carries out what the core asks of the cloud, and says what came of it.

use std::{future::Future, time::Duration};

use lightsout_core::{
    agent::{action::Rung, event::Outcome},
    cloud::{Membership, Room},
};
use lightsout_io::{
    aws::{AwsError, AwsErrorKind},
    instance::{AwsInstance, Hook, Instance, SelfView},
};
use tokio::sync::Mutex;

/// The part of the hook's time-out after which it is extended.
const HEARTBEATS: u32 = 3;

/// How long the command that switches the machine off may take.
const POWER_OFF: Duration = Duration::from_secs(60);

pub struct Cloud {
    instance: AwsInstance,
    group: Mutex<Option<String>>,
    hook_setting: Option<String>,
    hook: Mutex<Option<Hook>>,
    power_off: Vec<String>,
}

impl Cloud {
    pub fn new(
        instance: AwsInstance,
        group: Option<String>,
        hook_setting: Option<String>,
        power_off: Vec<String>,
    ) -> Self {
        Self { instance, group: Mutex::new(group), hook_setting, hook: Mutex::new(None), power_off }
    }

    /// The group's name, as far as known.
    pub async fn group(&self) -> Option<String> {
        self.group.lock().await.clone()
    }

    pub async fn describe(&self) -> Outcome {
        match self.look().await {
            Ok(member) => Outcome::Member(member),
            Err(error) => outcome(&error),
        }
    }

    async fn look(&self) -> Result<Membership, AwsError> {
        let Some(view) = self.instance.describe().await? else { return Ok(Membership::Outside) };
        let member = member(&view);
        if view.group.is_some() {
            *self.group.lock().await = view.group;
        }
        Ok(member)
    }

    pub async fn room(&self) -> Outcome {
        // Detached meanwhile, it has no part in the group that it once had.
        match self.look().await {
            Ok(Membership::Outside) => return Outcome::NotInGroup,
            Ok(_) => {}
            Err(error) => return outcome(&error),
        }
        self.in_group(async |group| {
            let room = self.instance.room(&group).await?;
            Ok(Outcome::Room(Room { desired: room.desired, min: room.min, floor: room.floor, members: room.members }))
        })
        .await
    }

    pub async fn protect(&self, on: bool) -> Outcome {
        self.in_group(async |group| self.instance.protect(&group, on).await.map(|()| Outcome::Done)).await
    }

    pub async fn heartbeat(&self) -> Outcome {
        self.with_hook(async |group, hook| self.instance.heartbeat(&group, &hook).await).await
    }

    pub async fn complete_hook(&self) -> Outcome {
        self.with_hook(async |group, hook| self.instance.complete(&group, &hook).await).await
    }

    pub async fn end(&self, rung: Rung) -> Outcome {
        let result = match rung {
            Rung::Shrink => self.instance.terminate(true).await,
            Rung::Replace => self.instance.terminate(false).await,
            Rung::Unhealthy => self.instance.unhealthy().await,
            Rung::Terminate => self.instance.ec2_terminate().await,
            Rung::PowerOff => return self.switch_off().await,
        };
        match result {
            Ok(()) => Outcome::Done,
            Err(error) => outcome(&error),
        }
    }

    /// How often the hook wants to hear of us, and whether there is one.
    pub async fn heartbeat_pause(&self) -> Result<Option<Duration>, AwsError> {
        let Some(group) = self.group().await else { return Ok(None) };
        Ok(self.find_hook(&group).await?.map(|hook| hook.heartbeat_timeout / HEARTBEATS))
    }

    /// Has the hook be asked for again.
    pub async fn forget_hook(&self) {
        *self.hook.lock().await = None;
    }

    /// Writes on the instance why it dies. Best effort: nothing waits for it.
    pub async fn tag(&self, key: &str, value: &str) {
        if let Err(error) = self.instance.tag(key, value).await {
            tracing::warn!(%error, key, value, "the instance could not be tagged");
        }
    }

    /// Gives back what the SDK holds, until it is needed again.
    pub async fn forget(&self) {
        self.instance.forget().await;
    }

    async fn in_group<F: Future<Output = Result<Outcome, AwsError>>>(&self, call: impl FnOnce(String) -> F) -> Outcome {
        if self.group().await.is_none()
            && let Err(error) = self.look().await
        {
            return outcome(&error);
        }
        let Some(group) = self.group().await else { return Outcome::NotInGroup };
        call(group).await.unwrap_or_else(|error| outcome(&error))
    }

    async fn with_hook<F: Future<Output = Result<(), AwsError>>>(
        &self,
        call: impl FnOnce(String, String) -> F,
    ) -> Outcome {
        self.in_group(async |group: String| match self.find_hook(&group).await? {
            Some(hook) => call(group, hook.name).await.map(|()| Outcome::Done),
            None => Ok(Outcome::NoHook),
        })
        .await
    }

    async fn find_hook(&self, group: &str) -> Result<Option<Hook>, AwsError> {
        let mut held = self.hook.lock().await;
        if held.is_none() {
            let found = self.instance.hook(group).await?;
            *held = found.map(|hook| Hook { name: self.hook_setting.clone().unwrap_or(hook.name), ..hook });
        }
        Ok(held.clone())
    }

    async fn switch_off(&self) -> Outcome {
        tracing::error!(command = ?self.power_off, "switching the machine off: no gentler way worked");
        let Some((program, arguments)) = self.power_off.split_first() else {
            return Outcome::Denied("power_off is empty: nothing is left to try".into());
        };
        let running = tokio::process::Command::new(program).args(arguments).kill_on_drop(true).status();
        match tokio::time::timeout(POWER_OFF, running).await {
            Ok(Ok(status)) if status.success() => Outcome::Done,
            Ok(Ok(status)) => Outcome::Failed(format!("{program}: {status}")),
            Ok(Err(error)) => Outcome::Failed(format!("{program}: {error}")),
            Err(_) => Outcome::Failed(format!("{program} did not end within {POWER_OFF:?}")),
        }
    }
}

fn member(view: &SelfView) -> Membership {
    let Some(state) = &view.state else { return Membership::Outside };
    if state.is_in_service() {
        Membership::InService { protected: view.protected }
    } else if state.is_terminating() {
        Membership::Terminating { waiting: state.0 == "Terminating:Wait" }
    } else if state.is_standby() {
        Membership::Standby
    } else if matches!(state.0.as_str(), "Detaching" | "Detached") {
        Membership::Outside
    } else {
        // Pending*, Warmed:*, and words that are newer than this program: not in service, so not served.
        Membership::Pending
    }
}

fn outcome(error: &AwsError) -> Outcome {
    match error.kind {
        AwsErrorKind::AtFloor => Outcome::AtFloor,
        AwsErrorKind::NotFound => Outcome::NotInGroup,
        AwsErrorKind::InProgress => Outcome::InProgress,
        AwsErrorKind::NoActiveHook => Outcome::NoHook,
        AwsErrorKind::Denied => Outcome::Denied(error.to_string()),
        AwsErrorKind::AboveMax
        | AwsErrorKind::BelowMin
        | AwsErrorKind::WrongState
        | AwsErrorKind::Throttled
        | AwsErrorKind::Timeout
        | AwsErrorKind::Unreachable
        | AwsErrorKind::Other => Outcome::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use lightsout_io::instance::LifecycleState;

    use super::*;

    fn seen(state: &str) -> Membership {
        member(&SelfView {
            group: Some("g".into()),
            state: Some(LifecycleState(state.into())),
            protected: true,
            healthy: true,
        })
    }

    #[test]
    fn only_in_service_is_in_service() {
        assert_eq!(seen("InService"), Membership::InService { protected: true });
        for state in ["Pending", "Pending:Wait", "Pending:Proceed", "Quarantined", "Warmed:Running", "SomethingNew"] {
            assert_eq!(seen(state), Membership::Pending, "{state}");
        }
        assert_eq!(seen("Terminating:Wait"), Membership::Terminating { waiting: true });
        assert_eq!(seen("Terminating:Proceed"), Membership::Terminating { waiting: false });
        assert_eq!(seen("EnteringStandby"), Membership::Standby);
        assert_eq!(seen("Detached"), Membership::Outside);
    }
}
