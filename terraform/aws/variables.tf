# Written by tests/terraform/documents.py from the variables of modules/pool and modules/scaler, which also say what is refused.

variable "name" {
  type        = string
  description = "The Auto Scaling group's name, and what the names of the pool's other resources begin with."
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
}

variable "max_size" {
  type        = number
  default     = 10
  nullable    = false
  description = "The most instances."
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

variable "platform" {
  type        = string
  description = "The CI platform: gitlab, github, buildkite, circleci, spacelift, stackguardian, or command for programs of your own."
}

variable "platform_settings" {
  type        = any
  default     = {}
  nullable    = false
  description = "The platform's settings but for secrets, as docs/platforms.md names them. Each goes to the agent, the scaler or both, as it says there; what only one side is to have stands in a map agent or scaler of its own in it."
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
}

variable "secrets_kms_key_arns" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "Keys of your own that the secrets are encrypted with: both roles may decrypt with them, through Systems Manager and Secrets Manager only."
}

variable "slots" {
  type        = number
  default     = 1
  nullable    = false
  description = "Jobs that one instance takes at once."
}

variable "idle_timeout" {
  type        = string
  default     = "10m"
  nullable    = false
  description = "How long an instance is without a job before it leaves; or never."
}

variable "max_age" {
  type        = string
  default     = "never"
  nullable    = false
  description = "After so long in service an instance takes no more jobs and leaves; or never."
}

variable "jobs_per_instance" {
  type        = number
  default     = 0
  nullable    = false
  description = "After so many jobs an instance leaves; 1 for jobs that do not trust one another, 0 for any number."
}

variable "boot_deadline" {
  type        = string
  default     = "10m"
  nullable    = false
  description = "An instance that is not ready by then is broken and leaves."
}

variable "agent_settings" {
  type        = string
  default     = ""
  nullable    = false
  description = "More of the agent's settings, as TOML: /etc/lightsout/agent.d/60-module.toml. User data can be read by whoever may describe the launch template, so no secret may stand in it."
}

variable "spare" {
  type        = number
  default     = 0
  nullable    = false
  description = "Instances kept ready beyond the demand."
}

variable "schedule" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "spare by the clock of zone: [\"mon-fri 07:30-18:00 spare 4\"], days or none for each, hours or none for the whole day; the last entry in force overrides spare and those before it."
}

variable "zone" {
  type        = string
  default     = ""
  nullable    = false
  description = "Whose clock schedule goes by: UTC, or a rule such as CET-1CEST,M3.5.0,M10.5.0/3, the last line of /usr/share/zoneinfo/NAME; or a name such as Europe/Berlin, where the scaler is no Lambda function."
}

variable "threshold" {
  type        = number
  default     = 1
  nullable    = false
  description = "Fewer waiting jobs than this count as none."
}

variable "max_step" {
  type        = number
  default     = 0
  nullable    = false
  description = "The most instances that one tick adds; 0 for any number."
}

variable "cooldown" {
  type        = string
  default     = "0s"
  nullable    = false
  description = "How long nothing is raised after a raise."
}

variable "utilisation" {
  type        = number
  default     = 100
  nullable    = false
  description = "How full the slots are planned, in percent."
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
}

variable "image_id" {
  type        = string
  default     = ""
  nullable    = false
  description = "The machine image, as packer built it."
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
}

variable "architecture" {
  type        = string
  default     = "x86_64"
  nullable    = false
  description = "x86_64 or arm64: of the image and of all instance types."
}

variable "instance_types" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "What an instance may be, the preferred first; all count as one instance, so of like size. Empty: large ones of the m families of the architecture."
}

variable "on_demand_percentage" {
  type        = number
  default     = 100
  nullable    = false
  description = "How many in a hundred instances above on_demand_base are on demand; the others are spot. 0 for spot alone."
}

variable "on_demand_base" {
  type        = number
  default     = 0
  nullable    = false
  description = "The first so many instances are on demand."
}

