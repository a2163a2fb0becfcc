# Where instances hand their records in is known once it is made, and stands in their settings then.

mock_provider "azurerm" {}

override_resource {
  target = azurerm_monitor_data_collection_endpoint.records
  values = {
    logs_ingestion_endpoint = "https://ci-linux-records-ab1c.westeurope-1.ingest.monitor.azure.com"
  }
}

override_resource {
  target = azurerm_monitor_data_collection_rule.records
  values = {
    immutable_id = "dcr-6f1f2a3b0c4d4e5f8a9b0c1d2e3f4a5b"
  }
}

variables {
  name                 = "ci-linux"
  resource_group_id    = "/subscriptions/6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b/resourceGroups/ci"
  location             = "westeurope"
  subnet_id            = "/subscriptions/x/resourceGroups/x/providers/Microsoft.Network/virtualNetworks/x/subnets/ci"
  image_id             = "/subscriptions/x/resourceGroups/x/providers/Microsoft.Compute/images/ci"
  admin_public_key     = "ssh-ed25519 AAAA operator"
  agent_settings       = "[platform.stackguardian]\ntoken = { keyvault = \"https://a.vault.azure.net/secrets/b\" }"
  pool_settings        = "[pool.platform.stackguardian]\napi_key = { keyvault = \"https://a.vault.azure.net/secrets/b\" }"
  storage_account_name = "lightsoutci"
}

run "without_a_workspace" {
  assert {
    condition     = length(yamldecode(base64decode(output.agent_custom_data)).write_files) == 1
    error_message = "records go to nobody's workspace"
  }
}

run "with_a_workspace" {
  variables {
    agents_workspace_id = "/subscriptions/x/resourceGroups/logs/providers/Microsoft.OperationalInsights/workspaces/ci"
  }
  assert {
    condition     = yamldecode(base64decode(output.agent_custom_data)).write_files[1].content == "[records]\nlog_analytics = \"https://ci-linux-records-ab1c.westeurope-1.ingest.monitor.azure.com/dataCollectionRules/dcr-6f1f2a3b0c4d4e5f8a9b0c1d2e3f4a5b/streams/Custom-Lightsout_ci_linux_CL\"\n"
    error_message = "instances do not know where their records go"
  }
  assert {
    condition     = base64decode(azurerm_orchestrated_virtual_machine_scale_set.pool[0].os_profile[0].custom_data) == base64decode(output.agent_custom_data)
    error_message = "a scale set of the module gets other custom data"
  }
}
