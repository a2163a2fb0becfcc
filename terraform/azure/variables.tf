variable "name" {
  type        = string
  description = "What the scale set, its identities and roles, and the function app are called. The function app is NAME-scaler, which must be the only one of this name in all of Azure. Another name makes another scale set: drain first (README.md, Changing and destroying)."
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name: from 3 to 24 lower-case letters, digits and hyphens; it begins with a letter and does not end with a hyphen."
  }
}

variable "resource_group_id" {
  type        = string
  description = "The resource group in which all of it is that is made, by its id. One that has nothing else in it: an instance may delete the machines in it, which is how it ends itself. Another one makes another scale set: drain first (README.md, Changing and destroying)."
  validation {
    condition     = can(regex("^/subscriptions/[0-9a-f-]{36}/resourceGroups/[A-Za-z0-9_.()-]+$", var.resource_group_id))
    error_message = "resource_group_id: the id of a resource group, /subscriptions/ID/resourceGroups/NAME, as azurerm_resource_group has it."
  }
}

variable "location" {
  type        = string
  description = "The region, such as westeurope. Another one makes another scale set: drain first (README.md, Changing and destroying)."
}

variable "existing_scale_set_id" {
  type        = string
  default     = ""
  description = "A scale set that is there already, by its id, written out: none is made, and what a new instance needs (identity, settings, package) you put into this one (README.md, A scale set that is there). subnet_id and image_id are needed of a Flexible one alone."
  validation {
    condition     = var.existing_scale_set_id == "" || can(regex("^/subscriptions/[0-9a-f-]{36}/resourceGroups/[A-Za-z0-9_.()-]+/providers/Microsoft.Compute/virtualMachineScaleSets/[^/]+$", var.existing_scale_set_id))
    error_message = "existing_scale_set_id: the id of a scale set, /subscriptions/ID/resourceGroups/NAME/providers/Microsoft.Compute/virtualMachineScaleSets/NAME: az vmss show --query id."
  }
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "The subnet in which instances start. They need a way out to the CI platform and to Azure; nobody calls them. The scaler is allowed to join it, in whichever resource group it is."
  validation {
    condition     = var.subnet_id == "" ? var.existing_scale_set_id != "" : can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/.+/subnets/[^/]+$", var.subnet_id))
    error_message = "subnet_id: the id of a subnet, as azurerm_subnet has it."
  }
}

variable "image_id" {
  type        = string
  default     = ""
  description = "The image of the instances, by its id: with lightsout-agent's package, cloud-init, Docker and the platform's runner in it. The scaler is allowed to read it."
  validation {
    condition     = var.image_id == "" ? var.existing_scale_set_id != "" : can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Compute/(galleries/[^/]+/)?images/", var.image_id))
    error_message = "image_id: the id of an image or of a gallery's, in a resource group of your own, as azurerm_image and azurerm_shared_image_version have it; one that others share is to be copied into a gallery first."
  }
}

variable "vm_size" {
  type        = string
  default     = "Standard_D2s_v5"
  description = "The size of the instances."
}

variable "zones" {
  type        = list(string)
  default     = []
  description = "The availability zones, such as [\"1\", \"2\"]; none: wherever Azure has room. To take one away makes another scale set: drain first (README.md, Changing and destroying)."
}

variable "disk_size" {
  type        = number
  default     = 64
  description = "The size of the system's disk, in GB; no smaller than the image's."
  validation {
    condition     = var.disk_size >= 8 && var.disk_size <= 4095 && floor(var.disk_size) == var.disk_size
    error_message = "disk_size: a whole number of GB from 8 to 4095."
  }
}

variable "spot" {
  type        = bool
  default     = false
  description = "Spot instances: an eviction comes 30 s after its notice, and what then still runs fails visibly. Another value makes another scale set: drain first (README.md, Changing and destroying)."
}

variable "max_size" {
  type        = number
  default     = 10
  description = "How many instances there may be: the pool's max. A scale set has no such bound of its own."
  validation {
    condition     = var.max_size >= 1 && var.max_size <= 1000 && floor(var.max_size) == var.max_size
    error_message = "max_size: a whole number from 1 to 1000, which is what Azure allows in a scale set."
  }
}

variable "admin_public_key" {
  type        = string
  default     = ""
  description = "The public key of the instances' administrator, whom Azure wants; nothing lets anybody in."
  validation {
    condition     = var.admin_public_key == "" ? var.existing_scale_set_id != "" : can(regex("^(ssh-ed25519|ssh-rsa) ", var.admin_public_key))
    error_message = "admin_public_key: a public key that begins with ssh-ed25519 or ssh-rsa."
  }
}

