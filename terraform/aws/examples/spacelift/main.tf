# Spacelift: a worker pool. The agents drain their own workers with an API key (`Worker Pool: Drain Worker`); the scaler's needs `Space: Read` only.
#
#   aws ssm put-parameter --type SecureString --name /ci/spacelift/token --value ...         # the pool's token
#   aws ssm put-parameter --type SecureString --name /ci/spacelift/private-key --value ...   # its private key, in base64
#   aws ssm put-parameter --type SecureString --name /ci/spacelift/api-key --value ...

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

variable "api_key_id" {
  type        = string
  description = "The id of the API key whose secret is in /ci/spacelift/api-key."
}

variable "worker_pool" {
  type        = string
  description = "The worker pool's id, as its page has it."
}

module "ci" {
  source = "../.."

  name       = "ci-spacelift"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  platform = "spacelift"
  platform_settings = {
    url         = "https://acme.app.spacelift.io"
    api_key_id  = var.api_key_id
    worker_pool = var.worker_pool
  }
  agent_secrets = {
    token          = { ssm = "/ci/spacelift/token" }
    private_key    = { ssm = "/ci/spacelift/private-key" }
    api_key_secret = { ssm = "/ci/spacelift/api-key" }
  }
  scaler_secrets = { api_key_secret = { ssm = "/ci/spacelift/api-key" } }

  scaler_package_path = var.package_path
}

output "group_name" {
  value = module.ci.group_name
}
