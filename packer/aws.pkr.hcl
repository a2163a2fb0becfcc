# All that is AWS's: its variables, what they must not be together, and the source.

variable "region" {
  type    = string
  default = "eu-central-1"
}

variable "source_image" {
  type        = string
  default     = ""
  description = "The name of the base image, with * for any text, instead of the vendor's newest."
}

variable "source_image_owners" {
  type        = list(string)
  default     = []
  description = "Whose base images count; with source_image."
}

variable "ssh_username" {
  type        = string
  default     = ""
  description = "With a source_image that has another user than its system's usual one."
}

variable "instance_type" {
  type        = string
  default     = ""
  description = "What the image is built on: t3.medium or t4g.medium."
}

variable "volume_gb" {
  type        = number
  default     = 16
  description = "The root volume's size; the launch template may have a larger one."
}

variable "vpc_id" {
  type    = string
  default = ""
}

variable "subnet_id" {
  type    = string
  default = ""
}

variable "subnet_tags" {
  type        = map(string)
  default     = {}
  description = "Tags of the subnet, instead of subnet_id: among several the one with the most free addresses."
}

variable "security_group_ids" {
  type        = list(string)
  default     = []
  description = "Instead of a temporary one, which lets only this machine's public address in."
}

variable "associate_public_ip" {
  type    = bool
  default = true
}

variable "session_manager" {
  type        = bool
  default     = false
  description = "Connect through Session Manager: no open port and no public address. Needs its plugin here and build_instance_profile."
}

variable "build_instance_profile" {
  type        = string
  default     = ""
  description = "The build instance's profile; for Session Manager with AmazonSSMManagedInstanceCore."
}

variable "share_accounts" {
  type    = list(string)
  default = []
}

variable "share_organizations" {
  type        = list(string)
  default     = []
  description = "ARNs of organizations."
}

variable "share_organizational_units" {
  type        = list(string)
  default     = []
  description = "ARNs of organizational units."
}

variable "copy_to_regions" {
  type        = list(string)
  default     = []
  description = "Regions beside the build's."
}

variable "kms_keys" {
  type        = map(string)
  default     = {}
  description = "The customer key of each region: { eu-central-1 = \"arn:aws:kms:...\" }. Needed to share or to copy: nobody else can use the account's own."
}

variable "deprecate_after" {
  type        = string
  default     = "8760h"
  description = "After so long the image is marked as deprecated; GitHub's runner ends it 29 days after its release, whatever stands here."
}

variable "deregistration_protection" {
  type        = string
  default     = "on"
  description = "Whether the image is kept from being deregistered: on, with-cooldown (24 hours longer) or off."
  validation {
    condition     = contains(["on", "with-cooldown", "off"], var.deregistration_protection)
    error_message = "The deregistration_protection is on, with-cooldown or off."
  }
}

variable "ssm_agent" {
  type        = bool
  default     = true
  description = "Session Manager on the instances. On Ubuntu and Debian pinned as amazon-ssm-agent, unless the base image has it."
}

variable "cloudwatch_agent" {
  type        = bool
  default     = false
  description = "On Ubuntu and Debian pinned as amazon-cloudwatch-agent."
}

variable "cloudwatch_settings" {
  type        = string
  default     = ""
  description = "A file for the CloudWatch agent, instead of files/cloudwatch-agent.json."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "More tags for image, snapshots and the build's instance and volume."
}

