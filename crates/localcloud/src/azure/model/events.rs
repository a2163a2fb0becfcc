//! Scheduled events: what Azure is about to do to a machine, and whether the machines agree.

use std::time::Duration;

use super::{Azure, OnceOff, Provisioning, machine::EventsAsked};
use crate::time::Timestamp;

/// `EventType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub(crate) enum EventKind {
    Freeze,
    Reboot,
    Redeploy,
    Preempt,
    Terminate,
}

/// One event, of one machine. All machines of its set see it.
#[derive(Clone, Debug)]
pub(crate) struct ScheduledEvent {
    /// A UUID in upper case.
    pub(crate) id: String,
    /// The name of the machine.
    pub(crate) machine: String,
    /// Its set's key.
    pub(crate) set: String,
    pub(crate) kind: EventKind,
    pub(crate) source: Source,
    /// Azure does not begin before this, unless it is agreed.
    pub(crate) not_before: Timestamp,
    /// When it was begun.
    pub(crate) started: Option<Timestamp>,
    next: Next,
    /// Those of a batch go together: none before each is agreed or over.
    batch: Option<u64>,
}

/// `EventSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Platform,
    User,
}

/// What Azure does then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Delete,
    Evict,
    Reboot,
    Redeploy,
    Freeze,
}

/// How long a frozen machine stands still.
const FREEZE: Duration = Duration::from_secs(10);
/// Without a call for so long the events are turned off.
const EVENTS_OFF: Duration = Duration::from_secs(24 * 3600);

impl EventKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Freeze => "Freeze",
            Self::Reboot => "Reboot",
            Self::Redeploy => "Redeploy",
            Self::Preempt => "Preempt",
            Self::Terminate => "Terminate",
        }
    }
}

impl ScheduledEvent {
    /// When something happens to it by itself.
    pub(super) fn due(&self) -> Option<Timestamp> {
        match (self.started, self.next) {
            (None, _) => Some(self.not_before),
            (Some(at), Next::Freeze) => Some(at + FREEZE),
            (Some(_), Next::Delete | Next::Evict | Next::Reboot | Next::Redeploy) => None,
        }
    }
}

impl Azure {
    /// A machine asks for its events: how long it has to wait for the answer, which is long the first time.
    pub(crate) fn ask_events(&mut self, machine: &str, now: Timestamp) -> Duration {
        self.advance(now);
        let ready_at = self.now + self.options.events_enable;
        let now = self.now;
        let Some(machine) = self.machines.get_mut(machine) else { return Duration::ZERO };
        let asked = machine.events.filter(|asked| now.since(asked.last) < EVENTS_OFF);
        let asked = EventsAsked { last: now, ..asked.unwrap_or(EventsAsked { ready_at, last: now }) };
        machine.events = Some(asked);
        asked.ready_at.since(now)
    }

    /// The events that the machine sees: those of all machines of its set.
    pub(crate) fn events_for(&self, machine: &str) -> (u64, Vec<&ScheduledEvent>) {
        let Some(set) = self.machines.get(machine).map(|machine| machine.set.as_str()) else { return (1, Vec::new()) };
        let incarnation = self.scale_sets.get(set).map_or(1, |set| set.incarnation);
        (incarnation, self.events.iter().filter(|event| event.set == set).collect())
    }

    /// A machine agrees to events, its own or another's: nothing tells the two apart.
    ///
    /// # Errors
    /// The ids that are no events of its set.
    pub(crate) fn agree(&mut self, machine: &str, ids: &[String], now: Timestamp) -> Result<(), Vec<String>> {
        self.advance(now);
        let known: Vec<String> = self.events_for(machine).1.iter().map(|event| event.id.clone()).collect();
        let unknown: Vec<String> = ids.iter().filter(|id| !known.contains(&id.to_uppercase())).cloned().collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        for id in ids {
            self.start_event(&id.to_uppercase());
        }
        self.settle();
        Ok(())
    }

    pub(super) fn schedule(
        &mut self,
        kind: EventKind,
        machine: &str,
        not_before: Timestamp,
        source: Source,
        next: Next,
        batch: Option<u64>,
    ) {
        let Some(set) = self.machines.get(machine).map(|machine| machine.set.clone()) else { return };
        let id = self.ids.uuid().to_uppercase();
        let machine = machine.to_owned();
        self.document_changed(&set);
        self.events.push(ScheduledEvent { id, machine, set, kind, source, not_before, started: None, next, batch });
    }

    /// The time of this event has come: nobody objects any more.
    pub(super) fn event_due(&mut self, id: &str) {
        let Some(event) = self.events.iter().find(|event| event.id == id) else { return };
        if event.started.is_some() {
            let machine = event.machine.clone();
            self.events_over(&machine);
        } else {
            self.start_event(id);
        }
    }

    /// The machine is off, or what was to happen has.
    pub(super) fn events_over(&mut self, machine: &str) {
        let of_machine = |event: &&ScheduledEvent| event.machine == machine && event.started.is_some();
        let Some(set) = self.events.iter().find(of_machine).map(|event| event.set.clone()) else { return };
        self.events.retain(|event| !(event.machine == machine && event.started.is_some()));
        self.document_changed(&set);
    }

    /// The machine is gone: nothing is about to happen to it.
    pub(super) fn forget_events(&mut self, machine: &str) {
        if let Some(set) = self.events.iter().find(|event| event.machine == machine).map(|event| event.set.clone()) {
            self.events.retain(|event| event.machine != machine);
            self.document_changed(&set);
        }
    }

    fn start_event(&mut self, id: &str) {
        let now = self.now;
        let Some(event) = self.events.iter_mut().find(|event| event.id == id && event.started.is_none()) else {
            return;
        };
        event.started = Some(now);
        let (machine, set, next, batch) = (event.machine.clone(), event.set.clone(), event.next, event.batch);
        self.document_changed(&set);
        match next {
            Next::Delete => {
                let batch: Vec<_> = self.events.iter().filter(|it| it.next == next && it.batch == batch).collect();
                if batch.iter().all(|event| event.started.is_some()) {
                    let names: Vec<String> = batch.iter().map(|event| event.machine.clone()).collect();
                    for name in &names {
                        self.power_down(name, OnceOff::Delete);
                    }
                }
            }
            Next::Evict => self.evict(&machine),
            Next::Reboot => self.restarted(&machine, OnceOff::Restart),
            Next::Redeploy => self.restarted(&machine, OnceOff::Reimage),
            Next::Freeze => self.happened(&machine, "frozen for a moment"),
        }
    }

    fn restarted(&mut self, machine: &str, how: OnceOff) {
        if self.machines.get(machine).is_some_and(|it| it.provisioning != Provisioning::Deleting) {
            self.power_down(machine, how);
        }
    }

    fn document_changed(&mut self, set: &str) {
        if let Some(set) = self.scale_sets.get_mut(set) {
            set.incarnation += 1;
        }
    }
}
