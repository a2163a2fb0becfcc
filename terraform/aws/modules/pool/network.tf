locals {
  vpc_id = var.vpc_id == "" ? data.aws_subnet.first.vpc_id : var.vpc_id
  ways   = { ipv4 = "0.0.0.0/0", ipv6 = "::/0" }
  ports  = { for pair in setproduct(var.egress_ports, keys(local.ways)) : "${pair[0]}-${pair[1]}" => { port = pair[0], family = pair[1] } }
}

# Nobody connects to an instance: it asks.
resource "aws_security_group" "pool" {
  count       = var.create_security_group ? 1 : 0
  name_prefix = "${var.name}-"
  description = "CI instances of ${var.name}: out, not in"
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = var.name })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "all" {
  for_each          = var.create_security_group && length(var.egress_ports) == 0 ? local.ways : {}
  security_group_id = aws_security_group.pool[0].id
  ip_protocol       = "-1"
  cidr_ipv4         = each.key == "ipv4" ? each.value : null
  cidr_ipv6         = each.key == "ipv6" ? each.value : null
  description       = "Everything"
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "ports" {
  for_each          = var.create_security_group ? local.ports : {}
  security_group_id = aws_security_group.pool[0].id
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = each.value.family == "ipv4" ? local.ways.ipv4 : null
  cidr_ipv6         = each.value.family == "ipv6" ? local.ways.ipv6 : null
  description       = "TCP ${each.value.port}"
  tags              = local.tags
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
