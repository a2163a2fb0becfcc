# The scaler's role has no right that ends an instance. IAM cannot tell a raise from a lower; the program has no code for the latter.

locals {
  pool_statements = flatten([
    for index, pool in var.pools : [
      for number, statement in jsondecode(pool.statements) : merge(statement, { Sid = "Pool${index}Statement${number}" })
    ]
  ])
  scaler_statements = concat(
    [
      {
        Sid      = "Look"
        Effect   = "Allow"
        Action   = ["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities", "ec2:DescribeInstances"]
        Resource = "*"
      },
      {
        Sid      = "Raise"
        Effect   = "Allow"
        Action   = ["autoscaling:CreateOrUpdateTags", "autoscaling:SetDesiredCapacity"]
        Resource = distinct(var.pools[*].group_arn)
      },
      {
        Sid      = "Logs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${local.log_group_name}:*"
      },
    ],
    !local.in_bucket ? [] : [{
      Sid      = "Settings"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = "arn:${local.partition}:s3:::${var.settings_bucket}/${local.settings_key}"
    }],
    length(var.subnet_ids) == 0 ? [] : [{
      Sid    = "Interfaces"
      Effect = "Allow"
      Action = [
        "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
      ]
      Resource = "*"
    }],
    local.pool_statements,
  )
  scaler_policy = jsonencode({ Version = "2012-10-17", Statement = local.scaler_statements })
}

resource "aws_iam_role" "scaler" {
  count                = var.role_arn == "" ? 1 : 0
  name_prefix          = substr("${var.name}-", 0, 38)
  path                 = var.role_path
  description          = "lightsout's scaler: look, raise, read its own secrets"
  permissions_boundary = var.permissions_boundary == "" ? null : var.permissions_boundary
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "scaler" {
  count  = var.role_arn == "" ? 1 : 0
  name   = "lightsout-scaler"
  role   = aws_iam_role.scaler[0].id
  policy = local.scaler_policy
}

resource "aws_iam_role" "schedule" {
  name_prefix          = substr("${var.name}-schedule-", 0, 38)
  path                 = var.role_path
  description          = "Invokes lightsout's scaler each minute"
  permissions_boundary = var.permissions_boundary == "" ? null : var.permissions_boundary
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "schedule" {
  name = "lightsout-schedule"
  role = aws_iam_role.schedule.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "Invoke", Effect = "Allow", Action = ["lambda:InvokeFunction"], Resource = local.function_arn }]
  })
}
