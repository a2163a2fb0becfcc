# ---- the pool

variable "name" {
  type        = string
  description = "The Auto Scaling group's name, and what the names of the pool's other resources begin with."
  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{1,94}$", var.name))
    error_message = "The name is 2 to 95 letters, digits, dots, dashes and underscores: it is part of ARNs and of the group's tag in the instances' metadata."
  }
}

variable "tags" {
  type        = map(string)
  default     = {}
  nullable    = false
  description = "For the group, instances, volumes and network interfaces and all else here, over the provider's default_tags, which by themselves reach no instance."
}

variable "min_size" {
  type        = number
  default     = 0
  nullable    = false
  description = "Instances that stay, with or without jobs."
  validation {
    condition     = var.min_size >= 0 && floor(var.min_size) == var.min_size
    error_message = "min_size is a whole number from 0 on. 0 lets the pool go dark; for warm instances by demand there is `spare`."
  }
}

variable "max_size" {
  type        = number
  default     = 10
  nullable    = false
  description = "The most instances."
  validation {
    condition     = var.max_size >= 1 && floor(var.max_size) == var.max_size
    error_message = "max_size is a whole number from 1 on. To empty a pool before it is destroyed, lower it by hand: aws autoscaling update-auto-scaling-group --min-size 0 --max-size 0."
  }
}

variable "existing_group_name" {
  type        = string
  default     = ""
  nullable    = false
  description = "A group of yours, instead of a new one: role, launch template and settings are made for it, and the plan fails where it sees that it could kill jobs. It does not see hooks, capacity rebalancing and policies. You put the launch template into it, and take it out again before a destroy, which waits for the last instance that has the pool's security group: without create_security_group it waits for nobody, and takes the role from instances that run."
}

variable "delete_timeout" {
  type        = string
  default     = "17h"
  nullable    = false
  description = "How long destroy waits for busy instances: behind the termination hook, which ends after 100 times 600 s, so 16 h 40 min; and with existing_group_name for the last instance that has the pool's security group."
  validation {
    condition     = can(regex("^[1-9][0-9]*(m|h)$", var.delete_timeout))
    error_message = "delete_timeout is a duration such as 90m or 17h: longer than the longest job."
  }
}

variable "instance_refresh" {
  type        = bool
  default     = false
  nullable    = false
  description = "Whether a new version of the launch template replaces running instances at once, each after its jobs. Without it they leave when idle, or by max_age."
}

variable "launch_hook" {
  type        = bool
  default     = false
  nullable    = false
  description = "Whether the group is born with a launch hook as well: an instance is in service only once its agent is ready for jobs, and is replaced at once when its boot fails. A group that is there keeps what it was born with."
}

variable "enabled_metrics" {
  type = list(string)
  default = [
    "GroupDesiredCapacity", "GroupInServiceInstances", "GroupMaxSize", "GroupMinSize",
    "GroupPendingInstances", "GroupStandbyInstances", "GroupTerminatingInstances", "GroupTotalInstances",
  ]
  nullable    = false
  description = "The group's own metrics, which cost nothing."
}

# ---- the CI platform

variable "platform" {
  type        = string
  description = "The CI platform: gitlab, github, buildkite, circleci, spacelift, stackguardian, or command for programs of your own."
  validation {
    condition     = contains(["gitlab", "github", "buildkite", "circleci", "spacelift", "stackguardian", "command"], var.platform)
    error_message = "The platform is one of gitlab, github, buildkite, circleci, spacelift, stackguardian, command."
  }
}

variable "platform_settings" {
  type        = any
  default     = {}
  nullable    = false
  description = "The platform's settings but for secrets, as docs/platforms.md names them. Each goes to the agent, the scaler or both, as it says there; what only one side is to have stands in a map agent or scaler of its own in it."
  validation {
    condition     = can(keys(var.platform_settings)) && alltrue([for key, value in try(tomap({ for k, v in var.platform_settings : k => can(keys(v)) }), {}) : !value || contains(["agent", "scaler"], key)])
    error_message = "platform_settings is a map such as { url = \"https://gitlab.example.com\", tags = [\"linux\"] }, with no maps in it but agent and scaler for what one side alone is to have: secrets go to agent_secrets and scaler_secrets."
  }
}

