//! What `once --state` keeps between two runs, so that a run from a timer decides as a tick of `watch` does, and costs as little.

use std::{collections::BTreeMap, fs, io, path::Path};

use jiff::Timestamp;
use lightsout_core::{record::TickTrouble, scaling::RaiseHistory};
use lightsout_io::files::replace;
use serde::{Deserialize, Serialize};

/// What all pools remember, by their names.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Which version wrote it: no other one reads it.
    version: String,
    pub(crate) pools: BTreeMap<String, PoolMemory>,
}

/// What one pool remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PoolMemory {
    /// The settings that it is about: the platform's, where the group is, which it is, and its slots. For others it is worth nothing.
    pub(crate) settings: String,
    /// Until when the platform wishes to be left alone.
    pub(crate) not_before: Option<Timestamp>,
    /// What failed in the last tick, and stands until the next one.
    pub(crate) failed: Option<(TickTrouble, String)>,
    /// What became of the raises so far.
    #[serde(rename = "experience")]
    pub(crate) raise_history: RaiseHistory,
    pub(crate) queue: Option<String>,
    /// The cloud's own, of the group's raises.
    pub(crate) group: Option<String>,
}

impl Memory {
    /// Of these pools.
    pub(crate) fn of(pools: BTreeMap<String, PoolMemory>) -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), pools }
    }

    /// Reads a file. Without one, and with one that cannot be read, there is nothing; the latter is said.
    pub(crate) fn read(path: &Path) -> Self {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what earlier runs remembered cannot be read, and is left out");
                return Self::default();
            }
        };
        match serde_json::from_str::<Self>(&text) {
            Ok(memory) if memory.version == env!("CARGO_PKG_VERSION") => memory,
            Ok(memory) => {
                tracing::debug!(version = memory.version, "another version wrote the state");
                Self::default()
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what earlier runs remembered is no state of this program, and is left out");
                Self::default()
            }
        }
    }

    /// Writes it as a whole file, for its owner alone. That it cannot be written is said, and costs the next run a little.
    pub(crate) fn write(&self, path: &Path) {
        let written =
            serde_json::to_vec(self).map_err(io::Error::from).and_then(|text| replace(path, &text, 0o600, false));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "the state cannot be written: the next run reads everything anew");
        }
    }
}
