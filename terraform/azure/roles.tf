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
  name        = "${var.name}-agent-${local.role_suffix}"
  scope       = local.machines_group_id
  description = "lightsout: an instance protects and ends itself"
  permissions {
    actions = [
      "Microsoft.Compute/virtualMachineScaleSets/read",
      "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
      "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/write",
      "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/delete",
      "Microsoft.Compute/virtualMachines/delete",
      "Microsoft.Resources/tags/write",
      # `lightsout-agent doctor` reads these, and nothing else does.
      "Microsoft.Authorization/permissions/read",
      "Microsoft.Insights/autoscaleSettings/read",
    ]
  }
  assignable_scopes = [local.machines_group_id]
}

resource "azurerm_role_assignment" "agent" {
  scope              = local.machines_group_id
  role_definition_id = azurerm_role_definition.agent.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.agent.principal_id
  principal_type     = "ServicePrincipal"
}

# It can delete nothing. To raise a Flexible scale set is, for Azure, to make its machines, each with a network interface, in the name of who raises: without
# these rights it takes the new capacity and then makes none (Microsoft's "Orchestration modes", RBAC permissions required).
resource "azurerm_role_definition" "scaler" {
  name        = "${var.name}-scaler-${local.role_suffix}"
  scope       = local.machines_group_id
  description = "lightsout: raises the capacity of a scale set"
  permissions {
    actions = [
      "Microsoft.Compute/locations/operations/read",
      "Microsoft.Compute/virtualMachineScaleSets/read",
      "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
      "Microsoft.Compute/virtualMachineScaleSets/write",
      "Microsoft.Compute/virtualMachines/read",
      "Microsoft.Compute/virtualMachines/write",
      "Microsoft.Network/networkInterfaces/join/action",
      "Microsoft.Network/networkInterfaces/read",
      "Microsoft.Network/networkInterfaces/write",
      "Microsoft.Resources/tags/write",
    ]
  }
  assignable_scopes = [local.machines_group_id]
}

resource "azurerm_role_assignment" "scaler" {
  scope              = local.machines_group_id
  role_definition_id = azurerm_role_definition.scaler.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.scaler.principal_id
  principal_type     = "ServicePrincipal"
}

locals {
  # A tenant has one role of each name: the same `name` in another resource group is another role.
  role_suffix = substr(sha1(lower(var.resource_group_id)), 0, 8)

  # What a new machine uses and the scaler does not make: whoever makes the machine must be allowed to use each, and that one alone. Subnet and image are
  # often in other resource groups, and a role of one's own can be given only in those that it names.
  # With a scale set of your own each may be left out. Else none is, and what it is may be known only when it is made.
  scaler_uses = { for what, used in local.all_uses : what => used if var.existing_scale_set_id == "" ? true : used.scope != "" }
  all_uses = {
    identity = {
      scope   = local.agent_identity_id
      group   = var.resource_group_id
      actions = ["Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", "Microsoft.ManagedIdentity/userAssignedIdentities/read"]
    }
    # Of a gallery's image all versions, so that a new one takes no right away.
    image = {
      scope   = replace(var.image_id, "//versions/[^/]+$/", "")
      group   = try(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+", var.image_id), "")
      actions = ["Microsoft.Compute/galleries/images/read", "Microsoft.Compute/galleries/images/versions/read", "Microsoft.Compute/images/read"]
    }
    subnet = {
      scope   = var.subnet_id
      group   = try(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+", var.subnet_id), "")
      actions = ["Microsoft.Network/virtualNetworks/subnets/join/action", "Microsoft.Network/virtualNetworks/subnets/read"]
    }
  }
}

resource "azurerm_role_definition" "scaler_uses" {
  for_each    = local.scaler_uses
  name        = "${var.name}-scaler-${each.key}-${local.role_suffix}"
  scope       = each.value.group
  description = "lightsout: new instances of a scale set have this ${each.key}"
  permissions {
    actions = each.value.actions
  }
  assignable_scopes = [each.value.group]
}

resource "azurerm_role_assignment" "scaler_uses" {
  for_each           = local.scaler_uses
  scope              = each.value.scope
  role_definition_id = azurerm_role_definition.scaler_uses[each.key].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.scaler.principal_id
  principal_type     = "ServicePrincipal"
  # Of which one is named above by its id.
  depends_on = [azurerm_user_assigned_identity.agent]
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

# What the host of Functions writes for itself, the timer's turns among it, and the package.
resource "azurerm_role_assignment" "scaler_storage" {
  scope                = local.storage_account_id
  role_definition_name = "Storage Blob Data Owner"
  principal_id         = azurerm_user_assigned_identity.scaler.principal_id
  principal_type       = "ServicePrincipal"
  # Which is named above by its id.
  depends_on = [azurerm_storage_account.scaler]
}
