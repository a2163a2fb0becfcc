//! A virtual machine scale set: what somebody wrote, and what the model must know of it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::Refused;
use crate::time::Timestamp;

/// How a set keeps its machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orchestration {
    /// Machines are parts of the set: numbered, and named after the number.
    Uniform,
    /// Machines are resources of their own.
    Flexible,
}

#[derive(Clone, Debug)]
pub(crate) struct ScaleSet {
    pub(crate) name: String,
    pub(crate) resource_group: String,
    pub(crate) location: String,
    pub(crate) unique_id: String,
    pub(crate) created_at: Timestamp,
    pub(crate) sku: Value,
    pub(crate) zones: Vec<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) identity: Value,
    /// As it was written, secrets left out.
    pub(crate) properties: Value,
    pub(crate) capacity: u32,
    /// Changes with whatever is written, and with each machine that leaves.
    pub(crate) generation: u64,
    /// Changes with the model of the machines alone.
    pub(crate) model_generation: u64,
    /// Until when a write to the capacity is under way, and by how many it will be lower then.
    pub(crate) leaving: Option<(Timestamp, u32)>,
    /// When it next compares its machines with its capacity.
    pub(crate) reconcile_at: Option<Timestamp>,
    /// Whether the last change of its capacity failed.
    pub(crate) failed: bool,
    /// The counter of the scheduled events' document.
    pub(crate) incarnation: u64,
    /// Machines that a rolling upgrade is still to go through.
    pub(crate) upgrading: Vec<String>,
}

/// Whether a set can be as it was written.
///
/// # Errors
/// What the Resource Manager says against it.
pub(crate) fn validate(set: &ScaleSet) -> Result<(), Refused> {
    let flexible = set.orchestration() == Orchestration::Flexible;
    if let Some(other) =
        set.properties["orchestrationMode"].as_str().filter(|mode| !["Uniform", "Flexible"].contains(mode))
    {
        return Err(Refused::invalid(
            "orchestrationMode",
            format!("Required parameter 'orchestrationMode' has the value '{other}', which is not valid."),
        ));
    }
    if flexible && set.capacity > 1000 || set.capacity > 10_000 {
        let message = "The capacity of the Virtual Machine Scale Set is above the maximum for its orchestration mode.";
        return Err(Refused::invalid("sku.capacity", message));
    }
    let profile = &set.properties["virtualMachineProfile"];
    if !profile.is_null() && !profile.is_object() {
        let message = "The value of parameter virtualMachineProfile is no object.";
        return Err(Refused::invalid("virtualMachineProfile", message));
    }
    if flexible && set.identity["type"].as_str().is_some_and(|kind| kind.contains("SystemAssigned")) {
        let message =
            "System assigned identities are not supported for Virtual Machine Scale Sets with Flexible orchestration.";
        return Err(Refused::new(400, "OperationNotAllowed", message));
    }
    if set.is_spot() && set.terminate_notice().is_some() {
        let message = "Terminate notification cannot be enabled on a Virtual Machine Scale Set with Spot priority.";
        return Err(Refused::new(400, "OperationNotAllowed", message));
    }
    let notice = &set.properties["virtualMachineProfile"]["scheduledEventsProfile"]["terminateNotificationProfile"];
    if notice["enable"] == true && set.terminate_notice().is_none_or(|it| it < MINUTE * 5 || it > MINUTE * 15) {
        let message = "Invalid value provided for notBeforeTimeout. Value must be in the range 'PT5M' to 'PT15M'.";
        return Err(Refused::invalid("notBeforeTimeout", message));
    }
    Ok(())
}

const MINUTE: Duration = Duration::from_secs(60);

impl ScaleSet {
    pub(crate) fn orchestration(&self) -> Orchestration {
        // What says nothing is Uniform for the API, whatever the portal and the tools write.
        if self.properties["orchestrationMode"] == "Flexible" {
            Orchestration::Flexible
        } else {
            Orchestration::Uniform
        }
    }

    /// The path of its resource, with the case that it was created with.
    pub(crate) fn id(&self, subscription: &str) -> String {
        format!(
            "/subscriptions/{subscription}/resourceGroups/{}/providers/Microsoft.Compute/virtualMachineScaleSets/{}",
            self.resource_group, self.name
        )
    }

