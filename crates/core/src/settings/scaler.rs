//! The scaler's settings: its pools, what they share, and their webhooks.

mod keys;
mod pools;
mod shared;

use std::{borrow::Cow, collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;

pub use self::keys::{POOL_KEYS, SCALER_KEYS, WEBHOOK_KEYS};

use self::{pools::pools, shared::Shared};
use super::{
    CloudName, Fragment, Location, METRICS_KEYS, MetricsSettings, Prices, Problem, Problems, SecretSource, Side,
    keys::names,
    reader::{Layer, Report, Section},
    tree::{Table, merged},
};
use crate::{
    platform::{QueueConfig, webhook::Webhook},
    scaling::{ScalerPolicy, Schedule},
};

/// The variable with the address of the object in which a function's settings are.
pub const OBJECT_VARIABLE: &str = "LIGHTSOUT_SCALER_CONFIG_S3";
/// The variable with the name of the parameter in which a function's settings are.
pub const PARAMETER_VARIABLE: &str = "LIGHTSOUT_SCALER_CONFIG_SSM";
/// The variable with the version of the program for which the module or template that made a function was written.
pub const VERSION_VARIABLE: &str = "LIGHTSOUT_MODULE_VERSION";
/// What a function logs when it starts, with its own version as `version`: by it others find that.
pub const STARTED: &str = "started as a function";

/// Gives the TZif file of a zone's name, where the system has one.
pub type ZoneFiles<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// The scaler's settings, validated.
#[derive(Clone, Debug)]
pub struct ScalerSettings {
    /// The pause between two ticks of `watch`. Default 10 s.
    pub tick: Duration,
    /// How long one pool may be read, and how long its raise may take once it has its turn. Default 8 s.
    pub deadline: Duration,
    /// Where metrics are shown.
    pub metrics: MetricsSettings,
    /// The pools, in the order of the files; at least one.
    pub pools: Vec<PoolSettings>,
    /// What is allowed and yet doubtful; for the log.
    pub warnings: Vec<Problem>,
}

/// One pool: a group of instances whose runners take the same jobs.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// The name in records and messages; unique. Default: the group's.
    pub name: String,
    /// Whose group it is.
    pub cloud: CloudName,
    /// The user's program that stands for the cloud; empty for one that lightsout knows.
    pub program: Vec<String>,
    /// The name of the Auto Scaling group, the resource id of the scale set, or what the user's program calls it.
    pub group: String,
    /// The group's region; `None`: the environment's.
    pub region: Option<String>,
    /// How the pool grows.
    pub policy: ScalerPolicy,
    /// What overrides the policy's `spare`, and when.
    pub schedule: Schedule,
    /// Where its jobs wait.
    pub platform: Arc<dyn QueueConfig>,
    /// Who may hint that jobs wait; for `watch --listen` only.
    pub webhook: Option<WebhookSettings>,
}

impl PoolSettings {
    /// Where its group is.
    pub fn location(&self) -> Location {
        Location { cloud: self.cloud, region: self.region.clone(), program: self.program.clone() }
    }

    /// How it grows at this instant.
    pub fn policy_at(&self, now: Timestamp) -> Cow<'_, ScalerPolicy> {
        self.schedule.apply(&self.policy, now)
    }
}

/// A webhook: a hint that jobs may wait, which makes the scaler look at once.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Whose it is.
    pub kind: &'static Webhook,
    /// The secret that is set at the platform, too.
    pub secret: SecretSource,
    /// The last part of its address, `/hooks/PATH`. Several pools may share one. Default: the pool's name.
    pub path: String,
}

impl ScalerSettings {
    /// Merges and validates fragments, later ones over earlier ones.
    ///
    /// # Errors
    ///
    /// With all problems at once.
    pub fn parse(fragments: &[Fragment]) -> Result<Self, Problems> {
        Self::parse_with(fragments, &|_| None)
    }

    /// The same on a system that has time zones: `zones` gives the TZif file of a name.
    ///
    /// # Errors
    ///
    /// With all problems at once.
    pub fn parse_with(fragments: &[Fragment], zones: ZoneFiles<'_>) -> Result<Self, Problems> {
        let table = merged(fragments).map_err(Problems)?;
        let report = Report::default();
        let settings = read(&report, &table, fragments, zones);
        let warnings = report.finish()?;
        Ok(Self { warnings, ..settings })
    }
}

pub(super) fn read(report: &Report, table: &Table, fragments: &[Fragment], zones: ZoneFiles<'_>) -> ScalerSettings {
    let top = names(SCALER_KEYS, Side::Scaler).chain(["defaults", "metrics", "platforms", "pool", "prices"]);
    let root = Section::new(report, vec![Layer::root(table, fragments)], top);
    let second = Duration::from_secs(1);
    let tick = root.duration("tick", second..=3600 * second).unwrap_or(10 * second);
    let deadline = root.duration("deadline", second / 10..=300 * second).unwrap_or(8 * second);
    let metrics = MetricsSettings::read(root.child("metrics", names(METRICS_KEYS, Side::Scaler)));
    // For those alone who sum up what the instances did; and yet a mistake is told to whoever made it.
    Prices::below(report, &root);
    let shared = Shared::new(report, &root, zones);
    let mut used = BTreeSet::new();
    let pools = pools(&root, &shared, &mut used);
    shared.check(&used);
    root.finish();
    ScalerSettings { tick, deadline, metrics, pools, warnings: Vec::new() }
}
