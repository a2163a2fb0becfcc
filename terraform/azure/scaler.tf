# The scaler as a function app (docs/azure.md). Its package is deployed by the command of the output `deploy`.

locals {
  scaler_toml = "[[pool]]\ngroup = ${jsonencode(local.scale_set_id)}\nmax = ${var.max_size}\n${var.pool_settings}\n"
  # Known before it is made, as its role wants it.
  storage_account_id = "${var.resource_group_id}/providers/Microsoft.Storage/storageAccounts/${var.storage_account_name}"
}

resource "azurerm_storage_account" "scaler" {
  name                            = var.storage_account_name
  resource_group_name             = local.resource_group
  location                        = var.location
  account_tier                    = "Standard"
  account_replication_type        = "LRS"
  min_tls_version                 = "TLS1_2"
  allow_nested_items_to_be_public = false
  # The function app has an identity. Terraform keeps the account's keys in its state whatever one does: there they open nothing.
  shared_access_key_enabled = false
  tags                      = var.tags
}

resource "azurerm_storage_container" "package" {
  name                  = "package"
  storage_account_id    = azurerm_storage_account.scaler.id
  container_access_type = "private"
}

resource "azurerm_service_plan" "scaler" {
  name                = "${var.name}-scaler"
  resource_group_name = local.resource_group
  location            = var.location
  os_type             = "Linux"
  sku_name            = "FC1"
  tags                = var.tags
}

resource "azurerm_function_app_flex_consumption" "scaler" {
  name                              = "${var.name}-scaler"
  resource_group_name               = local.resource_group
  location                          = var.location
  service_plan_id                   = azurerm_service_plan.scaler.id
  runtime_name                      = "custom"
  runtime_version                   = "1.0"
  instance_memory_in_mb             = 512
  https_only                        = true
  storage_container_type            = "blobContainer"
  storage_container_endpoint        = "${azurerm_storage_account.scaler.primary_blob_endpoint}${azurerm_storage_container.package.name}"
  storage_authentication_type       = "UserAssignedIdentity"
  storage_user_assigned_identity_id = azurerm_user_assigned_identity.scaler.id
  tags                              = var.tags

  app_settings = {
    AZURE_CLIENT_ID              = azurerm_user_assigned_identity.scaler.client_id
    LIGHTSOUT_SCALER_CONFIG_TOML = local.scaler_toml
    LIGHTSOUT_SCALER_TICKS       = var.ticks
    # Functions of the package that nobody wants are switched off by name.
    "AzureWebJobs.webhook.Disabled" = var.webhooks ? "false" : "true"
    # How the host reaches its storage. The provider writes a connection string without a key beside it, which goes before the other three, unless it
    # is said that there is none (hashicorp/terraform-provider-azurerm#29693).
    AzureWebJobsStorage              = ""
    AzureWebJobsStorage__accountName = var.storage_account_name
    AzureWebJobsStorage__credential  = "managedidentity"
    AzureWebJobsStorage__clientId    = azurerm_user_assigned_identity.scaler.client_id
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.scaler.id]
  }

  site_config {
    minimum_tls_version = "1.2"
    # Here and not among the settings, of which the provider keeps this one for itself.
    application_insights_connection_string = var.application_insights_connection_string == "" ? null : var.application_insights_connection_string
  }

  depends_on = [azurerm_role_assignment.scaler, azurerm_role_assignment.scaler_uses, azurerm_role_assignment.scaler_secrets, azurerm_role_assignment.scaler_storage]
}
