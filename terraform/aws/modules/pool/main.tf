data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_default_tags" "current" {}

data "aws_subnet" "first" {
  id = var.subnet_ids[0]
}

# Named by id as well, so that an image that is gone or of another architecture is told by the plan.
data "aws_ami" "image" {
  most_recent = true
  owners      = var.image_id == "" ? var.image_owners : null
  # An image that is named stays usable when its owner deprecates it, and a destroy reads it, too.
  include_deprecated = var.image_id != ""

  filter {
    name   = var.image_id == "" ? "name" : "image-id"
    values = [var.image_id == "" ? var.image_name : var.image_id]
  }

  dynamic "filter" {
    for_each = var.image_id == "" ? [var.architecture] : []
    content {
      name   = "architecture"
      values = [filter.value]
    }
  }

  lifecycle {
    precondition {
      condition     = (var.image_id == "") != (var.image_name == "")
      error_message = "Say which image: image_id, or image_name for the newest of that name, and not both."
    }
  }
}

data "aws_autoscaling_group" "existing" {
  count = var.existing_group_name == "" ? 0 : 1
  name  = var.existing_group_name

  lifecycle {
    postcondition {
      condition     = self.new_instances_protected_from_scale_in
      error_message = "The group ${self.name} does not protect its instances from their birth, so a scale-in could end one under its job: aws autoscaling update-auto-scaling-group --auto-scaling-group-name ${self.name} --new-instances-protected-from-scale-in"
    }
    postcondition {
      condition     = contains(coalesce(self.suspended_processes, []), "AZRebalance")
      error_message = "The group ${self.name} would end instances to spread the others over zones: aws autoscaling suspend-processes --auto-scaling-group-name ${self.name} --scaling-processes AZRebalance"
    }
    postcondition {
      condition     = coalesce(self.health_check_type, "EC2") == "EC2"
      error_message = "The group ${self.name} has the health check ${coalesce(self.health_check_type, "-")}, which ends busy instances: aws autoscaling update-auto-scaling-group --auto-scaling-group-name ${self.name} --health-check-type EC2"
    }
    postcondition {
      condition     = coalesce(self.max_instance_lifetime, 0) == 0
      error_message = "The group ${self.name} ends instances for their age, whatever they do; max_age does that between jobs: aws autoscaling update-auto-scaling-group --auto-scaling-group-name ${self.name} --max-instance-lifetime 0"
    }
  }
}

locals {
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  account   = data.aws_caller_identity.current.account_id

  create_group = var.existing_group_name == ""
  group_name   = local.create_group ? var.name : var.existing_group_name
  # Put together, not read from the group: so it is known before the group is there. The star stands for the group's UUID.
  group_arn = "arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.group_name}"

  default_instance_types = {
    x86_64 = ["m7i.large", "m7a.large", "m6i.large", "m6a.large", "m5.large", "m5a.large"]
    arm64  = ["m8g.large", "m7g.large", "m6g.large", "m7gd.large", "m6gd.large", "t4g.large"]
  }
  instance_types = length(var.instance_types) > 0 ? var.instance_types : local.default_instance_types[var.architecture]
  # Graviton's families have a g behind the generation: m7g, c7gn, im4gn; g5 has not.
  wrong_types = [for type in local.instance_types : type if can(regex("^(a1|[a-z]+[0-9]+g[a-z]*)\\.", type)) != (var.architecture == "arm64")]

  # The provider's default_tags reach neither instances nor volumes by themselves.
  tags          = merge(data.aws_default_tags.current.tags, var.tags)
  group_tags    = merge(local.tags, { Name = var.name, "ci-fleet" = local.group_name }, local.settings_tags)
  tags_not_told = [for key in keys(local.group_tags) : key if !can(regex("^[A-Za-z0-9+=.,_:@-]+$", key))]
}

