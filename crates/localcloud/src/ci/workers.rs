//! The runners that are connected through the private runner API, or that a platform knows of before they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Timestamp;

/// One runner of a fleet, whatever its platform calls it: agent, worker, container instance.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    /// The platform's number for it.
    pub id: u64,
    /// Its name, or the id that the platform made up for it.
    pub name: String,
    /// The instance that it runs on, when that can be told.
    pub instance: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// What a job may ask for.
    pub filter: JobFilter,
    /// Jobs at once, at least 1.
    pub slots: u32,
    /// Whether it is done after one job.
    pub single: bool,
    pub drain: DrainState,
    /// Whether a runner is behind it.
    pub connected: bool,
    pub created_at: Timestamp,
    /// When the runner last said anything.
    pub heard_at: Timestamp,
    /// When it last became free.
    pub free_since: Timestamp,
    /// When it last took a job.
    pub used_at: Option<Timestamp>,
}

/// Which jobs a runner takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobFilter {
    /// Whatever the pool has.
    Everything,
    /// Jobs all of whose tags are among these.
    Tagged(BTreeSet<String>),
}

/// Whether the platform gives it jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainState {
    /// It does.
    Serving,
    /// It does not, until somebody takes that back.
    Drained,
    /// It never will again.
    Stopped,
}

/// All runners of a fleet.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    all: BTreeMap<u64, Worker>,
    last: u64,
}

impl Workers {
    /// Takes a runner in and numbers it. The answer is its number.
    pub(crate) fn add(&mut self, worker: Worker) -> u64 {
        self.last += 1;
        self.all.insert(self.last, Worker { id: self.last, ..worker });
        self.last
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Worker> {
        self.all.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Worker> {
        self.all.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Worker> {
        self.all.remove(&id)
    }

    /// All of them, by number.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Worker> {
        self.all.values()
    }

    /// The one with this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Worker> {
        self.all.values().find(|worker| worker.name == name)
    }
}

impl Worker {
    /// A runner that serves, takes everything, one job at a time, and that nobody is behind yet. It has no number until it
    /// is taken in.
    pub(crate) fn new(name: impl Into<String>, now: Timestamp) -> Self {
        Self {
            id: 0,
            name: name.into(),
            instance: None,
            metadata: BTreeMap::new(),
            filter: JobFilter::Everything,
            slots: 1,
            single: false,
            drain: DrainState::Serving,
            connected: false,
            created_at: now,
            heard_at: now,
            free_since: now,
            used_at: None,
        }
    }
}

impl JobFilter {
    /// Whether this job may run there; `tags` are those that the platform gives it.
    pub(crate) fn fits(&self, tags: &[String]) -> bool {
        match self {
            Self::Everything => true,
            Self::Tagged(held) => tags.iter().all(|tag| held.contains(tag)),
        }
    }

    /// The tags, when it goes by tags.
    pub(crate) fn tags(&self) -> Vec<String> {
        match self {
            Self::Everything => Vec::new(),
            Self::Tagged(held) => held.iter().cloned().collect(),
        }
    }
}

/// The first instance id (`i-` and hexadecimal digits) that stands in a text.
pub(crate) fn instance_in(text: &str) -> Option<String> {
    text.match_indices("i-").find_map(|(at, _)| {
        // A word that ends in i, such as `wifi-0123abcd`, is no id.
        let starts = text[..at].chars().next_back().is_none_or(|before| !before.is_ascii_alphanumeric());
        let digits = text[at + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        (starts && digits >= 8).then(|| text[at..at + 2 + digits].to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_found_in_a_name() {
        assert_eq!(instance_in("i-0123456789abcdef0").as_deref(), Some("i-0123456789abcdef0"));
        assert_eq!(instance_in("ci-linux-i-0123456789abcdef0-3").as_deref(), Some("i-0123456789abcdef0"));
        assert_eq!(instance_in("wifi-0123456789"), None);
        assert_eq!(instance_in("mini-me"), None);
    }
}
