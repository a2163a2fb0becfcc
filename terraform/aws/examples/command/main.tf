# A CI system of your own: programs in the image say what waits, and take jobs. The one that says what waits runs where the scaler does, so a function
# cannot have it; here the scaler is the service of the package lightsout-scaler on a machine of yours, and the pool is made alone.

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

module "ci" {
  source = "../../modules/pool"

  name       = "ci-custom"
  subnet_ids = var.subnet_ids
  image_id   = var.image_id

  platform = "command"
  platform_settings = {
    run          = ["/opt/ci/worker", "--foreground"]
    busy         = ["/opt/ci/worker-busy"]
    drain_signal = "INT"
    queue        = ["/opt/ci/queue-length"]
  }
}

output "group_name" {
  value = module.ci.group_name
}

# For /etc/lightsout/scaler.d/ci-custom.toml there.
output "scaler_settings" {
  value = module.ci.scaler.settings
}
