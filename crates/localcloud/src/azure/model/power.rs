//! Machines that are powered off and on, deleted, evicted; and what the machines themselves do.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Azure, EventKind, Power, Protection, Provisioning, Refused, VirtualMachine,
    events::{Next, Source},
    machine::OnceOff,
    operation::{Accepted, Want},
};
use crate::{effect::Effect, time::Timestamp};

/// How long the least notice of an eviction is.
pub(crate) const EVICTION_NOTICE: Duration = Duration::from_secs(30);

/// Why a machine is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Deleted,
    ScaleIn,
    Surplus,
    Evicted,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted by name",
            Self::ScaleIn => "chosen for a scale-in",
            Self::Surplus => "one more than asked for",
            Self::Evicted => "evicted",
        }
    }
}

impl Azure {
    /// The machine is off: it switched itself off, or it finished what [`Effect::PowerOff`] asked for.
    pub(crate) fn powered_off(&mut self, name: &str, now: Timestamp) {
        self.advance(now);
        let Some(machine) = self.machine_mut(name).filter(|machine| machine.on) else { return };
        machine.on = false;
        machine.step_due = None;
        let once_off = machine.once_off.take();
        if once_off.is_none() {
            machine.power = Power::Stopped;
            if machine.provisioning == Provisioning::Creating {
                machine.provisioning = Provisioning::Failed;
            }
            self.happened(name, "powered itself off: it is stopped, still allocated, and billed");
        } else if let Some(once_off) = once_off {
            self.off(name, once_off);
        }
        self.settle();
    }

    /// The machine could not be powered on: it stays, and counts, without an operating system that answers.
    pub(crate) fn boot_failed(&mut self, name: &str, why: &str, now: Timestamp) {
        self.advance(now);
        let Some(machine) = self.machine_mut(name).filter(|machine| machine.on) else { return };
        machine.on = false;
        machine.step_due = None;
        machine.power = Power::Stopped;
        if machine.provisioning != Provisioning::Deleting {
            machine.provisioning = Provisioning::Failed;
        }
        let set = machine.set.clone();
        if machine.once_off.take() == Some(OnceOff::Delete) {
            self.off(name, OnceOff::Delete);
        }
        self.happened(name, format!("does not boot: {why}"));
        if let Some(set) = self.scale_sets.get_mut(&set) {
            set.failed = true;
        }
        self.fail_operations(&set, "OSProvisioningTimedOut", "OS Provisioning did not finish in the allotted time.");
        self.settle();
    }

    /// A machine's protection is set by whoever may write to it. One that leaves can no longer be protected.
    ///
    /// # Errors
    /// There is no such machine, or it is being deleted.
    pub(crate) fn protect(
        &mut self,
        name: &str,
        protection: Protection,
        whole: bool,
        now: Timestamp,
    ) -> Result<Accepted, Refused> {
        self.advance(now);
        let machine = self.active(name)?;
        let before = (machine.protection, machine.model);
        machine.protection = protection;
        if whole {
            // Sent back whole, a machine's model becomes its own, and no longer follows its set's.
            machine.model = None;
        }
        let changed = before != (machine.protection, machine.model);
        machine.generation += u64::from(changed);
        if before.0 != protection {
            let what = match (protection.from_scale_in, protection.from_scale_set_actions) {
                (_, true) => "protected from scale-in and from its set's actions",
                (true, false) => "protected from scale-in",
                (false, false) => "no longer protected",
            };
            self.happened(name, what);
        }
        Ok(Accepted { operation: None, created: false })
    }

    /// Powers a machine off as its owner does: it stays allocated, or not.
    ///
    /// # Errors
    /// There is no such machine, or it is being deleted.
    pub(crate) fn switch_off(&mut self, name: &str, deallocate: bool, now: Timestamp) -> Result<Accepted, Refused> {
        self.advance(now);
        let set = self.active(name)?.set.clone();
        self.power_down(name, if deallocate { OnceOff::Deallocate } else { OnceOff::Stop });
        Ok(self.follow(&set, name, Want::Off))
    }

    /// Powers a machine on that is off.
    ///
    /// # Errors
    /// There is no such machine, or it is being deleted.
    pub(crate) fn switch_on(&mut self, name: &str, now: Timestamp) -> Result<Accepted, Refused> {
        self.advance(now);
        let machine = self.active(name)?;
        let (set, off) = (machine.set.clone(), !machine.on);
        if off {
            self.boot(name);
        }
        Ok(self.follow(&set, name, Want::Running))
    }

    /// Powers a machine off and on again.
    ///
    /// # Errors
    /// There is no such machine, or it is being deleted.
    pub(crate) fn restart(&mut self, name: &str, now: Timestamp) -> Result<Accepted, Refused> {
        self.advance(now);
        let set = self.active(name)?.set.clone();
        self.power_down(name, OnceOff::Restart);
        Ok(self.follow(&set, name, Want::Running))
    }

