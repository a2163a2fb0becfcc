//! The fleet's scale set, made over the Resource Manager's wire as a real one is.

use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::super::cloud::{RESOURCE_GROUP, scale_set};
use lightsout_localcloud::AzureOptions;
use lightsout_localrunner::http::Http;

/// The version of the API of roles and their assignments.
const ROLES: &str = "2022-04-01";
/// The names, which are chosen by who makes it, of the agents' role and of what is assigned to them.
const AGENT_ROLE: &str = "5ca1ab1e-0000-4000-8000-000000000001";
const ASSIGNED: [&str; 2] = ["5ca1ab1e-0000-4000-8000-000000000002", "5ca1ab1e-0000-4000-8000-000000000003"];
/// The built-in role that lets its holder read secrets.
const SECRETS_USER: &str = "4633458b-17de-408a-874b-0445c86b69e6";
/// What an agent may do (docs/clouds.md, "rights").
const AGENT: [&str; 8] = [
    "Microsoft.Compute/virtualMachineScaleSets/read",
    "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
    "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/write",
    "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/delete",
    "Microsoft.Compute/virtualMachines/delete",
    "Microsoft.Resources/tags/write",
    "Microsoft.Authorization/permissions/read",
    "Microsoft.Insights/autoscaleSettings/read",
];

/// Creates the scale set: machines tell of a deletion a quarter of an hour before, are what their own identity says, and nobody but
/// the fleet changes how many there are.
pub(in super::super) async fn create(url: &str, min: u32) -> Result<()> {
    let AzureOptions { location, subscription, tenant, .. } = AzureOptions::default();
    let identity = format!(
        "/subscriptions/{subscription}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/lightsout-agent"
    );
    let notice = json!({"enable": true, "notBeforeTimeout": "PT15M"});
    let group = format!("/subscriptions/{subscription}/resourceGroups/{RESOURCE_GROUP}/providers");
    let image = format!("{group}/Microsoft.Compute/galleries/lightsout/images/runner");
    let network = format!("{group}/Microsoft.Network/virtualNetworks/lightsout");
    let subnet = json!({"name": "runners", "properties": {"addressPrefix": "10.0.0.0/24"}});
    put(url, &network, "2024-05-01", &json!({"location": location, "properties": {"subnets": [subnet]}})).await?;
    let vault = format!("{group}/Microsoft.KeyVault/vaults/lightsout");
    let sku = json!({"family": "A", "name": "standard"});
    let by_roles = json!({"tenantId": tenant, "sku": sku, "enableRbacAuthorization": true});
    put(url, &vault, "2023-07-01", &json!({"location": location, "properties": by_roles})).await?;
    let published = json!({"publishingProfile": {"targetRegions": [{"name": location}]}});
    put(url, &format!("{image}/versions/1.0.0"), "2023-07-03", &json!({"location": location, "properties": published}))
        .await?;
    let address = json!({"name": "primary", "properties": {"subnet": {"id": format!("{network}/subnets/runners")}}});
    let interface = json!({"name": "primary", "properties": {"primary": true, "ipConfigurations": [address]}});
    let body = json!({
        "location": location,
        "sku": {"name": "Standard_F2s_v2", "tier": "Standard", "capacity": min},
        "zones": ["1", "2"],
        "tags": {"ci-fleet": super::GROUP},
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity.as_str(): {}}},
        "properties": {
            "orchestrationMode": "Flexible",
            "upgradePolicy": {"mode": "Manual"},
            "virtualMachineProfile": {
                "priority": "Regular",
                "storageProfile": {"imageReference": {"id": image}},
                "networkProfile": {"networkInterfaceConfigurations": [interface]},
                "scheduledEventsProfile": {"terminateNotificationProfile": notice},
            },
        },
    });
    let set = put(url, &scale_set(), "2024-07-01", &body).await?;
    let agent = &set["identity"]["userAssignedIdentities"][&identity]["principalId"];
    assign(url, agent, &group, &vault).await
}

/// Gives the machines' identity what an agent needs, as terraform/azure does.
async fn assign(url: &str, agent: &Value, group: &str, vault: &str) -> Result<()> {
    let subscription = AzureOptions::default().subscription;
    let definition =
        |name: &str| format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{name}");
    let machines = group.trim_end_matches("/providers");
    let role = json!({
        "roleName": "lightsout-agent",
        "permissions": [{"actions": AGENT}],
        "assignableScopes": [machines],
    });
    put(url, &definition(AGENT_ROLE), ROLES, &json!({ "properties": role })).await?;
    for (scope, role, name) in [(machines, AGENT_ROLE, ASSIGNED[0]), (vault, SECRETS_USER, ASSIGNED[1])] {
        let held =
            json!({"roleDefinitionId": definition(role), "principalId": agent, "principalType": "ServicePrincipal"});
        let assignment = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}");
        put(url, &assignment, ROLES, &json!({ "properties": held })).await?;
    }
    Ok(())
}

async fn put(url: &str, path: &str, version: &str, body: &Value) -> Result<Value> {
    let url = format!("{url}{path}?api-version={version}");
    let headers = [("content-type", "application/json"), ("authorization", "Bearer operator")];
    let reply =
        Http::new(Duration::from_secs(10)).send(Method::PUT, &url, &headers, Bytes::from(body.to_string())).await?;
    if !reply.status.is_success() {
        bail!("the embedded cloud refuses {path}: HTTP {}: {}", reply.status, reply.text());
    }
    Ok(serde_json::from_slice(&reply.body)?)
}
