//! Roles, instance profiles and policies of IAM, and what they allow.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What there is of IAM in the account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Iam {
    /// By name.
    pub(crate) roles: BTreeMap<String, Role>,
    /// The name of the role of each instance profile, by the profile's name.
    pub(crate) profiles: BTreeMap<String, Option<String>>,
    /// The documents of policies that stand for themselves, by name.
    pub(crate) policies: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Role {
    /// Its own policies: documents by name.
    pub(crate) inline: BTreeMap<String, String>,
    /// The names of the policies that are attached.
    pub(crate) attached: BTreeSet<String>,
    /// Who may take it on.
    pub(crate) trust: String,
}

/// What a simulation says (IAM API reference, `EvaluationResult`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

impl Decision {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::ExplicitDeny => "explicitDeny",
            Self::ImplicitDeny => "implicitDeny",
        }
    }
}

impl Iam {
    /// What the role's policies say of an action on a resource, in a request that brings this context along by lower-case keys.
    pub(crate) fn decide(
        &self,
        role: &Role,
        action: &str,
        resource: &str,
        context: &BTreeMap<String, String>,
    ) -> Decision {
        let shared = role.attached.iter().filter_map(|name| self.policies.get(name));
        let documents = role.inline.values().chain(shared).filter_map(|text| serde_json::from_str::<Value>(text).ok());
        let mut decision = Decision::ImplicitDeny;
        for document in documents {
            for statement in list(&document["Statement"]) {
                if !applies(statement, action, resource, context) {
                    continue;
                }
                if statement["Effect"] == "Deny" {
                    return Decision::ExplicitDeny;
                }
                decision = Decision::Allowed;
            }
        }
        decision
    }
}

fn applies(statement: &Value, action: &str, resource: &str, context: &BTreeMap<String, String>) -> bool {
    let action = action.to_lowercase();
    let actions = |key: &str| texts(&statement[key]).any(|pattern| matches(&pattern.to_lowercase(), &action, context));
    let resources = |key: &str| texts(&statement[key]).any(|pattern| matches(pattern, resource, context));
    let named = |key: &str| !statement[key].is_null();
    (if named("Action") { actions("Action") } else { named("NotAction") && !actions("NotAction") })
        && (if named("Resource") { resources("Resource") } else { named("NotResource") && !resources("NotResource") })
        && conditions_hold(&statement["Condition"], context)
}

/// The two operators that are known; another one holds never, so that nothing is allowed by what was not understood.
fn conditions_hold(conditions: &Value, context: &BTreeMap<String, String>) -> bool {
    conditions.as_object().into_iter().flatten().all(|(operator, tested)| {
        tested.as_object().into_iter().flatten().all(|(key, values)| {
            let Some(value) = context.get(&key.to_lowercase()) else { return false };
            match operator.as_str() {
                "StringEquals" => texts(values).any(|wanted| filled(wanted, context).as_deref() == Some(value)),
                "StringLike" | "ArnLike" => texts(values).any(|wanted| matches(wanted, value, context)),
                _ => false,
            }
        })
    })
}

/// A text with its variables replaced; `None` when the request does not bring one along.
fn filled(text: &str, context: &BTreeMap<String, String>) -> Option<String> {
    let mut rest = text;
    let mut whole = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}')?;
        whole += before;
        // The letters themselves: what no request has in it stands for one.
        whole += match name {
            "*" => "\u{1}",
            "?" => "\u{2}",
            "$" => "$",
            name => context.get(&name.to_lowercase())?,
        };
        rest = after;
    }
    Some(whole + rest)
}

fn matches(pattern: &str, text: &str, context: &BTreeMap<String, String>) -> bool {
    filled(pattern, context).is_some_and(|pattern| wildcard(pattern.as_bytes(), text.as_bytes()))
}

fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|skip| wildcard(rest, &text[skip..])),
        (Some((b'?', rest)), Some((_, text)))
        | (Some((1, rest)), Some((b'*', text)))
        | (Some((2, rest)), Some((b'?', text))) => wildcard(rest, text),
        (Some((letter, rest)), Some((first, text))) => letter == first && wildcard(rest, text),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Null => &[],
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => std::slice::from_ref(value),
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    list(value).iter().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(document: &str, action: &str, resource: &str, context: &[(&str, &str)]) -> Decision {
        let role = Role { inline: BTreeMap::from([("p".to_owned(), document.to_owned())]), ..Role::default() };
        let context = context.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Iam::default().decide(&role, action, resource, &context)
    }

    #[test]
    fn a_policy_allows_what_it_names_and_a_denial_goes_before_it() {
        let policy = r#"{"Statement": [
            {"Effect": "Allow", "Action": ["ec2:*", "s3:Get?bject"], "Resource": "arn:x:*"},
            {"Effect": "Deny", "Action": "ec2:Stop*", "Resource": "*"}]}"#;
        assert_eq!(decide(policy, "EC2:createTags", "arn:x:1", &[]), Decision::Allowed);
        assert_eq!(decide(policy, "s3:GetObject", "arn:x:1", &[]), Decision::Allowed);
        assert_eq!(decide(policy, "ec2:CreateTags", "arn:y:1", &[]), Decision::ImplicitDeny);
        assert_eq!(decide(policy, "ec2:StopInstances", "arn:x:1", &[]), Decision::ExplicitDeny);
        assert_eq!(decide("{}", "ec2:StopInstances", "*", &[]), Decision::ImplicitDeny);
    }

    #[test]
    fn a_condition_holds_where_the_request_says_so_and_never_when_it_is_strange() {
        let policy = |operator: &str| {
            format!(
                r#"{{"Statement": {{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {{"{operator}": {{"aws:ARN": "${{ec2:SourceInstanceARN}}"}}}}}}}}"#
            )
        };
        let both = [("aws:arn", "i-1"), ("ec2:sourceinstancearn", "i-1")];
        assert_eq!(decide(&policy("StringEquals"), "a:b", "*", &both), Decision::Allowed);
        assert_eq!(decide(&policy("StringEquals"), "a:b", "*", &both[..1]), Decision::ImplicitDeny);
        assert_eq!(decide(&policy("Bool"), "a:b", "*", &both), Decision::ImplicitDeny);
    }
}
