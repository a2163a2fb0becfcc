resource "aws_launch_template" "pool" {
  # By prefix: a template that has to be made anew stands beside the old one until the group has it.
  name_prefix            = "${var.name}-"
  update_default_version = true
  image_id               = data.aws_ami.image.id
  instance_type          = local.instance_types[0]
  key_name               = var.ssh_public_key == "" ? (var.ssh_key_name == "" ? null : var.ssh_key_name) : aws_key_pair.ssh[0].key_name
  user_data              = base64encode(local.user_data)
  # A machine that switches itself off is gone, and billed no more.
  instance_initiated_shutdown_behavior = "terminate"

  iam_instance_profile {
    name = local.instance_profile_name
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
    # On a subnet of IPv6 alone nothing leads to its other address, and at this one it is silent unless asked to answer.
    http_protocol_ipv6 = data.aws_subnet.first.ipv6_native == true ? "enabled" : null
  }

  monitoring {
    enabled = var.detailed_monitoring
  }

  # Always with its interface: only there can an address be asked for, and then the groups must be there, too.
  network_interfaces {
    device_index                = 0
    delete_on_termination       = true
    associate_public_ip_address = var.public_ip
    ipv6_address_count          = var.ipv6_address_count == 0 ? null : var.ipv6_address_count
    security_groups             = concat(aws_security_group.pool[*].id, var.security_group_ids)
  }

  block_device_mappings {
    device_name = data.aws_ami.image.root_device_name
    ebs {
      volume_size           = var.volume_size
      volume_type           = var.volume_type
      iops                  = var.volume_iops
      throughput            = var.volume_throughput
      encrypted             = true
      kms_key_id            = var.kms_key_arn == "" ? null : var.kms_key_arn
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume", "network-interface"]
    content {
      resource_type = tag_specifications.value
      tags          = local.group_tags
    }
  }

  tags = local.tags

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = length(local.unknown) == 0
      error_message = "platform_settings has ${join(", ", local.unknown)}, which ${var.platform} does not know, or which is a secret: settings are ${join(", ", distinct(concat(local.keys.agent, local.keys.scaler)))}; secrets go to agent_secrets and scaler_secrets."
    }
    precondition {
      condition     = length(local.agent_unknown) == 0
      error_message = "agent_secrets has ${join(", ", local.agent_unknown)}; the agent's secrets of ${var.platform} are ${join(", ", local.keys.agent_secrets)}."
    }
    precondition {
      condition     = length(local.scaler_unknown) == 0
      error_message = "scaler_secrets has ${join(", ", local.scaler_unknown)}; the scaler's secrets of ${var.platform} are ${join(", ", local.keys.scaler_secrets)}."
    }
    precondition {
      condition     = length(local.wrong_types) == 0
      error_message = "instance_types has ${join(", ", local.wrong_types)}, and the architecture is ${var.architecture}: an image boots on types of its own architecture only."
    }
    precondition {
      condition     = data.aws_ami.image.architecture == null || data.aws_ami.image.architecture == var.architecture
      error_message = "The image ${data.aws_ami.image.id} is for ${coalesce(data.aws_ami.image.architecture, "-")}, and the architecture is ${var.architecture}."
    }
    precondition {
      condition     = length(local.tags_not_told) == 0
      error_message = "The tags ${join(", ", local.tags_not_told)} cannot be told in metadata, and every launch would fail: letters, digits and + - = . , _ : @ only. Whose are they: tags, or the provider's default_tags?"
    }
    precondition {
      condition     = var.kms_grant != true || var.kms_key_arn != ""
      error_message = "kms_grant is set without kms_key_arn: name the key that is granted."
    }
    precondition {
      condition     = var.ssh_key_name == "" || var.ssh_public_key == ""
      error_message = "ssh_key_name and ssh_public_key are both set: keep one of them."
    }
    precondition {
      condition     = var.create_security_group || length(var.security_group_ids) > 0
      error_message = "The instances would have the VPC's default security group: set create_security_group, or name security_group_ids."
    }
    precondition {
      condition     = var.create_security_group || length(var.ingress_rules) == 0
      error_message = "ingress_rules belong to the pool's own security group: set create_security_group, or add them to security_group_ids' groups."
    }
    precondition {
      condition     = !(data.aws_subnet.first.ipv6_native == true && var.platform == "github")
      error_message = "The subnet ${var.subnet_ids[0]} has IPv6 only, with which GitHub's runner does not work: name subnets with IPv4, dual stack is fine."
    }
    precondition {
      condition     = var.webhook == null || contains(local.platforms_with_webhooks, var.platform)
      error_message = "${var.platform} has no webhooks, and the scaler would refuse all of its settings, those of other pools among them: leave webhook out. Webhooks have ${join(", ", local.platforms_with_webhooks)}."
    }
    precondition {
      condition     = length(var.schedule) == 0 || var.zone != ""
      error_message = "schedule is set without zone, and nobody knows whose clock it goes by: set zone = \"UTC\", or a rule such as \"CET-1CEST,M3.5.0,M10.5.0/3\"."
    }
    precondition {
      condition     = var.cache_bucket == "" || (var.platform == "gitlab" && !contains(local.given, "extra"))
      error_message = "cache_bucket is written into GitLab's `extra`: it is for platform = \"gitlab\" without platform_settings.extra. Grant the bucket in extra_policies and write its [cache] there yourself."
    }
  }
}

resource "aws_key_pair" "ssh" {
  count           = var.ssh_public_key == "" ? 0 : 1
  key_name_prefix = "${var.name}-"
  public_key      = var.ssh_public_key
  tags            = local.tags
}
