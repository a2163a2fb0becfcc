//! What an identity may do: the roles that are assigned to it, or to a group that it is in, on a scope or above it.

use std::collections::BTreeMap;

use lightsout_core::{
    cloud::CloudError,
    doctor::facts::RoleFacts,
    iam::{Difference, Finding},
    settings::ScaleSetId,
};
use serde::Deserialize;

use super::other;
use crate::azure::{
    call,
    client::Azure,
    host::{ON_MACHINE, ON_SCALE_SET},
    reply::{self, Permission},
};

/// By what rights are judged. Denials, which only Azure's own services assign, are not counted.
const BY: &str = "the roles that are assigned to it";

/// A role that somebody has on a scope (Azure REST API reference, "Role Assignments").
#[derive(Clone, Debug, Deserialize)]
struct Assignment {
    properties: Assigned,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assigned {
    role_definition_id: String,
    scope: String,
    condition: Option<String>,
}

/// What a role allows ("Role Definitions").
#[derive(Clone, Debug, Default, Deserialize)]
struct Definition {
    properties: Defined,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Defined {
    permissions: Vec<Permission>,
}

impl Assigned {
    /// Whether it holds for this resource: it is on it or above it. What is listed and below no subscription is above each.
    fn holds_for(&self, resource: &str) -> bool {
        let (scope, resource) = (self.scope.trim_end_matches('/').to_ascii_lowercase(), resource.to_ascii_lowercase());
        let below = resource.strip_prefix(&scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        below || !scope.starts_with("/subscriptions/")
    }
}

/// What each identity may do on this scale set, compared with what an agent needs. A machine of a Flexible one is a resource beside it, so that rights on
/// machines are needed on the resource group.
pub(super) async fn of_each(
    azure: &Azure,
    set: &ScaleSetId,
    flexible: bool,
    identities: Vec<(String, Option<String>)>,
) -> Vec<RoleFacts> {
    let ScaleSetId { subscription, resource_group, .. } = set;
    let group = format!("/subscriptions/{subscription}/resourceGroups/{resource_group}");
    let mut needs: Vec<(&str, String)> = ON_SCALE_SET.iter().map(|action| (*action, set.to_string())).collect();
    if flexible {
        needs.extend(ON_MACHINE.iter().map(|action| (*action, group.clone())));
    }
    let mut found = Vec::new();
    for (name, principal) in identities {
        let difference = match principal {
            Some(principal) => of_one(azure, &needs, &principal).await.map_err(|error| error.to_string()),
            None => Err(format!("Azure does not tell the principal of {name}")),
        };
        found.push(RoleFacts { of_scaler: false, name, by: BY, difference });
    }
    found
}

async fn of_one(azure: &Azure, needs: &[(&str, String)], principal: &str) -> Result<Difference, CloudError> {
    let manager = azure.manager();
    let mut definitions: BTreeMap<String, Vec<Permission>> = BTreeMap::new();
    let mut assigned: BTreeMap<&str, Vec<Assigned>> = BTreeMap::new();
    for (_, scope) in needs {
        if assigned.contains_key(scope.as_str()) {
            continue;
        }
        let listed: Vec<Assignment> = azure.list(call::role_assignments(&manager, scope, principal)).await?;
        let holding: Vec<Assigned> =
            listed.into_iter().map(|assignment| assignment.properties).filter(|it| it.holds_for(scope)).collect();
        for Assigned { role_definition_id, .. } in &holding {
            if !definitions.contains_key(role_definition_id) {
                let reply = azure.call(call::role_definition(&manager, role_definition_id)).await?;
                let Definition { properties } = reply::parse(&reply).map_err(other)?;
                definitions.insert(role_definition_id.clone(), properties.permissions);
            }
        }
        assigned.insert(scope, holding);
    }
    let mut difference = Difference::default();
    for (action, scope) in needs {
        let mut allowing = assigned[scope.as_str()]
            .iter()
            .filter(|it| definitions[&it.role_definition_id].iter().any(|permission| permission.allows(action)))
            .peekable();
        let why = "an instance protects and ends itself".to_owned();
        let finding = Finding { action: (*action).to_owned(), resource: scope.clone(), why };
        if allowing.peek().is_none() {
            difference.missing.push(finding);
        } else if allowing.all(|it| it.condition.is_some()) {
            difference.conditional.push(finding);
        }
    }
    Ok(difference)
}