variable "agent_secrets" {
  type = map(object({
    ssm            = optional(string)
    secretsmanager = optional(string)
    key            = optional(string)
  }))
  default     = {}
  nullable    = false
  description = "Where the agent finds the platform's secrets: { token = { ssm = \"/ci/runner-token\" } }, or { secretsmanager = \"name or ARN\", key = \"name in its JSON\" }. The instances' role may read them. Empty if the image names them."
  validation {
    condition     = alltrue([for secret in var.agent_secrets : (secret.ssm == null) != (secret.secretsmanager == null)])
    error_message = "Each of agent_secrets is { ssm = \"/parameter\" } or { secretsmanager = \"name\" }, the latter with key = \"...\" for a JSON secret: where the secret is, never the secret."
  }
  validation {
    condition     = alltrue([for secret in var.agent_secrets : secret.ssm == null || secret.key == null])
    error_message = "A key of agent_secrets is for JSON in Secrets Manager: a parameter has none."
  }
}

variable "scaler_secrets" {
  type = map(object({
    ssm            = optional(string)
    secretsmanager = optional(string)
    key            = optional(string)
  }))
  default     = {}
  nullable    = false
  description = "The same for the scaler, whose role alone may read them."
  validation {
    condition     = alltrue([for secret in var.scaler_secrets : (secret.ssm == null) != (secret.secretsmanager == null)])
    error_message = "Each of scaler_secrets is { ssm = \"/parameter\" } or { secretsmanager = \"name\" }, the latter with key = \"...\" for a JSON secret: where the secret is, never the secret."
  }
  validation {
    condition     = alltrue([for secret in var.scaler_secrets : secret.ssm == null || secret.key == null])
    error_message = "A key of scaler_secrets is for JSON in Secrets Manager: a parameter has none."
  }
}

