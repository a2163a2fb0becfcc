# An account whose policies refuse a launch without certain tags: they are on each instance, volume and network interface from the call that makes it,
# and on all else that is made here. The output is such a policy. AWS asks it when the group is made or gets another template, of whoever applies this.

terraform {
  required_version = ">= 1.6"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.29"
    }
  }
}

provider "aws" {
  region = "eu-central-1"
  # The scaler's, which an apply would take away each time.
  ignore_tags {
    keys = ["lightsout:floor"]
  }
}

variable "image_id" {
  type        = string
  description = "What packer built: target/image/manifest.json."
}

variable "subnet_ids" {
  type = list(string)
}

variable "package_path" {
  type        = string
  default     = "../../../../dist/lightsout-scaler-lambda-x86_64.zip"
  description = "What packer/build made."
}

locals {
  # What each instance, volume and network interface must be born with; other tags may stand beside them.
  required = { cost-centre = "4711", team = "platform" }
}

module "ci" {
  source = "../.."

  name       = "ci-linux"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  tags = local.required

  platform = "gitlab"
  platform_settings = {
    url   = "https://gitlab.example.com"
    group = "my-team"
    tags  = ["linux"]
  }
  agent_secrets  = { token = { ssm = "/ci/runner-token" } }
  scaler_secrets = { token = { ssm = "/ci/read-token" } }

  scaler_package_path = var.package_path
}

output "group_name" {
  value = module.ci.group_name
}

output "policy" {
  description = "What refuses everything else."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [for key in keys(local.required) : {
      Sid       = "Without${replace(title(replace(key, "-", " ")), " ", "")}"
      Effect    = "Deny"
      Action    = "ec2:RunInstances"
      Resource  = [for kind in ["instance", "volume", "network-interface"] : "arn:aws:ec2:*:*:${kind}/*"]
      Condition = { Null = { "aws:RequestTag/${key}" = "true" } }
    }]
  })
}
