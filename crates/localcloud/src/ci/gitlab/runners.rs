//! Runner records and their managers, one manager a machine.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{flag, list, time};
use crate::time::Timestamp;

/// A runner record: one token, shared by any number of machines.
pub(super) struct Runner {
    pub id: u64,
    pub token: String,
    pub description: String,
    pub tags: Vec<String>,
    pub run_untagged: bool,
    pub paused: bool,
    pub locked: bool,
    pub kind: String,
    pub access_level: String,
    pub maximum_timeout: Option<u64>,
    pub maintenance_note: Option<String>,
    pub contacted_at: Option<Timestamp>,
    /// By `system_id`.
    pub managers: BTreeMap<String, Manager>,
}

/// One machine behind a runner record.
pub(super) struct Manager {
    pub id: u64,
    pub system_id: String,
    pub created_at: Timestamp,
    pub contacted_at: Timestamp,
    pub info: Map<String, Value>,
    pub busy: bool,
}

/// GitLab calls a runner offline when it was not heard of for this long, in milliseconds.
const ONLINE_FOR: i64 = 2 * 3600 * 1000;

impl Runner {
    pub(super) fn new(id: u64, token: String) -> Self {
        Self {
            id,
            token,
            description: String::new(),
            tags: Vec::new(),
            run_untagged: true,
            paused: false,
            locked: false,
            kind: "group_type".into(),
            access_level: "not_protected".into(),
            maximum_timeout: None,
            maintenance_note: None,
            contacted_at: None,
            managers: BTreeMap::new(),
        }
    }

    /// Takes over the settings that a request carries.
    ///
    /// # Errors
    /// What is wrong with them, as GitLab says it.
    pub(super) fn change(&mut self, params: &Map<String, Value>) -> Result<(), String> {
        for (key, value) in params {
            let flagged = || flag(value).ok_or_else(|| format!("{key} is invalid"));
            match key.as_str() {
                "paused" => self.paused = flagged()?,
                "active" => self.paused = !flagged()?,
                "locked" => self.locked = flagged()?,
                "run_untagged" => self.run_untagged = flagged()?,
                "tag_list" => self.tags = list(value),
                "description" => value.as_str().unwrap_or_default().clone_into(&mut self.description),
                "maintenance_note" => self.maintenance_note = value.as_str().map(str::to_owned),
                "maximum_timeout" => self.maximum_timeout = value.as_u64().or_else(|| value.as_str()?.parse().ok()),
                "access_level" => match value.as_str() {
                    Some(level @ ("not_protected" | "ref_protected")) => level.clone_into(&mut self.access_level),
                    _ => return Err("access_level does not have a valid value".into()),
                },
                _ => {}
            }
        }
        if self.tags.is_empty() && !self.run_untagged {
            return Err("Tags list can not be empty when runner is not allowed to pick untagged jobs".into());
        }
        Ok(())
    }

    /// Notes that the machine with this `system_id` called. `id` is for a new one.
    pub(super) fn heard(&mut self, system_id: &str, info: Option<&Map<String, Value>>, id: u64, now: Timestamp) {
        self.contacted_at = Some(now);
        let manager = self.managers.entry(system_id.to_owned()).or_insert_with(|| Manager {
            id,
            system_id: system_id.to_owned(),
            created_at: now,
            contacted_at: now,
            info: Map::new(),
            busy: false,
        });
        manager.contacted_at = now;
        if let Some(info) = info {
            manager.info.clone_from(info);
        }
    }

    /// The short form, as it stands in a job.
    pub(super) fn entity(&self, now: Timestamp) -> Value {
        let online = self.contacted_at.is_some_and(|at| now.0 - at.0 < ONLINE_FOR);
        json!({
            "id": self.id,
            "description": self.description,
            "ip_address": null,
            "active": !self.paused,
            "paused": self.paused,
            "is_shared": self.kind == "instance_type",
            "runner_type": self.kind,
            "name": "gitlab-runner",
            "online": online,
            "status": match (online, self.contacted_at) {
                (true, _) => "online",
                (false, Some(_)) => "offline",
                (false, None) => "never_contacted",
            },
        })
    }

    /// The long form.
    pub(super) fn details(&self, now: Timestamp) -> Value {
        let mut entity = self.entity(now);
        entity["tag_list"] = json!(self.tags);
        entity["run_untagged"] = json!(self.run_untagged);
        entity["locked"] = json!(self.locked);
        entity["maximum_timeout"] = json!(self.maximum_timeout);
        entity["access_level"] = json!(self.access_level);
        entity["contacted_at"] = json!(self.contacted_at.map(time));
        entity["maintenance_note"] = json!(self.maintenance_note);
        entity["projects"] = json!([]);
        entity["groups"] = json!([]);
        entity
    }
}

impl Manager {
    pub(super) fn entity(&self, now: Timestamp) -> Value {
        let text = |key: &str| self.info.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        json!({
            "id": self.id,
            "system_id": self.system_id,
            "version": text("version"),
            "revision": text("revision"),
            "platform": text("platform"),
            "architecture": text("architecture"),
            "created_at": time(self.created_at),
            "contacted_at": time(self.contacted_at),
            "ip_address": "127.0.0.1",
            "status": if now.0 - self.contacted_at.0 < ONLINE_FOR { "online" } else { "offline" },
            "job_execution_status": if self.busy { "active" } else { "idle" },
        })
    }
}
