//! Members of groups on the wire.

use super::{
    error::{AwsError, CallResult},
    form::Form,
    history,
    lookup::{PAGE, group, member},
    page::page,
    xml::Xml,
};
use crate::aws::model::{ActivityId, Bounds, Cloud, Instance, LifecycleState};
use crate::time::Timestamp;

/// Ids that one call may name (EC2 Auto Scaling API reference).
const MOST_TO_MOVE: usize = 20;
const MOST_TO_PROTECT: usize = 50;
const MOST_TO_TERMINATE: usize = 100;

/// `DescribeAutoScalingInstances`: unknown ids are left out.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let ids = form.list_up_to("InstanceIds", 50)?;
    let size = form.number("MaxRecords", 1..=PAGE)?.unwrap_or(PAGE);
    let wanted = |instance: &&Instance| {
        let listed = instance.state.is_member() && instance.group.is_some();
        listed && (ids.is_empty() || ids.contains(&instance.id.as_str()))
    };
    let shown: Vec<_> = cloud.view().instances.values().filter(wanted).collect();
    let (shown, next) = page(shown, size, form.text("NextToken"), |instance| &instance.id)?;
    let mut xml = Xml::default();
    xml.list("AutoScalingInstances", "member", shown, |xml, instance| {
        xml.text("AutoScalingGroupName", instance.group.as_deref().unwrap_or_default());
        // This call shouts where DescribeAutoScalingGroups says `Healthy`.
        xml.text("HealthStatus", if instance.healthy { "HEALTHY" } else { "UNHEALTHY" });
        xml.text("ImageId", &instance.image);
        write(xml, instance);
    });
    xml.optional("NextToken", next);
    Ok(Some(xml))
}

/// The fields that both describes of members have.
pub(crate) fn write(xml: &mut Xml, instance: &Instance) {
    xml.text("InstanceId", &instance.id);
    xml.text("InstanceType", &instance.instance_type);
    xml.text("AvailabilityZone", &instance.availability_zone);
    xml.text("LifecycleState", instance.state);
    xml.node("LaunchTemplate", |xml| {
        xml.text("LaunchTemplateId", &instance.template_id);
        xml.text("LaunchTemplateName", &instance.template_name);
        xml.text("Version", instance.template_version);
    });
    xml.text("ProtectedFromScaleIn", instance.protected);
}

/// `SetInstanceProtection`: all instances or none.
pub(crate) fn set_protection(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let protected = form.need_flag("ProtectedFromScaleIn")?;
    let ids = members_named(cloud, form, MOST_TO_PROTECT)?;
    for id in &ids {
        let state = cloud.inventory.instances[id].state;
        let fits =
            matches!(state, LifecycleState::InService | LifecycleState::EnteringStandby | LifecycleState::Standby);
        if !fits {
            let message = format!("The instance {id} is not in InService or EnteringStandby or Standby.");
            return Err(AwsError::validation(message));
        }
    }
    for id in ids {
        cloud.protect(&id, protected, now);
    }
    Ok(Some(Xml::default()))
}

/// `SetInstanceHealth`: a young instance is left alone unless the call says otherwise.
pub(crate) fn set_health(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let instance = member(cloud, form.need("InstanceId")?)?;
    let healthy = match form.need("HealthStatus")? {
        status if status.eq_ignore_ascii_case("Healthy") => true,
        status if status.eq_ignore_ascii_case("Unhealthy") => false,
        other => {
            let message =
                format!("Valid instance health states are: [Healthy, Unhealthy]. {other} is not one of them.");
            return Err(AwsError::validation(message));
        }
    };
    let respect = form.flag("ShouldRespectGracePeriod")?.unwrap_or(true);
    let grace = instance.group.as_deref().and_then(|name| cloud.group(name)).map(|group| group.grace);
    let since = instance.in_service_at.unwrap_or(now);
    let young = grace.is_some_and(|grace| since + grace > now);
    let id = instance.id.clone();
    if healthy || !(respect && young) {
        cloud.set_health(&id, healthy, now);
    }
    Ok(None)
}

