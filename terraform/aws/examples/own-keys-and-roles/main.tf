# Everything that a strict account wants of its own: secrets and their key, the key of the volumes (its policy written elsewhere, so no grant from here),
# an instance profile, a role for the function, a boundary for what is still made, and a package by version and hash. What your roles need is in the
# outputs.

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

locals {
  account = "123456789012"
  key     = "arn:aws:kms:eu-central-1:${local.account}:key/01234567-89ab-cdef-0123-456789abcdef"
}

variable "package_s3" {
  type = object({ bucket = string, key = string, version = string, sha256 = string })
  default = {
    bucket  = "acme-artefacts"
    key     = "lightsout/0.1.0/lightsout-scaler-lambda-x86_64.zip"
    version = "3sL4kqtJlcpXroDTDmJ"
    sha256  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  }
}

module "ci" {
  source = "../.."

  name       = "ci-strict"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  platform = "gitlab"
  platform_settings = {
    url   = "https://gitlab.example.com"
    group = "my-team"
    tags  = ["strict"]
  }
  agent_secrets        = { token = { secretsmanager = "arn:aws:secretsmanager:eu-central-1:${local.account}:secret:ci/runner-AbCdEf" } }
  scaler_secrets       = { token = { secretsmanager = "ci/read", key = "token" } }
  secrets_kms_key_arns = [local.key]

  kms_key_arn     = local.key
  kms_grant       = false
  log_kms_key_arn = local.key

  instance_profile_name = "acme-ci-instances"
  scaler_role_arn       = "arn:aws:iam::${local.account}:role/acme-ci-scaler"
  permissions_boundary  = "arn:aws:iam::${local.account}:policy/acme-boundary"

  scaler_package_s3 = var.package_s3
}

output "agent_policy" {
  value = module.ci.agent_policy
}

output "scaler_policy" {
  value = module.ci.scaler_policy
}

output "kms_key_policy_statements" {
  value = module.ci.kms_key_policy_statements
}
