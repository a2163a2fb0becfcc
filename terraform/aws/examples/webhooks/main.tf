# Webhooks: GitLab tells the scaler of each job, so an invocation need look once only and the function costs next to nothing. The schedule stays, for
# what a webhook missed. The address goes to GitLab: Settings, Webhooks, Job events, with the same secret.
#
#   aws ssm put-parameter --type SecureString --name /ci/webhook-secret --value "$(openssl rand -hex 32)"

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

  name       = "ci-linux"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  platform = "gitlab"
  platform_settings = {
    url   = "https://gitlab.example.com"
    group = "my-team"
    tags  = ["linux"]
  }
  agent_secrets  = { token = { ssm = "/ci/runner-token" } }
  scaler_secrets = { token = { ssm = "/ci/read-token" } }

  webhook             = { ssm = "/ci/webhook-secret" }
  scaler_function_url = true
  scaler_ticks        = "one"

  scaler_package_path = var.package_path
}

output "webhook_url" {
  value = "${module.ci.webhook_url}ci-linux"
}
