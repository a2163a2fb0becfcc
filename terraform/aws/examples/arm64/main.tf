# Graviton: image, types and function for arm64. With a launch hook: an instance is in service once its agent is ready for jobs.

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
  default     = "../../../../dist/lightsout-scaler-lambda-arm64.zip"
  description = "What packer/build made."
}

module "ci" {
  source = "../.."

  name       = "ci-arm64"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  architecture        = "arm64"
  scaler_architecture = "arm64"
  launch_hook         = true

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