resource "aws_autoscaling_group" "pool" {
  count = local.create_group ? 1 : 0

  name                = var.name
  min_size            = var.min_size
  max_size            = var.max_size
  vpc_zone_identifier = var.subnet_ids

  # A job is safe from every value of the desired capacity, from the first second on.
  protect_from_scale_in = true
  # Instances are ended for the balance of zones by nobody, for their age and for a rebalance recommendation by their own agent.
  suspended_processes       = ["AZRebalance"]
  capacity_rebalance        = false
  health_check_type         = "EC2"
  health_check_grace_period = 300
  default_instance_warmup   = 0
  termination_policies      = ["OldestLaunchTemplate", "OldestInstance"]
  # The scaler raises when jobs wait; an apply waits for no instance.
  wait_for_capacity_timeout = "0"
  enabled_metrics           = var.enabled_metrics
  service_linked_role_arn   = var.service_linked_role == "AWSServiceRoleForAutoScaling" ? null : local.service_linked_role_arn

  mixed_instances_policy {
    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.pool.id
        version            = aws_launch_template.pool.latest_version
      }
      dynamic "override" {
        for_each = local.instance_types
        content {
          instance_type = override.value
        }
      }
    }
    instances_distribution {
      on_demand_allocation_strategy            = "prioritized"
      on_demand_base_capacity                  = var.on_demand_base
      on_demand_percentage_above_base_capacity = var.on_demand_percentage
      spot_allocation_strategy                 = var.spot_allocation_strategy
      spot_max_price                           = var.spot_max_price == "" ? null : var.spot_max_price
    }
  }

  # Inside the group, so that it is there as long as any member is. Constants, since any change would replace the group.
  initial_lifecycle_hook {
    name                 = "lightsout-drain"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = 600
    default_result       = "CONTINUE"
  }

  dynamic "initial_lifecycle_hook" {
    for_each = var.launch_hook ? ["lightsout-ready"] : []
    content {
      name                 = initial_lifecycle_hook.value
      lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
      heartbeat_timeout    = 600
      default_result       = "ABANDON"
    }
  }

  dynamic "instance_refresh" {
    for_each = var.instance_refresh ? ["Rolling"] : []
    content {
      strategy = instance_refresh.value
      preferences {
        # Protected instances are replaced, and finish their jobs behind the termination hook.
        scale_in_protected_instances = "Refresh"
        standby_instances            = "Ignore"
        min_healthy_percentage       = 90
        instance_warmup              = 0
        skip_matching                = true
      }
    }
  }

  dynamic "tag" {
    for_each = local.group_tags
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  timeouts {
    delete = var.delete_timeout
  }

  lifecycle {
    # The scaler's and the agents' to change; what the group was born with as hooks stays.
    ignore_changes = [desired_capacity, initial_lifecycle_hook]

    # Of the group as it is, not of the variable: what it was born with as hooks stays.
    postcondition {
      condition     = var.boot_bundle == null || !contains([for hook in self.initial_lifecycle_hook : hook.name], "lightsout-ready")
      error_message = "boot_bundle does not go with a launch hook, and ${self.name} has one: while an instance makes itself there is no agent that extends the hook, which gives the launch up after 600 s. A group keeps the hooks that it was born with: leave launch_hook out and give the pool another name, or build an image."
    }

    precondition {
      condition     = var.min_size <= var.max_size
      error_message = "min_size ${var.min_size} is above max_size ${var.max_size}: raise the one or lower the other."
    }
  }

  # Destroyed after the group: until then its members work with them and end themselves with them.
  depends_on = [
    aws_iam_role_policy.agent,
    aws_iam_role_policy.extra,
    aws_iam_role_policy_attachment.managed,
    aws_iam_instance_profile.agent,
    aws_kms_grant.volumes,
    aws_cloudwatch_log_group.instances,
  ]
}

resource "aws_cloudwatch_log_group" "instances" {
  count             = var.logs ? 1 : 0
  name              = "lightsout/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn == "" ? null : var.log_kms_key_arn
  tags              = local.tags
}

# An instance's last record says why it leaves. Counted as agents count it themselves, under the name by which dashboard and alarms know it.
resource "aws_cloudwatch_log_metric_filter" "departures" {
  for_each       = var.logs ? local.leave_reasons : []
  name           = "${var.name}-departures-${each.key}"
  log_group_name = aws_cloudwatch_log_group.instances[0].name
  pattern        = "{ $.kind = \"departure\" && $.reason = \"${each.key}\" }"

  metric_transformation {
    namespace  = "lightsout"
    name       = "lightsout.departures.${each.key}"
    value      = "1"
    unit       = "Count"
    dimensions = { pool = "$.group" }
  }
}

locals {
  leave_reasons = toset(flatten(regexall("lightsout[.]departures[.]([a-z-]+)", file("${path.module}/../../../../monitoring/cloudwatch/dashboard.json"))))
}
