//! What Azure answered, as far as it matters here. What is missing or of another kind is absent, never zero.

mod member;
mod operation;
mod scale_set;

use lightsout_core::{exchange::Reply, settings::ScaleSetId};
use serde::{Deserialize, de::DeserializeOwned};

#[cfg(feature = "host")]
pub(super) use self::member::{Member, Members};
pub(super) use self::{
    member::OwnMachine,
    operation::{Operation, Progress},
    scale_set::{ScaleSet, Sku},
};

/// A reply's body.
///
/// # Errors
/// With what is wrong, when it is not such an object.
pub(super) fn parse<T: DeserializeOwned>(reply: &Reply) -> Result<T, String> {
    serde_json::from_slice(&reply.body).map_err(|error| format!("the answer cannot be understood: {error}"))
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

/// The scale set's own name for a group in the settings.
///
/// # Errors
/// With the text and the remedy, when it is none.
pub(super) fn scale_set(name: &str) -> Result<ScaleSetId, String> {
    name.parse().map_err(|why| format!("{name:?} {why}"))
}
