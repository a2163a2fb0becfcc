# ---- the function: an invocation fails when any pool had a failed tick in it, so one metric of AWS's own says that something is wrong
# with some pool; which, is in the log. That it is not invoked at all, or never gets as far as a good tick, each pool's own alarm tells
# (LightsoutScalerIsSilent).

locals {
  alarms = {
    errors = {
      says   = "The scaler could not read or raise some pool in three of five minutes: jobs may wait. Run `aws logs tail ${local.log_group_name} --since 15m`: which pool, and why."
      metric = "Errors"
    }
    throttles = {
      says   = "The scaler was throttled in three of five minutes: nothing is raised meanwhile. Run `aws lambda get-account-settings` and `aws lambda get-function-concurrency --function-name ${var.name}`: whose concurrency is used up?"
      metric = "Throttles"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "scaler" {
  for_each = var.monitoring ? local.alarms : {}

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.says
  namespace           = "AWS/Lambda"
  metric_name         = each.value.metric
  dimensions          = { FunctionName = aws_lambda_function.scaler.function_name }
  statistic           = "Sum"
  period              = 60 * local.minutes
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

# ---- the pools, by the scaler's own metrics, which it writes into its log in the embedded metric format: docs/metrics.md

locals {
  monitoring = "${path.module}/../../../../monitoring/cloudwatch"
  # By the name that the pool has in the scaler's metrics; agents' have their group's.
  monitored = {
    for pool in var.pools : coalesce(pool.name, local.group_of[pool.group_arn]) => {
      pool             = coalesce(pool.name, local.group_of[pool.group_arn])
      group            = local.group_of[pool.group_arn]
      region           = local.region
      log_group        = local.log_group_name
      agents_log_group = coalesce(pool.log_group, "-")
    }
  }
  group_of = { for pool in var.pools : pool.group_arn => regex("autoScalingGroupName/(.+)$", pool.group_arn)[0] }
  # Without their records in a log group nobody counts what instances leave for.
  counted = { for pool in var.pools : coalesce(pool.name, local.group_of[pool.group_arn]) => pool.log_group != null }
  pool_alarms = merge([
    for name, names in local.monitored : {
      for alarm in jsondecode(templatefile("${local.monitoring}/alarms.json", names)) : alarm.alarm_name => alarm
      if local.counted[name] || !anytrue([for query in alarm.metric_query : startswith(try(query.metric.metric_name, ""), "lightsout.departures.")])
    }
  ]...)
  # Fewer periods where a slow schedule makes each longer, but never one for several: a single tick may fail.
  periods = {
    for name, alarm in local.pool_alarms : name => max(
      min(alarm.evaluation_periods, 2),
      ceil(alarm.evaluation_periods * alarm.metric_query[1].metric.period / max(alarm.metric_query[1].metric.period, 60 * local.minutes)),
    )
  }
}

resource "aws_cloudwatch_metric_alarm" "pool" {
  for_each = { for name, alarm in local.pool_alarms : name => alarm if var.monitoring }

  alarm_name          = each.key
  alarm_description   = each.value.alarm_description
  comparison_operator = each.value.comparison_operator
  threshold           = each.value.threshold
  evaluation_periods  = local.periods[each.key]
  datapoints_to_alarm = local.periods[each.key]
  treat_missing_data  = each.value.treat_missing_data
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags

  dynamic "metric_query" {
    for_each = each.value.metric_query
    content {
      id          = metric_query.value.id
      expression  = try(metric_query.value.expression, null)
      label       = try(metric_query.value.label, null)
      return_data = metric_query.value.return_data
      dynamic "metric" {
        for_each = try([metric_query.value.metric], [])
        content {
          namespace   = metric.value.namespace
          metric_name = metric.value.metric_name
          dimensions  = metric.value.dimensions
          # A schedule of more than that leaves times without a tick.
          period = max(metric.value.period, 60 * local.minutes)
          stat   = metric.value.stat
        }
      }
    }
  }
}

resource "aws_cloudwatch_dashboard" "pool" {
  for_each       = { for name, names in local.monitored : name => names if var.monitoring }
  dashboard_name = replace("${var.name}-${each.key}", "/[^A-Za-z0-9_-]/", "-")
  dashboard_body = templatefile("${local.monitoring}/dashboard.json", each.value)
}
