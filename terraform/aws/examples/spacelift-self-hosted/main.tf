# A Spacelift of your own, in a network of yours. Launcher, CA and proxy are the image's, so that nothing is fetched when an instance starts:
#
#   packer/pin spacelift-launcher x86_64 VERSION ./spacelift-launcher      # fetched from your S3 address beforehand
#   packer build ... -var platform=spacelift -var ca_certificates=acme-ca.pem -var proxy_url=http://proxy.acme.internal:3128 \
#       -var no_proxy=.acme.internal packer
#
# The launcher runs as lightsout-runner, not as root. The scaler's function is in your network, to reach the address.

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

variable "security_group_id" {
  type        = string
  default     = "sg-0123456789abcdef0"
  description = "Lets the function out by 443."
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
    url         = "https://spacelift.acme.internal"
    api_key_id  = var.api_key_id
    worker_pool = var.worker_pool
    agent       = { env = ["SPACELIFT_LAUNCHER_LOGS_TIMEOUT=10m"] }
  }
  agent_secrets = {
    token          = { ssm = "/ci/spacelift/token" }
    private_key    = { ssm = "/ci/spacelift/private-key" }
    api_key_secret = { ssm = "/ci/spacelift/api-key" }
  }
  scaler_secrets = { api_key_secret = { ssm = "/ci/spacelift/api-key" } }

  scaler_subnet_ids         = var.subnet_ids
  scaler_security_group_ids = [var.security_group_id]

  scaler_package_path = var.package_path
}

output "group_name" {
  value = module.ci.group_name
}
