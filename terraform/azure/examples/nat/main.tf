# A network for instances: private, and with a NAT gateway as its way out. Azure gives machines in new subnets none by itself, and those of a Flexible
# scale set never had one: without it nothing boots further than its first call. One public address, which is what the CI platform sees.

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
  description = "A resource group for instances and scaler alone."
}

variable "network_resource_group" {
  type        = string
  description = "The name of another, in which the network is: instances may delete the machines of theirs."
}

variable "image_id" {
  type        = string
  description = "With lightsout-agent, Docker and gitlab-runner in it."
}

variable "key_vault_id" {
  type = string
}

variable "admin_public_key" {
  type = string
}

locals {
  location = "westeurope"
}

resource "azurerm_virtual_network" "ci" {
  name                = "ci"
  resource_group_name = var.network_resource_group
  location            = local.location
  address_space       = ["10.20.0.0/16"]
}

resource "azurerm_subnet" "ci" {
  name                 = "ci"
  resource_group_name  = var.network_resource_group
  virtual_network_name = azurerm_virtual_network.ci.name
  address_prefixes     = ["10.20.0.0/22"]
  # What Azure gave by itself has no fixed address, and no promise.
  default_outbound_access_enabled = false
}

resource "azurerm_public_ip" "out" {
  name                = "ci-out"
  resource_group_name = var.network_resource_group
  location            = local.location
  allocation_method   = "Static"
  sku                 = "Standard"
}

resource "azurerm_nat_gateway" "out" {
  name                = "ci-out"
  resource_group_name = var.network_resource_group
  location            = local.location
  sku_name            = "Standard"
}

resource "azurerm_nat_gateway_public_ip_association" "out" {
  nat_gateway_id       = azurerm_nat_gateway.out.id
  public_ip_address_id = azurerm_public_ip.out.id
}

resource "azurerm_subnet_nat_gateway_association" "out" {
  subnet_id      = azurerm_subnet.ci.id
  nat_gateway_id = azurerm_nat_gateway.out.id
}

module "ci" {
  source = "../.."

  name              = "ci-gitlab"
  resource_group_id = var.resource_group_id
  location          = local.location
  subnet_id         = azurerm_subnet.ci.id
  image_id          = var.image_id
  admin_public_key  = var.admin_public_key
  key_vault_id      = var.key_vault_id

  agent_settings = <<-TOML
    [platform.gitlab]
    url = "https://gitlab.example.com"
    token = { keyvault = "https://acme-ci.vault.azure.net/secrets/runner-token" }
  TOML
  pool_settings  = <<-TOML
    [pool.platform.gitlab]
    url = "https://gitlab.example.com"
    group = "my-team"
    tags = ["linux"]
    token = { keyvault = "https://acme-ci.vault.azure.net/secrets/read-token" }
  TOML

  storage_account_name = "acmecigitlab"

  # No instance starts before it has a way out.
  depends_on = [azurerm_nat_gateway_public_ip_association.out, azurerm_subnet_nat_gateway_association.out]
}

output "address" {
  value       = azurerm_public_ip.out.ip_address
  description = "From where the CI platform sees instances."
}

output "deploy" {
  value = module.ci.deploy
}
