# GitHub Actions: instances that serve one job each, for an organisation's repositories. A GitHub App of the fleet's own is best: `actions: read` for
# the scaler, `organization_self_hosted_runners: write` for the agents; here each has a token with just its own right.
#
#   aws ssm put-parameter --type SecureString --name /ci/github-runners --value github_pat_...
#   aws ssm put-parameter --type SecureString --name /ci/github-queue --value github_pat_...

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

  name       = "ci-github"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id
  max_size   = 20

  platform = "github"
  platform_settings = {
    organization = "acme"
    labels       = ["self-hosted", "linux", "x64"]
  }
  agent_secrets  = { token = { ssm = "/ci/github-runners" } }
  scaler_secrets = { token = { ssm = "/ci/github-queue" } }

  # GitHub ends a runner's job with the runner: an instance for each is the safest.
  jobs_per_instance = 1

  scaler_package_path = var.package_path
}

output "group_name" {
  value = module.ci.group_name
}