/// `TerminateInstanceInAutoScalingGroup`, for one instance of any group or for several of one group.
pub(crate) fn terminate(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let decrement = form.need_flag("ShouldDecrementDesiredCapacity")?;
    let several = form.list_up_to("InstanceIds", MOST_TO_TERMINATE)?;
    let ids = match form.text("InstanceId") {
        Some(_) if !several.is_empty() => {
            return Err(AwsError::validation("Only one of InstanceId and InstanceIds may be specified."));
        }
        Some(id) => vec![id],
        None if several.is_empty() => return Err(form.missing("InstanceId")),
        None => several,
    };
    let mut name = form.owned("AutoScalingGroupName");
    for id in &ids {
        let instance = member(cloud, id)?;
        if name.get_or_insert_with(|| instance.group.clone().unwrap_or_default())
            != instance.group.as_deref().unwrap_or_default()
        {
            return Err(AwsError::validation(format!(
                "Instance Id not found - No managed instance found for instance ID {id}"
            )));
        }
        if instance.state.is_in_warm_pool() {
            return Err(AwsError::validation(format!("The instance {id} is in a warm pool.")));
        }
        // A launch under way can be called off; anything else under way has to end first.
        if let Some(activity) = instance.activity.filter(|_| !instance.state.is_pending())
            && let Some(activity) = cloud.inventory.activity(activity)
        {
            return Err(AwsError::in_progress(&activity.id));
        }
    }
    let name = name.unwrap_or_default();
    let bounds = cloud.group(&name).ok_or_else(|| AwsError::no_group(&name))?.bounds;
    let counted =
        ids.iter().filter(|id| cloud.instance(id).is_some_and(|instance| instance.state.is_counted())).count();
    let counted = u32::try_from(counted).unwrap_or(u32::MAX);
    if decrement && bounds.desired < bounds.min.saturating_add(counted) {
        return Err(AwsError::validation(format!(
            "Currently, desiredSize equals minSize ({}). Terminating instance without replacement will violate group's \
             min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.",
            bounds.min
        )));
    }
    let mut begun = Vec::new();
    for id in ids {
        begun.extend(cloud.ask_to_leave(&name, id, decrement, now));
    }
    let mut xml = Xml::default();
    if let Some(activity) = begun.first().and_then(|id| cloud.inventory.activity(*id)) {
        xml.node("Activity", |xml| history::write(xml, activity));
    }
    if form.text("InstanceId").is_none() {
        xml.append(&history::list(cloud, &begun));
    }
    Ok(Some(xml))
}

/// `AttachInstances`.
pub(crate) fn attach(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let group = group(cloud, form)?;
    let (name, bounds) = (group.name.clone(), group.bounds);
    let ids: Vec<String> = form.list_up_to("InstanceIds", MOST_TO_MOVE)?.into_iter().map(str::to_owned).collect();
    for id in &ids {
        let instance =
            cloud.instance(id).ok_or_else(|| AwsError::validation(format!("Invalid Instance ID(s): [{id}]")))?;
        if instance.state.is_member()
            && let Some(owner) = &instance.group
        {
            let message = format!("Instance {id} is already part of AutoScalingGroup:{owner}.");
            return Err(AwsError::validation(message));
        }
        if !instance.ec2_state.is_up() {
            return Err(AwsError::validation(format!("The instance {id} is not in the running state.")));
        }
    }
    check_room(&name, bounds, ids.len(), "attach")?;
    for id in ids {
        cloud.attach(&name, &id, now);
    }
    Ok(None)
}

/// `DetachInstances`.
pub(crate) fn detach(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let allowed = |state| matches!(state, LifecycleState::InService | LifecycleState::Standby);
    leave_service(cloud, form, ("detach", "InService or Standby"), allowed, now, Cloud::detach)
}

