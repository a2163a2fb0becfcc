# Several pools with one scaler. Its settings are in a bucket, since a function's variables hold some ten pools only; the bucket may as well be another's.

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

locals {
  gitlab = { url = "https://gitlab.example.com", group = "my-team" }
  pools = {
    linux = { types = ["m7i.large", "m6i.large", "m6a.large"], tags = ["linux"], max = 30, schedule = ["mon-fri 07:30-18:00 spare 4", "fri 16:00-18:00 spare 2"] }
    large = { types = ["m7i.4xlarge", "m6i.4xlarge", "m6a.4xlarge"], tags = ["linux", "large"], max = 5, schedule = [] }
    gpu   = { types = ["g6.xlarge", "g5.xlarge", "g4dn.xlarge"], tags = ["gpu"], max = 4, schedule = [] }
  }
}

module "pool" {
  source   = "../../modules/pool"
  for_each = local.pools

  name           = "ci-${each.key}"
  subnet_ids     = var.subnet_ids
  image_id       = var.image_id
  max_size       = each.value.max
  instance_types = each.value.types
  # In the working hours of Berlin some wait ready; outside of them none.
  schedule = each.value.schedule
  zone     = "CET-1CEST,M3.5.0,M10.5.0/3"

  platform          = "gitlab"
  platform_settings = merge(local.gitlab, { tags = each.value.tags })
  agent_secrets     = { token = { ssm = "/ci/${each.key}/runner-token" } }
  scaler_secrets    = { token = { ssm = "/ci/read-token" } }
}

resource "aws_s3_bucket" "settings" {
  bucket = "acme-ci-scaler"
}

resource "aws_s3_bucket_public_access_block" "settings" {
  bucket                  = aws_s3_bucket.settings.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

module "scaler" {
  source = "../../modules/scaler"

  name            = "ci-scaler"
  pools           = [for pool in module.pool : pool.scaler]
  settings_bucket = aws_s3_bucket.settings.bucket
  package_path    = var.package_path
}

output "group_names" {
  value = [for pool in module.pool : pool.group_name]
}