variable "spot_allocation_strategy" {
  type        = string
  default     = "price-capacity-optimized"
  nullable    = false
  description = "How spot instances are chosen. lowest-price, AWS's own default, gets those that are interrupted most."
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
}

variable "volume_type" {
  type        = string
  default     = "gp3"
  nullable    = false
  description = "The root volume's type."
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
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets of one VPC with a way out, best in every zone. What instances must reach is in packer/README.md."
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

variable "scaler_tick" {
  type        = string
  default     = "10s"
  nullable    = false
  description = "The pause between two looks within one invocation."
}

variable "scaler_deadline" {
  type        = string
  default     = "8s"
  nullable    = false
  description = "How long one pool may be read, and how long its raise may take."
}

variable "scaler_settings" {
  type        = string
  default     = ""
  nullable    = false
  description = "More of the scaler's settings, as TOML, before the pools: [defaults], [platforms.NAME.KIND]. The function's variables and its state can be read, so no secret may stand in it."
}

variable "scaler_settings_bucket" {
  type        = string
  default     = ""
  nullable    = false
  description = "A bucket for the settings, where they are longer than the 4 KiB that a function's variables may have together: some ten pools. Its name must be known before the apply."
}

variable "scaler_package_path" {
  type        = string
  default     = ""
  nullable    = false
  description = "The zip that packer/build made, on this machine."
}

variable "scaler_package_s3" {
  type = object({
    bucket  = string
    key     = string
    version = string
    sha256  = string
  })
  default     = null
  description = "Or where it is in S3: bucket, key, the object's version, and its SHA-256 in hex as SHA256SUMS has it. Without version and hash another object under the same key would change nothing. A key that does not name the module's version is warned of."
}

variable "scaler_architecture" {
  type        = string
  default     = "x86_64"
  nullable    = false
  description = "x86_64 or arm64, as the zip."
}

variable "scaler_schedule" {
  type        = string
  default     = "rate(1 minute)"
  nullable    = false
  description = "How often it is invoked; AWS knows no shorter rate than a minute."
}

variable "scaler_ticks" {
  type        = string
  default     = "until-deadline"
  nullable    = false
  description = "Whether an invocation looks every `tick` until its time is used, or once: one, for those who have webhooks."
}

variable "scaler_timeout" {
  type        = number
  default     = 60
  nullable    = false
  description = "The function's time-out, in seconds; with ticks = until-deadline not longer than the schedule's rate."
}

variable "scaler_memory_size" {
  type        = number
  default     = 128
  nullable    = false
  description = "In MiB; 128 is enough for a thousand pools."
}

variable "scaler_reserved_concurrency" {
  type        = number
  default     = null
  description = "Invocations kept for this function; none by default, since a young account's whole quota is 10 and AWS refuses to go below."
}

variable "scaler_function_url" {
  type        = bool
  default     = false
  nullable    = false
  description = "Whether there is a public address for webhooks. Not every region has it; without one the scaler asks every `tick`."
}

variable "scaler_log_level" {
  type        = string
  default     = "info"
  nullable    = false
  description = "What is logged: error, warn, info, debug, or a list."
}

variable "scaler_subnet_ids" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "Private subnets with a way out to AWS and to the platform, if the function must be in a VPC. It needs none, and destroy then waits up to an hour for its interfaces."
}

variable "scaler_security_group_ids" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "Its security groups there."
}

variable "scaler_role_arn" {
  type        = string
  default     = ""
  nullable    = false
  description = "A role of yours instead of a new one; it needs what the output scaler_policy says. It must be known before the apply."
}

variable "scaler_monitoring" {
  type        = bool
  default     = true
  nullable    = false
  description = "Whether there are alarms for the function and for each pool, a dashboard for each pool, and the scaler's own metrics for them, which CloudWatch charges for by their number. Those that count departures are there for pools with logs."
}

variable "scaler_alarm_actions" {
  type        = list(string)
  default     = []
  nullable    = false
  description = "Whom alarms tell, and tell again when all is well: ARNs, such as an SNS topic's."
}
