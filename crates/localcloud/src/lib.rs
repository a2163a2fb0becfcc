//! An embedded cloud and CI platform on their real wire protocols, with faults on request.
//!
//! [`aws`] and [`azure`] are the clouds and [`ci`] the platforms: pure models with their wires. Around them, from the ground up: the state
//! that all share, the control API, the sockets, the driver of the machines, and on top the handle [`LocalCloud`].

pub mod aws;
pub mod azure;
pub mod ci;
mod control;
mod digest;
mod driver;
mod effect;
mod faults;
pub mod fleet;
mod host;
mod http;
pub mod machine;
mod options;
mod random;
mod refusal;
mod server;
mod snapshot;
mod state;
mod time;
mod timeline;
mod webhooks;

pub use self::{
    aws::model::CloudOptions,
    azure::model::AzureOptions,
    ci::{
        contract::{PlatformKind, PlatformOptions},
        protocol as runner_protocol,
        webhook::{Webhook, WebhookAuth},
    },
    faults::{Fault, FaultEffect, RunnerFault, RunnerFaultHit, Target},
    fleet::{FleetEvent, NewJobs, Snapshot},
    host::LocalCloud,
    machine::{Boot, Machine, Machines},
    options::LocalCloudOptions,
    time::Timestamp,
};
