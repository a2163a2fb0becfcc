//! Scale sets and their virtual machines as a pure model, without clock, sockets or async.
//!
//! Calls come in through a wire such as the Resource Manager's, time through `Azure::advance`, and what the surroundings
//! have to do comes out of `Azure::poll_effect`. Everything that looks random comes from the seed.

mod capacity;
mod events;
mod limits;
mod machine;
mod operation;
mod power;
mod refusal;
mod scale_set;
mod timers;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde_json::Value;

pub(crate) use self::{
    events::{EventKind, ScheduledEvent, Source},
    limits::{Limit, Limits},
    machine::{OnceOff, Power, Protection, Provisioning, VirtualMachine},
    operation::{Accepted, Operation},
    refusal::Refused,
    scale_set::{Orchestration, ScaleSet, has_system_identity, overlay},
};
use crate::{
    effect::{Effect, Happening},
    random::Random,
    time::Timestamp,
};

/// How the embedded Azure behaves.
#[derive(Clone, Debug)]
pub struct AzureOptions {
    /// Such as `westeurope`.
    pub location: String,
    /// The one subscription, a UUID.
    pub subscription: String,
    /// The one tenant, a UUID.
    pub tenant: String,
    /// Where all ids come from.
    pub seed: u64,
    /// From the creation of a virtual machine to the end of its provisioning.
    pub boot: Duration,
    /// How long a scale set needs to act on a change: a delete shows in `sku.capacity` so much later, and any other write to
    /// the capacity is refused for as long.
    pub react: Duration,
    /// Pause before a failed creation is tried again, where the set's resiliency policy asks for it.
    pub create_retry: Duration,
    /// How long the first request for scheduled events takes: Azure says up to two minutes.
    pub events_enable: Duration,
    /// Whether the documented limits on calls hold. A fleet that lives a day in a minute has to do without.
    pub limits: bool,
}

impl Default for AzureOptions {
    fn default() -> Self {
        Self {
            location: "westeurope".to_owned(),
            subscription: "6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b".to_owned(),
            tenant: "9a8b7c6d-5e4f-4a3b-8c1d-0e9f8a7b6c5d".to_owned(),
            seed: 1,
            boot: Duration::from_secs(20),
            react: Duration::from_millis(500),
            create_retry: Duration::from_secs(15),
            events_enable: Duration::from_secs(2),
            limits: true,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Azure {
    options: AzureOptions,
    /// By name in lower case: Azure's names keep their case and are compared without it.
    pub(crate) scale_sets: BTreeMap<String, ScaleSet>,
    /// By name. Those that are gone stay until their name is used again.
    pub(crate) machines: BTreeMap<String, VirtualMachine>,
    pub(crate) operations: BTreeMap<String, Operation>,
    pub(crate) events: Vec<ScheduledEvent>,
    /// Autoscale settings as they were written, by their ids in lower case.
    pub(crate) autoscale: BTreeMap<String, Value>,
    /// Other resources, likewise.
    pub(crate) resources: BTreeMap<String, Value>,
    /// Role assignments and the roles that somebody defined, likewise.
    pub(crate) roles: BTreeMap<String, Value>,
    pub(crate) limits: Limits,
    effects: VecDeque<Effect>,
    pub(crate) ids: Random,
    /// Apart from `ids`, so that the number of calls does not change which machines come out.
    request_ids: Random,
    serial: u64,
    create_failure: Option<String>,
    failed_creations: u64,
    now: Timestamp,
}

impl Azure {
    /// An empty cloud.
    pub(crate) fn new(options: AzureOptions) -> Self {
        Self {
            ids: Random::new(options.seed ^ 0xA2),
            request_ids: Random::new(!options.seed),
            limits: Limits::new(options.limits),
            options,
            scale_sets: BTreeMap::new(),
            machines: BTreeMap::new(),
            operations: BTreeMap::new(),
            events: Vec::new(),
            autoscale: BTreeMap::new(),
            resources: BTreeMap::new(),
            roles: BTreeMap::new(),
            effects: VecDeque::new(),
            serial: 0,
            create_failure: None,
            failed_creations: 0,
            now: Timestamp::default(),
        }
    }

    /// How it behaves.
    pub(crate) fn options(&self) -> &AzureOptions {
        &self.options
    }

    /// The next thing for the surroundings to do; drain it after each call and each advance.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// From now on creations fail with this, `CODE: message`, until none; without a code it is `AllocationFailed`. What fails
    /// as `QuotaExceeded` is refused at once.
    pub(crate) fn fail_creations(&mut self, message: Option<String>) {
        self.create_failure = message;
    }

    /// How many creations failed on request since this was last asked.
    pub(crate) fn take_failed_creations(&mut self) -> u64 {
        std::mem::take(&mut self.failed_creations)
    }

    /// A virtual machine, one that is gone included.
    pub(crate) fn machine(&self, name: &str) -> Option<&VirtualMachine> {
        self.machines.get(name)
    }

    /// A scale set, however its name is written.
    pub(crate) fn scale_set(&self, name: &str) -> Option<&ScaleSet> {
        self.scale_sets.get(&name.to_lowercase())
    }

    /// The machines of a set that are there, in the order of their creation.
    pub(crate) fn members(&self, set: &str) -> Vec<&VirtualMachine> {
        let set = set.to_lowercase();
        let mut members: Vec<_> = self.machines.values().filter(|it| it.set == set && it.ended_at.is_none()).collect();
        members.sort_by_key(|machine| machine.serial);
        members
    }

    pub(crate) fn request_id(&mut self) -> String {
        self.request_ids.uuid()
    }

    fn machine_mut(&mut self, name: &str) -> Option<&mut VirtualMachine> {
        self.machines.get_mut(name)
    }

    fn happened(&mut self, machine: &str, what: impl Into<String>) {
        let group = self.machines.get(machine).and_then(|it| self.scale_sets.get(&it.set)).map(|set| set.name.clone());
        let (at, instance) = (self.now, Some(machine.to_owned()));
        self.effects.push_back(Effect::Happened(Happening { at, group, instance, what: what.into() }));
    }

    fn set_happened(&mut self, set: &str, what: impl Into<String>) {
        let group = self.scale_sets.get(set).map(|set| set.name.clone());
        self.effects.push_back(Effect::Happened(Happening { at: self.now, group, instance: None, what: what.into() }));
    }
}
