//! What the program prints: JSON, of which an unknown key is an error, since a misspelt one would be missed in silence.

#[cfg(feature = "host")]
use lightsout_core::cloud::{Capabilities, GroupSize, ProtectionSupport};
use lightsout_core::{
    cloud::{Floor, Listed, Member as Signed, Membership},
    redact,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::raises::Reading;
#[cfg(feature = "host")]
use crate::host::advised;
use crate::{Doubt, DoubtKind, GroupView};

/// Reads one JSON object.
pub(super) fn parse<T: DeserializeOwned>(printed: &[u8]) -> Result<T, String> {
    if printed.trim_ascii().is_empty() {
        return Err("it is empty".into());
    }
    serde_json::from_slice(printed).map_err(|error| error.to_string())
}

/// The answer to `describe`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    #[serde(default)]
    min: u32,
    max: u32,
    desired: u32,
    #[serde(default)]
    floor: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    members: Option<Vec<Member>>,
}

impl Description {
    pub(super) fn view(self, name: &str) -> GroupView {
        GroupView {
            name: name.to_owned(),
            min: self.min,
            max: self.max,
            desired: self.desired,
            floor: self.floor(),
            doubts: self.doubt().map(|text| Doubt { kind: DoubtKind::UnreadTime, text }).into_iter().collect(),
            version: self.version,
            ..GroupView::default()
        }
    }

    /// What a raise is judged by.
    pub(super) fn reading(&self) -> Reading {
        let counted = |members: &Vec<Member>| {
            members.iter().filter(|member| member.counts()).map(|member| member.instance.clone()).collect()
        };
        Reading { desired: self.desired, members: self.members.as_ref().map(counted) }
    }

    /// Who belongs to it; `None`: the program lists nobody.
    pub(super) fn listed(&self) -> Option<Vec<Listed>> {
        let listed = |it: &Member| Listed::new(it.instance.clone(), it.membership());
        Some(self.members.as_ref()?.iter().map(listed).collect())
    }

    /// The members that count, each with the sign of its agent; `None`: the program does not tell of each when it was started, and whether it was
    /// ready. One of which it tells that by no time is left out: it is neither known to be ready nor to be missing.
    pub(super) fn signed(&self) -> Option<Vec<Signed>> {
        let counted = self.members.as_ref()?.iter().filter(|member| member.counts());
        let told: Vec<_> =
            counted.map(|member| member.started.as_ref().zip(member.ready.as_ref())).collect::<Option<_>>()?;
        let read = |(started, ready): (&Time, &Option<Time>)| {
            let ready = ready.as_ref().map(Time::read).transpose().ok()?;
            Some(Signed { started: started.read().ok()?, ready })
        };
        Some(told.into_iter().filter_map(read).collect())
    }

    /// The first time of a member that is none, and how many there are.
    pub(super) fn doubt(&self) -> Option<String> {
        let times = self.members.iter().flatten().flat_map(|member| {
            let ready = member.ready.as_ref().and_then(Option::as_ref);
            let named = [("started", member.started.as_ref()), ("ready", ready)];
            named.into_iter().filter_map(move |(key, time)| Some((member, key, time?.read().err()?)))
        });
        let unread: Vec<_> = times.collect();
        let (member, key, found) = unread.first()?;
        let more = if unread.len() > 1 { format!("; and {} more are none", unread.len() - 1) } else { String::new() };
        Some(format!(
            "members: `{key}` of {:?} is {found}, which is no time{more}: print one as 2026-11-27T06:00:00Z. It is not told of such a member whether its \
             agent works",
            redact(&member.instance, 100)
        ))
    }

    /// It is advice: one that cannot be read is none.
    fn floor(&self) -> Floor {
        self.floor.as_deref().and_then(|floor| floor.parse().ok()).unwrap_or_default()
    }
}

/// An instance of the group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    instance: String,
    state: State,
    #[serde(default)]
    protected: bool,
    /// When its machine was started last.
    #[serde(default)]
    started: Option<Time>,
    /// When its agent said that it is ready; null before. A program that keeps no such sign leaves the key out.
    #[serde(default, deserialize_with = "present")]
    #[expect(clippy::option_option, reason = "null is another word than none")]
    ready: Option<Option<Time>>,
}

/// A time. One that cannot be read makes nothing else unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Time {
    At(jiff::Timestamp),
    Unread(serde_json::Value),
}

