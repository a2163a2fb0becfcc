//! What Azure answered, as far as it matters here. What is missing or of another kind is absent, never zero.

mod operation;

#[cfg(feature = "host")]
use lightsout_core::doctor::facts::{ScaleSetModel, SpotModel};
use lightsout_core::{
    cloud::{Floor, Listed, Membership},
    exchange::Reply,
    settings::ScaleSetId,
};
use serde::{Deserialize, de::DeserializeOwned};

pub(super) use self::operation::{Operation, Progress};
use super::{FLOOR_TAG, READY_TAG};
use crate::{Doubt, DoubtKind, GroupView, REASON_TAG};

/// The most instances of a scale set (Azure, "Virtual Machine Scale Sets FAQ"), and of one that is held in a single placement group.
const MOST: u32 = 1000;
const MOST_IN_ONE_PLACEMENT_GROUP: u32 = 100;

/// A reply's body.
///
/// # Errors
/// With what is wrong, when it is not such an object.
pub(super) fn parse<T: DeserializeOwned>(reply: &Reply) -> Result<T, String> {
    serde_json::from_slice(&reply.body).map_err(|error| format!("the answer cannot be understood: {error}"))
}

/// The size of a scale set's instances, and how many there should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Sku {
    pub(super) name: Option<String>,
    pub(super) tier: Option<String>,
    pub(super) capacity: Option<u32>,
}

/// A scale set.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ScaleSet {
    #[serde(default)]
    pub(super) sku: Sku,
    etag: Option<String>,
    #[serde(default)]
    tags: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    properties: Properties,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    orchestration_mode: Option<String>,
    provisioning_state: Option<String>,
    overprovision: Option<bool>,
    single_placement_group: Option<bool>,
    automatic_repairs_policy: Option<Enabled>,
    #[cfg(feature = "host")]
    spot_restore_policy: Option<Enabled>,
    upgrade_policy: Option<UpgradePolicy>,
    virtual_machine_profile: Option<Profile>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Enabled {
    enabled: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct UpgradePolicy {
    mode: Option<String>,
    #[cfg(feature = "host")]
    #[serde(rename = "automaticOSUpgradePolicy")]
    automatic: Option<ImageUpgrades>,
}

#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ImageUpgrades {
    #[serde(rename = "enableAutomaticOSUpgrade")]
    enabled: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Profile {
    priority: Option<String>,
    eviction_policy: Option<String>,
    #[cfg(feature = "host")]
    #[serde(rename = "scheduledEventsProfile")]
    scheduled_events: Option<ScheduledEvents>,
}

#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScheduledEvents {
    terminate_notification_profile: Option<TerminateNotification>,
}

#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TerminateNotification {
    enable: bool,
    not_before_timeout: Option<String>,
}

impl ScaleSet {
    /// The scaler's view of it. `etag` is the reply's header, for who finds none in the body.
    ///
    /// # Errors
    /// When it does not say how many instances it should have.
    pub(super) fn view(&self, name: &str, etag: Option<&str>) -> Result<GroupView, String> {
        let desired = self.sku.capacity.ok_or("the answer has no sku.capacity: is this a scale set with a profile?")?;
        let single = self.is_uniform() && self.properties.single_placement_group == Some(true);
        Ok(GroupView {
            name: name.to_owned(),
            min: 0,
            max: if single { MOST_IN_ONE_PLACEMENT_GROUP } else { MOST },
            desired,
            floor: self.floor(),
            version: self.etag.as_deref().or(etag).map(str::to_owned),
            unscalable: self.unscalable(),
            doubts: self.doubts(),
        })
    }

    /// The floor that the scaler left on it.
    pub(super) fn floor(&self) -> Floor {
        self.tags.get(FLOOR_TAG).and_then(|floor| floor.parse().ok()).unwrap_or_default()
    }

    /// How long before its end a member is told that somebody deletes it; `None`: it is not.
    #[cfg(feature = "host")]
    pub(super) fn terminate_notification(&self) -> Option<std::time::Duration> {
        let profile = self.properties.virtual_machine_profile.as_ref()?.scheduled_events.as_ref()?;
        let notification = profile.terminate_notification_profile.as_ref().filter(|profile| profile.enable)?;
        // As long as it says, and five minutes where it says nothing (Azure, "Terminate notification").
        super::host::minutes(notification.not_before_timeout.as_deref().unwrap_or("PT5M"))
    }

