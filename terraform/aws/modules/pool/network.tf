locals {
  vpc_id = var.vpc_id == "" ? data.aws_subnet.first.vpc_id : var.vpc_id
  egress = length(var.egress_ports) == 0 ? [{ protocol = "-1", port = 0, description = "Everything" }] : [
    for port in var.egress_ports : { protocol = "tcp", port = port, description = "TCP ${port}" }
  ]
}

# Nobody connects to an instance: it asks.
resource "aws_security_group" "pool" {
  count       = var.create_security_group ? 1 : 0
  name_prefix = "${var.name}-"
  description = "CI instances of ${var.name}: out, not in"
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = var.name })

  # A part of the group: rules as resources of their own would be destroyed before it, and cut off instances that still run.
  egress = [
    for way in local.egress : {
      protocol         = way.protocol
      from_port        = way.port
      to_port          = way.port
      cidr_blocks      = ["0.0.0.0/0"]
      ipv6_cidr_blocks = ["::/0"]
      prefix_list_ids  = []
      security_groups  = []
      self             = false
      description      = way.description
    }
  ]

  # EC2 deletes no security group that an instance still has. So whatever is destroyed after this one is there until the last instance has gone, also
  # where the Auto Scaling group is not this module's.
  timeouts {
    delete = var.delete_timeout
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [
    aws_iam_role_policy.agent,
    aws_iam_role_policy.extra,
    aws_iam_role_policy_attachment.managed,
    aws_iam_instance_profile.agent,
    aws_kms_grant.volumes,
    aws_cloudwatch_log_group.instances,
  ]
}

resource "aws_vpc_security_group_ingress_rule" "rule" {
  for_each                     = var.create_security_group ? var.ingress_rules : {}
  security_group_id            = aws_security_group.pool[0].id
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.port
  to_port                      = each.value.port
  cidr_ipv4                    = each.value.cidr_ipv4
  cidr_ipv6                    = each.value.cidr_ipv6
  referenced_security_group_id = each.value.security_group_id
  description                  = each.key
  tags                         = local.tags
}
