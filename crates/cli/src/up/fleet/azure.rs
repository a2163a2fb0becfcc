//! The fleet's scale set, made over the Resource Manager's wire as a real one is.

use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::super::cloud::{RESOURCE_GROUP, scale_set};
use lightsout_localcloud::AzureOptions;
use lightsout_localrunner::http::Http;

/// Creates the scale set: machines tell of a deletion a quarter of an hour before, are what their own identity says, and nobody but
/// the fleet changes how many there are.
pub(in super::super) async fn create(url: &str, min: u32) -> Result<()> {
    let AzureOptions { location, subscription, .. } = AzureOptions::default();
    let identity = format!(
        "/subscriptions/{subscription}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/lightsout-agent"
    );
    let notice = json!({"enable": true, "notBeforeTimeout": "PT15M"});
    let group = format!("/subscriptions/{subscription}/resourceGroups/{RESOURCE_GROUP}/providers");
    let image = format!("{group}/Microsoft.Compute/galleries/lightsout/images/runner");
    let network = format!("{group}/Microsoft.Network/virtualNetworks/lightsout");
    let subnet = json!({"name": "runners", "properties": {"addressPrefix": "10.0.0.0/24"}});
    put(url, &network, "2024-05-01", &json!({"location": location, "properties": {"subnets": [subnet]}})).await?;
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
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}},
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
    put(url, &scale_set(), "2024-07-01", &body).await
}

async fn put(url: &str, path: &str, version: &str, body: &Value) -> Result<()> {
    let url = format!("{url}{path}?api-version={version}");
    let headers = [("content-type", "application/json"), ("authorization", "Bearer operator")];
    let reply =
        Http::new(Duration::from_secs(10)).send(Method::PUT, &url, &headers, Bytes::from(body.to_string())).await?;
    if !reply.status.is_success() {
        bail!("the embedded cloud refuses {path}: HTTP {}: {}", reply.status, reply.text());
    }
    Ok(())
}