variable "secrets_kms_key_arns" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "Keys of your own that the secrets are encrypted with: both roles may decrypt with them, through Systems Manager and Secrets Manager only."
  validation {
    condition     = alltrue([for arn in var.secrets_kms_key_arns : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", arn))])
    error_message = "secrets_kms_key_arns are ARNs of keys (arn:aws:kms:REGION:ACCOUNT:key/ID), not of aliases, which policies do not resolve."
  }
}

# ---- when an instance leaves

variable "slots" {
  type        = number
  default     = 1
  nullable    = false
  description = "Jobs that one instance takes at once."
  validation {
    condition     = var.slots >= 1 && var.slots <= 1000 && floor(var.slots) == var.slots
    error_message = "slots is a whole number from 1 to 1000."
  }
}

variable "idle_timeout" {
  type        = string
  default     = "10m"
  nullable    = false
  description = "How long an instance is without a job before it leaves; or never."
  validation {
    condition     = var.idle_timeout == "never" || can(regex("^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", var.idle_timeout)) && var.idle_timeout != ""
    error_message = "idle_timeout is a duration such as 90s, 10m or 2h30m, or never."
  }
}

variable "max_age" {
  type        = string
  default     = "never"
  nullable    = false
  description = "After so long in service an instance takes no more jobs and leaves; or never."
  validation {
    condition     = var.max_age == "never" || can(regex("^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", var.max_age)) && var.max_age != ""
    error_message = "max_age is a duration such as 24h, or never."
  }
}

variable "jobs_per_instance" {
  type        = number
  default     = 0
  nullable    = false
  description = "After so many jobs an instance leaves; 1 for jobs that do not trust one another, 0 for any number."
  validation {
    condition     = var.jobs_per_instance >= 0 && floor(var.jobs_per_instance) == var.jobs_per_instance
    error_message = "jobs_per_instance is a whole number: 0 for any number of jobs."
  }
}

variable "boot_deadline" {
  type        = string
  default     = "10m"
  nullable    = false
  description = "An instance that is not ready by then is broken and leaves."
  validation {
    condition     = can(regex("^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", var.boot_deadline)) && var.boot_deadline != ""
    error_message = "boot_deadline is a duration such as 10m."
  }
}

variable "agent_settings" {
  type        = string
  default     = ""
  nullable    = false
  description = "More of the agent's settings, as TOML: /etc/lightsout/agent.d/60-module.toml. User data can be read by whoever may describe the launch template, so no secret may stand in it."
  validation {
    condition     = !can(regex("(?:^|[\\s{,.])\"?(?:api_key|api_key_secret|jit_config|private_key|secret|token)\"?\\s*=\\s*[\"']|(?:AKIA|bk(?:ct|ua)_|gh[pousr]_|github_pat_|gl(?:pat|rt)-|sg[uo]_)[A-Za-z0-9]{6}|-----BEGIN [A-Z ]*PRIVATE KEY", var.agent_settings))
    error_message = "agent_settings has a secret in clear, which everybody could read who may describe launch templates: name where it is in agent_secrets."
  }
}

# ---- how much is raised

variable "spare" {
  type        = number
  default     = 0
  nullable    = false
  description = "Instances kept ready beyond the demand."
  validation {
    condition     = var.spare >= 0 && floor(var.spare) == var.spare
    error_message = "spare is a whole number from 0 on."
  }
}

variable "schedule" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "spare by the clock of zone: [\"mon-fri 07:30-18:00 spare 4\"], days or none for each, hours or none for the whole day; the last entry in force overrides spare and those before it."
  validation {
    condition     = alltrue([for entry in var.schedule : can(regex("^((mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?(,(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?)* )?(([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00) )?spare [0-9]{1,4}$", entry)) && try(length(distinct(flatten(regex("([0-9:]{5})-([0-9:]{5})", entry)))) == 2, true)])
    error_message = "schedule has an entry that is none: write [DAYS] [HH:MM-HH:MM] spare N, such as \"mon-fri 07:30-18:00 spare 4\" or \"sat,sun spare 0\"; hours that end before they begin end on the next day."
  }
}

variable "zone" {
  type        = string
  default     = ""
  nullable    = false
  description = "Whose clock schedule goes by: UTC, or a rule such as CET-1CEST,M3.5.0,M10.5.0/3, the last line of /usr/share/zoneinfo/NAME; or a name such as Europe/Berlin, where the scaler is no Lambda function."
  validation {
    condition     = !can(regex("^(UTC|GMT)[+-]", var.zone))
    error_message = "zone reads as the opposite of what it says, since an offset in a rule counts to the west: two hours east all the year round is <+02>-2; with daylight saving write a rule such as CET-1CEST,M3.5.0,M10.5.0/3."
  }
}

variable "threshold" {
  type        = number
  default     = 1
  nullable    = false
  description = "Fewer waiting jobs than this count as none."
  validation {
    condition     = var.threshold >= 1 && floor(var.threshold) == var.threshold
    error_message = "threshold is a whole number from 1 on."
  }
}

variable "max_step" {
  type        = number
  default     = 0
  nullable    = false
  description = "The most instances that one tick adds; 0 for any number."
  validation {
    condition     = var.max_step >= 0 && floor(var.max_step) == var.max_step
    error_message = "max_step is a whole number: 0 for any number of instances."
  }
}

variable "cooldown" {
  type        = string
  default     = "0s"
  nullable    = false
  description = "How long nothing is raised after a raise."
  validation {
    condition     = can(regex("^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", var.cooldown)) && var.cooldown != ""
    error_message = "cooldown is a duration such as 0s or 4m."
  }
}

variable "utilisation" {
  type        = number
  default     = 100
  nullable    = false
  description = "How full the slots are planned, in percent."
  validation {
    condition     = var.utilisation >= 1 && var.utilisation <= 100 && floor(var.utilisation) == var.utilisation
    error_message = "utilisation is a whole number from 1 to 100, in percent."
  }
}

