//! The group: where the instance stands in it, and what it answers.

use std::time::Duration;

use lightsout_core::{
    agent::{
        action::Rung,
        host::{CloudAnswer, CloudCall},
    },
    cloud::{CloudError, CloudErrorKind, Ending, GroupSize, Membership, TargetState},
};

use super::World;
use crate::rig::secs;

/// How long a description may lag behind the truth.
pub(super) const STALE: Duration = Duration::from_secs(30);

/// The truth about the instance's place in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// `Warmed:Pending`: no launch hook holds it yet on its way into the warm pool.
    Arriving,
    /// `Warmed:Pending:Wait`: a launch hook holds it on its way into the warm pool.
    Warming,
    Warmed,
    /// `Pending:Wait`: a launch hook holds it.
    Launching,
    /// `Pending:Proceed`
    Proceeding,
    InService,
    Standby,
    /// `Terminating:Wait`.
    Waiting,
    Detached,
    Gone,
}

/// The group as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    pub desired: u8,
    pub min: u8,
    /// What the scaler advises to keep.
    pub floor: u8,
    /// The members beside this instance, and how many of them come before it.
    pub others: u8,
    pub before: u8,
}

impl Group {
    /// So many members, of which one must stay, and this instance the first of them.
    pub(crate) fn of(desired: u8) -> Self {
        Self { desired, min: 1, floor: 0, others: desired - 1, before: 0 }
    }
}

impl World {
    pub(super) fn cloud(&mut self, call: CloudCall) -> Result<CloudAnswer, CloudError> {
        let refuse = |kind| Err(CloudError::new(kind, "refused"));
        match call {
            CloudCall::Membership => Ok(CloudAnswer::Membership(membership(self.place, self.protected))),
            CloudCall::GroupSize if matches!(self.place, Place::Detached | Place::Gone) => {
                refuse(CloudErrorKind::NotFound)
            }
            CloudCall::GroupSize => {
                let Group { desired, min, floor, before, .. } = self.group;
                let [desired, min, floor, members, rank] = [desired, min, floor, self.members(), before].map(u32::from);
                Ok(CloudAnswer::GroupSize(GroupSize { desired, min, floor, members, rank }))
            }
            CloudCall::Protect(on) => {
                self.protected = on;
                Ok(CloudAnswer::Done)
            }
            CloudCall::ExtendLaunchHook if self.held() => Ok(CloudAnswer::Hook(Some(secs(30)))),
            CloudCall::CompleteLaunchHook if self.held() => {
                self.ledger.let_in(self.preparation());
                self.go_on();
                Ok(CloudAnswer::Done)
            }
            CloudCall::End(Rung::Abandon) if self.held() => {
                let deadline = self.started + self.policy.boot_deadline;
                self.ledger.launch_given_up(self.boot_failed, deadline, self.now);
                // Another one is launched in its place, and no termination hook holds this one.
                self.end();
                Ok(CloudAnswer::Done)
            }
            CloudCall::ExtendLaunchHook | CloudCall::CompleteLaunchHook | CloudCall::End(Rung::Abandon) => {
                refuse(CloudErrorKind::NothingHeld)
            }
            CloudCall::FindHook => Ok(CloudAnswer::Hook(self.capabilities.termination_hook.map(|_| secs(30)))),
            CloudCall::ExtendHook if !self.capabilities.extends_endings() => {
                panic!("an ending is held off again that cannot be")
            }
            CloudCall::ExtendHook if self.place == Place::Waiting => Ok(CloudAnswer::Done),
            CloudCall::CompleteHook if self.place == Place::Waiting => {
                self.end();
                Ok(CloudAnswer::Done)
            }
            CloudCall::ExtendHook | CloudCall::CompleteHook => refuse(CloudErrorKind::NothingHeld),
            CloudCall::RecordReady | CloudCall::RecordReason(_) => Ok(CloudAnswer::Done),
            CloudCall::End(Rung::PowerOff) if !self.capabilities.power_off_ends_billing => {
                panic!("switched off, and billed for ever")
            }
            CloudCall::End(Rung::Replace) if self.capabilities.leaving_lowers_capacity => {
                panic!("a way to leave that this cloud does not have")
            }
            CloudCall::End(Rung::Unhealthy) if !self.capabilities.replaces_unhealthy => {
                panic!("a way to leave that this cloud does not have")
            }
            CloudCall::End(Rung::Terminate | Rung::PowerOff) => {
                self.end();
                Ok(CloudAnswer::Done)
            }
            CloudCall::End(Rung::Decrement | Rung::Replace | Rung::Unhealthy) if self.place == Place::Detached => {
                self.refused = true;
                refuse(CloudErrorKind::NotFound)
            }
            // The group lowers its capacity once for each call, also for an instance that is on its way out already.
            CloudCall::End(Rung::Decrement) if self.group.desired <= self.group.min => {
                self.refused = true;
                refuse(CloudErrorKind::AtFloor)
            }
            CloudCall::End(rung) => {
                if rung == Rung::Decrement {
                    // Whoever was put in standby a moment ago may not know it yet, and nobody can tell them.
                    let told = if self.now.since(self.was.1) < STALE { self.was.0 } else { self.place };
                    let counted = [told, self.place].into_iter().find(|place| *place == Place::InService);
                    self.ledger.lowered(membership(counted.unwrap_or(self.place), self.protected));
                    self.group.desired -= 1;
                }
                if self.place != Place::Waiting {
                    self.leave_group();
                }
                Ok(CloudAnswer::Done)
            }
        }
    }

    /// Whether the launch hook holds it.
    pub(super) fn held(&self) -> bool {
        matches!(self.place, Place::Launching | Place::Warming)
    }

    /// The launch hook lets it go on.
    pub(super) fn go_on(&mut self) {
        self.go(if self.place == Place::Warming { Place::Warmed } else { Place::Proceeding });
    }

    /// Those that count towards the group's capacity.
    pub(super) fn members(&self) -> u8 {
        self.group.others + u8::from(matches!(self.place, Place::Launching | Place::Proceeding | Place::InService))
    }

    /// Whether the group has more than it wants.
    pub(super) fn is_surplus(&self) -> bool {
        self.members() > self.group.desired
    }

    /// The group ends the instance; a hook holds that off, if there can be one.
    pub(super) fn leave_group(&mut self) {
        let Some(rules) = self.capabilities.termination_hook else { return self.end() };
        self.go(Place::Waiting);
        self.target_news = Some(TargetState::Terminated);
        // Who cannot extend it is told when it is over: until then its jobs may run, and no longer.
        if !rules.extendable() {
            self.endings.entry(Ending::Termination).or_insert(self.now + rules.longest);
        }
    }

    pub(super) fn go(&mut self, place: Place) {
        self.was = (self.place, self.now);
        self.place = place;
    }

    pub(super) fn end(&mut self) {
        self.cut();
        self.go(Place::Gone);
    }
}

pub(super) fn membership(place: Place, protected: bool) -> Membership {
    match place {
        Place::Arriving => Membership::Warming { waiting: false },
        Place::Warming => Membership::Warming { waiting: true },
        Place::Warmed => Membership::Warm,
        Place::Launching => Membership::Pending { waiting: true },
        Place::Proceeding => Membership::Pending { waiting: false },
        Place::InService => Membership::InService { protected },
        Place::Standby => Membership::Standby,
        Place::Waiting => Membership::Terminating { waiting: true },
        Place::Detached | Place::Gone => Membership::Outside,
    }
}
