# Keys of your own, for secrets and volumes, with roles that the module makes: the instances' role may decrypt the secrets, and Auto Scaling's
# service-linked role gets a grant for the volumes. The account needs that role before: aws iam create-service-linked-role
# --aws-service-name autoscaling.amazonaws.com.

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

variable "kms_key_arn" {
  type    = string
  default = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
}

module "ci" {
  source = "../.."

  name       = "ci-keys"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  platform = "gitlab"
  platform_settings = {
    url   = "https://gitlab.example.com"
    group = "my-team"
    tags  = ["linux"]
  }
  agent_secrets        = { token = { secretsmanager = "ci/runner" } }
  scaler_secrets       = { token = { secretsmanager = "ci/read", key = "token" } }
  secrets_kms_key_arns = [var.kms_key_arn]
  kms_key_arn          = var.kms_key_arn

  extra_policies = {
    pull = jsonencode({
      Version   = "2012-10-17"
      Statement = [{ Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = "*" }]
    })
  }

  scaler_package_path = var.package_path
}

output "group_name" {
  value = module.ci.group_name
}
