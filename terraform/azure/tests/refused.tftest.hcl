# Values that cannot work are refused by the plan, each with a sentence that says what to write instead.

mock_provider "azurerm" {}

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

run "taken" {
  command = plan
  assert {
    condition     = length(azurerm_orchestrated_virtual_machine_scale_set.pool[0].termination_notification) == 1
    error_message = "what somebody deletes has no notice"
  }
  assert {
    condition     = length(azurerm_role_assignment.agent_secrets) + length(azurerm_role_assignment.scaler_secrets) == 0
    error_message = "without a vault somebody may read one"
  }
}

# A tenant has one role of each name.
run "another_group" {
  command = plan
  variables {
    resource_group_id = "/subscriptions/6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b/resourceGroups/other"
  }
  assert {
    condition     = length(setintersection(output.role_names, run.taken.role_names)) == 0
    error_message = "the same name in another resource group collides in the tenant"
  }
}

# Azure refuses a terminate notification of spot instances, and would keep what it deallocates.
run "spot" {
  command = plan
  variables {
    spot = true
  }
  assert {
    condition     = length(azurerm_orchestrated_virtual_machine_scale_set.pool[0].termination_notification) == 0
    error_message = "a terminate notification cannot be with Spot"
  }
  assert {
    condition     = azurerm_orchestrated_virtual_machine_scale_set.pool[0].eviction_policy == "Delete" && azurerm_orchestrated_virtual_machine_scale_set.pool[0].priority == "Spot"
    error_message = "an evicted instance stays"
  }
}

run "name" {
  command = plan
  variables {
    name = "CI_linux"
  }
  expect_failures = [var.name]
}

run "resource_group_id" {
  command = plan
  variables {
    resource_group_id = "ci"
  }
  expect_failures = [var.resource_group_id]
}

run "subnet_id" {
  command = plan
  variables {
    subnet_id = "ci"
  }
  expect_failures = [var.subnet_id]
}

run "image_id" {
  command = plan
  variables {
    image_id = "/communityGalleries/acme-0123/images/ci/versions/latest"
  }
  expect_failures = [var.image_id]
}

# A new version of the image must not take a right away.
run "image_of_a_gallery" {
  command = plan
  variables {
    image_id = "/subscriptions/x/resourceGroups/images/providers/Microsoft.Compute/galleries/acme/images/ci/versions/1.2.3"
  }
  assert {
    condition     = azurerm_role_assignment.scaler_uses["image"].scope == "/subscriptions/x/resourceGroups/images/providers/Microsoft.Compute/galleries/acme/images/ci"
    error_message = "the scaler may read one version alone"
  }
}

run "existing_scale_set_id" {
  command = plan
  variables {
    existing_scale_set_id = "runners"
  }
  expect_failures = [var.existing_scale_set_id]
}

# What a Uniform one has is asked for by nobody; who has none must say where a new one is.
run "nothing_said_of_a_new_one" {
  command = plan
  variables {
    subnet_id        = ""
    image_id         = ""
    admin_public_key = ""
  }
  expect_failures = [var.subnet_id, var.image_id, var.admin_public_key]
}

run "disk_size" {
  command = plan
  variables {
    disk_size = 4
  }
  expect_failures = [var.disk_size]
}

run "max_size" {
  command = plan
  variables {
    max_size = 1001
  }
  expect_failures = [var.max_size]
}

run "admin_public_key" {
  command = plan
  variables {
    admin_public_key = "-----BEGIN OPENSSH PRIVATE KEY-----"
  }
  expect_failures = [var.admin_public_key]
}

run "agent_settings_with_a_secret" {
  command = plan
  variables {
    agent_settings = "[platform.stackguardian]\ntoken = \"a-token\""
  }
  expect_failures = [var.agent_settings]
}

run "agent_settings_without_a_platform" {
  command = plan
  variables {
    agent_settings = "slots = 3"
  }
  expect_failures = [var.agent_settings]
}

run "pool_settings_with_a_secret" {
  command = plan
  variables {
    pool_settings = "[pool.platform.stackguardian]\norganization = \"sgu_abcdefghij\""
  }
  expect_failures = [var.pool_settings]
}

run "pool_settings_with_what_the_module_writes" {
  command = plan
  variables {
    pool_settings = "max = 3\n[pool.platform.stackguardian]"
  }
  expect_failures = [var.pool_settings]
}

# A platform's own keys are its own: GitLab has a group.
run "pool_settings_with_a_platforms_group" {
  command = plan
  variables {
    pool_settings = "slots = 2\n  [pool.platform.gitlab]\n  group = \"my-team\""
  }
}

run "ticks" {
  command = plan
  variables {
    ticks = "two"
  }
  expect_failures = [var.ticks]
}

# Whom nobody asked for, nobody can call.
run "no_webhooks" {
  command = plan
  assert {
    condition     = azurerm_function_app_flex_consumption.scaler.app_settings["AzureWebJobs.webhook.Disabled"] == "true" && output.webhook_url == ""
    error_message = "anybody may call it"
  }
}

run "webhooks" {
  command = apply
  variables {
    webhooks      = true
    pool_settings = "webhook = { kind = \"gitlab\", secret = { keyvault = \"https://a.vault.azure.net/secrets/c\" } }\n[pool.platform.gitlab]\ntoken = { keyvault = \"https://a.vault.azure.net/secrets/b\" }"
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.scaler.app_settings["AzureWebJobs.webhook.Disabled"] == "false"
    error_message = "they are switched off"
  }
  assert {
    condition     = can(regex("^https://.+/hooks/$", output.webhook_url))
    error_message = "nobody knows where to send them"
  }
}

run "webhooks_without_a_secret" {
  command = plan
  variables {
    webhooks = true
  }
  expect_failures = [var.webhooks]
}

run "logs_without_application_insights" {
  command = plan
  assert {
    condition     = azurerm_function_app_flex_consumption.scaler.site_config[0].application_insights_connection_string == null
    error_message = "an empty connection string is one"
  }
}

run "application_insights_connection_string" {
  command = plan
  variables {
    application_insights_connection_string = "6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b"
  }
  expect_failures = [var.application_insights_connection_string]
}

run "alerts" {
  command = plan
  variables {
    application_insights_id = "/subscriptions/x/resourceGroups/logs/providers/Microsoft.Insights/components/ci"
  }
  assert {
    condition     = length(azurerm_monitor_scheduled_query_rules_alert_v2.pool) == 4
    error_message = "without the instances' journals there are the four of the scaler"
  }
}

run "no_alerts" {
  command = plan
  assert {
    condition     = length(azurerm_monitor_scheduled_query_rules_alert_v2.pool) == 0
    error_message = "they look nowhere"
  }
}

run "application_insights_id" {
  command = plan
  variables {
    application_insights_id = "InstrumentationKey=6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b"
  }
  expect_failures = [var.application_insights_id]
}

run "agents_workspace_id" {
  command = plan
  variables {
    agents_workspace_id = "6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b"
  }
  expect_failures = [var.agents_workspace_id]
}

# The provider tells upper case from lower case in it, and would refuse it at the apply only.
run "agents_workspace_id_in_lower_case" {
  command = plan
  variables {
    agents_workspace_id = "/subscriptions/x/resourcegroups/logs/providers/microsoft.operationalinsights/workspaces/ci"
  }
  expect_failures = [var.agents_workspace_id]
}

run "storage_account_name" {
  command = plan
  variables {
    storage_account_name = "lightsout-ci"
  }
  expect_failures = [var.storage_account_name]
}
