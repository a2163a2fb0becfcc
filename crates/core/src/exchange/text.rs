//! Text of which it is known whether it may be shown.

use secrecy::{ExposeSecret, SecretString};

/// Text that may be a secret. Its `Debug` form never shows one.
#[derive(Clone, Debug)]
pub enum Text {
    /// May be logged.
    Plain(String),
    /// Must never be logged.
    Secret(SecretString),
}

impl Text {
    /// The text itself, for the wire only.
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(text) => text.expose_secret(),
        }
    }

    pub fn secret(text: impl Into<String>) -> Self {
        Self::Secret(SecretString::from(text.into()))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}
