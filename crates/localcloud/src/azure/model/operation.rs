//! Asynchronous operations: what a write begins, and how it came out.

use std::collections::BTreeMap;

use super::{Azure, Power, Provisioning, VirtualMachine};
use crate::time::Timestamp;

/// How many are remembered that have ended: whoever began one asks about it at once.
const ENDED_KEPT: usize = 200;

/// An operation, whose status is asked for at `Azure-AsyncOperation` or `Location`.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    /// Its set's key.
    pub(crate) set: String,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    /// Code and message.
    pub(crate) error: Option<(String, String)>,
    /// Whether it is about the capacity of its set: of such there is one at a time.
    pub(crate) about_capacity: bool,
    /// Whether its set has not yet compared its machines with its capacity, or lowered it.
    pub(super) unreconciled: bool,
    /// What it waits for, by the name of the machine.
    pub(super) waits: BTreeMap<String, Want>,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The operation that it began, if any.
    pub(crate) operation: Option<String>,
    /// Whether the set is new.
    pub(crate) created: bool,
}

/// What is to become of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Running,
    Off,
    Gone,
}

/// `status` of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationStatus {
    InProgress,
    Succeeded,
    Failed,
}

impl Operation {
    pub(crate) fn status(&self) -> OperationStatus {
        match (&self.error, self.ended) {
            (Some(_), _) => OperationStatus::Failed,
            (None, Some(_)) => OperationStatus::Succeeded,
            (None, None) => OperationStatus::InProgress,
        }
    }
}

impl OperationStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

impl Want {
    fn is_met(self, machine: Option<&VirtualMachine>) -> bool {
        let Some(machine) = machine.filter(|machine| machine.ended_at.is_none()) else { return true };
        match self {
            Self::Running => machine.provisioning == Provisioning::Succeeded && machine.power == Power::Running,
            Self::Off => matches!(machine.power, Power::Stopped | Power::Deallocated),
            Self::Gone => false,
        }
    }
}

impl Azure {
    /// Begins an operation and gives its id.
    pub(super) fn begin(&mut self, set: &str, about_capacity: bool, waits: BTreeMap<String, Want>) -> String {
        let id = self.ids.uuid();
        let operation = Operation {
            id: id.clone(),
            set: set.to_owned(),
            started: self.now,
            ended: None,
            error: None,
            about_capacity,
            unreconciled: about_capacity && waits.is_empty(),
            waits,
        };
        self.operations.insert(id.clone(), operation);
        self.forget_ended_operations();
        id
    }

    /// Forgets those that ended first, where more are remembered than are kept.
    fn forget_ended_operations(&mut self) {
        let ended = self.operations.values().filter_map(|it| Some((it.ended?, it.id.clone())));
        let mut ended: Vec<_> = ended.collect();
        ended.sort();
        for (_, id) in &ended[..ended.len().saturating_sub(ENDED_KEPT)] {
            self.operations.remove(id);
        }
    }

    /// The operation that deletes this machine.
    pub(crate) fn delete_of(&self, machine: &str) -> Option<String> {
        let deletes = |it: &&Operation| it.ended.is_none() && it.waits.get(machine) == Some(&Want::Gone);
        self.operations.values().find(deletes).map(|operation| operation.id.clone())
    }

    /// A newer write to the capacity takes the place of those that are under way.
    pub(super) fn preempt(&mut self, set: &str) {
        let message = "Operation execution has been preempted by a more recent operation.";
        self.fail_operations(set, "OperationPreempted", message);
    }

    /// Ends the operations about this set's capacity.
    pub(super) fn fail_operations(&mut self, set: &str, code: &str, message: &str) {
        for operation in self.operations.values_mut() {
            if operation.set == set && operation.about_capacity && operation.ended.is_none() {
                operation.error = Some((code.to_owned(), message.to_owned()));
                operation.ended = Some(self.now);
            }
        }
    }

    /// The operations about this set's capacity wait for this machine from now on.
    pub(super) fn wait_for(&mut self, set: &str, machine: &str, want: Want) {
        for operation in self.operations.values_mut() {
            if operation.set == set && operation.about_capacity && operation.ended.is_none() {
                operation.waits.insert(machine.to_owned(), want);
            }
        }
    }

    /// The set has compared its machines with its capacity.
    pub(super) fn reconciled(&mut self, set: &str) {
        let about = self.operations.values_mut().filter(|it| it.set == set && it.about_capacity);
        about.for_each(|it| it.unreconciled = false);
    }

    /// The set has lowered its capacity by the machines that were deleted.
    pub(super) fn lowered(&mut self, set: &str) {
        let deletes = self.operations.values_mut().filter(|it| it.set == set && !it.about_capacity);
        deletes.for_each(|it| it.unreconciled = false);
    }

    /// It is not over before the capacity is lower.
    pub(super) fn until_lowered(&mut self, operation: &str) {
        if let Some(operation) = self.operations.get_mut(operation) {
            operation.unreconciled = true;
        }
    }

    /// Ends the operations that have all that they waited for.
    pub(super) fn settle(&mut self) {
        for operation in self.operations.values_mut().filter(|operation| operation.ended.is_none()) {
            operation.waits.retain(|name, want| !want.is_met(self.machines.get(name)));
            if operation.waits.is_empty() && !operation.unreconciled {
                operation.ended = Some(self.now);
            }
        }
    }

    /// `provisioningState` of a scale set.
    pub(crate) fn provisioning_state(&self, set: &str) -> Provisioning {
        let key = set.to_lowercase();
        let busy = self.operations.values().any(|it| it.set == key && it.ended.is_none());
        match self.scale_sets.get(&key) {
            Some(set) if busy || set.leaving.is_some() || set.reconcile_at.is_some() => Provisioning::Updating,
            Some(set) if set.failed => Provisioning::Failed,
            Some(_) | None => Provisioning::Succeeded,
        }
    }
}