    /// How it is set up.
    #[cfg(feature = "host")]
    pub(super) fn model(&self) -> ScaleSetModel {
        let properties = &self.properties;
        let on = |policy: &Option<Enabled>| policy.as_ref().is_some_and(|policy| policy.enabled);
        let upgrades = properties.upgrade_policy.clone().unwrap_or_default();
        let profile = properties.virtual_machine_profile.clone().unwrap_or_default();
        let spot = profile.priority.as_deref() == Some("Spot");
        ScaleSetModel {
            overprovisions: self.overprovisions(),
            repairs: on(&properties.automatic_repairs_policy),
            upgrade_mode: upgrades.mode.unwrap_or_else(|| "Manual".into()),
            upgrades_images: upgrades.automatic.is_some_and(|automatic| automatic.enabled),
            spot: spot.then(|| SpotModel {
                deletes: profile.eviction_policy.as_deref() == Some("Delete"),
                restores: on(&properties.spot_restore_policy),
            }),
            terminate_notice: self.terminate_notification(),
        }
    }

    /// On unless it says otherwise (REST API reference, "overprovision").
    fn overprovisions(&self) -> bool {
        self.is_uniform() && self.properties.overprovision != Some(false)
    }

    /// Whether its machines are resources of their own.
    pub(super) fn is_flexible(&self) -> bool {
        !self.is_uniform()
    }

    fn is_uniform(&self) -> bool {
        self.properties.orchestration_mode.as_deref() != Some("Flexible")
    }

    fn unscalable(&self) -> Option<String> {
        let deleting = self.properties.provisioning_state.as_deref() == Some("Deleting");
        deleting.then(|| "it is being deleted; remove the pool, or name another scale set".to_owned())
    }

    fn doubts(&self) -> Vec<Doubt> {
        let properties = &self.properties;
        let profile = properties.virtual_machine_profile.clone().unwrap_or_default();
        let mode = properties.upgrade_policy.as_ref().and_then(|policy| policy.mode.as_deref()).unwrap_or("Manual");
        let repairs = properties.automatic_repairs_policy.as_ref().is_some_and(|policy| policy.enabled);
        let overprovision = self.overprovisions();
        let spot = profile.priority.as_deref() == Some("Spot");
        let found = [
            (
                overprovision,
                "it starts more instances than it is asked for and deletes some of them, although one may run a job by then; set overprovision = false",
            ),
            (
                mode != "Manual",
                "its upgrade policy is not Manual: a new model deletes or reimages instances that run jobs; set upgradePolicy.mode = Manual",
            ),
            (repairs, "automatic repairs replace instances that run jobs; switch automaticRepairsPolicy off"),
            (
                spot && profile.eviction_policy.as_deref() != Some("Delete"),
                "its spot instances are deallocated when they are evicted: they stay, count as capacity, and cost their disks; set evictionPolicy = Delete",
            ),
        ];
        let found = found.into_iter().filter(|(holds, _)| *holds);
        found.map(|(_, text)| Doubt { kind: DoubtKind::OtherHands, text: text.into() }).collect()
    }
}

/// A member of a scale set.
#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Member {
    #[serde(default)]
    instance_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    properties: MemberProperties,
}

#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MemberProperties {
    provisioning_state: Option<String>,
    latest_model_applied: Option<bool>,
    protection_policy: Option<Protection>,
}

#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Protection {
    protect_from_scale_in: bool,
    protect_from_scale_set_actions: bool,
}

#[cfg(feature = "host")]
impl Member {
    /// Its place. Only words that say so are news: while something is written to it, it is updating, and serves all the same.
    pub(super) fn membership(&self) -> Membership {
        match self.properties.provisioning_state.as_deref() {
            Some("Deleting") => Membership::Terminating { waiting: false },
            Some("Creating") => Membership::Pending { waiting: false },
            _ => {
                let from_both =
                    |policy: &Protection| policy.protect_from_scale_in && policy.protect_from_scale_set_actions;
                Membership::InService { protected: self.properties.protection_policy.as_ref().is_some_and(from_both) }
            }
        }
    }
}

#[cfg(feature = "host")]
impl Member {
    /// By what the scale set knows it.
    pub(super) fn id(&self) -> &str {
        self.instance_id.as_deref().or(self.name.as_deref()).unwrap_or_default()
    }

    /// Whether it counts towards the capacity.
    pub(super) fn stays(&self) -> bool {
        self.properties.provisioning_state.as_deref() != Some("Deleting")
    }

    /// Whether it is of its scale set's present model, where that is told.
    pub(super) fn has_latest_model(&self) -> Option<bool> {
        self.properties.latest_model_applied
    }
}

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    pub(super) value: Vec<T>,
    pub(super) next_link: Option<String>,
}

/// An Autoscale setting (Azure Monitor REST API reference, "Autoscale Settings").
#[cfg(feature = "host")]
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Autoscale {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    properties: AutoscaleProperties,
}