variable "count_running" {
  type        = bool
  default     = true
  nullable    = false
  description = "False if the platform's running jobs are not this pool's alone."
}

variable "webhook" {
  type = object({
    ssm            = optional(string)
    secretsmanager = optional(string)
    key            = optional(string)
    path           = optional(string)
  })
  default     = null
  description = "Where the secret of a webhook is that makes the scaler look at once, as in scaler_secrets, and the last part of its address (the pool's name if not said). The scaler needs function_url."
  validation {
    condition     = var.webhook == null ? true : (var.webhook.ssm == null) != (var.webhook.secretsmanager == null)
    error_message = "webhook says where its secret is: { ssm = \"/ci/webhook\" } or { secretsmanager = \"name\" }."
  }
}

# ---- the instances

variable "image_id" {
  type        = string
  default     = ""
  nullable    = false
  description = "The machine image, as packer built it."
  validation {
    condition     = var.image_id == "" || can(regex("^ami-[0-9a-f]{8,17}$", var.image_id))
    error_message = "image_id is such as ami-0123456789abcdef0; to have the newest image of a name, use image_name."
  }
}

variable "image_name" {
  type        = string
  default     = ""
  nullable    = false
  description = "Instead of image_id: the newest image of this name, with * for any text, such as lightsout-gitlab-*. Each plan looks anew."
}

variable "image_owners" {
  type        = list(string)
  default     = ["self"]
  nullable    = false
  description = "Whose images count with image_name."
}

variable "boot_bundle" {
  type = object({
    bucket  = string
    key     = string
    version = string
    sha256  = string
  })
  default     = null
  description = "Instead of an image of one's own: image_id is the vendor's Amazon Linux 2023, Ubuntu 24.04 or Debian 12, and each instance makes itself at its first start with this file, which `packer build -only=null.bundle` makes: bucket, key, the object's version, and its SHA-256 in hex. Minutes instead of seconds, and what it installs is as new as that day."
  validation {
    condition     = var.boot_bundle == null ? true : can(regex("^[0-9a-f]{64}$", var.boot_bundle.sha256)) && var.boot_bundle.version != ""
    error_message = "boot_bundle has the object's version, and its SHA-256 as 64 hexadecimal digits, as sha256sum writes it: without them another file under the same key would run as root on each new instance."
  }
}

variable "architecture" {
  type        = string
  default     = "x86_64"
  nullable    = false
  description = "x86_64 or arm64: of the image and of all instance types."
  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "The architecture is x86_64 or arm64."
  }
}

variable "instance_types" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "What an instance may be, the preferred first; all count as one instance, so of like size. Empty: large ones of the m families of the architecture."
  validation {
    condition     = length(var.instance_types) <= 40 && length(distinct(var.instance_types)) == length(var.instance_types)
    error_message = "instance_types has at most 40 types, each once."
  }
  validation {
    condition     = alltrue([for type in var.instance_types : can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9-]+$", type))])
    error_message = "instance_types are such as m7i.large."
  }
}

variable "on_demand_percentage" {
  type        = number
  default     = 100
  nullable    = false
  description = "How many in a hundred instances above on_demand_base are on demand; the others are spot. 0 for spot alone."
  validation {
    condition     = var.on_demand_percentage >= 0 && var.on_demand_percentage <= 100
    error_message = "on_demand_percentage is from 0 (all spot) to 100 (none)."
  }
}

variable "on_demand_base" {
  type        = number
  default     = 0
  nullable    = false
  description = "The first so many instances are on demand."
  validation {
    condition     = var.on_demand_base >= 0
    error_message = "on_demand_base is a number of instances from 0 on."
  }
}

