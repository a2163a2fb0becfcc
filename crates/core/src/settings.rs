//! Settings: fragments of TOML in, validated values out, without reading a file.
//!
//! The shells read the files and hand over [`Fragment`]s. They are merged in order: tables merge, a list of tables
//! (`[[pool]]`) grows, any other value replaces the earlier one. Each value remembers the file and line that it came from.
//! All problems are collected before anything is refused, and each says where it stands, what is wrong and what to write.

mod agent;
mod base_url;
mod checked;
mod in_force;
mod keys;
mod location;
mod log_stream;
mod metrics;
mod object;
mod platform;
mod prices;
mod problem;
mod reader;
mod records;
mod runner_environment;
mod scale_set;
mod scaler;
mod secret;
mod tags;
mod tree;
mod variables;

pub use agent::{
    AGENT_KEYS, AgentSettings, DOCKER_KEYS, DockerSettings, IMDS_KEYS, ImdsSettings, MetadataGuard, RunnerUnit,
};
pub use base_url::BaseUrl;
pub(crate) use checked::checked_text;
pub use checked::{AbsolutePath, Argv, NonBlank, NonEmpty, WholeSeconds};
pub use in_force::{Setting, in_force};
pub use keys::{Key, Side};
pub use location::{CloudName, Location};
pub use log_stream::LogStream;
pub use metrics::{METRICS_KEYS, MetricsSettings};
pub use object::{NoObjectAddress, ObjectAddress, ObjectStore};
pub use prices::{MACHINE_PRICE_KEYS, PRICES_KEYS, Prices};
pub use problem::{Problem, Problems, SettingLocation};
pub(crate) use reader::{PLACES, Section};
pub use records::{RECORDS_KEYS, RecordsSettings};
pub use runner_environment::{DEFAULT_RUNNER_USER, RunnerEnvironment, RunnerVariable};
pub use scale_set::{SCALE_SET_EXAMPLE, ScaleSetId};
pub use scaler::{
    OBJECT_VARIABLE, PARAMETER_VARIABLE, POOL_KEYS, PoolSettings, SCALER_KEYS, STARTED, ScalerSettings,
    VERSION_VARIABLE, WEBHOOK_KEYS, WebhookSettings, ZoneFiles,
};
pub use secret::SecretSource;
pub use tags::{TAG_PREFIX, TAGS, Tag, TagSection, TagValue};
pub use variables::{StoredValue, ValueFormat, Variable, VariableMeaning, from_variables, stored};

/// One file of settings.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// The file's name, for messages.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

impl Fragment {
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}
