//! How many machines a set has: writes to its capacity, creations, scale-ins, and machines that leave by name.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Azure, Orchestration, Power, Protection, Provisioning, Refused, ScaleSet, VirtualMachine,
    operation::{Accepted, Want},
    power::Reason,
    scale_set::validate,
};
use crate::{effect::Effect, time::Timestamp};

impl Azure {
    /// Creates a set, or writes over one.
    ///
    /// # Errors
    /// What the Resource Manager says against it.
    pub(crate) fn put_set(
        &mut self,
        group: &str,
        name: &str,
        body: &Value,
        if_match: Option<&str>,
        now: Timestamp,
    ) -> Result<Accepted, Refused> {
        self.advance(now);
        let key = name.to_lowercase();
        if self.scale_sets.contains_key(&key) {
            return self.update_set(group, name, body, if_match, now);
        }
        let sku = body["sku"].clone();
        if sku["name"].as_str().is_none() {
            return Err(Refused::invalid("sku.name", "Required parameter 'sku.name' is missing (null)."));
        }
        let Some(location) = body["location"].as_str() else {
            let message = "The location property is required for this definition.";
            return Err(Refused::new(400, "LocationRequired", message));
        };
        let mut set = ScaleSet {
            name: name.to_owned(),
            resource_group: group.to_owned(),
            location: location.to_owned(),
            unique_id: self.ids.uuid(),
            created_at: self.now,
            sku: json!({"tier": "Standard"}),
            zones: Vec::new(),
            tags: BTreeMap::new(),
            identity: json!({}),
            properties: json!({}),
            capacity: 0,
            generation: 0,
            model_generation: 0,
            leaving: None,
            reconcile_at: None,
            failed: false,
            incarnation: 1,
            upgrading: Vec::new(),
        };
        set.merge(body)?;
        validate(&set)?;
        self.check_quota(set.capacity)?;
        let wanted = set.capacity;
        self.scale_sets.insert(key.clone(), set);
        self.set_happened(&key, format!("created with a capacity of {wanted}"));
        let operation = (wanted > 0).then(|| self.change_capacity(&key));
        Ok(Accepted { operation, created: true })
    }

    /// Writes what a PATCH says. A capacity is absolute: who read it a while ago makes machines anew that left in between,
    /// or ends some, unless `If-Match` keeps it from that.
    ///
    /// # Errors
    /// There is no such set, it was changed since (412), or it is being written to.
    pub(crate) fn update_set(
        &mut self,
        group: &str,
        name: &str,
        body: &Value,
        if_match: Option<&str>,
        now: Timestamp,
    ) -> Result<Accepted, Refused> {
        self.advance(now);
        let key = name.to_lowercase();
        let set = self.set_in(group, name)?;
        if if_match.is_some_and(|etag| etag != "*" && etag != set.etag()) {
            let message = "The condition specified using HTTP conditional header(s) is not met.";
            return Err(Refused::new(412, "PreconditionFailed", message));
        }
        let before = set.capacity;
        let mut changed = set.clone();
        changed.merge(body)?;
        let wanted = changed.capacity;
        let says_capacity = !body["sku"]["capacity"].is_null();
        if says_capacity && set.leaving.is_some() {
            return Err(Refused::concurrent());
        }
        if wanted > before {
            self.check_quota(wanted)?;
        }
        self.scale_sets.insert(key.clone(), changed);
        if wanted != before {
            self.set_happened(&key, format!("capacity {before} -> {wanted}"));
        }
        let present = u32::try_from(self.members(&key).iter().filter(|it| it.is_counted()).count()).unwrap_or(u32::MAX);
        let operation = (says_capacity && (wanted != before || wanted != present)).then(|| self.change_capacity(&key));
        Ok(Accepted { operation, created: false })
    }

    /// Deletes machines by name: each lowers the capacity by one, a moment later.
    ///
    /// # Errors
    /// One of them is no machine of this set or is being deleted already, or another write to the set is under way.
    pub(crate) fn delete_machines(&mut self, set: &str, names: &[String], now: Timestamp) -> Result<Accepted, Refused> {
        self.advance(now);
        let key = set.to_lowercase();
        for name in names {
            let active = self
                .machines
                .get(name)
                .is_some_and(|it| it.set == key && it.ended_at.is_none() && it.provisioning != Provisioning::Deleting);
            if !active {
                let id = self.machines.get(name).map_or(name.as_str(), |machine| machine.instance_id.as_str());
                return Err(Refused::not_active(id));
            }
        }
        let counted = names.iter().filter(|name| self.machines[*name].is_counted()).count();
        let until = self.now + self.options.react;
        let Some(set) = self.scale_sets.get_mut(&key) else {
            return Err(Refused::new(404, "ResourceNotFound", "The scale set is gone."));
        };
        if set.leaving.is_some() {
            return Err(Refused::concurrent());
        }
        set.leaving = Some((until, u32::try_from(counted).unwrap_or(u32::MAX)));
        set.generation += 1;
        let waits = names.iter().map(|name| (name.clone(), Want::Gone)).collect();
        let operation = self.begin(&key, false, waits);
        self.until_lowered(&operation);
        self.let_go(names, Reason::Deleted);
        Ok(Accepted { operation: Some(operation), created: false })
    }

