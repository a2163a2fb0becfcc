# All that is Azure's: its variables, what they must not be together, and the source. An image becomes a version of an image definition in a gallery: a
# managed image can have no Trusted Launch, ever.

variable "azure_subscription_id" {
  type    = string
  default = ""
}

variable "azure_resource_group" {
  type        = string
  default     = ""
  description = "The gallery's resource group, in which the build's machine is as well."
}

variable "azure_gallery" {
  type        = string
  default     = ""
  description = "The gallery, by its name."
}

variable "azure_image_definition" {
  type        = string
  default     = ""
  description = "The image definition in it: Linux, generalized, generation 2, of this architecture, with the feature SecurityType=Standard, or TrustedLaunch with azure_trusted_launch."
}

variable "azure_image_version" {
  type        = string
  default     = ""
  description = "MAJOR.MINOR.PATCH; the time of the build if not said, so that the newest is the latest."
  validation {
    condition     = regex_replace(var.azure_image_version, "^[0-9]+\\.[0-9]+\\.[0-9]+$", "") == ""
    error_message = "The azure_image_version is MAJOR.MINOR.PATCH."
  }
}

variable "azure_regions" {
  type        = list(string)
  default     = []
  description = "Where the version is replicated to, beside the gallery's own region."
}

variable "azure_trusted_launch" {
  type        = bool
  default     = false
  description = "Whether the build's machine starts with Trusted Launch. The image definition and the scale set must say the same, which the one that terraform/azure makes cannot."
}

variable "azure_base" {
  type        = map(string)
  default     = {}
  description = "Another base image: { publisher, offer, sku, version }, instead of the vendor's newest."
  validation {
    condition     = length([for name in keys(var.azure_base) : name if contains(["publisher", "offer", "sku", "version"], name) == false]) == 0
    error_message = "The azure_base has publisher, offer, sku and version, and nothing else."
  }
}

variable "azure_vm_size" {
  type        = string
  default     = ""
  description = "What the image is built on: Standard_D2s_v5 or Standard_D2ps_v5."
}

variable "azure_subnet" {
  type        = map(string)
  default     = {}
  description = "{ resource_group, network, subnet }: a subnet that this machine reaches, and no public address. Without it a network of the build's own, and a public one."
  validation {
    condition     = length(var.azure_subnet) == 0 || length([for name in ["network", "resource_group", "subnet"] : name if contains(keys(var.azure_subnet), name)]) == 3
    error_message = "The azure_subnet has resource_group, network and subnet."
  }
}

variable "azure_tags" {
  type        = map(string)
  default     = {}
  description = "More tags for the version and what the build makes."
}

variable "azure_client" {
  type        = map(string)
  default     = {}
  description = "A service principal: { id, tenant }, with its secret in ARM_CLIENT_SECRET. Without it who is logged in with the Azure CLI."
}

variable "azure_client_secret" {
  type      = string
  default   = env("ARM_CLIENT_SECRET")
  sensitive = true
}

locals {
  azure_bases = {
    "ubuntu-24.04/x86_64" = { publisher = "Canonical", offer = "ubuntu-24_04-lts", sku = "server" }
    "ubuntu-24.04/arm64"  = { publisher = "Canonical", offer = "ubuntu-24_04-lts", sku = "server-arm64" }
    "debian-12/x86_64"    = { publisher = "Debian", offer = "debian-12", sku = "12-gen2" }
    "debian-12/arm64"     = { publisher = "Debian", offer = "debian-12", sku = "12-arm64" }
  }
  azure_base = merge({ publisher = "", offer = "", sku = "", version = "latest" }, lookup(local.azure_bases, "${var.os}/${var.architecture}", {}), var.azure_base)

  azure_version = var.azure_image_version != "" ? var.azure_image_version : join(".", [for part in ["YYYY", "MMDD", "hhmmss"] : parseint(formatdate(part, timestamp()), 10)])

  azure_problems = [for problem in compact([
    var.os == "amazon-linux-2023" && length(var.azure_base) == 0 ? "os is amazon-linux-2023, of which Azure has no image: take ubuntu-24.04 or debian-12" : "",
    var.azure_subscription_id == "" || var.azure_gallery == "" || var.azure_image_definition == "" ? "azure_resource_group is set: azure_subscription_id, azure_gallery and azure_image_definition say the rest of where the image goes" : "",
    length(var.azure_client) > 0 && var.azure_client_secret == "" ? "azure_client is set, and there is no secret in ARM_CLIENT_SECRET" : "",
    length(keys(var.azure_client)) == 1 ? "azure_client has id and tenant" : "",
  ]) : problem if var.azure_resource_group != ""]
  azure_checked = length(local.azure_problems) == 0 ? 0 : parseint("wrong variables: ${join("; ", local.azure_problems)}", 10)
}

source "azure-arm" "lightsout" {
  use_azure_cli_auth = length(var.azure_client) == 0
  subscription_id    = var.azure_subscription_id
  client_id          = lookup(var.azure_client, "id", "")
  tenant_id          = lookup(var.azure_client, "tenant", "")
  client_secret      = length(var.azure_client) == 0 ? "" : var.azure_client_secret

  # In a group that is there: to make one takes rights over the whole subscription.
  build_resource_group_name = var.azure_resource_group
  vm_size                   = var.azure_vm_size != "" ? var.azure_vm_size : (var.architecture == "arm64" ? "Standard_D2ps_v5" : "Standard_D2s_v5")
  os_type                   = "Linux"
  image_publisher           = local.azure_base.publisher
  image_offer               = local.azure_base.offer
  image_sku                 = local.azure_base.sku
  image_version             = local.azure_base.version

  virtual_network_resource_group_name = lookup(var.azure_subnet, "resource_group", "")
  virtual_network_name                = lookup(var.azure_subnet, "network", "")
  virtual_network_subnet_name         = lookup(var.azure_subnet, "subnet", "")

  communicator              = "ssh"
  ssh_username              = "packer"
  ssh_clear_authorized_keys = true
  ssh_timeout               = "10m"

  shared_image_gallery_destination {
    subscription        = var.azure_subscription_id # not in Packer 1.6.6
    resource_group      = var.azure_resource_group
    gallery_name        = var.azure_gallery
    image_name          = var.azure_image_definition
    image_version       = local.azure_version
    replication_regions = var.azure_regions
  }
  # Azure shows it and goes on taking the version; `latest` does not look at it.
  shared_gallery_image_version_end_of_life_date = local.deprecate_at

  azure_tags = merge({
    "lightsout:image"    = local.image_name
    "lightsout:commit"   = var.commit
    "lightsout:platform" = var.platform
    "lightsout:agent"    = basename(var.agent_package)
    "lightsout:runner"   = local.runner_pin.version
    "lightsout:os"       = var.os
  }, var.azure_tags)

  # From here on what Packer 1.6.6 does not know; tests/image/run leaves it out to have the rest validated there.
  security_type       = var.azure_trusted_launch ? "TrustedLaunch" : null
  secure_boot_enabled = var.azure_trusted_launch
  vtpm_enabled        = var.azure_trusted_launch
  # Until here.
}