    /// A notice that Azure takes the machine back: it is evicted at `at`, or as soon as the notice is acknowledged. One that
    /// is not Spot takes it too, so that a fleet without Spot can be tried.
    ///
    /// # Errors
    /// There is no such machine, it does not run, or it has a notice already.
    pub(crate) fn interrupt(&mut self, name: &str, at: Timestamp, now: Timestamp) -> Result<(), String> {
        self.advance(now);
        self.running(name)?;
        if self.events.iter().any(|event| event.machine == name && event.kind == EventKind::Preempt) {
            return Err(format!("{name} has a notice already"));
        }
        if let Some(machine) = self.machines.get_mut(name) {
            machine.evicted_at = Some(at);
        }
        self.schedule(EventKind::Preempt, name, at, Source::Platform, Next::Evict, None);
        self.happened(name, "told that it is evicted");
        Ok(())
    }

    /// `simulateEviction`: a notice of half a minute.
    ///
    /// # Errors
    /// The machine is not Spot, does not run, or has a notice already.
    pub(crate) fn simulate_eviction(&mut self, name: &str, now: Timestamp) -> Result<(), Refused> {
        self.advance(now);
        let set = self.active(name)?.set.clone();
        if !self.scale_sets.get(&set).is_some_and(super::ScaleSet::is_spot) {
            let message = "Operation 'simulateEviction' is allowed for Spot virtual machines only.";
            return Err(Refused::new(409, "OperationNotAllowed", message));
        }
        self.interrupt(name, self.now + EVICTION_NOTICE, now)
            .map_err(|why| Refused::new(409, "OperationNotAllowed", why))
    }

    /// Azure is about to restart, move or freeze the machine, at `at` or as soon as that is acknowledged.
    ///
    /// # Errors
    /// There is no such machine, or it does not run.
    pub(crate) fn maintain(
        &mut self,
        name: &str,
        kind: EventKind,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), String> {
        self.advance(now);
        self.running(name)?;
        let next = match kind {
            EventKind::Freeze => Next::Freeze,
            EventKind::Redeploy => Next::Redeploy,
            EventKind::Reboot => Next::Reboot,
            EventKind::Preempt | EventKind::Terminate => {
                return Err(format!("{} is no maintenance: it is Freeze, Reboot or Redeploy", kind.as_str()));
            }
        };
        self.schedule(kind, name, at, Source::Platform, next, None);
        self.happened(name, format!("told of a {} by Azure", kind.as_str()));
        Ok(())
    }

    /// Lets machines go; where the set says so each is told first, and none of them goes before all have agreed or the time
    /// is over.
    pub(super) fn let_go(&mut self, names: &[String], reason: Reason) {
        let batch = self.ids.next();
        for name in names {
            let notice = self
                .machines
                .get(name)
                .and_then(|it| self.scale_sets.get(&it.set))
                .and_then(super::ScaleSet::terminate_notice);
            let Some(machine) = self.machines.get_mut(name) else { continue };
            machine.provisioning = Provisioning::Deleting;
            machine.cause.get_or_insert_with(|| reason.as_str().to_owned());
            let told = machine.on && machine.power == Power::Running && !machine.surplus;
            self.happened(name, reason.as_str());
            match notice.filter(|_| told) {
                Some(notice) => {
                    let at = self.now + notice;
                    self.schedule(EventKind::Terminate, name, at, Source::User, Next::Delete, Some(batch));
                }
                None => self.power_down(name, OnceOff::Delete),
            }
        }
    }

    /// Azure takes the machine back.
    pub(super) fn evict(&mut self, name: &str) {
        let Some(machine) = self.machines.get_mut(name).filter(|it| it.ended_at.is_none()) else { return };
        let key = machine.set.clone();
        machine.cause.get_or_insert_with(|| Reason::Evicted.as_str().to_owned());
        if self.scale_sets.get(&key).is_some_and(super::ScaleSet::evicts_by_delete) {
            let counted = u32::from(machine.is_counted());
            machine.provisioning = Provisioning::Deleting;
            self.lower(&key, counted);
            self.power_down(name, OnceOff::Delete);
        } else {
            self.power_down(name, OnceOff::Deallocate);
        }
    }

    /// Turns a machine off, for this.
    pub(super) fn power_down(&mut self, name: &str, once_off: OnceOff) {
        let Some(machine) = self.machines.get_mut(name).filter(|it| it.ended_at.is_none()) else { return };
        if !machine.on {
            self.off(name, once_off);
            return;
        }
        machine.power = if once_off == OnceOff::Deallocate { Power::Deallocating } else { Power::Stopping };
        machine.step_due = None;
        if machine.once_off != Some(OnceOff::Delete) {
            machine.once_off = Some(once_off);
        }
        self.effects.push_back(Effect::PowerOff { id: name.to_owned() });
    }

