resource "azurerm_user_assigned_identity" "agent" {
  name                = "${var.name}-agent"
  resource_group_name = local.resource_group
  location            = var.location
  tags                = var.tags
}

resource "azurerm_user_assigned_identity" "scaler" {
  name                = "${var.name}-scaler"
  resource_group_name = local.resource_group
  location            = var.location
  tags                = var.tags
}

# A machine of a Flexible scale set is not below it: what an instance may do to itself, it may in its resource group.
resource "azurerm_role_definition" "agent" {
  name        = "${var.name}-agent"
  scope       = var.resource_group_id
  description = "lightsout: an instance protects and ends itself"
  permissions {
    actions = [
      "Microsoft.Compute/virtualMachineScaleSets/read",
      "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
      "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/write",
      "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/delete",
      "Microsoft.Compute/virtualMachines/delete",
      "Microsoft.Resources/tags/write",
    ]
  }
  assignable_scopes = [var.resource_group_id]
}

resource "azurerm_role_assignment" "agent" {
  scope              = var.resource_group_id
  role_definition_id = azurerm_role_definition.agent.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.agent.principal_id
  principal_type     = "ServicePrincipal"
}

# It can delete nothing.
resource "azurerm_role_definition" "scaler" {
  name        = "${var.name}-scaler"
  scope       = var.resource_group_id
  description = "lightsout: raises the capacity of a scale set"
  permissions {
    actions = [
      "Microsoft.Compute/locations/operations/read",
      "Microsoft.Compute/virtualMachineScaleSets/read",
      "Microsoft.Compute/virtualMachineScaleSets/write",
      "Microsoft.Resources/tags/write",
    ]
  }
  assignable_scopes = [var.resource_group_id]
}

resource "azurerm_role_assignment" "scaler" {
  scope              = var.resource_group_id
  role_definition_id = azurerm_role_definition.scaler.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.scaler.principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "agent_secrets" {
  count                = var.key_vault_id == "" ? 0 : 1
  scope                = var.key_vault_id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.agent.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "scaler_secrets" {
  count                = var.key_vault_id == "" ? 0 : 1
  scope                = var.key_vault_id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.scaler.principal_id
  principal_type       = "ServicePrincipal"
}
