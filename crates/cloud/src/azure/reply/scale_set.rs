//! A scale set, and what about its settings may hurt.

use std::collections::BTreeMap;

use lightsout_core::cloud::Floor;
#[cfg(feature = "host")]
use lightsout_core::doctor::facts::{ScaleSetModel, SpotModel};
use serde::Deserialize;

use crate::{Doubt, DoubtKind, GroupView, azure::FLOOR_TAG};

/// The most instances of a scale set (Azure, "Virtual Machine Scale Sets FAQ"), and of one that is held in a single placement group.
const MOST: u32 = 1000;
const MOST_IN_ONE_PLACEMENT_GROUP: u32 = 100;

/// The size of a scale set's instances, and how many there should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(in crate::azure) struct Sku {
    pub(in crate::azure) name: Option<String>,
    pub(in crate::azure) tier: Option<String>,
    pub(in crate::azure) capacity: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(in crate::azure) struct ScaleSet {
    #[serde(default)]
    pub(in crate::azure) sku: Sku,
    etag: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
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
    pub(in crate::azure) fn view(&self, name: &str, etag: Option<&str>) -> Result<GroupView, String> {
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
    pub(in crate::azure) fn floor(&self) -> Floor {
        self.tags.get(FLOOR_TAG).and_then(|floor| floor.parse().ok()).unwrap_or_default()
    }

    /// How long before its end a member is told that somebody deletes it; `None`: it is not.
    #[cfg(feature = "host")]
    pub(in crate::azure) fn terminate_notification(&self) -> Option<std::time::Duration> {
        let profile = self.properties.virtual_machine_profile.as_ref()?.scheduled_events.as_ref()?;
        let notification = profile.terminate_notification_profile.as_ref().filter(|profile| profile.enable)?;
        // As long as it says, and five minutes where it says nothing (Azure, "Terminate notification").
        crate::azure::host::minutes(notification.not_before_timeout.as_deref().unwrap_or("PT5M"))
    }

    /// How it is set up.
    #[cfg(feature = "host")]
    pub(in crate::azure) fn model(&self) -> ScaleSetModel {
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
    pub(in crate::azure) fn is_flexible(&self) -> bool {
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