    /// Such as `"3"`, quotes included.
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", self.generation)
    }

    /// Uniform sets start more machines than asked for, unless told not to.
    pub(crate) fn overprovisions(&self) -> bool {
        self.orchestration() == Orchestration::Uniform && self.properties["overprovision"] != false
    }

    /// The subnets of its machines' interfaces, by their ids.
    pub(crate) fn subnets(&self) -> impl Iterator<Item = &str> {
        let profile = &self.properties["virtualMachineProfile"]["networkProfile"];
        let interfaces = profile["networkInterfaceConfigurations"].as_array().into_iter().flatten();
        let addresses = interfaces
            .flat_map(|interface| interface["properties"]["ipConfigurations"].as_array().into_iter().flatten());
        addresses.filter_map(|address| address["properties"]["subnet"]["id"].as_str())
    }

    /// Whether its machines are Spot.
    pub(crate) fn is_spot(&self) -> bool {
        self.properties["virtualMachineProfile"]["priority"] == "Spot"
    }

    /// Whether an evicted machine is deleted; it is deallocated, and stays, when nothing was said.
    pub(crate) fn evicts_by_delete(&self) -> bool {
        !self.is_spot() || self.properties["virtualMachineProfile"]["evictionPolicy"] == "Delete"
    }

    /// How long a machine that is to be deleted is told before.
    pub(crate) fn terminate_notice(&self) -> Option<Duration> {
        let profile =
            &self.properties["virtualMachineProfile"]["scheduledEventsProfile"]["terminateNotificationProfile"];
        if profile["enable"] != true {
            return None;
        }
        let text = profile["notBeforeTimeout"].as_str().unwrap_or("PT5M");
        let minutes = text.strip_prefix("PT").and_then(|it| it.strip_suffix('M')).and_then(|it| it.parse::<u64>().ok());
        minutes.map(|minutes| MINUTE * u32::try_from(minutes).unwrap_or(u32::MAX))
    }

    /// Whether a creation that fails is tried again by the set itself.
    pub(crate) fn retries_creations(&self) -> bool {
        self.properties["resiliencyPolicy"]["resilientVMCreationPolicy"]["enabled"] == true
    }

    /// The rule by which a scale-in chooses.
    pub(crate) fn scale_in_rule(&self) -> &str {
        self.properties["scaleInPolicy"]["rules"][0].as_str().unwrap_or("Default")
    }

    /// The resource ids of its user-assigned identities.
    pub(crate) fn user_identities(&self) -> Vec<&str> {
        self.identity["userAssignedIdentities"].as_object().into_iter().flatten().map(|(id, _)| id.as_str()).collect()
    }

    /// Whether it has an identity of its own.
    pub(crate) fn has_system_identity(&self) -> bool {
        has_system_identity(&self.identity)
    }

    /// Writes over it what a PUT or a PATCH says.
    pub(crate) fn merge(&mut self, body: &Value) -> Result<(), Refused> {
        let before = self.properties["virtualMachineProfile"].clone();
        if let Some(capacity) = body["sku"].get("capacity") {
            let capacity = capacity.as_u64().and_then(|it| u32::try_from(it).ok());
            self.capacity = capacity
                .ok_or_else(|| Refused::invalid("sku.capacity", "The value of parameter sku.capacity is invalid."))?;
        }
        overlay(&mut self.sku, &body["sku"]);
        if let Some(zones) = body["zones"].as_array() {
            self.zones = zones.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        if let Some(tags) = body["tags"].as_object() {
            self.tags =
                tags.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        }
        overlay(&mut self.identity, &body["identity"]);
        overlay(&mut self.properties, &body["properties"]);
        if let Some(Value::Object(profile)) = self.properties.pointer_mut("/virtualMachineProfile/osProfile") {
            profile.retain(|key, _| !["adminPassword", "customData"].contains(&key.as_str()));
        }
        validate(self)?;
        self.generation += 1;
        if before != self.properties["virtualMachineProfile"] {
            self.model_generation += 1;
        }
        Ok(())
    }

    /// The name of the machine with this instance id.
    pub(crate) fn machine_name(&self, instance_id: &str) -> String {
        match self.orchestration() {
            Orchestration::Uniform => format!("{}_{instance_id}", self.name),
            Orchestration::Flexible => instance_id.to_owned(),
        }
    }

    /// What the names of its operating systems begin with.
    pub(crate) fn computer_name_prefix(&self) -> &str {
        self.properties["virtualMachineProfile"]["osProfile"]["computerNamePrefix"].as_str().unwrap_or(&self.name)
    }
}

/// Whether a resource that was written with these identities has one of its own.
pub(crate) fn has_system_identity(written: &Value) -> bool {
    written["type"].as_str().is_some_and(|kind| kind.contains("SystemAssigned"))
}

/// Puts an object's members over another's, at every depth; a null takes one away.
pub(crate) fn overlay(under: &mut Value, over: &Value) {
    match (under, over) {
        (_, Value::Null) => {}
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    under.remove(key);
                } else {
                    overlay(under.entry(key).or_insert(json!(null)), value);
                }
            }
        }
        (under, over) => *under = over.clone(),
    }
}
