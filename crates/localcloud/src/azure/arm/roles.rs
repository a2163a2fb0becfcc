//! Roles. None are kept here: whoever is let in may do everything, and so every identity of a scale set is told to be an Owner of the subscription.

use serde_json::json;

use super::{Azure, not_allowed};
use crate::{
    azure::{identity::principal_id, model::Refused},
    http::{Request, Response},
};

/// The name of the built-in role Owner (Azure, "Azure built-in roles").
const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";

/// The role assignments of the principal that a filter names, which is how they are looked for by whom they hold for.
pub(super) fn assigned(azure: &Azure, request: &Request) -> Result<Response, Refused> {
    if request.method != "GET" {
        return Err(not_allowed(request));
    }
    let filter = request.query("$filter").unwrap_or_default();
    let principal = filter.strip_prefix("assignedTo('").and_then(|rest| rest.strip_suffix("')")).ok_or_else(|| {
        Refused::new(400, "UnsupportedQuery", format!("The filter '{filter}' is not supported: assignedTo('ID') is."))
    })?;
    let known = azure.scale_sets.values().any(|set| {
        let own = set.has_system_identity().then_some(set.unique_id.as_str());
        set.user_identities().into_iter().chain(own).any(|identity| principal_id(identity) == principal)
    });
    let subscription = format!("/subscriptions/{}", azure.options().subscription);
    let assignment = json!({
        "name": principal,
        "id": format!("{subscription}/providers/Microsoft.Authorization/roleAssignments/{principal}"),
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "principalId": principal,
            "principalType": "ServicePrincipal",
            "roleDefinitionId": format!("{subscription}/providers/Microsoft.Authorization/roleDefinitions/{OWNER}"),
            "scope": subscription,
        },
    });
    Ok(Response::json(200, &json!({"value": known.then_some(assignment).into_iter().collect::<Vec<_>>()})))
}

/// A role, of which there is one.
pub(super) fn defined(azure: &Azure, request: &Request, name: &str) -> Result<Response, Refused> {
    if request.method != "GET" {
        return Err(not_allowed(request));
    }
    if !name.eq_ignore_ascii_case(OWNER) {
        let message = format!("The specified role definition with ID '{name}' does not exist.");
        return Err(Refused::new(404, "RoleDefinitionDoesNotExist", message));
    }
    let all = json!({"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []});
    let subscription = format!("/subscriptions/{}", azure.options().subscription);
    let role = json!({
        "name": OWNER,
        "id": format!("{subscription}/providers/Microsoft.Authorization/roleDefinitions/{OWNER}"),
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {"roleName": "Owner", "type": "BuiltInRole", "permissions": [all], "assignableScopes": ["/"]},
    });
    Ok(Response::json(200, &role))
}
