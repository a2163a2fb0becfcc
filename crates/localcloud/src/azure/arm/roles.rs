//! Roles and who has them (Azure REST API reference, "Role Assignments", "Role Definitions"). They are kept and told, and nothing is refused for want of
//! one: whoever is let in may do everything.

use serde_json::{Value, json};

use super::{
    Azure, not_allowed,
    reply::{json_of, must_be_objects},
    show,
};
use crate::{
    azure::model::Refused,
    http::{Request, Response},
    time::Timestamp,
};

/// The built-in roles that are known: name, what it is called, what it allows, and what it allows on data (Azure, "Azure built-in roles").
const BUILT_IN: [(&str, &str, &[&str], &[&str]); 3] = [
    ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", &["*"], &[]),
    ("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", &["*/read"], &[]),
    (
        "4633458b-17de-408a-874b-0445c86b69e6",
        "Key Vault Secrets User",
        &[],
        &[
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ],
    ),
];

/// Answers a call about one assignment on a scope.
pub(super) fn assignment(
    azure: &mut Azure,
    request: &Request,
    scope: &str,
    name: &str,
    now: Timestamp,
) -> Result<Response, Refused> {
    let id = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}");
    let key = id.to_lowercase();
    match request.method.as_str() {
        "GET" => azure.roles.get(&key).map(|found| Response::json(200, found)).ok_or_else(|| {
            Refused::new(404, "RoleAssignmentNotFound", format!("The role assignment '{name}' is not found."))
        }),
        "PUT" => {
            let properties = json_of(request)?["properties"].clone();
            let text = |key: &str| properties[key].as_str().filter(|text| !text.is_empty());
            let (Some(role), Some(principal)) = (text("roleDefinitionId"), text("principalId")) else {
                let message = "A role assignment needs properties.roleDefinitionId and properties.principalId.";
                return Err(Refused::new(400, "BadRequest", message));
            };
            must_be_guid(name, "InvalidRoleAssignmentId")?;
            definition_of(azure, show::name_of(role))?;
            let is_same = |other: &Value| {
                let same = |key: &str, mine: &str| {
                    other["properties"][key].as_str().is_some_and(|its| its.eq_ignore_ascii_case(mine))
                };
                same("roleDefinitionId", role) && same("principalId", principal) && same("scope", scope)
            };
            if azure.roles.iter().any(|(other, assigned)| *other != key && is_same(assigned)) {
                return Err(Refused::new(409, "RoleAssignmentExists", "The role assignment already exists."));
            }
            let shown = json!({
                "id": id,
                "name": name,
                "type": "Microsoft.Authorization/roleAssignments",
                "properties": {
                    "roleDefinitionId": role,
                    "principalId": principal,
                    "principalType": text("principalType").unwrap_or("ServicePrincipal"),
                    "scope": scope,
                    "condition": properties["condition"],
                    "conditionVersion": properties["conditionVersion"],
                    "createdOn": now.to_string(),
                    "updatedOn": now.to_string(),
                },
            });
            azure.roles.insert(key, shown.clone());
            Ok(Response::json(201, &shown))
        }
        "DELETE" => {
            Ok(azure.roles.remove(&key).map_or_else(|| Response::empty(204), |gone| Response::json(200, &gone)))
        }
        _ => Err(not_allowed(request)),
    }
}

/// The assignments that hold on a scope, by a filter those of one principal: on it, above it and, unless only those at the scope are asked for, below it.
pub(super) fn assigned(azure: &Azure, request: &Request, scope: &str) -> Result<Response, Refused> {
    if request.method != "GET" {
        return Err(not_allowed(request));
    }
    let filter = request.query("$filter").unwrap_or_default();
    let (mut only_above, mut principal) = (false, None);
    for part in filter.split(" and ").map(str::trim).filter(|part| !part.is_empty()) {
        let quoted = part.strip_prefix("assignedTo('").and_then(|rest| rest.strip_suffix("')"));
        let named = || part.strip_prefix("principalId eq ").map(|id| id.trim_matches('\''));
        match quoted.or_else(named) {
            Some(id) => principal = Some(id),
            None if part == "atScope()" => only_above = true,
            None => {
                let message = format!("The filter '{filter}' is not supported: assignedTo('ID') and atScope() are.");
                return Err(Refused::new(400, "UnsupportedQuery", message));
            }
        }
    }
    let found = azure.roles.values().filter(|it| {
        let Assigned { holder, on } = Assigned::of(it);
        let theirs = principal.is_none_or(|principal| holder.eq_ignore_ascii_case(principal));
        theirs && !on.is_empty() && (is_on_or_below(scope, on) || !only_above && is_on_or_below(on, scope))
    });
    Ok(Response::json(200, &json!({"value": found.collect::<Vec<_>>()})))
}

