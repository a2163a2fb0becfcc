//! What happens to the machine under an instance: EC2's own calls, power-off, Spot, and failing hardware.

use super::{
    Cloud, Ec2State, Effect, Instance, LifecycleState, MaintenanceEvent, Process, SpotNotice, StateReason, Timestamp,
    template::ShutdownBehavior, termination::TerminationReason,
};

impl Cloud {
    /// Ends the machine for good; nothing happens when EC2 already does.
    pub(crate) fn terminate_machine(&mut self, id: &str, reason: StateReason, now: Timestamp) {
        let grace = self.options.shutdown;
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        if instance.ec2_state.is_ending() {
            return;
        }
        instance.state_reason.get_or_insert(reason);
        if instance.machine_on {
            // A stopping machine was already told to power off.
            if instance.ec2_state != Ec2State::Stopping {
                self.effects.push_back(Effect::PowerOff { id: id.to_owned() });
                instance.power_due = Some(now + grace);
            }
            instance.ec2_state = Ec2State::ShuttingDown;
            self.not_running(id, now);
        } else {
            self.terminated(id, now);
            self.effects.push_back(Effect::Discard { id: id.to_owned() });
        }
    }

    /// The answers of the metadata service travel this far from now on.
    pub(crate) fn set_hop_limit(&mut self, id: &str, limit: u8) {
        self.effects.push_back(Effect::HopLimit { id: id.to_owned(), limit });
    }

    /// Stops the machine, so that it could be started again.
    pub(crate) fn stop_machine(&mut self, id: &str, reason: StateReason, now: Timestamp) {
        let grace = self.options.shutdown;
        let Some(instance) = self.inventory.instances.get_mut(id).filter(|instance| instance.ec2_state.is_up()) else {
            return;
        };
        instance.state_reason.get_or_insert(reason);
        instance.ec2_state = Ec2State::Stopping;
        instance.power_due = Some(now + grace);
        self.effects.push_back(Effect::PowerOff { id: id.to_owned() });
        self.not_running(id, now);
    }

    /// Restarts the machine's operating system. For EC2 and the group it runs all the while.
    pub(crate) fn reboot_machine(&mut self, id: &str, now: Timestamp) {
        self.happened(id, "rebooted through EC2", now);
        self.effects.push_back(Effect::Reboot { id: id.to_owned() });
    }

    /// The machine is off, by itself or because it was told to.
    pub(crate) fn machine_off(&mut self, id: &str, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        instance.machine_on = false;
        instance.power_due = None;
        let ends = match instance.ec2_state {
            Ec2State::Pending | Ec2State::Running => {
                instance.state_reason.get_or_insert(StateReason::Own);
                instance.cause.get_or_insert_with(|| "powered itself off".to_owned());
                let ends = instance.shutdown == ShutdownBehavior::Terminate;
                self.happened(id, "powered itself off", now);
                ends
            }
            Ec2State::ShuttingDown => true,
            Ec2State::Stopping => false,
            Ec2State::Terminated | Ec2State::Stopped => return,
        };
        if ends {
            self.terminated(id, now);
        } else if let Some(instance) = self.inventory.instances.get_mut(id) {
            instance.ec2_state = Ec2State::Stopped;
            self.not_running(id, now);
            self.reach_warm_pool(id, now);
        }
    }

    pub(crate) fn give_spot_notice(&mut self, id: &str, at: Timestamp, now: Timestamp) -> Result<(), String> {
        let instance = self.running(id)?;
        if let Some(notice) = instance.spot_notice {
            return Err(format!("instance {id} already has a Spot notice for {}", notice.time.to_seconds()));
        }
        instance.spot_notice = Some(SpotNotice { action: "terminate", time: at.max(now) });
        let left = at.since(now).as_secs();
        self.happened(id, format!("Spot notice: EC2 takes it back in {left} s"), now);
        self.at_risk(id, true, now);
        Ok(())
    }

    pub(crate) fn recommend_rebalance(&mut self, id: &str, now: Timestamp) -> Result<(), String> {
        let instance = self.running(id)?;
        if instance.rebalance.is_none() {
            instance.rebalance = Some(now);
            self.happened(id, "rebalance recommendation: its Spot capacity is at risk", now);
            self.at_risk(id, false, now);
        }
        Ok(())
    }

