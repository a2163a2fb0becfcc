//! Policies as they are attached to roles, read from their JSON.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use thiserror::Error;

use super::{Condition, Pattern};

/// A policy that is attached.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) statements: Vec<Statement>,
}

/// Why a text is no such policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct PolicyError(String);

impl PolicyError {
    pub(super) fn new(why: &str) -> Self {
        Self(why.to_owned())
    }
}

/// One of its statements.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// Its `Sid`, or its number.
    pub(super) name: String,
    pub(super) allows: bool,
    pub(super) actions: Selector,
    pub(super) resources: Selector,
    pub(super) conditions: Vec<Condition>,
}

/// What is named, or all but that.
#[derive(Clone, Debug)]
pub(super) enum Selector {
    These(Vec<(String, Pattern)>),
    AllBut(Vec<(String, Pattern)>),
}

impl Policy {
    /// Reads a policy's JSON, also as `aws iam get-role-policy` and `aws iam get-policy-version` print it.
    ///
    /// # Errors
    /// When it is none, or one of a resource.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let whole: Value =
            serde_json::from_str(text).map_err(|error| PolicyError(format!("this is not JSON: {error}")))?;
        let wrapped =
            whole.get("PolicyDocument").or_else(|| whole.get("PolicyVersion").and_then(|it| it.get("Document")));
        let document = wrapped.unwrap_or(&whole);
        let statements = document.get("Statement").ok_or_else(|| {
            let remedy =
                "give what `aws iam get-role-policy` or `aws iam get-policy-version` prints, or the policy itself";
            PolicyError(format!("there is no \"Statement\": {remedy}"))
        })?;
        let list = statements.as_array().map_or_else(|| std::slice::from_ref(statements), Vec::as_slice);
        let statements = list.iter().enumerate().map(|(index, value)| Statement::read(index + 1, value));
        Ok(Self { statements: statements.collect::<Result<_, _>>()? })
    }
}

impl Statement {
    fn read(number: usize, value: &Value) -> Result<Self, PolicyError> {
        let failed = |what: &str| PolicyError(format!("statement {number}: {what}"));
        let value = value.as_object().ok_or_else(|| failed("expected an object"))?;
        if value.contains_key("Principal") || value.contains_key("NotPrincipal") {
            let what = "\"Principal\" stands in policies of resources and in trust policies; give one that says what the role may do";
            return Err(failed(what));
        }
        let allows = match value.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(failed("\"Effect\" is neither \"Allow\" nor \"Deny\"")),
        };
        let those = |key: &str, fold: bool| -> Result<Selector, PolicyError> {
            let read = |value: &Value| {
                let texts =
                    texts(value).ok_or_else(|| failed(&format!("{key} is neither a text nor a list of texts")))?;
                let pattern = |text: String| {
                    let pattern = Pattern::parse(&if fold { text.to_lowercase() } else { text.clone() });
                    (text, pattern)
                };
                Ok(texts.into_iter().map(pattern).collect())
            };
            match (value.get(key), value.get(&format!("Not{key}"))) {
                (Some(these), None) => read(these).map(Selector::These),
                (None, Some(others)) => read(others).map(Selector::AllBut),
                (Some(_), Some(_)) | (None, None) => {
                    Err(failed(&format!("there must be one of \"{key}\" and \"Not{key}\"")))
                }
            }
        };
        let sid = value.get("Sid").and_then(Value::as_str).filter(|sid| !sid.is_empty());
        Ok(Self {
            name: sid.map_or_else(|| format!("statement {number}"), str::to_owned),
            allows,
            actions: those("Action", true)?,
            resources: those("Resource", false)?,
            conditions: conditions(value)
                .ok_or_else(|| failed("\"Condition\" is not of operators, keys and values"))?,
        })
    }
}

fn conditions(statement: &Map<String, Value>) -> Option<Vec<Condition>> {
    let Some(condition) = statement.get("Condition") else { return Some(Vec::new()) };
    let mut all = Vec::new();
    for (operator, tested) in condition.as_object()? {
        for (key, values) in tested.as_object()? {
            let values: BTreeSet<String> = texts(values)?.into_iter().collect();
            all.push(Condition { operator: operator.clone(), key: key.clone(), values });
        }
    }
    Some(all)
}

/// A text or a list of them; in conditions they may be numbers and truth values as well.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Bool(_) | Value::Number(_) => Some(vec![value.to_string()]),
        Value::Array(list) => {
            list.iter().map(|one| texts(one).filter(|one| one.len() == 1).and_then(|mut one| one.pop())).collect()
        }
        Value::Null | Value::Object(_) => None,
    }
}