variable "agent_settings" {
  type        = string
  description = "The agent's settings as TOML (README.md): a table platform.NAME at least. They stand in the instances' custom data: secrets by { keyvault = ... }."
  validation {
    condition     = can(regex("(?m)^\\s*\\[?platform\\.", var.agent_settings)) && !can(regex(local.in_clear, var.agent_settings))
    error_message = "agent_settings: write a table [platform.NAME], and no secret in clear: { keyvault = \"https://VAULT.vault.azure.net/secrets/NAME\" } in its place."
  }
}

variable "pool_settings" {
  type        = string
  description = "The pool's settings as TOML, group and max excepted, which the module writes: keys of [[pool]] first, then a table pool.platform.NAME."
  validation {
    condition     = can(regex("(?m)^\\s*\\[?(pool\\.)?platform\\.", var.pool_settings)) && !can(regex(local.in_clear, var.pool_settings)) && !can(regex("\\[\\[pool\\]\\]", var.pool_settings)) && !can(regex("(?m)^\\s*(group|max)\\s*=", regex("^(?s:.*?)(?:\\n\\s*\\[|$)", "\n${var.pool_settings}")))
    error_message = "pool_settings: write a table [pool.platform.NAME], neither group nor max nor [[pool]], and no secret in clear: { keyvault = \"https://VAULT.vault.azure.net/secrets/NAME\" } in its place."
  }
}

variable "key_vault_id" {
  type        = string
  default     = ""
  description = "The key vault that has their secrets, by its id, with Azure role-based access control: both identities may read its secrets."
}

variable "ticks" {
  type        = string
  default     = "one"
  description = "Whether an invocation, of which there is one a minute, ticks once (one), or as often as it can (until-deadline), which is billed nearly always."
  validation {
    condition     = contains(["one", "until-deadline"], var.ticks)
    error_message = "ticks: one or until-deadline."
  }
}

variable "webhooks" {
  type        = bool
  default     = false
  description = "Whether the CI platform may wake the scaler, at the address of the output `webhook_url`. Which pool takes what is in `pool_settings`: webhook = { kind = ..., secret = { keyvault = ... } }. Everybody can reach the function app then; what a delivery does not prove is refused."
  validation {
    condition     = !var.webhooks || can(regex("(?m)^\\s*webhook\\s*=|^\\s*\\[pool\\.webhook\\]", var.pool_settings))
    error_message = "webhooks: pool_settings has no webhook = { kind = ..., secret = { keyvault = ... } }, so that each delivery would be refused."
  }
}

variable "application_insights_connection_string" {
  type        = string
  default     = ""
  sensitive   = true
  description = "The connection string of the Application Insights that keep the function's log, as azurerm_application_insights has it; none: without a diagnostic setting of your own nothing keeps it. What is connected by hand an apply takes away."
  validation {
    condition     = var.application_insights_connection_string == "" || can(regex("^(.*;)?InstrumentationKey=[0-9a-fA-F-]{36}(;|$)", var.application_insights_connection_string))
    error_message = "application_insights_connection_string: the connection string, InstrumentationKey=...;IngestionEndpoint=https://..., as azurerm_application_insights has it; not the key alone."
  }
}

variable "application_insights_id" {
  type        = string
  default     = ""
  description = "The same Application Insights by their id: four alert rules look there at the scaler's decisions. None: no such rule."
  validation {
    condition     = var.application_insights_id == "" || can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Insights/components/[^/]+$", var.application_insights_id))
    error_message = "application_insights_id: the id of Application Insights, as azurerm_application_insights has it."
  }
}

variable "agents_workspace_id" {
  type        = string
  default     = ""
  description = "The Log Analytics workspace that gets the instances' records, by its id, in `location`: a table of its own is made there, and what leads into it, and two alert rules look at what instances leave for. It must exist before the plan, or be applied first with -target. None: the records end with the machine's journal."
  validation {
    condition     = var.agents_workspace_id == "" || can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.OperationalInsights/workspaces/[^/]+$", var.agents_workspace_id))
    error_message = "agents_workspace_id: the id of a Log Analytics workspace, as azurerm_log_analytics_workspace has it, in its upper and lower case."
  }
}

variable "alert_action_groups" {
  type        = list(string)
  default     = []
  description = "Action groups whom the alert rules tell, by their ids; none: they show in the portal alone."
}

variable "storage_account_name" {
  type        = string
  description = "The storage account that the function app needs for itself; a name that nobody else has."
  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.storage_account_name))
    error_message = "storage_account_name: from 3 to 24 lower-case letters and digits, as Azure wants it."
  }
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of everything; those of the scale set are its instances', of which the agent reads lightsout:slots and others as settings."
}
