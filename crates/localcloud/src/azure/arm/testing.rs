//! A cloud with a clock to turn, and short ways to call it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Azure, handle};
use crate::{
    azure::model::AzureOptions,
    effect::Effect,
    http::{self, Request, Response},
    time::Timestamp,
};

/// The path of a resource group's compute resources.
pub(crate) const COMPUTE: &str =
    "/subscriptions/6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b/resourceGroups/ci/providers/Microsoft.Compute";

/// Boot takes 20 s, and a reaction half a second.
pub(crate) struct Bench {
    pub(crate) azure: Azure,
    pub(crate) now: Timestamp,
    /// Whether machines that are told to end do so at once.
    pub(crate) obedient: bool,
    pub(crate) launched: Vec<String>,
    pub(crate) told_to_end: Vec<String>,
    /// The `api-version` of all calls; empty: none.
    pub(crate) version: &'static str,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(AzureOptions { limits: false, ..AzureOptions::default() })
    }

    pub(crate) fn with(options: AzureOptions) -> Self {
        Self {
            azure: Azure::new(options),
            now: Timestamp(1_800_000_000_000),
            obedient: true,
            launched: Vec::new(),
            told_to_end: Vec::new(),
            version: "2024-07-01",
        }
    }

    /// A Flexible set `ci` of this capacity, whose machines run.
    pub(crate) fn flexible(capacity: u32, more: &Value) -> Self {
        Self::running("Flexible", capacity, more)
    }

    /// A Uniform set `ci` of this capacity, whose machines run.
    pub(crate) fn uniform(capacity: u32, more: &Value) -> Self {
        Self::running("Uniform", capacity, more)
    }

    fn running(kind: &str, capacity: u32, more: &Value) -> Self {
        let mut bench = Self::new();
        bench.create(kind, capacity, more);
        bench.wait(30_000);
        assert_eq!(bench.names().len(), usize::try_from(capacity).unwrap());
        bench
    }

    pub(crate) fn create(&mut self, kind: &str, capacity: u32, more: &Value) -> Response {
        let mut body = json!({
            "location": "westeurope",
            "sku": {"name": "Standard_D2s_v5", "tier": "Standard", "capacity": capacity},
            "properties": {"orchestrationMode": kind, "overprovision": false},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            if let Some(properties) = value.as_object().filter(|_| key == "properties") {
                let pairs = properties.iter().map(|(key, value)| (key.clone(), value.clone()));
                body["properties"].as_object_mut().unwrap().extend(pairs);
            } else {
                body[key] = value.clone();
            }
        }
        self.call("PUT", "virtualMachineScaleSets/ci", &body, &[])
    }

    /// A call below [`COMPUTE`], or anywhere.
    pub(crate) fn call(&mut self, method: &str, path: &str, body: &Value, headers: &[(&str, &str)]) -> Response {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{COMPUTE}/{path}") };
        let mut query = http::pairs(query.as_bytes());
        if !query.iter().any(|(key, _)| key == "api-version") && !self.version.is_empty() {
            query.push(("api-version".into(), self.version.into()));
        }
        let headers = headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request { method: method.into(), path, query, headers, body: body.into() };
        let response = handle(&mut self.azure, &request, self.now);
        self.drain();
        response
    }

    pub(crate) fn get(&mut self, path: &str) -> Value {
        let response = self.call("GET", path, &Value::Null, &[]);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        value(&response)
    }

    pub(crate) fn set(&mut self) -> Value {
        self.get("virtualMachineScaleSets/ci")
    }

    pub(crate) fn capacity(&mut self) -> u64 {
        self.set()["sku"]["capacity"].as_u64().unwrap()
    }

    pub(crate) fn raise(&mut self, to: u32, headers: &[(&str, &str)]) -> Response {
        let sku = json!({"name": "Standard_D2s_v5", "tier": "Standard", "capacity": to});
        self.call("PATCH", "virtualMachineScaleSets/ci", &json!({"sku": sku}), headers)
    }

    pub(crate) fn delete(&mut self, name: &str) -> Response {
        let id = self.azure.machine(name).unwrap().instance_id.clone();
        self.call("DELETE", &format!("virtualMachineScaleSets/ci/virtualMachines/{id}"), &Value::Null, &[])
    }

    pub(crate) fn protect(&mut self, name: &str, policy: &Value) -> Response {
        let id = self.azure.machine(name).unwrap().instance_id.clone();
        let body = json!({"properties": {"protectionPolicy": policy}});
        self.call("PUT", &format!("virtualMachineScaleSets/ci/virtualMachines/{id}"), &body, &[])
    }

    /// What an operation has come to.
    pub(crate) fn outcome(&mut self, begun: &Response) -> Value {
        let url = begun.get("azure-asyncoperation").expect("an operation was begun").to_owned();
        let path = url.split_once("127.0.0.1").unwrap().1.to_owned();
        self.get(&path)
    }

    /// The machines that are there, in the order of their creation.
    pub(crate) fn names(&self) -> Vec<String> {
        self.azure.members("ci").iter().map(|machine| machine.name.clone()).collect()
    }

    pub(crate) fn wait(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(due) = self.azure.next_timer().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.azure.advance(self.now);
            self.drain();
        }
        self.now = end;
        self.azure.advance(end);
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        while let Some(effect) = self.azure.poll_effect() {
            match effect {
                Effect::Launch { id } => self.launched.push(id),
                Effect::PowerOff { id } => {
                    self.told_to_end.push(id.clone());
                    if self.obedient {
                        self.azure.powered_off(&id, self.now);
                    }
                }
                Effect::Discard { .. } | Effect::Reboot { .. } | Effect::HopLimit { .. } | Effect::Happened(_) => {}
            }
        }
    }
}

pub(crate) fn value(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// The code of a refusal with this status.
pub(crate) fn refusal(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{}", response.text());
    let error = value(response)["error"].clone();
    assert!(!error["message"].as_str().unwrap().is_empty());
    error["code"].as_str().unwrap().to_owned()
}
