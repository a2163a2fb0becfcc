//! How a group gets new instances, and what it does when it gets none.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Activity, ActivityStatus, Cloud, Ec2State, Effect, Group, Instance, Inventory, LifecycleState, MixedInstances,
    Process, StateReason, TemplateData, Timestamp,
};

/// The tag that tells an instance which group it belongs to.
pub(crate) const GROUP_TAG: &str = "aws:autoscaling:groupName";

/// Whether a zone has instances of this type. As in many a region, one zone has none with accelerators (types `g...` and `p...`): here the
/// third.
pub(crate) fn offers(zone: &str, kind: &str) -> bool {
    !(zone.ends_with('c') && kind.starts_with(['g', 'p']))
}

impl Cloud {
    /// Launches `missing` instances, unless launching is suspended or earlier failures say to wait.
    pub(crate) fn launch_missing(&mut self, name: &str, missing: u32, now: Timestamp) {
        let waits = |group: &Group| {
            let pause = group.backoff.is_some_and(|(until, _)| until > now);
            pause || !group.runs(Process::Launch)
        };
        if self.inventory.groups.get(name).is_none_or(waits) {
            return;
        }
        for _ in 0..missing {
            if self.take_from_warm_pool(name, now) {
                continue;
            }
            if let Err(why) = self.launch(name, LifecycleState::Pending, now) {
                self.launch_failed(name, &why, now);
                return;
            }
        }
    }

    /// Launches instances into the warm pool, unless launching is suspended or earlier failures say to wait.
    pub(crate) fn warm_up(&mut self, name: &str, missing: u32, now: Timestamp) {
        let Some(group) = self.inventory.groups.get(name) else { return };
        if group.backoff.is_some_and(|(until, _)| until > now) || !group.runs(Process::Launch) {
            return;
        }
        for _ in 0..missing {
            if let Err(why) = self.launch(name, LifecycleState::WarmedPending, now) {
                self.launch_failed(name, &why, now);
                return;
            }
        }
    }

