# GitLab: one pool of instances that take one job each, and its scaler. Nothing costs anything while no job waits but the function's minutes.
#
#   aws ssm put-parameter --type SecureString --name /ci/runner-token --value glrt-...   # the runner's authentication token
#   aws ssm put-parameter --type SecureString --name /ci/read-token --value glpat-...    # an access token with read_api, role Reporter

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
  max_size   = 20

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

# For those who look after it: resource "aws_iam_role_policy" "operators" { role = "ci-operators", policy = module.ci.operator_policy }
output "operator_policy" {
  value = module.ci.operator_policy
}

output "group_name" {
  value = module.ci.group_name
}
