//! Instance refreshes on the wire.

use super::{
    error::{AwsError, CallResult},
    form::Form,
    group_settings,
    lookup::{LARGEST_PAGE, PAGE, group},
    page::page,
    xml::Xml,
};
use crate::aws::model::{Blocked, Cloud, Refresh, RefreshStatus};
use crate::time::Timestamp;

/// `StartInstanceRefresh`; one at a time.
pub(crate) fn start(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let group = group(cloud, form)?;
    let name = group.name.clone();
    if group.refreshes.iter().any(|refresh| refresh.status.is_active()) {
        return Err(AwsError::new(
            "InstanceRefreshInProgress",
            "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
        ));
    }
    if let Some(other) = form.text("Strategy").filter(|strategy| *strategy != "Rolling") {
        return Err(AwsError::validation(format!("The refresh strategy {other} is not supported; use Rolling.")));
    }
    let preferences = form.part("Preferences");
    let default_warmup = u32::try_from(group.warmup.unwrap_or(group.grace).as_secs()).unwrap_or(u32::MAX);
    let refresh = Refresh {
        id: String::new(),
        status: RefreshStatus::Pending,
        reason: None,
        start: now,
        end: None,
        min_healthy: preferences.number("MinHealthyPercentage", 0..=100)?.unwrap_or(90),
        protected: blocked(&preferences, "ScaleInProtectedInstances", "Refresh")?,
        standby: blocked(&preferences, "StandbyInstances", "Terminate")?,
        before: None,
        skip_matching: preferences.flag("SkipMatching")?.unwrap_or(false),
        warmup: preferences.number("InstanceWarmup", 0..=u32::MAX)?.unwrap_or(default_warmup),
        remaining: Vec::new(),
        total: 0,
        blocked_since: None,
    };
    let desired = form.part("DesiredConfiguration").part("LaunchTemplate");
    let template = if desired.is_empty() { None } else { Some(group_settings::template(cloud, &desired)?) };
    let id = cloud.ids.uuid();
    let mut before = None;
    if let Some(template) = template
        && let Some(group) = cloud.inventory.groups.get_mut(&name)
    {
        before = Some(std::mem::replace(&mut group.template, template));
    }
    cloud.start_refresh(&name, Refresh { id: id.clone(), before, ..refresh }, now);
    Ok(Some(with_id(&id)))
}

/// `CancelInstanceRefresh`.
pub(crate) fn cancel(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let (name, active) = active(cloud, form)?;
    let id = active.id.clone();
    cloud.cancel_refresh(&name, now);
    Ok(Some(with_id(&id)))
}

/// `RollbackInstanceRefresh`: only of one that changes the launch template, from a version that stays what it is.
pub(crate) fn roll_back(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let (name, active) = active(cloud, form)?;
    let irreversible = |why: &str| {
        AwsError::new("IrreversibleInstanceRefresh", format!("The instance refresh cannot be rolled back: {why}."))
    };
    match (active.status, &active.before) {
        (RefreshStatus::Cancelling, _) => return Err(irreversible("it is being cancelled")),
        (RefreshStatus::RollbackInProgress, _) => return Err(irreversible("it is being rolled back")),
        (_, None) => return Err(irreversible("it was started without a desired configuration")),
        (_, Some((_, version))) if version.starts_with('$') => {
            return Err(irreversible(&format!("the group used the launch template's version {version} before")));
        }
        (_, Some(_)) => {}
    }
    let id = active.id.clone();
    cloud.roll_back_refresh(&name, now);
    Ok(Some(with_id(&id)))
}

/// `DescribeInstanceRefreshes`: the newest first.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let name = form.need("AutoScalingGroupName")?;
    let group = cloud.view().groups.get(name).ok_or_else(|| AwsError::no_group(name))?;
    let ids = form.list("InstanceRefreshIds");
    let size = form.number("MaxRecords", 1..=LARGEST_PAGE)?.unwrap_or(PAGE);
    let wanted = |refresh: &&Refresh| ids.is_empty() || ids.contains(&refresh.id.as_str());
    let shown: Vec<_> = group.refreshes.iter().rev().filter(wanted).collect();
    let (shown, next) = page(shown, size, form.text("NextToken"), |refresh| &refresh.id)?;
    let mut xml = Xml::default();
    xml.list("InstanceRefreshes", "member", shown, |xml, refresh| {
        xml.text("InstanceRefreshId", &refresh.id);
        xml.text("AutoScalingGroupName", name);
        xml.text("Status", refresh.status.as_str());
        xml.optional("StatusReason", refresh.reason.as_deref());
        xml.text("StartTime", refresh.start);
        xml.optional("EndTime", refresh.end);
        xml.text("PercentageComplete", refresh.percent());
        xml.text("InstancesToUpdate", refresh.to_update());
        xml.text("Strategy", "Rolling");
        xml.node("Preferences", |xml| {
            xml.text("MinHealthyPercentage", refresh.min_healthy);
            xml.text("InstanceWarmup", refresh.warmup);
            xml.text("SkipMatching", refresh.skip_matching);
            xml.text("ScaleInProtectedInstances", word(refresh.protected, "Refresh"));
            xml.text("StandbyInstances", word(refresh.standby, "Terminate"));
        });
    });
    xml.optional("NextToken", next);
    Ok(Some(xml))
}

/// The refresh that goes on, and its group's name.
fn active(cloud: &mut Cloud, form: &Form<'_>) -> Result<(String, Refresh), AwsError> {
    let group = group(cloud, form)?;
    let active = group.refreshes.last().filter(|refresh| refresh.status.is_active()).cloned();
    let active = active.ok_or_else(|| {
        let message = format!("No in progress or pending Instance Refresh found for Auto Scaling group {}", group.name);
        AwsError::new("ActiveInstanceRefreshNotFound", message)
    })?;
    Ok((group.name.clone(), active))
}

fn blocked(preferences: &Form<'_>, name: &str, replace: &str) -> Result<Blocked, AwsError> {
    match preferences.text(name) {
        None | Some("Wait") => Ok(Blocked::Wait),
        Some("Ignore") => Ok(Blocked::Ignore),
        Some(value) if value == replace => Ok(Blocked::Replace),
        Some(other) => Err(AwsError::validation(format!(
            "1 validation error detected: Value '{other}' at 'preferences.{name}' failed to satisfy constraint: Member \
             must satisfy enum value set: [{replace}, Ignore, Wait]"
        ))),
    }
}

fn word(blocked: Blocked, replace: &'static str) -> &'static str {
    match blocked {
        Blocked::Wait => "Wait",
        Blocked::Ignore => "Ignore",
        Blocked::Replace => replace,
    }
}

fn with_id(id: &str) -> Xml {
    let mut xml = Xml::default();
    xml.text("InstanceRefreshId", id);
    xml
}
