//! Values in the TOML files that `up` writes.

use std::path::Path;

/// A text. A JSON string is a TOML string as well.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A path as a text.
pub(super) fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}
