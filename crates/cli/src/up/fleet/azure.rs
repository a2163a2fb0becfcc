//! The fleet's scale set, made over the Resource Manager's wire as a real one is.

use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::json;

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
                "scheduledEventsProfile": {"terminateNotificationProfile": notice},
            },
        },
    });
    let url = format!("{url}{}?api-version=2024-07-01", scale_set());
    let headers = [("content-type", "application/json"), ("authorization", "Bearer operator")];
    let reply =
        Http::new(Duration::from_secs(10)).send(Method::PUT, &url, &headers, Bytes::from(body.to_string())).await?;
    if !reply.status.is_success() {
        bail!("the embedded cloud refuses the scale set: HTTP {}: {}", reply.status, reply.text());
    }
    Ok(())
}
