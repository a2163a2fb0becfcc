# StackGuardian: a runner group on an Azure scale set; an instance does several workflows at once.
#
#   az keyvault secret set --vault-name acme-ci --name stackguardian-token --value ...       # the runner group's
#   az keyvault secret set --vault-name acme-ci --name stackguardian-api-key --value sgu_...

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

variable "resource_group_id" {
  type        = string
  description = "A resource group for this alone."
}

variable "subnet_id" {
  type = string
}

variable "image_id" {
  type        = string
  description = "With lightsout-agent, Docker and sg-runner in it."
}

variable "key_vault_id" {
  type = string
}

variable "admin_public_key" {
  type = string
}

variable "application_insights_connection_string" {
  type        = string
  default     = ""
  sensitive   = true
  description = "Where the function's log is kept."
}

variable "application_insights_id" {
  type        = string
  default     = ""
  description = "The same for the alert rules."
}

variable "agents_workspace_id" {
  type        = string
  default     = ""
  description = "Where the instances' records go, and two alert rules look."
}

module "ci" {
  source = "../.."

  name              = "ci-stackguardian"
  resource_group_id = var.resource_group_id
  location          = "westeurope"
  subnet_id         = var.subnet_id
  image_id          = var.image_id
  admin_public_key  = var.admin_public_key
  key_vault_id      = var.key_vault_id
  max_size          = 20

  application_insights_connection_string = var.application_insights_connection_string
  application_insights_id                = var.application_insights_id
  agents_workspace_id                    = var.agents_workspace_id

  agent_settings = <<-TOML
    [agent]
    slots = 3
    [platform.stackguardian]
    organization = "acme"
    runner_group = "private-azure"
    token = { keyvault = "https://acme-ci.vault.azure.net/secrets/stackguardian-token" }
    api_key = { keyvault = "https://acme-ci.vault.azure.net/secrets/stackguardian-api-key" }
  TOML
  # One is kept ready in the working hours of Berlin.
  pool_settings = <<-TOML
    slots = 3
    zone = "CET-1CEST,M3.5.0,M10.5.0/3"
    schedule = ["mon-fri 07:30-18:00 spare 1"]
    [pool.platform.stackguardian]
    organization = "acme"
    runner_group = "private-azure"
    api_key = { keyvault = "https://acme-ci.vault.azure.net/secrets/stackguardian-api-key" }
  TOML

  storage_account_name = "acmecistackguardian"
}

output "deploy" {
  value = module.ci.deploy
}
