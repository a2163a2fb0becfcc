//! The policy of a resource, as far as it is about one role.

use serde_json::{Value, json};

use super::{Pattern, Policy, PolicyError};

/// Reads a resource's policy as if that of it which is about this role were attached to the role. The account as a principal is left out: it only lets
/// policies of roles decide, and a service's own role has none that the user could write.
///
/// # Errors
/// When it is no policy.
pub fn about_role(text: &str, role: &str) -> Result<Policy, PolicyError> {
    let mut whole: Value = serde_json::from_str(text).map_err(|_| PolicyError::new("the policy is not JSON"))?;
    let statements = match whole["Statement"].take() {
        Value::Array(list) => list,
        one @ Value::Object(_) => vec![one],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(PolicyError::new("the policy has no \"Statement\""));
        }
    };
    let own: Vec<Value> = statements.into_iter().filter_map(|statement| of_role(statement, role)).collect();
    Policy::parse(&json!({ "Statement": own }).to_string())
}

/// The statement without its principal, if that is this role or everybody.
fn of_role(mut statement: Value, role: &str) -> Option<Value> {
    let fields = statement.as_object_mut()?;
    let is_role = match (fields.remove("Principal"), fields.remove("NotPrincipal")) {
        (Some(Value::String(all)), _) => all == "*",
        (Some(named), _) => any(&named["AWS"], |name| name == "*" || name == role),
        (None, Some(others)) => !any(&others["AWS"], |name| name == role),
        (None, None) => false,
    };
    let fits = |value: &str| Pattern::parse(value).covers(&Pattern::literal(role));
    let mut holds = is_role;
    let tests = fields.get_mut("Condition").and_then(Value::as_object_mut);
    for (operator, keys) in tests.into_iter().flatten() {
        let names_whom = ["ArnEquals", "ArnLike", "StringEquals", "StringLike"].contains(&operator.as_str());
        let Some(keys) = keys.as_object_mut().filter(|_| names_whom) else { continue };
        let Some(key) = keys.keys().find(|key| key.eq_ignore_ascii_case("aws:PrincipalArn")).cloned() else { continue };
        holds &= keys.remove(&key).is_some_and(|values| any(&values, fits));
    }
    holds.then_some(statement)
}

/// A text, or one of a list.
fn any(value: &Value, fits: impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => fits(text),
        Value::Array(list) => list.iter().filter_map(Value::as_str).any(fits),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}
