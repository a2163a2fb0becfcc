# Buildkite: one queue of a cluster, two jobs at once on each instance.
#
#   aws ssm put-parameter --type SecureString --name /ci/buildkite-agent-token --value bkct_...

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

module "ci" {
  source = "../.."

  name       = "ci-buildkite"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  platform          = "buildkite"
  platform_settings = { queue = "default" }
  agent_secrets     = { token = { ssm = "/ci/buildkite-agent-token" } }
  scaler_secrets    = { token = { ssm = "/ci/buildkite-agent-token" } }
  slots             = 2

  scaler_package_path = var.package_path
}

output "group_name" {
  value = module.ci.group_name
}
