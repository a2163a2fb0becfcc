# A group that is there already, say one that another autoscaler has raised until now: its role, launch template and the scaler are made here. You put
# the template into the group, whose instances leave by and by. The plan fails where it sees that the group could end instances under their jobs, and
# says what to run; hooks, capacity rebalancing and policies it does not see (README.md, "A group that is there"). Take the other autoscaler's schedule
# away first. Before a destroy the group gets a launch template of yours again; the destroy then waits until the last instance of this one has left.

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

variable "existing_group_name" {
  type    = string
  default = "ci-existing"
}

module "ci" {
  source = "../.."

  name       = "ci-existing"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  existing_group_name = var.existing_group_name

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

output "launch_template" {
  description = "aws autoscaling update-auto-scaling-group --auto-scaling-group-name NAME --launch-template LaunchTemplateId=ID,Version=VERSION"
  value       = "LaunchTemplateId=${module.ci.launch_template_id},Version=${module.ci.launch_template_version}"
}