variable "spot_allocation_strategy" {
  type        = string
  default     = "price-capacity-optimized"
  nullable    = false
  description = "How spot instances are chosen. lowest-price, AWS's own default, gets those that are interrupted most."
  validation {
    condition     = contains(["price-capacity-optimized", "capacity-optimized", "capacity-optimized-prioritized", "lowest-price"], var.spot_allocation_strategy)
    error_message = "spot_allocation_strategy is price-capacity-optimized, capacity-optimized, capacity-optimized-prioritized or lowest-price."
  }
}

variable "spot_max_price" {
  type        = string
  default     = ""
  nullable    = false
  description = "The most an instance hour may cost, in dollars; empty: the price on demand."
}

variable "detailed_monitoring" {
  type        = bool
  default     = false
  nullable    = false
  description = "Whether the instances' own metrics come each minute, at a price."
}

variable "volume_size" {
  type        = number
  default     = 40
  nullable    = false
  description = "The root volume, in GiB."
  validation {
    condition     = var.volume_size >= 8
    error_message = "volume_size is at least 8 GiB, and not less than the image's."
  }
}

variable "volume_type" {
  type        = string
  default     = "gp3"
  nullable    = false
  description = "The root volume's type."
  validation {
    condition     = contains(["gp2", "gp3", "io1", "io2"], var.volume_type)
    error_message = "volume_type is gp2, gp3, io1 or io2."
  }
}

variable "volume_iops" {
  type        = number
  default     = null
  description = "For gp3, io1 and io2."
}

variable "volume_throughput" {
  type        = number
  default     = null
  description = "In MiB/s, for gp3."
}

variable "kms_key_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = "A key of your own for the root volume, which is encrypted in any case. Auto Scaling's service-linked role needs rights on it: see kms_grant."
  validation {
    condition     = var.kms_key_arn == "" || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID): with an alias the grant cannot be made."
  }
}

variable "kms_grant" {
  type        = bool
  default     = null
  description = "Whether Auto Scaling's service-linked role gets a grant on kms_key_arn; if not said, with such a key. True if the key is made in the same apply, false if its own policy has the output kms_key_policy_statements."
}

variable "service_linked_role" {
  type        = string
  default     = "AWSServiceRoleForAutoScaling"
  nullable    = false
  description = "Auto Scaling's service-linked role; with a suffix if the account has one of its own for this key. It must be there before the grant: aws iam create-service-linked-role --aws-service-name autoscaling.amazonaws.com."
  validation {
    condition     = can(regex("^AWSServiceRoleForAutoScaling(_[A-Za-z0-9+=,.@-]+)?$", var.service_linked_role))
    error_message = "service_linked_role is AWSServiceRoleForAutoScaling, or that with _SUFFIX."
  }
}

# ---- the network

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets of one VPC with a way out, best in every zone. What instances must reach is in packer/README.md."
  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids names at least one subnet."
  }
}

variable "vpc_id" {
  type        = string
  default     = ""
  nullable    = false
  description = "Their VPC; found by the first subnet if not said."
}

variable "public_ip" {
  type        = bool
  default     = null
  description = "Whether instances get a public address; as the subnet says if null."
}

variable "ipv6_address_count" {
  type        = number
  default     = 0
  nullable    = false
  description = "IPv6 addresses of each instance; the subnet's own setting for that does not reach instances of a launch template."
  validation {
    condition     = var.ipv6_address_count >= 0
    error_message = "ipv6_address_count is from 0 on."
  }
}

variable "create_security_group" {
  type        = bool
  default     = true
  nullable    = false
  description = "Whether there is a security group of the pool's own, with egress_ports and ingress_rules. It goes after the last instance that has it, and role and logs after it: an apply that takes it away waits for them, delete_timeout at most."
}

variable "security_group_ids" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "Security groups of yours, beside the pool's own or instead of it."
}