    /// Launches one instance. Its way begins with `Pending` into service, or with `Warmed:Pending` into the warm pool.
    fn launch(&mut self, name: &str, state: LifecycleState, now: Timestamp) -> Result<(), String> {
        if let Some(why) = &self.launch_failure {
            self.count_injected(|injected| injected.failed_launches += 1);
            return Err(why.clone());
        }
        let group = self.inventory.groups.get(name).ok_or("The group is gone.")?;
        let preferred = group.mixed.as_ref().and_then(|mixed| mixed.overrides.first());
        let (template_id, wanted) = preferred.and_then(|it| it.template.as_ref()).unwrap_or(&group.template);
        let template =
            self.inventory.templates.get(template_id).ok_or("The specified launch template does not exist.")?;
        let version = template.version(wanted).ok_or("The specified launch template version does not exist.")?;
        let data = version.data.clone();
        let (template_id, template_name, template_version) =
            (template.id.clone(), template.name.clone(), version.number);
        let place = thinnest_zone(&self.inventory, group);
        let spot = group.mixed.as_ref().map_or(data.spot, |mixed| wants_spot(&self.inventory, name, mixed));
        let instance_type = preferred.and_then(|it| it.instance_type.as_ref()).or(data.instance_type.as_ref());
        let instance_type = instance_type.map_or("m5.large", String::as_str).to_owned();
        if let Some(image) = data.image.as_ref().filter(|image| self.inventory.gone_images.contains(*image)) {
            return Err(format!("The image id '[{image}]' does not exist. Launching EC2 instance failed."));
        }
        if !offers(&group.zones[place], &instance_type) {
            return Err(format!(
                "Your requested instance type ({instance_type}) is not supported in your requested Availability Zone ({}). Launching EC2 \
                 instance failed.",
                group.zones[place]
            ));
        }
        let cause = if state.is_warming() {
            warm_up_cause(&self.inventory, group, now)
        } else {
            launch_cause(&self.inventory, group, now)
        };
        let (zone, subnet) = (group.zones[place].clone(), group.subnets.get(place).cloned());

        let mut tags = instance_tags(group, &data);
        tags.insert(GROUP_TAG.to_owned(), name.to_owned());
        tags.insert("aws:ec2launchtemplate:id".to_owned(), template_id.clone());
        tags.insert("aws:ec2launchtemplate:version".to_owned(), template_version.to_string());

        let id = self.ids.resource("i");
        self.launches += 1;
        let into = if state.is_warming() { " into warm pool" } else { "" };
        let description = format!("Launching a new EC2 instance{into}: {id}");
        let activity = self.begin_activity(name, Some(&id), description, cause, now);
        let [_, _, _, _, _, _, high, low] = self.launches.to_be_bytes();
        let instance = Instance {
            id: id.clone(),
            group: Some(name.to_owned()),
            state,
            ec2_state: Ec2State::Pending,
            protected: false,
            healthy: true,
            launched_at: now,
            in_service_at: None,
            ended_at: None,
            target_state: None,
            spot_notice: None,
            rebalance: None,
            maintenance: Vec::new(),
            tags,
            user_data: decoded(data.user_data.as_deref()),
            instance_type: instance_type.clone(),
            availability_zone: zone.clone(),
            subnet,
            image: data.image.clone().unwrap_or_else(|| "ami-00000000000000000".to_owned()),
            private_ip: format!("10.0.{high}.{low}"),
            spot,
            profile: data.profile().map(str::to_owned),
            metadata: data.metadata.unwrap_or_default(),
            template_id,
            template_name,
            template_version,
            cause: None,
            state_reason: None,
            shutdown: data.shutdown.unwrap_or_default(),
            serial: self.launches,
            step_due: Some(now + self.options.boot / 2),
            power_due: None,
            notice_due: None,
            machine_on: true,
            hooked: true,
            lifecycle_actions: Vec::new(),
            activity: Some(activity),
            outgoing: false,
        };
        self.inventory.instances.insert(id.clone(), instance);
        self.effects.push_back(Effect::Launch { id: id.clone() });
        let market = if spot { "Spot" } else { "on-demand" };
        self.happened(&id, format!("launched as {market} {instance_type} in {zone}{into}"), now);
        Ok(())
    }

    fn launch_failed(&mut self, name: &str, why: &str, now: Timestamp) {
        let Some(group) = self.inventory.groups.get(name) else { return };
        let cause = launch_cause(&self.inventory, group, now);
        let description = format!("Launching a new EC2 instance.  Status Reason: {why}");
        let activity = self.begin_activity(name, None, description, cause, now);
        self.inventory.finish(activity, ActivityStatus::Failed, Some(why.to_owned()), now);
        self.back_off(name, why, now);
    }

    /// EC2 gave an instance that does not start: it is gone, and its launch has failed.
    pub(crate) fn no_boot(&mut self, id: &str, why: &str, now: Timestamp) {
        let coming = |instance: &&mut Instance| instance.state.is_pending() || instance.state.is_warming();
        let Some(instance) = self.inventory.instances.get_mut(id).filter(coming) else {
            return self.machine_off(id, now);
        };
        instance.state = LifecycleState::Terminated;
        instance.target_state = Some("Terminated");
        instance.ec2_state = Ec2State::Terminated;
        instance.state_reason.get_or_insert(StateReason::NoBoot);
        instance.cause.get_or_insert_with(|| format!("did not boot: {why}"));
        instance.ended_at = Some(now);
        instance.machine_on = false;
        (instance.step_due, instance.power_due, instance.notice_due) = (None, None, None);
        instance.lifecycle_actions.clear();
        let (activity, group) = (instance.activity.take(), instance.group.clone());
        if let Some(activity) = activity {
            self.inventory.finish(activity, ActivityStatus::Failed, Some(why.to_owned()), now);
        }
        self.happened(id, format!("did not boot: {why}"), now);
        if let Some(group) = group {
            self.back_off(&group, why, now);
        }
    }

