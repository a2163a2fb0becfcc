//! HTTP as the models see it: a request read whole, and an answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// A request, read whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// The path as it was sent, percent encoding included.
    pub path: String,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Headers, names in lower case; of a repeated one the first counts.
    pub headers: BTreeMap<String, String>,
    pub body: Bytes,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The last value of this key in the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The path's segments, each decoded; empty ones (doubled or trailing slashes) are left out.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect()
    }

    /// The parameters: those of the query, then those of a JSON or form body. A key that ends in `[]` makes a list.
    pub(crate) fn params(&self) -> Map<String, Value> {
        let mut params = Map::new();
        add_pairs(&mut params, self.query.clone());
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(body)) => params.extend(body),
            Err(_) if self.header("content-type").is_some_and(|kind| kind.contains("form-urlencoded")) => {
                add_pairs(&mut params, pairs(&self.body));
            }
            Ok(_) | Err(_) => {}
        }
        params
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[cfg(test)]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// The words that go with a status, such as `Not Found`.
pub(crate) fn reason_phrase(status: u16) -> &'static str {
    hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
}

/// The pairs of a form or a query, decoded, in order.
pub(crate) fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

fn add_pairs(params: &mut Map<String, Value>, pairs: Vec<(String, String)>) {
    for (key, value) in pairs {
        match key.strip_suffix("[]") {
            Some(list) => {
                let values = params.entry(list).or_insert_with(|| json!([]));
                if let Value::Array(values) = values {
                    values.push(json!(value));
                } else {
                    *values = json!([value]);
                }
            }
            None => {
                params.insert(key, json!(value));
            }
        }
    }
}

fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_before_it_is_decoded() {
        let request = Request { path: "/api/v4//projects/lights%2Fout/jobs/".into(), ..Request::default() };
        assert_eq!(request.segments(), ["api", "v4", "projects", "lights/out", "jobs"]);
    }

    #[test]
    fn a_query_keeps_repeated_keys_in_order() {
        let pairs = pairs(b"scope[]=pending&scope%5B%5D=running&per_page=5");
        assert_eq!(pairs.iter().filter(|(key, _)| key == "scope[]").count(), 2);
        let request = Request { query: pairs, ..Request::default() };
        assert_eq!(request.query("scope[]"), Some("running"));
        assert_eq!(request.query("per_page"), Some("5"));
        assert_eq!(request.query("page"), None);
    }
}