impl Time {
    /// The time, or what stands in its place.
    pub(super) fn read(&self) -> Result<jiff::Timestamp, String> {
        match self {
            Self::At(at) => Ok(*at),
            Self::Unread(found) => Err(redact(&found.to_string(), 40)),
        }
    }
}

/// Tells null from a key that is not there.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(key: D) -> Result<Option<T>, D::Error> {
    T::deserialize(key).map(Some)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Pending,
    InService,
    Standby,
    Terminating,
}

impl Member {
    /// Whether it counts towards the desired capacity.
    fn counts(&self) -> bool {
        match self.state {
            State::Pending | State::InService => true,
            State::Standby | State::Terminating => false,
        }
    }

    fn membership(&self) -> Membership {
        match self.state {
            State::Pending => Membership::Pending { waiting: false },
            State::InService => Membership::InService { protected: self.protected },
            State::Standby => Membership::Standby,
            State::Terminating => Membership::Terminating { waiting: false },
        }
    }
}

#[cfg(feature = "host")]
impl Description {
    /// Without a list nobody is known to be outside.
    fn members(&self) -> Result<&[Member], String> {
        self.members.as_deref().ok_or_else(|| "it has no `members`, which agents need: print [] for none".into())
    }

    /// Whether the program keeps when this instance was ready.
    pub(super) fn keeps_ready(&self, instance: &str) -> Result<bool, String> {
        Ok(self.members()?.iter().any(|member| member.instance == instance && member.ready.is_some()))
    }

    pub(super) fn membership(&self, instance: &str) -> Result<Membership, String> {
        let Some(member) = self.members()?.iter().find(|member| member.instance == instance) else {
            return Ok(Membership::Outside);
        };
        Ok(member.membership())
    }

    /// The group as this instance sees it; `None`: it is no member that counts.
    pub(super) fn group_size(&self, instance: &str, now: jiff::Timestamp) -> Result<Option<GroupSize>, String> {
        let counted: Vec<&str> =
            self.members()?.iter().filter(|member| member.counts()).map(|member| member.instance.as_str()).collect();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(counted.contains(&instance).then(|| GroupSize {
            desired: self.desired,
            min: self.min,
            floor: advised(self.floor(), now),
            members: count(counted.len()),
            rank: count(counted.iter().filter(|member| **member < instance).count()),
        }))
    }
}

/// The answer to `whoami`.
#[cfg(feature = "host")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhoamiAnswer {
    pub(super) instance: String,
    #[serde(default)]
    pub(super) group: Option<String>,
    #[serde(default)]
    pub(super) location: String,
    #[serde(default)]
    pub(super) machine_type: Option<String>,
    #[serde(default)]
    pub(super) spot: Option<bool>,
    #[serde(default)]
    pub(super) tags: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    pub(super) capabilities: CapabilitiesAnswer,
}

/// What the program says that its cloud can do. Whatever is left out is what cannot end a job: no protection that was not seen, and no bill
/// that ends by itself.
#[cfg(feature = "host")]
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CapabilitiesAnswer {
    protection: Protection,
    leaving_lowers_capacity: bool,
    power_off_ends_billing: bool,
}

#[cfg(feature = "host")]
impl Default for CapabilitiesAnswer {
    fn default() -> Self {
        Self { protection: Protection::OnDemand, leaving_lowers_capacity: true, power_off_ends_billing: false }
    }
}

#[cfg(feature = "host")]
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Protection {
    AtLaunch,
    OnDemand,
    Never,
}

#[cfg(feature = "host")]
impl From<CapabilitiesAnswer> for Capabilities {
    fn from(answer: CapabilitiesAnswer) -> Self {
        Self {
            protection: match answer.protection {
                // It is believed when `describe` shows it: then nothing needs to be asked for.
                Protection::AtLaunch | Protection::OnDemand => ProtectionSupport::OnDemand,
                Protection::Never => ProtectionSupport::Never,
            },
            leaving_lowers_capacity: answer.leaving_lowers_capacity,
            power_off_ends_billing: answer.power_off_ends_billing,
            ..super::CAPABILITIES
        }
    }
}

/// The answer to `notice`: what holds now.
#[cfg(feature = "host")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct News {
    pub(super) interruption: Option<Time>,
    pub(super) rebalance: bool,
    pub(super) maintenance: bool,
    pub(super) terminate: bool,
    pub(super) order: Option<String>,
}
