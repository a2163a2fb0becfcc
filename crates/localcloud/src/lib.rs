//! An embedded cloud and CI platform on their real wire protocols, with faults on request.

pub mod cloud;
mod control;
mod driver;
mod faults;
pub mod fleet;
mod hex;
mod http;
mod imds;
mod jobs;
pub mod machine;
mod platform;
mod post;
pub mod query;
mod secrets;
mod server;
mod snapshot;
mod state;
mod timeline;

pub use self::{
    cloud::CloudOptions,
    faults::{Fault, FaultEffect, Target},
    fleet::{FleetEvent, NewJobs, Snapshot},
    machine::{Boot, Machine, Machines},
    platform::{
        BuildkiteOptions, CircleCiOptions, GitHubOptions, GitLabOptions, PlatformKind, Repository, ResourceClass,
        SpaceliftOptions, StackGuardianOptions, Webhook, WebhookAuth, system_id,
    },
    server::{LocalCloud, LocalCloudOptions},
};
