# StackGuardian: a runner group; an instance does several workflows at once.
#
#   aws ssm put-parameter --type SecureString --name /ci/stackguardian/token --value ...     # the runner group's
#   aws ssm put-parameter --type SecureString --name /ci/stackguardian/api-key --value sgu_...

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

  name       = "ci-stackguardian"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  platform = "stackguardian"
  platform_settings = {
    organization = "acme"
    runner_group = "private-aws"
  }
  agent_secrets = {
    token   = { ssm = "/ci/stackguardian/token" }
    api_key = { ssm = "/ci/stackguardian/api-key" }
  }
  scaler_secrets = { api_key = { ssm = "/ci/stackguardian/api-key" } }

  slots       = 3
  volume_size = 100

  scaler_package_path = var.package_path
}

output "group_name" {
  value = module.ci.group_name
}
