//! An embedded cloud and CI platform on their real wire protocols, with faults on request.

pub mod aws;
mod ci;
mod control;
mod digest;
mod driver;
mod faults;
pub mod fleet;
mod http;
pub mod machine;
mod server;
mod snapshot;
mod state;
mod time;
mod timeline;
mod webhooks;

pub use self::{
    aws::model::CloudOptions,
    ci::{
        BuildkiteOptions, CircleCiOptions, GitHubOptions, GitLabOptions, PlatformKind, Repository, ResourceClass,
        SpaceliftOptions, StackGuardianOptions, Webhook, WebhookAuth, system_id,
    },
    faults::{Fault, FaultEffect, Target},
    fleet::{FleetEvent, NewJobs, Snapshot},
    machine::{Boot, Machine, Machines},
    server::{LocalCloud, LocalCloudOptions},
    time::Timestamp,
};