#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AutoscaleProperties {
    enabled: Option<bool>,
    target_resource_uri: Option<String>,
}

#[cfg(feature = "host")]
impl Autoscale {
    /// Whether it may change the capacity of this scale set: it does unless it says that it is off.
    pub(super) fn acts_on(&self, set: &ScaleSetId) -> bool {
        let target = self.properties.target_resource_uri.as_deref().and_then(|uri| uri.parse::<ScaleSetId>().ok());
        let same = |target: ScaleSetId| target.to_string().eq_ignore_ascii_case(&set.to_string());
        self.properties.enabled != Some(false) && target.is_some_and(same)
    }
}

/// A part of what the caller may do (Azure REST API reference, "Permissions").
#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Permission {
    actions: Vec<String>,
    not_actions: Vec<String>,
    data_actions: Vec<String>,
    not_data_actions: Vec<String>,
}

#[cfg(feature = "host")]
impl Permission {
    /// Whether it allows an action. What one assignment leaves out another may allow (Azure, "Understand Azure role definitions", "NotActions").
    pub(super) fn allows(&self, action: &str) -> bool {
        names(&self.actions, action) && !names(&self.not_actions, action)
    }

    /// The same of an action on data, such as to read a secret.
    pub(super) fn allows_on_data(&self, action: &str) -> bool {
        names(&self.data_actions, action) && !names(&self.not_data_actions, action)
    }
}

#[cfg(feature = "host")]
fn names(patterns: &[String], action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    patterns.iter().any(|pattern| covers(&pattern.to_ascii_lowercase(), &action))
}

/// Whether a text is one that a pattern stands for: `*` stands for any characters.
#[cfg(feature = "host")]
fn covers(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| covers(rest, &text[at..]))
}

/// A machine with what is known of its agent: of a Flexible scale set as a resource of its own, of a Uniform one as it is listed.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct OwnMachine {
    #[serde(default)]
    name: String,
    #[serde(default)]
    tags: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    properties: OwnMachineProperties,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnMachineProperties {
    provisioning_state: Option<String>,
    time_created: Option<String>,
    protection_policy: Option<ProtectedByAgent>,
}

/// What its agent asks for before its runner registers, and nobody else for it: the scale set's model cannot have it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ProtectedByAgent {
    protect_from_scale_in: bool,
}

impl OwnMachine {
    /// As one that counts towards the capacity, with the sign of its agent; `None`: it is on its way out, or does not say since when it is there.
    /// A machine of a Uniform scale set has no tags of its own. Its protection says as much of it: an agent has lived there, and went on to register.
    pub(super) fn member(&self, tagged: bool) -> Option<lightsout_core::cloud::Member> {
        let properties = &self.properties;
        if properties.provisioning_state.as_deref() == Some("Deleting") {
            return None;
        }
        let started = properties.time_created.as_deref()?.parse().ok()?;
        let protected = properties.protection_policy.as_ref().is_some_and(|policy| policy.protect_from_scale_in);
        let ready = if tagged { self.ready() } else { protected.then_some(started) };
        Some(lightsout_core::cloud::Member { started, ready })
    }

    /// As one of its Flexible scale set. Whether it is protected is not told here.
    pub(super) fn listed(self) -> Listed {
        let membership = match self.properties.provisioning_state.as_deref() {
            Some("Deleting") => Membership::Terminating { waiting: false },
            Some("Creating") => Membership::Pending { waiting: false },
            _ => Membership::InService { protected: false },
        };
        let (ready, why) = (self.ready(), self.tags.get(REASON_TAG).cloned());
        Listed { ready, why, ..Listed::new(self.name, membership) }
    }

    fn ready(&self) -> Option<jiff::Timestamp> {
        self.tags.get(READY_TAG).and_then(|at| at.parse().ok())
    }
}

/// A page of members.
#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Members {
    value: Vec<Member>,
    #[serde(default)]
    next_link: Option<String>,
}

#[cfg(feature = "host")]
impl Members {
    /// Where the next page is; only the Resource Manager is shown a token.
    pub(super) fn next(&self, manager: &str) -> Option<String> {
        self.next_link.clone().filter(|url| url.starts_with(&format!("{manager}/")))
    }

    /// Those that count towards the capacity, by what the scale set knows them by.
    pub(super) fn counted(self) -> impl Iterator<Item = String> {
        self.value.into_iter().filter(Member::stays).filter_map(|member| member.instance_id.or(member.name))
    }
}

/// The scale set's own name for a group in the settings.
///
/// # Errors
/// With the text and the remedy, when it is none.
pub(super) fn scale_set(name: &str) -> Result<ScaleSetId, String> {
    name.parse().map_err(|why| format!("{name:?} {why}"))
}