    /// Pauses launching after a failure, longer each time until an instance comes into service.
    fn back_off(&mut self, name: &str, why: &str, now: Timestamp) {
        let first = self.options.launch_retry;
        if let Some(group) = self.inventory.groups.get_mut(name) {
            let failures = group.backoff.map_or(0, |(_, failures)| failures) + 1;
            let pause: Duration = first * 2_u32.pow((failures - 1).min(4));
            group.backoff = Some((now + pause, failures));
            let text = format!("a launch failed, next try in {:.1} s: {why}", pause.as_secs_f64());
            self.group_happened(name, text, now);
        }
    }

    /// Starts an entry of the activity history.
    pub(crate) fn begin_activity(
        &mut self,
        group: &str,
        instance: Option<&str>,
        description: String,
        cause: String,
        now: Timestamp,
    ) -> super::ActivityId {
        let id = self.ids.uuid();
        let status = if instance.is_some() && description.starts_with("Launching") {
            ActivityStatus::PreInService
        } else {
            ActivityStatus::InProgress
        };
        self.inventory.record(Activity {
            id,
            group: group.to_owned(),
            instance: instance.map(str::to_owned),
            description,
            cause,
            start: now,
            end: None,
            status,
            message: None,
        })
    }
}

fn launch_cause(inventory: &Inventory, group: &Group, now: Timestamp) -> String {
    let count = inventory.count(&group.name);
    let why = group.last_change.as_deref().map_or(String::new(), |change| format!("{change}  "));
    format!(
        "{why}At {} an instance was started in response to a difference between desired and actual capacity, \
         increasing the capacity from {count} to {}.",
        now.to_seconds(),
        count + 1
    )
}

fn warm_up_cause(inventory: &Inventory, group: &Group, now: Timestamp) -> String {
    let (at, count) = (now.to_seconds(), inventory.warm(&group.name).count());
    format!(
        "At {at} an instance was started in response to a difference between desired and actual warm pool size, \
         increasing the warm pool size from {count} to {}.",
        count + 1
    )
}

/// The zone with the fewest counted members; the first of them as the group names them.
fn thinnest_zone(inventory: &Inventory, group: &Group) -> usize {
    let held = |zone: &str| inventory.counted(&group.name).filter(|member| member.availability_zone == zone).count();
    let thinnest = group.zones.iter().enumerate().min_by_key(|(_, zone)| held(zone));
    thinnest.map_or(0, |(at, _)| at)
}

/// Whether the next instance of a mixed group is a Spot instance.
fn wants_spot(inventory: &Inventory, group: &str, mixed: &MixedInstances) -> bool {
    let (spot, on_demand) = inventory.counted(group).fold((0_u32, 0_u32), |(spot, on_demand), member| {
        if member.spot { (spot + 1, on_demand) } else { (spot, on_demand + 1) }
    });
    if on_demand < mixed.on_demand_base {
        return false;
    }
    let above = on_demand - mixed.on_demand_base;
    // One more on-demand instance would exceed its share of everything above the base.
    (above + 1) * 100 > mixed.on_demand_percent * (above + spot + 1)
}

fn instance_tags(group: &Group, data: &TemplateData) -> BTreeMap<String, String> {
    let from_template =
        data.tags.iter().filter(|(resource, _)| resource == "instance").flat_map(|(_, tags)| tags.clone());
    let propagated = group.tags.iter().filter(|(_, tag)| tag.propagate);
    from_template.chain(propagated.map(|(key, tag)| (key.clone(), tag.value.clone()))).collect()
}

fn decoded(user_data: Option<&str>) -> String {
    let bytes = user_data.and_then(|text| STANDARD.decode(text.trim()).ok());
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
