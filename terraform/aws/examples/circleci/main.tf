# CircleCI: one resource class. The scaler's token is a personal API token, read from the JSON that CircleCI's own autoscaling example keeps in Secrets
# Manager, as it is: {"resource_class": "acme/linux", "circle_token": "..."}. It may do all that its owner may, so no instance gets it: the agents have
# the resource class's own token, which CircleCI shows once when the class is made.
#
#   aws ssm put-parameter --type SecureString --name /ci/circleci-resource-class --value ...

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

  name       = "ci-circleci"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  platform = "circleci"
  platform_settings = {
    resource_classes = ["acme/linux"]
  }
  agent_secrets  = { token = { ssm = "/ci/circleci-resource-class" } }
  scaler_secrets = { token = { secretsmanager = "circleci-runner", key = "circle_token" } }

  scaler_package_path = var.package_path
}

output "group_name" {
  value = module.ci.group_name
}