locals {
  bases = {
    "amazon-linux-2023" = {
      user   = "ec2-user"
      owners = ["amazon"]
      name   = "al2023-ami-${var.releasever == "" ? "2023" : var.releasever}.*-kernel-6.1-${var.architecture}"
    }
    "ubuntu-24.04" = {
      user   = "ubuntu"
      owners = ["099720109477"] # Canonical
      name   = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-${local.debian_architecture}-server-*"
    }
    "debian-12" = {
      user   = "admin"
      owners = ["136693071363"] # Debian
      name   = "debian-12-${local.debian_architecture}-*"
    }
  }
  base = local.bases[var.os]

  regions  = concat([var.region], var.copy_to_regions)
  shared   = length(var.share_accounts) + length(var.share_organizations) + length(var.share_organizational_units) > 0
  needless = [for region in keys(var.kms_keys) : region if contains(local.regions, region) == false]
  keyless  = [for region in local.regions : region if lookup(var.kms_keys, region, "") == ""]

  # Under 30 days after its release, from when on GitHub gives an older runner no jobs.
  released     = var.platform == "github" && local.runner_pin.released != "" ? "${local.runner_pin.released}T00:00:00Z" : ""
  deprecate_at = local.released == "" ? timeadd(timestamp(), var.deprecate_after) : timeadd(local.released, "696h")
  too_old      = local.released != "" && parseint(formatdate("YYYYMMDD", local.deprecate_at), 10) <= parseint(formatdate("YYYYMMDD", timestamp()), 10)

  aws_problems = compact([
    var.vpc_id != "" && var.subnet_id == "" && length(var.subnet_tags) == 0 ? "vpc_id is set without subnet_id or subnet_tags, and then no subnet is found: set one of them" : "",
    var.subnet_id != "" && length(var.subnet_tags) > 0 ? "subnet_id and subnet_tags are both set: keep one of them" : "",
    var.session_manager && var.build_instance_profile == "" ? "session_manager needs build_instance_profile: one with AmazonSSMManagedInstanceCore" : "",
    var.session_manager && var.associate_public_ip ? "session_manager needs no public address: set associate_public_ip = false" : "",
    var.source_image != "" && length(var.source_image_owners) == 0 ? "source_image is set without source_image_owners: name whose image it is, else anybody's counts" : "",
    (local.shared || length(var.copy_to_regions) > 0) && length(local.keyless) > 0 ? "the image is shared or copied, and kms_keys has no customer key for ${join(", ", local.keyless)}: the account's own key can be used by nobody else" : "",
    length(local.needless) > 0 ? "kms_keys has keys for regions that get no image: ${join(", ", local.needless)}" : "",
    var.releasever != "" && var.os != "amazon-linux-2023" ? "releasever is Amazon Linux's, and os is ${var.os}: leave it out" : "",
    local.too_old ? "actions-runner ${local.runner_pin.version} was released on ${local.runner_pin.released}, and GitHub gives no jobs to a runner that is 30 days behind: pin a newer one" : "",
  ])
  # parseint shows what it was given, which is the only way to say more than one variable's validation may.
  aws_checked = length(local.aws_problems) == 0 ? 0 : parseint("wrong variables: ${join("; ", local.aws_problems)}", 10)

  aws_tags = merge({
    Name                  = local.image_name
    "lightsout:commit"    = var.commit
    "lightsout:platform"  = var.platform
    "lightsout:agent"     = basename(var.agent_package)
    "lightsout:runner"    = local.runner_pin.version
    "lightsout:os"        = var.os
    "lightsout:base"      = "{{ .SourceAMI }}"
    "lightsout:base-name" = "{{ .SourceAMIName }}"
  }, var.tags)
}

source "amazon-ebs" "lightsout" {
  region                      = var.region
  instance_type               = var.instance_type != "" ? var.instance_type : (var.architecture == "arm64" ? "t4g.medium" : "t3.medium")
  associate_public_ip_address = var.associate_public_ip
  iam_instance_profile        = var.build_instance_profile
  shutdown_behavior           = "terminate"

  source_ami_filter {
    filters = {
      name                = var.source_image != "" ? var.source_image : local.base.name
      architecture        = var.architecture
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    owners      = var.source_image != "" ? var.source_image_owners : local.base.owners
    most_recent = true
    # A release that was pinned is deprecated some months later, and is the one that was asked for all the same.
    include_deprecated = var.releasever != "" || var.source_image != "" # not in Packer 1.6.6
  }

  vpc_id             = var.vpc_id
  subnet_id          = var.subnet_id
  security_group_ids = var.security_group_ids
  dynamic "subnet_filter" {
    for_each = length(var.subnet_tags) > 0 ? [1] : []
    content {
      filters   = { for name, value in var.subnet_tags : "tag:${name}" => value }
      most_free = true
    }
  }

  communicator              = "ssh"
  ssh_username              = var.ssh_username != "" ? var.ssh_username : local.base.user
  ssh_interface             = var.session_manager ? "session_manager" : (var.associate_public_ip ? "public_ip" : "private_ip")
  ssh_clear_authorized_keys = true
  ssh_timeout               = "10m"

  ami_name        = local.image_name
  ami_description = "lightsout: ${var.platform} on ${var.os}, ${var.architecture}, commit ${var.commit}"
  encrypt_boot    = true
  kms_key_id      = lookup(var.kms_keys, var.region, "")
  ami_users       = var.share_accounts
  # Packer wants the build's own region among them, as soon as it has a key of its own.
  ami_regions        = length(var.copy_to_regions) > 0 ? local.regions : []
  region_kms_key_ids = length(var.copy_to_regions) > 0 ? var.kms_keys : {}
  snapshot_users     = var.share_accounts

  launch_block_device_mappings {
    device_name           = var.os == "ubuntu-24.04" ? "/dev/sda1" : "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = var.volume_gb
    iops                  = 3000
    throughput            = 125
    encrypted             = true
    delete_on_termination = true
  }

  tags            = local.aws_tags
  snapshot_tags   = local.aws_tags
  run_tags        = local.aws_tags
  run_volume_tags = local.aws_tags

  # From here on what Packer 1.6.6 does not know; tests/image/run leaves it out to have the rest validated there.
  temporary_key_pair_type = "ed25519"
  # Only by a public address does the build come from one.
  temporary_security_group_source_public_ip = length(var.security_group_ids) == 0 && var.associate_public_ip
  ami_org_arns                              = var.share_organizations
  ami_ou_arns                               = var.share_organizational_units
  imds_support                              = "v2.0"
  deprecate_at                              = local.deprecate_at
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  deregistration_protection {
    enabled       = var.deregistration_protection != "off"
    with_cooldown = var.deregistration_protection == "with-cooldown"
  }
  # Until here.
}
