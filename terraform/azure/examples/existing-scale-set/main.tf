# A scale set that is there already, say the one that StackGuardian's own autoscaler has raised until now: identities, roles and the scaler are made
# here, and you put into the scale set what its instances need, in this order:
#
#   1. Switch the old autoscaler off: it lowers. `terraform apply`.
#   2. az vmss identity assign --ids SET --identities "$(terraform output -raw agent_identity_id)"
#      az vmss update --ids SET --set virtualMachineProfile.osProfile.customData="$(terraform output -raw agent_custom_data)"
#      az vmss update --ids SET --set overprovision=false        # of a Uniform one
#      az vmss update --ids SET --set upgradePolicy.mode=Manual
#      az vmss update --ids SET --enable-automatic-repairs false
#      az vmss update --ids SET --enable-terminate-notification true --terminate-notification-time 15
#   3. The package, by the image or by an extension: docs/azure.md, "By hand".
#   4. The scaler's package: the output deploy.
#   5. lightsout doctor --config scaler.toml says what of it is not so, and counts the instances of the old model, which you end when they are idle.
#
# Is the scale set in a configuration of yours, write identity, custom data and the rest there, and `ignore_changes = [instances, tags["lightsout:floor"]]`: an apply that
# wrote the capacity back would end instances.

terraform {
  required_version = ">= 1.9"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.73"
    }
  }
}

provider "azurerm" {
  features {}
  # The module's storage account has no keys that open anything.
  storage_use_azuread = true
}

variable "existing_scale_set_id" {
  type        = string
  description = "The scale set: az vmss show --query id."
}

variable "resource_group_id" {
  type        = string
  description = "Where identities and the function app are made."
}

variable "key_vault_id" {
  type = string
}

variable "application_insights_connection_string" {
  type        = string
  default     = ""
  sensitive   = true
  description = "Where the function's log is kept."
}

module "ci" {
  source = "../.."

  name                  = "ci-existing"
  resource_group_id     = var.resource_group_id
  location              = "westeurope"
  existing_scale_set_id = var.existing_scale_set_id
  key_vault_id          = var.key_vault_id
  max_size              = 10

  application_insights_connection_string = var.application_insights_connection_string

  agent_settings = <<-TOML
    [platform.stackguardian]
    organization = "acme"
    runner_group = "private-azure"
    token = { keyvault = "https://acme-ci.vault.azure.net/secrets/stackguardian-token" }
    api_key = { keyvault = "https://acme-ci.vault.azure.net/secrets/stackguardian-api-key" }
  TOML
  pool_settings  = <<-TOML
    [pool.platform.stackguardian]
    organization = "acme"
    runner_group = "private-azure"
    api_key = { keyvault = "https://acme-ci.vault.azure.net/secrets/stackguardian-api-key" }
  TOML

  storage_account_name = "acmeciexisting"
}

output "agent_identity_id" {
  value = module.ci.agent_identity_id
}

output "agent_custom_data" {
  value = module.ci.agent_custom_data
}

output "deploy" {
  value = module.ci.deploy
}
