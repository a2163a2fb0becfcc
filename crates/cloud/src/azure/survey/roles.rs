//! What an identity may do: the roles that are assigned to it, or to a group that it is in, on a scope or above it.

use std::collections::{BTreeMap, BTreeSet};

use lightsout_core::{
    cloud::CloudError,
    doctor::facts::RoleFacts,
    iam::{Difference, Finding},
    settings::{ScaleSetId, SecretSource},
};
use serde::Deserialize;
use serde_json::Value;

use super::other;
use crate::azure::{
    call,
    client::Azure,
    host::{ON_MACHINE, ON_SCALE_SET},
    reply::{self, Permission},
};

/// By what rights are judged. Denials, which only Azure's own services assign, are not counted.
pub(super) const BY: &str = "the roles that are assigned to it";

/// The version of the API of vaults that is spoken ("Vaults - List By Subscription").
const VAULTS: &str = "2023-07-01";

/// Something that an identity must be allowed.
#[derive(Clone, Debug)]
pub(super) struct Need {
    pub(super) action: &'static str,
    pub(super) scope: String,
    pub(super) why: &'static str,
    pub(super) by: GrantedBy,
}

/// What allows it.
#[derive(Clone, Debug)]
pub(super) enum GrantedBy {
    /// A role's actions.
    Actions,
    /// A role's actions on data.
    Data,
    /// The vault's own access policies, which it has instead of roles.
    Policies(Vec<Value>),
    /// It is not to be seen from here.
    Unseen,
}

impl Need {
    fn finding(&self) -> Finding {
        Finding { action: self.action.to_owned(), resource: self.scope.clone(), why: self.why.to_owned() }
    }
}

/// Everything of it, as missing.
pub(super) fn nothing_of(needs: &[Need]) -> Difference {
    Difference { missing: needs.iter().map(Need::finding).collect(), ..Difference::default() }
}

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

/// The resource group of a scale set, by its id.
pub(super) fn resource_group(set: &ScaleSetId) -> String {
    format!("/subscriptions/{}/resourceGroups/{}", set.subscription, set.resource_group)
}

/// What an agent needs on this scale set. A machine of a Flexible one is a resource beside it, so that rights on machines are needed on the resource group.
pub(super) fn of_agent(set: &ScaleSetId, flexible: bool) -> Vec<Need> {
    let need = |action, scope: String| Need {
        action,
        scope,
        why: "an instance protects and ends itself",
        by: GrantedBy::Actions,
    };
    let mut needs: Vec<Need> = ON_SCALE_SET.iter().map(|action| need(action, set.to_string())).collect();
    if flexible {
        needs.extend(ON_MACHINE.iter().map(|action| need(action, resource_group(set))));
    }
    needs
}

/// What it takes to read these secrets, of which those in vaults count. A vault that is in none of the subscriptions is not looked for elsewhere.
pub(super) async fn of_vaults(
    azure: &Azure,
    subscriptions: &BTreeSet<String>,
    secrets: &[SecretSource],
) -> Result<Vec<Need>, CloudError> {
    let secrets_named = secrets.iter().filter_map(|secret| match secret {
        SecretSource::KeyVault(url) => vault_and_secret(url),
        SecretSource::Inline(_)
        | SecretSource::File(_)
        | SecretSource::Env(_)
        | SecretSource::Ssm(_)
        | SecretSource::SecretsManager { .. } => None,
    });
    let mut named: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (vault, secret) in secrets_named {
        named.entry(vault).or_default().insert(secret);
    }
    let mut vaults: Vec<Value> = Vec::new();
    for subscription in subscriptions.iter().filter(|_| !named.is_empty()) {
        let path = format!("/subscriptions/{subscription}/providers/Microsoft.KeyVault/vaults");
        vaults.extend(
            azure.list::<Value>(call::look(&azure.manager(), "Microsoft.KeyVault/vaults/read", &path, VAULTS)).await?,
        );
    }
    let need = |scope, by| Need {
        action: "Microsoft.KeyVault/vaults/secrets/getSecret/action",
        scope,
        why: "its secret is in the vault",
        by,
    };
    let mut needs = Vec::new();
    for (name, secrets) in named {
        let is_it = |vault: &&Value| {
            let address = vault["properties"]["vaultUri"].as_str().and_then(place);
            address.is_some_and(|(known, _)| known == name)
        };
        let Some(vault) = vaults.iter().find(is_it) else {
            needs.push(need(
                format!("the vault {name}, which is in no subscription of the scale sets"),
                GrantedBy::Unseen,
            ));
            continue;
        };
        let id = vault["id"].as_str().unwrap_or(&name);
        if vault["properties"]["enableRbacAuthorization"] == true {
            // A role may be on a secret alone (Key Vault, "Azure RBAC for Key Vault data plane operations").
            needs.extend(secrets.iter().map(|secret| need(format!("{id}/secrets/{secret}"), GrantedBy::Data)));
        } else {
            let policies = vault["properties"]["accessPolicies"].as_array().cloned().unwrap_or_default();
            needs.push(need(id.to_owned(), GrantedBy::Policies(policies)));
        }
    }
    Ok(needs)
}

