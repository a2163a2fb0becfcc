//! The policy that allows what is needed and nothing else.

use serde_json::{Map, Value, json};

use super::{Caller, Need, Pattern};

/// The most characters of a managed policy, white space not counted (IAM User Guide, "IAM and AWS STS quotas"). Those within a role may have 10,240
/// together.
pub const MANAGED_POLICY_CHARACTERS: usize = 6144;

/// The policy as IAM takes it: one statement for all that is allowed on the same things.
pub fn policy(needs: &[Need]) -> Value {
    let mut statements: Vec<(Vec<&'static str>, &Need)> = Vec::new();
    for need in needs {
        let same =
            |of: &Need| of.resources == need.resources && of.conditions == need.conditions && of.caller == need.caller;
        match statements.iter_mut().find(|(_, of)| same(of)) {
            Some((actions, _)) => actions.push(need.action),
            None => statements.push((vec![need.action], need)),
        }
    }
    let statement = |(mut actions, need): (Vec<&'static str>, &Need)| {
        actions.sort_unstable();
        let mut resources: Vec<String> = need.resources.iter().map(Pattern::to_string).collect();
        resources.sort_unstable();
        let sid = if need.caller == Caller::Doctor { "Doctor" } else { need.on.sid() };
        let mut statement = Map::from_iter([
            ("Sid".to_owned(), json!(sid)),
            ("Effect".to_owned(), json!("Allow")),
            ("Action".to_owned(), json!(actions)),
            ("Resource".to_owned(), one_or_many(&resources)),
        ]);
        if !need.conditions.is_empty() {
            // No two have the same operator.
            let tested = need.conditions.iter().map(|condition| {
                let values: Vec<String> = condition.values.iter().cloned().collect();
                let test = Map::from_iter([(condition.key.clone(), one_or_many(&values))]);
                (condition.operator.clone(), test.into())
            });
            statement.insert("Condition".to_owned(), Value::Object(tested.collect()));
        }
        Value::Object(statement)
    };
    json!({ "Version": "2012-10-17", "Statement": statements.into_iter().map(statement).collect::<Vec<_>>() })
}

/// How long IAM finds it.
pub fn characters(policy: &Value) -> usize {
    policy.to_string().chars().count()
}

fn one_or_many(values: &[String]) -> Value {
    match values {
        [one] => json!(one),
        many => json!(many),
    }
}