variable "egress_ports" {
  type        = list(number)
  default     = []
  nullable    = false
  description = "TCP ports that instances may reach anywhere, such as [443, 22]; empty: everything. DNS, time and metadata of the VPC are always reachable."
  validation {
    condition     = alltrue([for port in var.egress_ports : port >= 1 && port <= 65535])
    error_message = "egress_ports are from 1 to 65535."
  }
  validation {
    condition     = length(var.egress_ports) == 0 || contains(var.egress_ports, 443)
    error_message = "egress_ports without 443 leaves the agent no way to AWS and the platform: add it."
  }
}

variable "ingress_rules" {
  type = map(object({
    port              = number
    protocol          = optional(string, "tcp")
    cidr_ipv4         = optional(string)
    cidr_ipv6         = optional(string)
    security_group_id = optional(string)
  }))
  default     = {}
  nullable    = false
  description = "Who may connect to instances, which need nobody: { bastion = { port = 22, security_group_id = \"sg-...\" } }."
  validation {
    condition     = alltrue([for rule in var.ingress_rules : length([for source in [rule.cidr_ipv4, rule.cidr_ipv6, rule.security_group_id] : source if source != null]) == 1])
    error_message = "Each of ingress_rules has one source: cidr_ipv4, cidr_ipv6 or security_group_id."
  }
  validation {
    condition     = alltrue([for rule in var.ingress_rules : !contains(["0.0.0.0/0", "::/0"], try(coalesce(rule.cidr_ipv4, rule.cidr_ipv6), ""))])
    error_message = "An ingress rule lets the whole internet in, which no CI instance needs: name a range or a security group, or use session_manager."
  }
}

variable "ssh_key_name" {
  type        = string
  default     = ""
  nullable    = false
  description = "A key pair that is there, for the image's usual user."
}

variable "ssh_public_key" {
  type        = string
  default     = ""
  nullable    = false
  description = "A public key of which the pool makes a key pair. It must be known before the apply."
}

# ---- the role

variable "instance_profile_name" {
  type        = string
  default     = ""
  nullable    = false
  description = "An instance profile of yours instead of a new role; its role needs what the output agent_policy says. It must be known before the apply. Changed only on an empty pool, or with another name: it takes effect on running instances at once."
}

variable "permissions_boundary" {
  type        = string
  default     = ""
  nullable    = false
  description = "The ARN of a policy that bounds the role."
}

variable "role_path" {
  type        = string
  default     = "/"
  nullable    = false
  description = "The path of role and instance profile. A pool keeps the one that it was made with."
}

variable "managed_policy_arns" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "More policies for the instances' role. Whoever is root on an instance has it: jobs that need a cloud should have roles of their own. The ARNs must be known before the apply."
}

variable "extra_policies" {
  type        = map(string)
  default     = {}
  nullable    = false
  description = "More policies for the role, as JSON, by name."
  validation {
    condition     = alltrue([for policy in var.extra_policies : can(jsondecode(policy).Statement)])
    error_message = "extra_policies are policies as JSON, with a Statement: jsonencode({ Version = \"2012-10-17\", Statement = [...] })."
  }
}

variable "doctor_rights" {
  type        = bool
  default     = true
  nullable    = false
  description = "Whether the role may also look at what `lightsout-agent doctor` checks. Reading only."
}

variable "session_manager" {
  type        = bool
  default     = false
  nullable    = false
  description = "Whether Session Manager may be used on the instances: the least rights for that, not AWS's managed policy, which reads every parameter of the account."
}

# ---- logs and the runner's cache

variable "logs" {
  type        = bool
  default     = true
  nullable    = false
  description = "Whether there is a log group, lightsout/NAME, to which agents write their records (docs/records.md). Not for the CloudWatch agent of an image, which writes to a group of its own and needs a policy for that: managed_policy_arns."
}

variable "log_retention_days" {
  type        = number
  default     = 60
  nullable    = false
  description = "How long it keeps them; 0 for ever."
}

variable "log_kms_key_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = "A key of your own for the log group."
}

variable "cache_bucket" {
  type        = string
  default     = ""
  nullable    = false
  description = "GitLab: a bucket for the runners' cache. The role may read and write its objects, and the runner is told of it."
}
