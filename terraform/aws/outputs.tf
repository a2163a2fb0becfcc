# The outputs of the two modules.

output "group_name" {
  description = "The Auto Scaling group's name."
  value       = module.pool.group_name
}

output "group_arn" {
  description = "The group's ARN."
  value       = module.pool.group_arn
}

output "launch_template_id" {
  description = "The launch template's id."
  value       = module.pool.launch_template_id
}

output "launch_template_version" {
  description = "The version of it that new instances start from."
  value       = module.pool.launch_template_version
}

output "image_id" {
  description = "The image that they start from."
  value       = module.pool.image_id
}

output "security_group_id" {
  description = "The pool's own security group; null without one."
  value       = module.pool.security_group_id
}

output "role_name" {
  description = "The instances' role; null with an instance profile of yours."
  value       = module.pool.role_name
}

output "role_arn" {
  description = "Its ARN."
  value       = module.pool.role_arn
}

output "instance_profile_name" {
  description = "The instance profile."
  value       = module.pool.instance_profile_name
}

output "agent_policy" {
  description = "The least that a role of yours for the instances needs, as JSON."
  value       = module.pool.agent_policy
}

output "operator_policy" {
  description = "The least that those need who look after the pool with lightsout ps, drain, hold and logs, as JSON: for a policy of a role that people take. With Run Command it is a shell on the pool's instances."
  value       = module.pool.operator_policy
}

output "log_group_name" {
  description = "The instances' log group; null without one."
  value       = module.pool.log_group_name
}

output "kms_key_policy_statements" {
  description = "What the policy of a key for volumes must have where kms_grant is false, as JSON."
  value       = module.pool.kms_key_policy_statements
}

output "lifecycle_hook_name" {
  description = "The termination hook, which is a part of the group."
  value       = module.pool.lifecycle_hook_name
}

output "scaler_function_name" {
  description = "The function's name."
  value       = module.scaler.function_name

  precondition {
    condition     = var.platform == "command" || length(var.scaler_secrets) > 0
    error_message = "scaler_secrets is empty, and nobody tells the scaler of ${var.platform} how many jobs wait: name where its secret is, such as { token = { ssm = \"/ci/read-token\" } }. For a pool without a scaler call modules/pool."
  }
}

output "scaler_function_arn" {
  description = "Its ARN."
  value       = module.scaler.function_arn
}

output "scaler_role_arn" {
  description = "The function's role."
  value       = module.scaler.role_arn
}

output "scaler_log_group_name" {
  description = "The function's log group."
  value       = module.scaler.log_group_name
}

output "scaler_schedule_name" {
  description = "The schedule's name."
  value       = module.scaler.schedule_name
}

output "scaler_schedule_arn" {
  description = "The schedule's ARN."
  value       = module.scaler.schedule_arn
}

output "webhook_url" {
  description = "What the webhooks' addresses begin with: behind it comes a pool's path. Null without function_url."
  value       = module.scaler.webhook_url
}

output "scaler_policy" {
  description = "The least that a role of yours for the function needs, as JSON."
  value       = module.scaler.scaler_policy
}

output "scaler_settings" {
  description = "The scaler's settings as they are written, without any secret."
  value       = module.scaler.settings
}

output "scaler_alarm_names" {
  description = "The alarms' names."
  value       = module.scaler.alarm_names
}

output "scaler_dashboard_names" {
  description = "The dashboards' names, one for each pool."
  value       = module.scaler.dashboard_names
}