    /// A delete that began a moment ago shows in the capacity.
    pub(super) fn left(&mut self, key: &str) {
        let Some(set) = self.scale_sets.get_mut(key) else { return };
        if let Some((_, by)) = set.leaving.take() {
            self.lower(key, by);
            self.lowered(key);
        }
    }

    /// The capacity falls with machines that are gone.
    pub(super) fn lower(&mut self, key: &str, by: u32) {
        let Some(set) = self.scale_sets.get_mut(key) else { return };
        let before = set.capacity;
        set.capacity = before.saturating_sub(by);
        set.generation += 1;
        let after = set.capacity;
        if before != after {
            self.set_happened(key, format!("capacity {before} -> {after}"));
        }
    }

    /// The set compares its machines with its capacity, and does something about the difference.
    pub(super) fn reconcile(&mut self, key: &str) {
        let Some(set) = self.scale_sets.get_mut(key) else { return };
        set.reconcile_at = None;
        set.failed = false;
        let wanted = usize::try_from(set.capacity).unwrap_or(usize::MAX);
        let surplus = if set.overprovisions() { 5 } else { 0 };
        let present = self.members(key).iter().filter(|it| it.is_counted()).count();
        if present < wanted {
            let missing = wanted - present;
            for _ in 0..missing {
                if !self.create(key, false) {
                    break;
                }
            }
            // Up to a fifth more than is asked for, and at least one, are started, and go when the others run.
            let extra = if surplus == 0 { 0 } else { missing.div_ceil(surplus) };
            for _ in 0..extra {
                self.create(key, true);
            }
        } else if present > wanted {
            self.scale_in(key, present - wanted);
        }
        if self.scale_sets.get(key).is_some_and(|set| set.reconcile_at.is_none()) {
            self.reconciled(key);
        }
    }

    /// Machines that are more than were asked for go, once the others run.
    pub(super) fn drop_surplus(&mut self, key: &str) {
        let members = self.members(key);
        let ready = members.iter().filter(|it| it.is_counted()).all(|it| it.provisioning == Provisioning::Succeeded);
        let surplus = members.iter().filter(|it| it.surplus && it.provisioning != Provisioning::Deleting);
        let names: Vec<String> = surplus.map(|machine| machine.name.clone()).collect();
        if ready && !names.is_empty() {
            self.let_go(&names, Reason::Surplus);
        }
    }

    /// Whether a machine of this set was begun.
    fn create(&mut self, key: &str, surplus: bool) -> bool {
        if let Some(failure) = self.create_failure.clone() {
            let (code, message) = code_and_message(&failure);
            self.failed_creations += 1;
            self.set_happened(key, format!("a machine cannot be created: {code}: {message}"));
            let retry = self.now + self.options.create_retry;
            let Some(set) = self.scale_sets.get_mut(key) else { return false };
            set.failed = true;
            if set.retries_creations() {
                set.reconcile_at = Some(retry);
            } else {
                self.fail_operations(key, &code, &message);
            }
            return false;
        }
        let Some(set) = self.scale_sets.get(key).cloned() else { return false };
        let instance_id = match set.orchestration() {
            Orchestration::Uniform => self.free_number(&set),
            Orchestration::Flexible => format!("{}_{:08x}", set.name, self.ids.next() >> 32),
        };
        let name = set.machine_name(&instance_id);
        let suffix = match set.orchestration() {
            Orchestration::Uniform => base_36(instance_id.parse().unwrap_or(0)),
            Orchestration::Flexible => format!("{:06x}", self.ids.next() >> 40).to_uppercase(),
        };
        self.serial += 1;
        let user_data = set.properties["virtualMachineProfile"]["userData"].as_str().unwrap_or_default();
        let machine = VirtualMachine {
            name: name.clone(),
            instance_id,
            set: key.to_owned(),
            vm_id: self.ids.uuid(),
            computer_name: format!("{}{suffix}", set.computer_name_prefix()),
            zone: self.emptiest_zone(&set),
            tags: set.tags.clone(),
            user_data: STANDARD
                .decode(user_data)
                .map_or_else(|_| String::new(), |it| String::from_utf8_lossy(&it).into()),
            provisioning: Provisioning::Creating,
            power: Power::Starting,
            // Nothing is protected at birth: the protection is the machine's, and no set can ask for it.
            protection: Protection::default(),
            model: Some(set.model_generation),
            generation: 1,
            created_at: self.now,
            running_at: None,
            ended_at: None,
            evicted_at: None,
            cause: None,
            serial: self.serial,
            on: true,
            once_off: None,
            step_due: Some(self.now + self.options.boot),
            surplus,
            events: None,
        };
        self.machines.insert(name.clone(), machine);
        if !surplus {
            self.wait_for(key, &name, Want::Running);
        }
        self.happened(&name, if surplus { "created, one more than asked for" } else { "created" });
        self.effects.push_back(Effect::Launch { id: name });
        true
    }