    pub(crate) fn schedule_retirement(
        &mut self,
        id: &str,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Result<(), String> {
        let event_id = self.ids.resource("instance-event");
        let instance = self.running(id)?;
        instance.maintenance.push(MaintenanceEvent {
            event_id,
            code: "instance-retirement",
            description: "The instance is running on degraded hardware",
            state: "active",
            not_before: not_before.max(now),
        });
        let left = not_before.since(now).as_secs();
        self.happened(id, format!("maintenance: its hardware retires in {left} s"), now);
        Ok(())
    }

    /// The end that a Spot notice announced; no hook and no protection delays it.
    pub(crate) fn end_spot(&mut self, id: &str, now: Timestamp) {
        self.because(id, "Spot interruption");
        self.happened(id, "EC2 takes the Spot instance back", now);
        self.terminate_machine(id, StateReason::Spot, now);
    }

    /// The end of the hardware: EC2 stops the instance.
    pub(crate) fn retire_hardware(&mut self, id: &str, now: Timestamp) {
        self.because(id, "hardware retired");
        if let Some(instance) = self.inventory.instances.get_mut(id) {
            for event in instance.maintenance.iter_mut().filter(|event| event.not_before <= now) {
                event.state = "completed";
            }
        }
        self.happened(id, "EC2 stops the instance: its hardware retires", now);
        self.stop_machine(id, StateReason::Retired, now);
    }

    /// The health check of the group sees that a member does not run. Instances in standby are not looked at.
    pub(crate) fn notice_not_running(&mut self, id: &str, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        instance.notice_due = None;
        let group = instance.group.as_ref().and_then(|name| self.inventory.groups.get(name));
        let checked = group.is_some_and(|group| group.runs(Process::HealthCheck));
        // In a warm pool it may be stopped as it should be.
        let warm_and_ended = instance.state.is_in_warm_pool() && instance.ec2_state.is_ending();
        if !checked || !(instance.state.is_counted() || instance.state.is_terminating() || warm_and_ended) {
            return;
        }
        instance.healthy = false;
        if instance.state.is_counted() || warm_and_ended {
            self.happened(id, "unhealthy: the group sees that it does not run", now);
            self.schedule_reconcile_of(id, now);
        }
    }

    /// Records why an instance ends, unless that is known already.
    pub(crate) fn because(&mut self, id: &str, why: &str) {
        if let Some(instance) = self.inventory.instances.get_mut(id) {
            instance.cause.get_or_insert_with(|| why.to_owned());
        }
    }

    /// Capacity rebalancing: a new instance comes first. On the final notice there is no time left, and the way out begins
    /// at once. Neither ends an instance that is protected (EC2 Auto Scaling User Guide, capacity rebalancing).
    fn at_risk(&mut self, id: &str, at_once: bool, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        let group = instance.group.as_ref().and_then(|name| self.inventory.groups.get(name));
        if !group.is_some_and(|group| group.capacity_rebalance) || instance.state != LifecycleState::InService {
            return;
        }
        let free = group.is_some_and(|group| group.runs(Process::Terminate)) && !instance.protected;
        if at_once && free {
            self.begin_termination(id, TerminationReason::Rebalance, now);
        } else {
            instance.outgoing = true;
            self.schedule_reconcile_of(id, now);
        }
    }

    fn running(&mut self, id: &str) -> Result<&mut Instance, String> {
        let instance = self.inventory.instances.get_mut(id).ok_or_else(|| format!("there is no instance {id}"))?;
        if instance.ec2_state.is_up() {
            Ok(instance)
        } else {
            Err(format!("instance {id} does not run, it is {}", instance.ec2_state))
        }
    }

    fn terminated(&mut self, id: &str, now: Timestamp) {
        let Some(instance) = self.inventory.instances.get_mut(id) else { return };
        instance.ec2_state = Ec2State::Terminated;
        instance.ended_at = Some(now);
        instance.machine_on = false;
        instance.power_due = None;
        self.not_running(id, now);
        self.forget_if_over(id, now);
    }

    /// Starts the clock until the group sees it.
    fn not_running(&mut self, id: &str, now: Timestamp) {
        let due = now + self.options.notice_power_off;
        if let Some(instance) = self.inventory.instances.get_mut(id)
            && instance.healthy
            && instance.group.is_some()
            && instance.state.is_member()
        {
            instance.notice_due.get_or_insert(due);
        }
    }
}
