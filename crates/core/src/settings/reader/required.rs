//! Values that must be there, and those that a codec judges itself.

use super::Section;
use crate::{exchange::ExchangeError, settings::SecretSource};

/// Where a secret may be, for remedies.
pub(crate) const PLACES: &str =
    "{ file = \"/path\" }, or { env = \"NAME\" }, { ssm = \"/name\" }, { secretsmanager = \"name\" }";

impl Section<'_> {
    /// A secret that must be there; `what` says which.
    pub(crate) fn required_secret(&self, key: &str, what: &str) -> Option<SecretSource> {
        if !self.has(key) {
            self.missing(key, what, format!("add {key} = {PLACES}"));
            return None;
        }
        self.secret(key)
    }

    /// Text that must be there.
    pub(crate) fn required_text(&self, key: &str, what: &str, example: &str) -> Option<String> {
        if !self.has(key) {
            self.missing(key, what, format!("add {key} = \"{example}\""));
            return None;
        }
        self.text(key)
    }

    /// A program and its arguments that must be there.
    pub(crate) fn required_program(&self, key: &str, what: &str) -> Option<Vec<String>> {
        if !self.has(key) {
            self.missing(key, what, format!("add {key} = [\"/path/to/program\", \"argument\"]"));
            return None;
        }
        self.program(key)
    }

    /// Notes what a codec's own check says about the value of a key.
    pub(crate) fn checked(&self, key: &str, result: Result<(), ExchangeError>) {
        if let Err(error) = result {
            let (what, remedy) = error.message.rsplit_once("; ").unwrap_or((&error.message, "correct it"));
            self.contradiction(key, what, remedy);
        }
    }

    /// The address of a platform's API, which has a default. An address with a password in it is not shown.
    pub(crate) fn api(&self, default: &str, check: impl Fn(&str) -> Result<(), ExchangeError>) -> String {
        let url = self.text("url").unwrap_or_else(|| default.to_owned());
        if url.contains('@') {
            self.refuse_user_info();
        } else {
            self.checked("url", check(&url));
        }
        url.trim_end_matches('/').to_owned()
    }

    /// An address with a user name or a password in it; it is not shown.
    pub(crate) fn refuse_user_info(&self) {
        self.hidden(
            "url",
            "holds a user name or a password",
            "leave out what stands before the @ and give the token in token",
        );
    }
}