    /// The machine is off, and this is what for.
    fn off(&mut self, name: &str, once_off: OnceOff) {
        let now = self.now;
        self.events_over(name);
        let Some(machine) = self.machines.get_mut(name) else { return };
        match once_off {
            OnceOff::Stop => machine.power = Power::Stopped,
            OnceOff::Deallocate => {
                machine.power = Power::Deallocated;
                self.happened(name, "deallocated: no longer billed, and it still counts");
            }
            OnceOff::Delete => {
                machine.ended_at = Some(now);
                machine.power = Power::Deallocated;
                self.forget_events(name);
                self.happened(name, "gone");
                self.effects.push_back(Effect::Discard { id: name.to_owned() });
            }
            OnceOff::Restart => self.boot(name),
            OnceOff::Reimage => {
                self.effects.push_back(Effect::Discard { id: name.to_owned() });
                self.boot(name);
            }
        }
    }

    fn boot(&mut self, name: &str) {
        let due = self.now + self.options.boot;
        let Some(machine) = self.machines.get_mut(name) else { return };
        machine.on = true;
        machine.power = Power::Starting;
        machine.provisioning = Provisioning::Updating;
        machine.step_due = Some(due);
        machine.events = None;
        self.happened(name, "powered on again");
        self.effects.push_back(Effect::Launch { id: name.to_owned() });
    }

    /// A machine has booted.
    pub(super) fn booted(&mut self, name: &str) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(name) else { return };
        machine.step_due = None;
        machine.power = Power::Running;
        if machine.provisioning != Provisioning::Deleting {
            machine.provisioning = Provisioning::Succeeded;
        }
        machine.running_at.get_or_insert(now);
        let set = machine.set.clone();
        self.happened(name, "runs");
        self.drop_surplus(&set);
        self.upgrade_next(&set);
    }

    fn follow(&mut self, set: &str, name: &str, want: Want) -> Accepted {
        let operation = self.begin(set, false, BTreeMap::from([(name.to_owned(), want)]));
        self.settle();
        Accepted { operation: Some(operation), created: false }
    }

    fn active(&mut self, name: &str) -> Result<&mut VirtualMachine, Refused> {
        let machine = self.machines.get_mut(name);
        let machine = machine.filter(|it| it.ended_at.is_none() && it.provisioning != Provisioning::Deleting);
        machine.ok_or_else(|| Refused::not_active(name))
    }

    fn running(&self, name: &str) -> Result<(), String> {
        match self.machines.get(name).filter(|it| it.ended_at.is_none()) {
            Some(machine) if machine.power == Power::Running => Ok(()),
            Some(machine) => Err(format!("{name} does not run: it is {}", machine.power.as_str())),
            None => Err(format!("there is no machine {name}")),
        }
    }

    /// Starts a rolling upgrade: one machine after the other gets a new disk. Those that are protected from their set's
    /// actions are left out.
    ///
    /// # Errors
    /// One is under way.
    pub(crate) fn rolling_upgrade(&mut self, set: &str, now: Timestamp) -> Result<Accepted, Refused> {
        self.advance(now);
        let key = set.to_lowercase();
        let members = self.members(&key).into_iter();
        let open = members.filter(|it| it.is_counted() && !it.protection.from_scale_set_actions);
        let names: Vec<String> = open.map(|machine| machine.name.clone()).collect();
        let Some(set) = self.scale_sets.get_mut(&key).filter(|set| set.upgrading.is_empty()) else {
            return Err(Refused::concurrent());
        };
        set.upgrading.clone_from(&names);
        self.set_happened(&key, format!("rolling upgrade of {} machines", names.len()));
        let waits = names.into_iter().map(|name| (name, Want::Running)).collect();
        let operation = self.begin(&key, false, waits);
        self.upgrade_next(&key);
        Ok(Accepted { operation: Some(operation), created: false })
    }

    /// The next machine of an upgrade, when the last one is back.
    fn upgrade_next(&mut self, key: &str) {
        let back = self
            .members(key)
            .iter()
            .all(|it| it.provisioning != Provisioning::Updating && it.once_off != Some(OnceOff::Reimage));
        while back && let Some(set) = self.scale_sets.get_mut(key).filter(|set| !set.upgrading.is_empty()) {
            let (name, latest) = (set.upgrading.remove(0), set.model_generation);
            // Whoever was protected or left since is passed over.
            let Some(machine) = self.machines.get_mut(&name).filter(|it| it.is_counted()) else { continue };
            if machine.protection.from_scale_set_actions {
                continue;
            }
            machine.model = Some(latest);
            self.happened(&name, "given a new disk by its set's upgrade");
            self.power_down(&name, OnceOff::Reimage);
            break;
        }
    }
}
