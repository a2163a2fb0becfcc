//! The machines of a scale set: what Azure says of each, and whether it still counts.

use std::collections::BTreeMap;

use lightsout_core::cloud::{Listed, Membership};
use serde::Deserialize;

use crate::{REASON_TAG, azure::READY_TAG};

/// A member of a scale set.
#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::azure) struct Member {
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
    pub(in crate::azure) fn membership(&self) -> Membership {
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

    /// By what the scale set knows it.
    pub(in crate::azure) fn id(&self) -> &str {
        self.instance_id.as_deref().or(self.name.as_deref()).unwrap_or_default()
    }

    /// Whether it counts towards the capacity.
    pub(in crate::azure) fn stays(&self) -> bool {
        self.properties.provisioning_state.as_deref() != Some("Deleting")
    }

    /// Whether it is of its scale set's present model, where that is told.
    pub(in crate::azure) fn has_latest_model(&self) -> Option<bool> {
        self.properties.latest_model_applied
    }
}

/// A page of members.
#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::azure) struct Members {
    value: Vec<Member>,
    #[serde(default)]
    next_link: Option<String>,
}

#[cfg(feature = "host")]
impl Members {
    /// Where the next page is; only the Resource Manager is shown a token.
    pub(in crate::azure) fn next(&self, manager: &str) -> Option<String> {
        self.next_link.clone().filter(|url| url.starts_with(&format!("{manager}/")))
    }

    /// Those that count towards the capacity, by what the scale set knows them by.
    pub(in crate::azure) fn counted(self) -> impl Iterator<Item = String> {
        self.value.into_iter().filter(Member::stays).filter_map(|member| member.instance_id.or(member.name))
    }
}

/// A machine with what is known of its agent: of a Flexible scale set as a resource of its own, of a Uniform one as it is listed.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::azure) struct OwnMachine {
    #[serde(default)]
    name: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
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
    pub(in crate::azure) fn member(&self, tagged: bool) -> Option<lightsout_core::cloud::Member> {
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
    pub(in crate::azure) fn listed(self) -> Listed {
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
