variable "name" {
  type        = string
  description = "The function's name, and what the names of its other resources begin with."
  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", var.name))
    error_message = "The name is up to 64 letters, digits, dashes and underscores: it is a function's name."
  }
}

variable "tags" {
  type        = map(string)
  default     = {}
  nullable    = false
  description = "For all that is made here."
}

# ---- what it scales

variable "pools" {
  type = list(object({
    group_arn  = string
    settings   = string
    statements = string
    webhook    = bool
    name       = optional(string)
    log_group  = optional(string)
  }))
  description = "The output scaler of each pool module. For a group that none made: group_arn, its [[pool]] as TOML, the statements as JSON that let its secrets be read, its name if its settings have one, and the log group of its agents' records if their departures are counted there, as the pool module does."
  validation {
    condition     = alltrue([for pool in var.pools : !can(regex("(?:^|[\\s{,.])\"?(?:api_key|api_key_secret|jit_config|private_key|secret|token)\"?\\s*=\\s*[\"']|(?:AKIA|bk(?:ct|ua)_|gh[pousr]_|github_pat_|gl(?:pat|rt)-|sg[uo]_)[A-Za-z0-9]{6}|-----BEGIN [A-Z ]*PRIVATE KEY", pool.settings))])
    error_message = "The settings of a pool have a secret in clear, which everybody could read who may look at the function: name where it is, such as token = { ssm = \"/ci/read-token\" }."
  }
  validation {
    condition     = length(var.pools) > 0
    error_message = "pools is empty: [module.NAME.scaler] names one."
  }
  validation {
    condition     = alltrue([for pool in var.pools : can(jsondecode(pool.statements))])
    error_message = "The statements of a pool are a list as JSON: jsonencode([])."
  }
  validation {
    condition     = alltrue([for pool in var.pools : can(regex("^arn:[^:]+:autoscaling:[^:]+:[0-9]{12}:autoScalingGroup:[^:]+:autoScalingGroupName/[^*]+$", pool.group_arn))])
    error_message = "group_arn is arn:aws:autoscaling:REGION:ACCOUNT:autoScalingGroup:*:autoScalingGroupName/NAME, with the group's own name: with a star in it the scaler might raise every group."
  }
}

variable "tick" {
  type        = string
  default     = "10s"
  nullable    = false
  description = "The pause between two looks within one invocation."
  validation {
    condition     = can(regex("^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", var.tick)) && var.tick != ""
    error_message = "tick is a duration such as 10s."
  }
}

variable "deadline" {
  type        = string
  default     = "8s"
  nullable    = false
  description = "How long one pool may be read, and how long its raise may take."
  validation {
    condition     = can(regex("^[0-9]+(ms|s|m)$", var.deadline))
    error_message = "deadline is a duration such as 8s."
  }
}

variable "settings" {
  type        = string
  default     = ""
  nullable    = false
  description = "More of the scaler's settings, as TOML, before the pools: [defaults], [platforms.NAME.KIND]. The function's variables and its state can be read, so no secret may stand in it."
  validation {
    condition     = !can(regex("(?:^|[\\s{,.])\"?(?:api_key|api_key_secret|jit_config|private_key|secret|token)\"?\\s*=\\s*[\"']|(?:AKIA|bk(?:ct|ua)_|gh[pousr]_|github_pat_|gl(?:pat|rt)-|sg[uo]_)[A-Za-z0-9]{6}|-----BEGIN [A-Z ]*PRIVATE KEY", var.settings))
    error_message = "settings has a secret in clear, which everybody could read who may look at the function: name where it is, such as token = { ssm = \"/ci/read-token\" }."
  }
}

variable "settings_bucket" {
  type        = string
  default     = ""
  nullable    = false
  description = "A bucket for the settings, where they are longer than the 4 KiB that a function's variables may have together: some ten pools. Its name must be known before the apply."
}

# ---- the function

variable "package_path" {
  type        = string
  default     = ""
  nullable    = false
  description = "The zip that packer/build made, on this machine."
}

