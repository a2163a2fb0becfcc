# Instances without public addresses, with a way out through one NAT gateway. The subnets are taken from the associations with their routes, so that a
# destroy takes the way out last: busy instances need it until they have gone.

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

variable "package_path" {
  type        = string
  default     = "../../../../dist/lightsout-scaler-lambda-x86_64.zip"
  description = "What packer/build made."
}

data "aws_availability_zones" "here" {
  state = "available"
}

resource "aws_vpc" "ci" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = "ci" }
}

resource "aws_subnet" "private" {
  count             = 2
  vpc_id            = aws_vpc.ci.id
  cidr_block        = cidrsubnet(aws_vpc.ci.cidr_block, 4, count.index)
  availability_zone = data.aws_availability_zones.here.names[count.index]
  tags              = { Name = "ci-private-${count.index}" }

  timeouts {
    delete = "70m"
  }
}

resource "aws_internet_gateway" "ci" {
  vpc_id = aws_vpc.ci.id
}

resource "aws_subnet" "public" {
  vpc_id            = aws_vpc.ci.id
  cidr_block        = cidrsubnet(aws_vpc.ci.cidr_block, 8, 255)
  availability_zone = data.aws_availability_zones.here.names[0]
  tags              = { Name = "ci-public" }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.ci.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.ci.id
  }
}

resource "aws_route_table_association" "public" {
  subnet_id      = aws_subnet.public.id
  route_table_id = aws_route_table.public.id
}

resource "aws_eip" "nat" {
  domain = "vpc"
}

resource "aws_nat_gateway" "ci" {
  allocation_id = aws_eip.nat.id
  subnet_id     = aws_route_table_association.public.subnet_id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.ci.id
  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.ci.id
  }
}

resource "aws_route_table_association" "private" {
  count          = length(aws_subnet.private)
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private.id
}

module "ci" {
  source = "../.."

  name       = "ci-linux"
  subnet_ids = aws_route_table_association.private[*].subnet_id
  vpc_id     = aws_vpc.ci.id
  public_ip  = false
  image_id   = var.image_id

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

output "group_name" {
  value = module.ci.group_name
}

output "nat_public_ip" {
  description = "What the platform sees the instances come from."
  value       = aws_eip.nat.public_ip
}
