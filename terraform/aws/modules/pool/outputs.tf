output "group_name" {
  description = "The Auto Scaling group's name."
  value       = local.create_group ? aws_autoscaling_group.pool[0].name : local.group_name
}

output "group_arn" {
  description = "The group's ARN."
  value       = local.create_group ? aws_autoscaling_group.pool[0].arn : data.aws_autoscaling_group.existing[0].arn
}

output "launch_template_id" {
  description = "The launch template's id."
  value       = aws_launch_template.pool.id
}

output "launch_template_version" {
  description = "The version of it that new instances start from."
  value       = aws_launch_template.pool.latest_version
}

output "image_id" {
  description = "The image that they start from."
  value       = aws_launch_template.pool.image_id
}

output "security_group_id" {
  description = "The pool's own security group; null without one."
  value       = one(aws_security_group.pool[*].id)
}

output "role_name" {
  description = "The instances' role; null with an instance profile of yours."
  value       = one(aws_iam_role.agent[*].name)
}

output "role_arn" {
  description = "Its ARN."
  value       = one(aws_iam_role.agent[*].arn)
}

output "instance_profile_name" {
  description = "The instance profile."
  value       = local.instance_profile_name
}

output "agent_policy" {
  description = "The least that a role of yours for the instances needs, as JSON."
  value       = local.agent_policy
}

output "operator_policy" {
  description = "The least that those need who look after the pool with lightsout ps, drain, hold and logs, as JSON: for a policy of a role that people take. With Run Command it is a shell on the pool's instances."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.operator_statements })
}

output "log_group_name" {
  description = "The instances' log group; null without one."
  value       = one(aws_cloudwatch_log_group.instances[*].name)
}

output "kms_key_policy_statements" {
  description = "What the policy of a key for volumes must have where kms_grant is false, as JSON."
  value       = jsonencode(local.kms_key_policy_statements)
}

output "lifecycle_hook_name" {
  description = "The termination hook, which is a part of the group."
  value       = "lightsout-drain"
}

output "scaler" {
  description = "What the module scaler is given as one of its pools."
  value = {
    group_arn  = local.group_arn
    settings   = local.scaler_toml
    statements = jsonencode(concat(local.secret_statements.scaler, local.secret_statements.webhook, length(local.secret_statements.scaler) + length(local.secret_statements.webhook) == 0 ? [] : local.decrypt_statements))
    webhook    = var.webhook != null
    log_group  = one(aws_cloudwatch_log_group.instances[*].name)
  }
}
