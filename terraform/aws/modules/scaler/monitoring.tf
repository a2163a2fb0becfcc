# ---- the function: an invocation fails when any pool had a failed tick in it, so one metric of AWS's own says that something is wrong
# with some pool; which, is in the log.

locals {
  alarms = {
    errors = {
      says       = "The scaler could not read or raise some pool in three of five minutes: jobs may wait. Which pool and why is in the log group ${local.log_group_name}."
      metric     = "Errors"
      comparison = "GreaterThanOrEqualToThreshold"
      missing    = "notBreaching"
    }
    silence = {
      says       = "The scaler was not invoked in three of five minutes: nothing is raised. Look at the schedule ${var.name}."
      metric     = "Invocations"
      comparison = "LessThanThreshold"
      missing    = "breaching"
    }
    throttles = {
      says       = "The scaler was throttled in three of five minutes: the account's, or its own, concurrency is used up."
      metric     = "Throttles"
      comparison = "GreaterThanOrEqualToThreshold"
      missing    = "notBreaching"
    }
  }
  # A schedule of more than a minute leaves minutes without an invocation.
  minutes = can(regex("^rate\\(([0-9]+) minutes?\\)$", var.schedule)) ? tonumber(regex("^rate\\(([0-9]+) minutes?\\)$", var.schedule)[0]) : 60
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
  comparison_operator = each.value.comparison
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

# ---- the pools, by the scaler's own metrics, which it writes into its log in the embedded metric format: docs/metrics.md

locals {
  monitoring = "${path.module}/../../../../monitoring/cloudwatch"
  pool_names = toset([for pool in var.pools : regex("autoScalingGroupName/(.+)$", pool.group_arn)[0]])
  pool_alarms = merge([
    for name in local.pool_names : { for alarm in jsondecode(templatefile("${local.monitoring}/alarms.json", { pool = name })) : alarm.alarm_name => alarm }
  ]...)
}

resource "aws_cloudwatch_metric_alarm" "pool" {
  for_each = { for name, alarm in local.pool_alarms : name => alarm if var.monitoring }

  alarm_name          = each.key
  alarm_description   = each.value.alarm_description
  comparison_operator = each.value.comparison_operator
  threshold           = each.value.threshold
  evaluation_periods  = each.value.evaluation_periods
  datapoints_to_alarm = each.value.datapoints_to_alarm
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
          period      = metric.value.period
          stat        = metric.value.stat
        }
      }
    }
  }
}

resource "aws_cloudwatch_dashboard" "pool" {
  for_each       = var.monitoring ? local.pool_names : []
  dashboard_name = replace("${var.name}-${each.key}", "/[^A-Za-z0-9_-]/", "-")
  dashboard_body = templatefile("${local.monitoring}/dashboard.json", { pool = each.key, region = local.region })
}
