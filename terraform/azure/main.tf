locals {
  resource_group = regex("[^/]+$", var.resource_group_id)
  # Known before anything is made, as settings and roles want it.
  scale_set_id      = var.existing_scale_set_id == "" ? "${var.resource_group_id}/providers/Microsoft.Compute/virtualMachineScaleSets/${var.name}" : var.existing_scale_set_id
  machines_group_id = regex("^/subscriptions/[^/]+/resourceGroups/[^/]+", local.scale_set_id)
  agent_identity_id = "${var.resource_group_id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${var.name}-agent"

  # The text of a secret, by the name of its key or by how it begins; terraform/aws refuses the same.
  in_clear = "(?:^|[\\s{,.])\"?(?:api_key|api_key_secret|jit_config|private_key|secret|token)\"?\\s*=\\s*[\"']|(?:AKIA|bk(?:ct|ua)_|gh[pousr]_|github_pat_|gl(?:pat|rt)-|sg[uo]_)[A-Za-z0-9]{6}|-----BEGIN [A-Z ]*PRIVATE KEY"

  custom_data = "#cloud-config\n${jsonencode({
    write_files = concat([{ path = "/etc/lightsout/agent.d/50-module.toml", permissions = "0600", content = var.agent_settings }], local.records_files)
  })}\n"
}

# Flexible: the provider rolls no machines of such a scale set when its model changes, and nothing is over-provisioned. There is no health probe, and so
# nothing that repairs, and no rule that scales: whoever ends an instance is the instance.
resource "azurerm_orchestrated_virtual_machine_scale_set" "pool" {
  count                       = var.existing_scale_set_id == "" ? 1 : 0
  name                        = var.name
  resource_group_name         = local.resource_group
  location                    = var.location
  platform_fault_domain_count = 1
  zones                       = var.zones
  sku_name                    = var.vm_size
  instances                   = 0
  upgrade_mode                = "Manual"
  source_image_id             = var.image_id
  priority                    = var.spot ? "Spot" : "Regular"
  # One that is deallocated instead stays in the capacity and does nothing.
  eviction_policy = var.spot ? "Delete" : null
  tags            = var.tags

  os_profile {
    custom_data = base64encode(local.custom_data)
    linux_configuration {
      admin_username                  = "operator"
      disable_password_authentication = true
      # What patches by itself starts anew when it likes.
      patch_mode = "ImageDefault"
      admin_ssh_key {
        username   = "operator"
        public_key = var.admin_public_key
      }
    }
  }

  os_disk {
    caching              = "ReadWrite"
    storage_account_type = "StandardSSD_LRS"
    disk_size_gb         = var.disk_size
  }

  network_interface {
    name    = "primary"
    primary = true
    ip_configuration {
      name      = "primary"
      primary   = true
      subnet_id = var.subnet_id
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.agent.id]
  }

  # As long as Azure gives a machine that somebody deletes. Spot ones may have none.
  dynamic "termination_notification" {
    for_each = var.spot ? [] : [1]
    content {
      enabled = true
      timeout = "PT15M"
    }
  }

  lifecycle {
    # The scaler's, which an apply would take away each time: a lower number ends instances.
    ignore_changes = [instances, tags["lightsout:floor"]]
  }

  # An instance can end itself from its first moment on, and until the last is gone.
  depends_on = [azurerm_role_assignment.agent, azurerm_role_assignment.agent_secrets, azurerm_role_assignment.agent_records]
}