    /// The lowest number that no machine has, nor one whose end was a moment ago.
    fn free_number(&self, set: &ScaleSet) -> String {
        let taken = |number: &u32| {
            let machine = self.machines.get(&set.machine_name(&number.to_string()));
            machine.is_some_and(|it| it.ended_at.is_none_or(|at| self.now.since(at) < self.options.react))
        };
        (0..u32::MAX).find(|number| !taken(number)).unwrap_or(u32::MAX).to_string()
    }

    fn emptiest_zone(&self, set: &ScaleSet) -> Option<String> {
        let members = self.members(&set.name);
        let filled = |zone: &String| members.iter().filter(|it| it.zone.as_ref() == Some(zone)).count();
        set.zones.iter().min_by_key(|zone| filled(zone)).cloned()
    }

    /// So many machines are to go, and nobody says which: protected ones do not. Where only such are left the operation
    /// fails, and the capacity is again what is there.
    fn scale_in(&mut self, key: &str, by: usize) {
        let Some(rule) = self.scale_sets.get(key).map(|set| set.scale_in_rule().to_owned()) else { return };
        let mut chosen: Vec<String> = Vec::new();
        for _ in 0..by {
            let left = || {
                let members = self.members(key).into_iter();
                members.filter(|it| it.is_counted() && !chosen.contains(&it.name)).collect::<Vec<_>>()
            };
            let in_zone = |zone: &Option<String>| left().iter().filter(|it| it.zone == *zone).count();
            let open = left().into_iter().filter(|it| !it.is_protected());
            // Zones are kept in balance first; then the newest goes, or what the policy says.
            let victim = open.max_by_key(|it| {
                let order = i64::try_from(it.serial).unwrap_or(i64::MAX);
                (in_zone(&it.zone), if rule == "OldestVM" { -order } else { order })
            });
            let Some(victim) = victim.map(|it| it.name.clone()) else { break };
            chosen.push(victim);
        }
        for name in &chosen {
            self.wait_for(key, name, Want::Gone);
        }
        let kept = by - chosen.len();
        self.let_go(&chosen, Reason::ScaleIn);
        if kept > 0 {
            if let Some(set) = self.scale_sets.get_mut(key) {
                set.capacity += u32::try_from(kept).unwrap_or(u32::MAX);
                set.generation += 1;
            }
            self.set_happened(key, format!("{kept} of its machines are protected from scale-in, and stay"));
            let message = "The instances that are left are protected from scale-in.";
            self.fail_operations(key, "OperationNotAllowed", message);
        }
    }

    fn change_capacity(&mut self, key: &str) -> String {
        self.preempt(key);
        let at = self.now + self.options.react;
        if let Some(set) = self.scale_sets.get_mut(key) {
            set.reconcile_at = Some(at);
        }
        self.begin(key, true, BTreeMap::new())
    }

    fn check_quota(&self, wanted: u32) -> Result<(), Refused> {
        match self.create_failure.as_deref().map(code_and_message) {
            Some((code, message)) if code == "QuotaExceeded" && wanted > 0 => {
                Err(Refused::new(409, "QuotaExceeded", message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The set of this name in this resource group.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn set_in(&self, group: &str, name: &str) -> Result<&ScaleSet, Refused> {
        let set = self.scale_set(name).filter(|set| set.resource_group.eq_ignore_ascii_case(group));
        set.ok_or_else(|| {
            let message = format!(
                "The Resource 'Microsoft.Compute/virtualMachineScaleSets/{name}' under resource group '{group}' was not \
                 found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
            );
            Refused::new(404, "ResourceNotFound", message)
        })
    }
}

/// `CODE: message`, or a message that is an allocation failure's.
fn code_and_message(failure: &str) -> (String, String) {
    match failure.split_once(": ") {
        Some((code, message)) if code.chars().all(|it| it.is_ascii_alphanumeric()) => (code.into(), message.into()),
        _ => ("AllocationFailed".into(), failure.into()),
    }
}

/// Six digits of base 36, as the operating systems of a Uniform set are numbered.
fn base_36(mut number: u32) -> String {
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[usize::try_from(number % 36).unwrap_or(0)];
        number /= 36;
    }
    String::from_utf8_lossy(&digits).into_owned()
}