/// The place of the vault and the secret of `https://VAULT.vault.azure.net/secrets/NAME`, which may end in a version.
fn vault_and_secret(url: &str) -> Option<(String, &str)> {
    let (vault, path) = place(url)?;
    let secret = path.strip_prefix("secrets/")?.split('/').next()?;
    Some((vault, secret))
}

/// Where an address is, whatever its case, and the path there.
fn place(url: &str) -> Option<(String, &str)> {
    let (_, rest) = url.split_once("://")?;
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    Some((place.to_ascii_lowercase(), path))
}

/// What each identity may do, compared with what is needed.
pub(super) async fn of_each(
    azure: &Azure,
    needs: &[Need],
    identities: Vec<(String, Option<String>)>,
    of_scaler: bool,
) -> Vec<RoleFacts> {
    let mut found = Vec::new();
    for (name, principal) in identities {
        let difference = match principal {
            Some(principal) => of_one(azure, needs, &principal).await.map_err(|error| error.to_string()),
            None => Err(format!("Azure does not tell the principal of {name}")),
        };
        found.push(RoleFacts { of_scaler, name, by: BY, difference });
    }
    found
}

async fn of_one(azure: &Azure, needs: &[Need], principal: &str) -> Result<Difference, CloudError> {
    let manager = azure.manager();
    let mut definitions: BTreeMap<String, Vec<Permission>> = BTreeMap::new();
    let mut assigned: BTreeMap<&str, Vec<Assigned>> = BTreeMap::new();
    let mut difference = Difference::default();
    for need in needs {
        let Need { action, scope, by, .. } = need;
        match by {
            GrantedBy::Unseen => difference.conditional.push(need.finding()),
            GrantedBy::Policies(policies) => {
                let mut readers = policies.iter().filter(|policy| lets_read(policy)).peekable();
                if readers.peek().is_none() {
                    difference.missing.push(need.finding());
                } else if !readers.any(|policy| is_of(policy, principal)) {
                    // Which groups it is in, only its directory knows.
                    let resource =
                        format!("{scope}, whose access policies let others read: it may be in a group of theirs");
                    difference.conditional.push(Finding { resource, ..need.finding() });
                }
            }
            GrantedBy::Actions | GrantedBy::Data => {
                if !assigned.contains_key(scope.as_str()) {
                    let holding = holding(azure, &manager, scope, principal).await?;
                    for Assigned { role_definition_id, .. } in &holding {
                        if !definitions.contains_key(role_definition_id) {
                            let reply = azure.call(call::role_definition(&manager, role_definition_id)).await?;
                            let Definition { properties } = reply::parse(&reply).map_err(other)?;
                            definitions.insert(role_definition_id.clone(), properties.permissions);
                        }
                    }
                    assigned.insert(scope, holding);
                }
                let allows = |permission: &Permission| match by {
                    GrantedBy::Data => permission.allows_on_data(action),
                    GrantedBy::Actions | GrantedBy::Policies(_) | GrantedBy::Unseen => permission.allows(action),
                };
                let mut allowing = assigned[scope.as_str()]
                    .iter()
                    .filter(|it| definitions[&it.role_definition_id].iter().any(allows))
                    .peekable();
                if allowing.peek().is_none() {
                    difference.missing.push(need.finding());
                } else if allowing.all(|it| it.condition.is_some()) {
                    difference.conditional.push(need.finding());
                }
            }
        }
    }
    Ok(difference)
}

/// The roles that hold for this scope.
async fn holding(azure: &Azure, manager: &str, scope: &str, principal: &str) -> Result<Vec<Assigned>, CloudError> {
    let listed: Vec<Assignment> = azure.list(call::role_assignments(manager, scope, principal)).await?;
    Ok(listed.into_iter().map(|assignment| assignment.properties).filter(|it| it.holds_for(scope)).collect())
}

/// Whether an access policy of a vault lets somebody read secrets (Key Vault, "Assign a Key Vault access policy").
fn lets_read(policy: &Value) -> bool {
    let mut secrets = policy["permissions"]["secrets"].as_array().into_iter().flatten().filter_map(Value::as_str);
    secrets.any(|what| ["get", "all"].iter().any(|word| what.eq_ignore_ascii_case(word)))
}

/// Whether it is for this principal.
fn is_of(policy: &Value, principal: &str) -> bool {
    policy["objectId"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(principal))
}
