//! Where records go beside the log of the program that writes them.

use crate::CloudFuture;

/// A place for records.
pub trait Archive: Send + Sync {
    /// The key below `[records]` that names it.
    fn key(&self) -> &'static str;

    /// Its name, for messages: the setting that names it.
    fn place(&self) -> String;

    /// Whether it takes each record, or an instance's last ones only.
    fn takes_all(&self) -> bool;

    /// Hands a record in. Sent twice at most; it ends within a time-out of its own.
    fn put<'a>(&'a self, entry: &'a Entry) -> CloudFuture<'a, ()>;
}

/// A record on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub instance: String,
    /// A name that no other record of this instance has, such as `2026-11-26T03-00-00.250Z-decrement`.
    pub name: String,
    /// When it was written, in milliseconds since the Unix epoch.
    pub unix_ms: i64,
    /// The record, one line of JSON.
    pub json: String,
}