/// `EnterStandby`.
pub(crate) fn enter_standby(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let allowed = |state| state == LifecycleState::InService;
    leave_service(cloud, form, ("put into standby", "InService"), allowed, now, Cloud::enter_standby)
}

/// `ExitStandby`.
pub(crate) fn exit_standby(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let group = group(cloud, form)?;
    let (name, bounds) = (group.name.clone(), group.bounds);
    let ids = members_named(cloud, form, MOST_TO_MOVE)?;
    for id in &ids {
        if cloud.inventory.instances[id].state != LifecycleState::Standby {
            return Err(AwsError::validation(format!("The instance {id} is not in Standby.")));
        }
    }
    check_room(&name, bounds, ids.len(), "move out of standby")?;
    let begun: Vec<_> = ids.iter().map(|id| cloud.exit_standby(&name, id, now)).collect();
    Ok(Some(history::list(cloud, &begun)))
}

type Move = fn(&mut Cloud, &str, &str, Timestamp) -> Option<ActivityId>;

/// What detaching and entering standby have in common. `words` are the verb and the states that allow it.
fn leave_service(
    cloud: &mut Cloud,
    form: &Form<'_>,
    words: (&str, &str),
    allowed: impl Fn(LifecycleState) -> bool,
    now: Timestamp,
    go: Move,
) -> CallResult {
    let group = group(cloud, form)?;
    let (name, bounds) = (group.name.clone(), group.bounds);
    let decrement = form.need_flag("ShouldDecrementDesiredCapacity")?;
    let ids = members_named(cloud, form, MOST_TO_MOVE)?;
    let (verb, states) = words;
    for id in &ids {
        if !allowed(cloud.inventory.instances[id].state) {
            return Err(AwsError::validation(format!("The instance {id} is not in {states}.")));
        }
    }
    let counted = ids.iter().filter(|id| cloud.inventory.instances[*id].state.is_counted()).count();
    let counted = u32::try_from(counted).unwrap_or(u32::MAX);
    if decrement && bounds.desired < bounds.min.saturating_add(counted) {
        return Err(sizes(&name, bounds, ids.len(), verb));
    }
    if decrement && counted > 0 {
        cloud.decrement(&name, counted, now);
    }
    let begun: Vec<_> = ids.iter().filter_map(|id| go(cloud, &name, id, now)).collect();
    Ok(Some(history::list(cloud, &begun)))
}

/// The ids of a call, all of them members of the group that it names.
fn members_named(cloud: &Cloud, form: &Form<'_>, limit: usize) -> Result<Vec<String>, AwsError> {
    let name = &group(cloud, form)?.name;
    let ids = form.list_up_to("InstanceIds", limit)?;
    if ids.is_empty() {
        return Err(form.missing("InstanceIds"));
    }
    for id in &ids {
        let of_group = |instance: &Instance| instance.state.is_member() && instance.group.as_ref() == Some(name);
        if !cloud.instance(id).is_some_and(of_group) {
            return Err(AwsError::validation(format!("The instance {id} is not part of Auto Scaling group {name}.")));
        }
    }
    Ok(ids.into_iter().map(str::to_owned).collect())
}

fn check_room(name: &str, bounds: Bounds, more: usize, verb: &str) -> Result<(), AwsError> {
    let more_wanted = u32::try_from(more).unwrap_or(u32::MAX);
    if bounds.desired.saturating_add(more_wanted) > bounds.max {
        return Err(sizes(name, bounds, more, verb));
    }
    Ok(())
}

fn sizes(name: &str, bounds: Bounds, count: usize, verb: &str) -> AwsError {
    let Bounds { min, max, desired } = bounds;
    let noun = if count == 1 { "instance" } else { "instances" };
    AwsError::validation(format!(
        "AutoScalingGroup {name} has min-size={min}, max-size={max}, and desired-size={desired}. To {verb} {count} \
         {noun}, please update the AutoScalingGroup sizes appropriately."
    ))
}