struct Assigned<'a> {
    holder: &'a str,
    /// Empty: it is no assignment.
    on: &'a str,
}

impl<'a> Assigned<'a> {
    fn of(assignment: &'a Value) -> Self {
        let text = |key: &str| assignment["properties"][key].as_str().unwrap_or_default();
        Self { holder: text("principalId"), on: text("scope") }
    }
}

fn is_on_or_below(resource: &str, scope: &str) -> bool {
    let (resource, scope) = (resource.to_lowercase(), scope.to_lowercase());
    resource.strip_prefix(&scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a call about a role.
pub(super) fn defined(azure: &mut Azure, request: &Request, name: &str) -> Result<Response, Refused> {
    match request.method.as_str() {
        "GET" => definition_of(azure, name).map(|found| Response::json(200, &found)),
        "PUT" => {
            must_be_guid(name, "InvalidRoleDefinitionId")?;
            let body = json_of(request)?;
            must_be_objects(&body, "permissions")?;
            let mut properties = body["properties"].clone();
            let permissions = properties["permissions"].as_array_mut().filter(|permissions| !permissions.is_empty());
            let (Some(permissions), true) = (permissions, BUILT_IN.iter().all(|(built_in, ..)| *built_in != name))
            else {
                let message = "A role needs properties.permissions, and a built-in one cannot be written.";
                return Err(Refused::new(400, "BadRequest", message));
            };
            for permission in permissions {
                for kind in ["actions", "notActions", "dataActions", "notDataActions"] {
                    if permission[kind].is_null() {
                        permission[kind] = json!([]);
                    }
                }
            }
            properties["type"] = json!("CustomRole");
            let shown = definition(azure, name, &properties);
            let id = shown["id"].as_str().unwrap_or_default().to_lowercase();
            azure.roles.insert(id, shown.clone());
            Ok(Response::json(201, &shown))
        }
        "DELETE" => {
            let used = azure
                .roles
                .values()
                .any(|it| it["properties"]["roleDefinitionId"].as_str().is_some_and(|id| show::name_of(id) == name));
            if used {
                let message = "There are existing role assignments referencing role.";
                return Err(Refused::new(400, "RoleDefinitionHasAssignments", message));
            }
            let gone = azure.roles.remove(&id_of(azure, name).to_lowercase());
            Ok(gone.map_or_else(|| Response::empty(204), |gone| Response::json(200, &gone)))
        }
        _ => Err(not_allowed(request)),
    }
}

fn id_of(azure: &Azure, name: &str) -> String {
    format!("/subscriptions/{}/providers/Microsoft.Authorization/roleDefinitions/{name}", azure.options().subscription)
}

fn definition(azure: &Azure, name: &str, properties: &Value) -> Value {
    json!({
        "id": id_of(azure, name),
        "name": name,
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": properties,
    })
}

fn definition_of(azure: &Azure, name: &str) -> Result<Value, Refused> {
    if let Some(custom) = azure.roles.get(&id_of(azure, name).to_lowercase()) {
        return Ok(custom.clone());
    }
    let built_in = BUILT_IN.iter().find(|(built_in, ..)| built_in.eq_ignore_ascii_case(name));
    let Some((name, said, actions, data)) = built_in else {
        let message = format!("The specified role definition with ID '{name}' does not exist.");
        return Err(Refused::new(404, "RoleDefinitionDoesNotExist", message));
    };
    let allows = json!({"actions": actions, "notActions": [], "dataActions": data, "notDataActions": []});
    let properties =
        json!({"roleName": said, "type": "BuiltInRole", "permissions": [allows], "assignableScopes": ["/"]});
    Ok(definition(azure, name, &properties))
}

/// Names are made by who assigns: a UUID each.
fn must_be_guid(name: &str, code: &'static str) -> Result<(), Refused> {
    let lengths: Vec<usize> = name.split('-').map(str::len).collect();
    let hex = name.chars().all(|letter| letter == '-' || letter.is_ascii_hexdigit());
    if hex && lengths == [8, 4, 4, 4, 12] {
        return Ok(());
    }
    Err(Refused::new(400, code, format!("The ID '{name}' is not valid. The ID must be a GUID.")))
}
