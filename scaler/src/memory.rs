//! What `once --state` keeps between two runs, so that a run from a timer decides as a tick of `watch` does, and costs as little.

use std::{collections::BTreeMap, fs, io, path::Path};

use jiff::Timestamp;
use lightsout_core::record::TickTrouble;
use lightsout_io::files::replace;
use serde_json::{Value, json};

/// What all pools remember, by their names.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) pools: BTreeMap<String, PoolMemory>,
}

/// What one pool remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PoolMemory {
    /// The settings that it is about: the platform's, where the group is, which it is, and its slots. For others it is worth nothing.
    pub(crate) settings: String,
    /// Until when the platform wishes to be left alone.
    pub(crate) not_before: Option<Timestamp>,
    /// What failed in the last tick, and stands until the next one.
    pub(crate) failed: Option<(TickTrouble, String)>,
    /// What became of the raises so far, as [`Experience`](lightsout_core::scaling::Experience) tells it.
    pub(crate) experience: Vec<i64>,
    /// The queue's own.
    pub(crate) queue: Option<String>,
}

impl Memory {
    /// Of these pools.
    pub(crate) fn of(pools: BTreeMap<String, PoolMemory>) -> Self {
        Self { pools }
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
        // By hand: code that is derived for each of these types would be a good part of the function's package.
        match serde_json::from_str::<Value>(&text) {
            Ok(memory) if memory["version"] == env!("CARGO_PKG_VERSION") => {
                let pools = memory["pools"].as_object().into_iter().flatten();
                Self::of(pools.filter_map(|(name, pool)| Some((name.clone(), PoolMemory::of(pool)?))).collect())
            }
            Ok(memory) => {
                tracing::debug!(version = %memory["version"], "another version wrote the state");
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
        let pools = self.pools.iter().map(|(name, pool)| (name.clone(), pool.json()));
        let memory = json!({ "version": env!("CARGO_PKG_VERSION"), "pools": Value::Object(pools.collect()) });
        if let Err(error) = replace(path, memory.to_string().as_bytes(), 0o600, false) {
            tracing::warn!(path = %path.display(), %error, "the state cannot be written: the next run reads everything anew");
        }
    }
}

impl PoolMemory {
    fn json(&self) -> Value {
        json!({
            "settings": self.settings,
            "not_before_ms": self.not_before.map(Timestamp::as_millisecond),
            "failed": self.failed,
            "experience": self.experience,
            "queue": self.queue,
        })
    }

    /// `None` where it is of another form.
    fn of(pool: &Value) -> Option<Self> {
        let not_before = pool["not_before_ms"].as_i64().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let failed = pool["failed"].as_array().and_then(|failed| match &failed[..] {
            [kind, Value::String(words)] => Some((serde_json::from_value(kind.clone()).ok()?, words.clone())),
            _ => None,
        });
        Some(Self {
            settings: pool["settings"].as_str()?.to_owned(),
            not_before,
            failed,
            experience: pool["experience"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect(),
            queue: pool["queue"].as_str().map(str::to_owned),
        })
    }
}
