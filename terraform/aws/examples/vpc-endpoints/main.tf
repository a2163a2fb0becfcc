# Instances without any way to the internet: AWS is reached through endpoints, and the platform is in the network (here a GitLab at 10.0.0.0/8, by
# peering or a transit gateway that is yours). Images of jobs come from a registry in there as well. Session Manager instead of SSH.

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

resource "aws_security_group" "endpoints" {
  name_prefix = "ci-endpoints-"
  description = "AWS's endpoints: in from the VPC by 443"
  vpc_id      = aws_vpc.ci.id
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  security_group_id = aws_security_group.endpoints.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = aws_vpc.ci.cidr_block
}

resource "aws_vpc_endpoint" "aws" {
  for_each          = toset(["autoscaling", "ec2", "ssm", "ssmmessages", "ec2messages", "logs"])
  vpc_id            = aws_vpc.ci.id
  service_name      = "com.amazonaws.eu-central-1.${each.key}"
  vpc_endpoint_type = "Interface"
  subnet_ids        = aws_subnet.private[*].id
  # By way of the rule, so that it goes after the endpoints, and they after the group: until then busy instances end themselves through them.
  security_group_ids  = [aws_vpc_security_group_ingress_rule.endpoints.security_group_id]
  private_dns_enabled = true
}

# The scaler's function is in here as well: the platform has no address outside.
resource "aws_security_group" "scaler" {
  name_prefix = "ci-scaler-"
  description = "The scaler: out by 443"
  vpc_id      = aws_vpc.ci.id

  # As the subnets: Lambda's interfaces have it for up to an hour after the function.
  timeouts {
    delete = "70m"
  }
}

resource "aws_vpc_security_group_egress_rule" "scaler" {
  security_group_id = aws_security_group.scaler.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "10.0.0.0/8"
}

module "ci" {
  source = "../.."

  name       = "ci-linux"
  subnet_ids = aws_subnet.private[*].id
  vpc_id     = aws_vpc.ci.id
  public_ip  = false
  image_id   = var.image_id

  session_manager = true
  # Destroyed after the group: busy instances end themselves through them.
  tags = { endpoints = join("_", sort([for endpoint in aws_vpc_endpoint.aws : endpoint.id])) }

  platform = "gitlab"
  platform_settings = {
    url   = "https://gitlab.acme.internal"
    group = "my-team"
    tags  = ["linux"]
  }
  agent_secrets  = { token = { ssm = "/ci/runner-token" } }
  scaler_secrets = { token = { ssm = "/ci/read-token" } }

  scaler_subnet_ids         = aws_subnet.private[*].id
  scaler_security_group_ids = [aws_vpc_security_group_egress_rule.scaler.security_group_id]

  scaler_package_path = var.package_path
}

output "group_name" {
  value = module.ci.group_name
}
