output "function_name" {
  description = "The function's name."
  value       = aws_lambda_function.scaler.function_name
}

output "function_arn" {
  description = "Its ARN."
  value       = aws_lambda_function.scaler.arn
}

output "role_arn" {
  description = "The function's role."
  value       = var.role_arn == "" ? aws_iam_role.scaler[0].arn : var.role_arn
}

output "log_group_name" {
  description = "The function's log group."
  value       = aws_cloudwatch_log_group.scaler.name
}

output "schedule_name" {
  description = "The schedule's name."
  value       = aws_scheduler_schedule.scaler.name
}

output "schedule_arn" {
  description = "The schedule's ARN."
  value       = aws_scheduler_schedule.scaler.arn
}

output "webhook_url" {
  description = "What the webhooks' addresses begin with: behind it comes a pool's path. Null without function_url."
  value       = var.function_url ? "${aws_lambda_function_url.webhooks[0].function_url}hooks/" : null
}

output "scaler_policy" {
  description = "The least that a role of yours for the function needs, as JSON."
  value       = local.scaler_policy
}

output "settings" {
  description = "The scaler's settings as they are written, without any secret."
  value       = local.settings
}

output "alarm_names" {
  description = "The alarms' names."
  value       = [for alarm in concat(values(aws_cloudwatch_metric_alarm.scaler), values(aws_cloudwatch_metric_alarm.pool)) : alarm.alarm_name]
}

output "dashboard_names" {
  description = "The dashboards' names, one for each pool."
  value       = [for dashboard in aws_cloudwatch_dashboard.pool : dashboard.dashboard_name]
}
