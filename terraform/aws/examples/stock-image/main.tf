# Without an image of one's own: Ubuntu as Canonical has it, which makes itself at its first start ("Without an image" in the module's README).

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
  default_tags {
    tags = { team = "platform" }
  }
  # The scaler's, which an apply would take away each time.
  ignore_tags {
    keys = ["lightsout:floor"]
  }
}

variable "image_id" {
  type        = string
  description = "aws ssm get-parameter --name /aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
}

variable "boot_bundle" {
  type = object({ bucket = string, key = string, version = string, sha256 = string })
  default = {
    bucket  = "acme-artefacts"
    key     = "lightsout/gitlab.tar.gz"
    version = "3sL4kqtJlcpXroDTDmJ"
    sha256  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  }
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

  name       = "ci-linux"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  boot_bundle   = var.boot_bundle
  boot_deadline = "20m"

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
