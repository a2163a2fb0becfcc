//! Where an agent's records go beside its log.

use super::{Key, LogStream, ObjectStore, Side, keys::names, log_stream::LOG_STREAM_EXAMPLE, reader::Section};

/// The keys below `[records]`.
pub const RECORDS_KEYS: &[Key] = &[
    Key::optional(
        "log_group",
        Side::Agent,
        "text",
        "none",
        "a CloudWatch Logs group that gets each record of the agent too, in a stream named as the instance; it must exist, and the role needs `logs:CreateLogStream` and `logs:PutLogEvents`",
    ),
    Key::optional(
        "object_store",
        Side::Agent,
        "`s3://BUCKET/PREFIX`",
        "none",
        "where each departure is stored as an object too; the role needs `s3:PutObject`",
    ),
    Key::optional(
        "log_analytics",
        Side::Agent,
        "`https://ENDPOINT/dataCollectionRules/dcr-ID/streams/Custom-TABLE`",
        "none",
        "on Azure, the stream of a data collection rule that gets each record of the agent too, for a table of Log Analytics; both must exist, and the identity needs the role `Monitoring Metrics Publisher` on the rule",
    ),
];

/// Where an agent's records go beside its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordsSettings {
    /// A group of the cloud's log service, for all of them.
    pub log_group: Option<String>,
    /// A place in the cloud's object store, for departures.
    pub object_store: Option<ObjectStore>,
    /// A table of Azure's log service, for all of them.
    pub log_analytics: Option<LogStream>,
}

impl RecordsSettings {
    pub(super) fn read(s: Section<'_>) -> Self {
        let settings =
            Self { log_group: log_group(&s), object_store: object_store(&s), log_analytics: log_analytics(&s) };
        s.finish();
        settings
    }

    /// The keys that are set and not among these, which the instance's cloud has places for.
    pub fn unserved(&self, served: &[&str]) -> impl Iterator<Item = &'static str> {
        let Self { log_group, object_store, log_analytics } = self;
        let set = [
            ("log_group", log_group.is_some()),
            ("object_store", object_store.is_some()),
            ("log_analytics", log_analytics.is_some()),
        ];
        set.into_iter().filter(|(key, is_set)| *is_set && !served.contains(key)).map(|(key, _)| key)
    }

    /// The names of the keys.
    pub(super) fn keys() -> impl Iterator<Item = &'static str> {
        names(RECORDS_KEYS, Side::Agent)
    }
}

/// A name that CloudWatch Logs takes (API reference, `CreateLogGroup`).
fn log_group(s: &Section<'_>) -> Option<String> {
    let name = s.text("log_group")?;
    let fine = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-/.#".contains(c));
    if !fine || !(1..=512).contains(&name.len()) {
        let what = "a log group's name has up to 512 letters, digits and characters of _-/.#";
        s.contradiction("log_group", what, "write its name, not its ARN, for example \"/lightsout/records\"");
    }
    Some(name)
}

fn object_store(s: &Section<'_>) -> Option<ObjectStore> {
    let store = ObjectStore::parse(&s.text("object_store")?);
    if store.is_none() {
        let what = "expected s3://, a bucket's name and, if it is wished, what the objects' names begin with";
        s.contradiction("object_store", what, "write for example \"s3://my-bucket/lightsout\"");
    }
    store
}

fn log_analytics(s: &Section<'_>) -> Option<LogStream> {
    let stream = LogStream::parse(&s.text("log_analytics")?);
    stream.map_err(|why| s.contradiction("log_analytics", why, format!("write {LOG_STREAM_EXAMPLE:?}"))).ok()
}
