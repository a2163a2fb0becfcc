//! Strict access to JSON: what is read must be there and of the right type.

use std::time::Duration;

use jiff::Timestamp;

use crate::exchange::ExchangeError;
use serde_json::Value;

use super::RequestContext;

/// A reply's JSON. What is read from it must be there and of the right type; nothing is assumed.
pub(crate) struct Document {
    context: RequestContext,
    value: Value,
}

impl Document {
    /// The JSON that came as the answer to this question.
    pub(crate) fn new(context: RequestContext, value: Value) -> Self {
        Self { context, value }
    }

    /// Its outermost value.
    pub(crate) fn root(&self) -> Node<'_> {
        Node { context: &self.context, value: &self.value, path: String::new() }
    }
}

/// One value and where it stands.
pub(crate) struct Node<'a> {
    context: &'a RequestContext,
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    /// The value of a key that must be there (it may be `null`).
    pub(crate) fn key(&self, key: &str) -> Result<Node<'a>, ExchangeError> {
        match self.entry(key)? {
            Some(node) => Ok(node),
            None => Err(self.context.malformed(&format!("{} is missing", self.path_to(key)))),
        }
    }

    /// The value of a key that may be absent or `null`.
    pub(crate) fn optional(&self, key: &str) -> Result<Option<Node<'a>>, ExchangeError> {
        Ok(self.entry(key)?.filter(|node| !node.value.is_null()))
    }

    /// `None` for `null`.
    pub(crate) fn not_null(self) -> Option<Node<'a>> {
        (!self.value.is_null()).then_some(self)
    }

    /// The values of a list.
    pub(crate) fn list(&self) -> Result<impl ExactSizeIterator<Item = Node<'a>>, ExchangeError> {
        let items = self.value.as_array().ok_or_else(|| self.wrong("a list"))?;
        let (context, path) = (self.context, self.path.clone());
        Ok(items.iter().enumerate().map(move |(at, value)| Node { context, value, path: format!("{path}[{at}]") }))
    }

    pub(crate) fn text(&self) -> Result<&'a str, ExchangeError> {
        self.value.as_str().ok_or_else(|| self.wrong("a text"))
    }

    /// A whole number of 0 or more.
    pub(crate) fn number(&self) -> Result<u64, ExchangeError> {
        self.value.as_u64().ok_or_else(|| self.wrong("a whole number of 0 or more"))
    }

    /// A whole number of 0 or more that fits 32 bits.
    pub(crate) fn count(&self) -> Result<u32, ExchangeError> {
        u32::try_from(self.number()?).map_err(|_| self.wrong("a number below 4294967296"))
    }

    /// True or false.
    pub(crate) fn flag(&self) -> Result<bool, ExchangeError> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    /// A span that a number of seconds tells, for people: what cannot be read is none.
    pub(crate) fn seconds(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.value.as_f64()?).ok()
    }

    /// A moment, for people: what cannot be read is none.
    pub(crate) fn moment(&self) -> Option<Timestamp> {
        self.value.as_str()?.parse().ok()
    }

    fn entry(&self, key: &str) -> Result<Option<Node<'a>>, ExchangeError> {
        let object = self.value.as_object().ok_or_else(|| self.wrong("an object"))?;
        Ok(object.get(key).map(|value| Node { context: self.context, value, path: self.path_to(key) }))
    }

    fn path_to(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn wrong(&self, expected: &str) -> ExchangeError {
        let place = if self.path.is_empty() { "the whole answer" } else { &self.path };
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.context.malformed(&format!("{place} is {found}, expected {expected}"))
    }
}
