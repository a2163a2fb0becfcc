//! Texts as TOML, for the settings that `up` writes.

/// A JSON string is a TOML string as well.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
