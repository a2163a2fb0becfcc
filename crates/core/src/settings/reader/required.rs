//! Values that must be there, and those that a codec judges itself.

use std::str::FromStr;

use super::Section;
use crate::settings::{Argv, BaseUrl, NonBlank, Problem, SecretSource};

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

    /// Text of a type of its own that must be there.
    pub(crate) fn required<T: FromStr<Err = Problem>>(&self, key: &str, what: &str, example: &str) -> Option<T> {
        if !self.has(key) {
            self.missing(key, what, format!("add {key} = \"{example}\""));
            return None;
        }
        self.parsed(key)
    }

    /// A program and its arguments that must be there.
    pub(crate) fn required_program(&self, key: &str, what: &str) -> Option<Argv> {
        if !self.has(key) {
            self.missing(key, what, format!("add {key} = [\"/path/to/program\", \"argument\"]"));
            return None;
        }
        self.program(key)
    }

    /// What a type makes of the value of this key; a problem is noted with its value and its place.
    pub(crate) fn valid<T>(&self, key: &str, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.contradiction(key, problem.wrong, problem.remedy)).ok()
    }

    /// As [`Self::valid`], for what may be a secret: it is not shown.
    pub(crate) fn valid_secret<T>(&self, key: &str, result: Result<T, Problem>) -> Option<T> {
        let note = |problem: Problem| {
            self.hidden(key, format!("cannot be used: {}", problem.wrong), problem.remedy);
        };
        result.map_err(note).ok()
    }

    /// Notes that two keys cannot stand beside each other, when they do.
    pub(crate) fn not_both(&self, first: &str, second: &str, remedy: &str) {
        if self.has(first) && self.has(second) {
            self.contradiction(second, format!("{first} and {second} cannot both be given"), remedy);
        }
    }

    /// Notes that one of two keys must be there and not both; `what` says for what.
    pub(crate) fn one_of(&self, [first, second]: [&str; 2], what: &str, add: &str, keep: &str) {
        if !self.has(first) && !self.has(second) {
            self.missing(first, what, add);
        }
        self.not_both(first, second, keep);
    }

    /// The address of a platform's API, which has a default.
    pub(crate) fn url_or(&self, default: &str, parse: fn(&str) -> Result<BaseUrl, Problem>) -> Option<BaseUrl> {
        let url = self.text("url").unwrap_or_else(|| default.to_owned());
        self.address(&url, parse)
    }

    /// The address of a platform, which must be there.
    pub(crate) fn required_url(
        &self,
        what: &str,
        example: &str,
        parse: fn(&str) -> Result<BaseUrl, Problem>,
    ) -> Option<BaseUrl> {
        let url: NonBlank = self.required("url", what, example)?;
        self.address(&url, parse)
    }

    fn address(&self, url: &str, parse: fn(&str) -> Result<BaseUrl, Problem>) -> Option<BaseUrl> {
        if url.contains('@') {
            self.refuse_user_info();
            return None;
        }
        self.valid("url", parse(url))
    }

    /// An address with a user name or a password in it; it is not shown.
    fn refuse_user_info(&self) {
        self.hidden(
            "url",
            "holds a user name or a password",
            "leave out what stands before the @ and give the token in token",
        );
    }
}