variable "package_s3" {
  type = object({
    bucket  = string
    key     = string
    version = string
    sha256  = string
  })
  default     = null
  description = "Or where it is in S3: bucket, key, the object's version, and its SHA-256 in hex as SHA256SUMS has it. Without version and hash another object under the same key would change nothing. A key that does not name the module's version is warned of."
  validation {
    condition     = var.package_s3 == null ? true : can(regex("^[0-9a-f]{64}$", var.package_s3.sha256)) && var.package_s3.version != ""
    error_message = "package_s3 has the object's version, and its SHA-256 as 64 hexadecimal digits, as dist/SHA256SUMS has it."
  }
}

variable "architecture" {
  type        = string
  default     = "x86_64"
  nullable    = false
  description = "x86_64 or arm64, as the zip."
  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "The architecture is x86_64 or arm64."
  }
}

variable "schedule" {
  type        = string
  default     = "rate(1 minute)"
  nullable    = false
  description = "How often it is invoked; AWS knows no shorter rate than a minute."
  validation {
    condition     = can(regex("^(rate|cron)\\(.+\\)$", var.schedule)) && !can(regex("second", var.schedule))
    error_message = "schedule is rate(1 minute), rate(5 minutes) or cron(...); AWS has no seconds: an invocation looks every `tick` by itself."
  }
}

variable "ticks" {
  type        = string
  default     = "until-deadline"
  nullable    = false
  description = "Whether an invocation looks every `tick` until its time is used, or once: one, for those who have webhooks."
  validation {
    condition     = contains(["until-deadline", "one"], var.ticks)
    error_message = "ticks is until-deadline or one."
  }
}

variable "timeout" {
  type        = number
  default     = 60
  nullable    = false
  description = "The function's time-out, in seconds; with ticks = until-deadline not longer than the schedule's rate."
  validation {
    condition     = var.timeout >= 15 && var.timeout <= 900
    error_message = "timeout is from 15 to 900 seconds: the last look begins `deadline` and 3 s before it."
  }
}

variable "memory_size" {
  type        = number
  default     = 128
  nullable    = false
  description = "In MiB; 128 is enough for a thousand pools."
  validation {
    condition     = var.memory_size >= 128 && var.memory_size <= 10240
    error_message = "memory_size is from 128 to 10240 MiB."
  }
}

variable "reserved_concurrency" {
  type        = number
  default     = null
  description = "Invocations kept for this function; none by default, since a young account's whole quota is 10 and AWS refuses to go below."
  validation {
    condition     = var.reserved_concurrency == null ? true : var.reserved_concurrency >= 1
    error_message = "reserved_concurrency is at least 1, or null: 0 would switch the scaler off."
  }
}

variable "function_url" {
  type        = bool
  default     = false
  nullable    = false
  description = "Whether there is a public address for webhooks. Not every region has it; without one the scaler asks every `tick`."
}

variable "log_level" {
  type        = string
  default     = "info"
  nullable    = false
  description = "What is logged: error, warn, info, debug, or a list."
}

variable "log_retention_days" {
  type        = number
  default     = 60
  nullable    = false
  description = "How long the function's log is kept; 0 for ever."
}

variable "log_kms_key_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = "A key of your own for the log group."
}

variable "subnet_ids" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "Private subnets with a way out to AWS and to the platform, if the function must be in a VPC. It needs none, and destroy then waits up to an hour for its interfaces."
}

variable "security_group_ids" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "Its security groups there."
}

# ---- its role

variable "role_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = "A role of yours instead of a new one; it needs what the output scaler_policy says. It must be known before the apply."
}

variable "permissions_boundary" {
  type        = string
  default     = ""
  nullable    = false
  description = "The ARN of a policy that bounds the roles of function and schedule."
}

variable "role_path" {
  type        = string
  default     = "/"
  nullable    = false
  description = "The path of these roles."
}

# ---- who is told

variable "monitoring" {
  type        = bool
  default     = true
  nullable    = false
  description = "Whether there are alarms for the function and for each pool, a dashboard for each pool, and the scaler's own metrics for them, which CloudWatch charges for by their number. Those that count departures are there for pools with logs."
}

variable "alarm_actions" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "Whom alarms tell, and tell again when all is well: ARNs, such as an SNS topic's."
  validation {
    condition     = alltrue([for arn in var.alarm_actions : startswith(arn, "arn:")])
    error_message = "alarm_actions are ARNs, such as arn:aws:sns:REGION:ACCOUNT:NAME."
  }
}
