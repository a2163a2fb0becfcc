# The instances' role: what an agent needs, each write bound to its group or to the instance itself. README.md says why each action is there.

locals {
  create_role           = var.instance_profile_name == ""
  instance_profile_name = local.create_role ? aws_iam_instance_profile.agent[0].name : var.instance_profile_name

  # Secrets by their names; what Secrets Manager puts behind a name is six characters.
  secret_arns = {
    for side, secrets in local.secrets : side => {
      ssm = [
        for secret in secrets : startswith(secret.ssm, "arn:") ? secret.ssm :
        "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter/${trimprefix(secret.ssm, "/")}" if secret.ssm != null
      ]
      secretsmanager = [
        for secret in secrets : startswith(secret.secretsmanager, "arn:") ? secret.secretsmanager :
        "arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:${secret.secretsmanager}-??????" if secret.secretsmanager != null
      ]
    }
  }
  secret_statements = {
    for side, arns in local.secret_arns : side => concat(
      length(arns.ssm) == 0 ? [] : [{ Sid = "Parameters", Effect = "Allow", Action = ["ssm:GetParameter"], Resource = distinct(arns.ssm) }],
      length(arns.secretsmanager) == 0 ? [] : [{ Sid = "Secrets", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = distinct(arns.secretsmanager) }],
    )
  }
  decrypt_statements = length(var.secrets_kms_key_arns) == 0 ? [] : [{
    Sid       = "Decrypt"
    Effect    = "Allow"
    Action    = ["kms:Decrypt"]
    Resource  = var.secrets_kms_key_arns
    Condition = { StringEquals = { "kms:ViaService" = [for service in ["ssm", "secretsmanager"] : "${service}.${local.region}.${data.aws_partition.current.dns_suffix}"] } }
  }]

  agent_statements = concat(
    [
      {
        Sid      = "Look"
        Effect   = "Allow"
        Action   = ["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeLifecycleHooks"]
        Resource = "*"
      },
      {
        Sid    = "OwnGroup"
        Effect = "Allow"
        Action = [
          "autoscaling:CompleteLifecycleAction",
          "autoscaling:RecordLifecycleActionHeartbeat",
          "autoscaling:SetInstanceHealth",
          "autoscaling:SetInstanceProtection",
          "autoscaling:TerminateInstanceInAutoScalingGroup",
        ]
        Resource = local.group_arn
      },
      {
        Sid       = "OnlyItself"
        Effect    = "Allow"
        Action    = ["ec2:CreateTags", "ec2:TerminateInstances"]
        Resource  = "arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*"
        Condition = { StringEquals = { "aws:ARN" = "$${ec2:SourceInstanceARN}" } }
      },
    ],
    local.secret_statements.agent,
    length(local.secret_statements.agent) == 0 ? [] : local.decrypt_statements,
    !var.doctor_rights ? [] : [{
      Sid    = "Doctor"
      Effect = "Allow"
      Action = [
        "autoscaling:DescribeInstanceRefreshes",
        "autoscaling:DescribePolicies",
        "autoscaling:DescribeScalingActivities",
        "autoscaling:DescribeScheduledActions",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceAttribute",
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceTypeOfferings",
        "ec2:DescribeLaunchTemplateVersions",
      ]
      Resource = "*"
    }],
    !var.logs ? [] : [{
      Sid      = "Logs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:lightsout/${var.name}:*"
    }],
    !var.session_manager ? [] : [{
      Sid      = "SessionManager"
      Effect   = "Allow"
      Action   = ["ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"]
      Resource = "*"
    }],
    !var.session_manager ? [] : [{
      Sid      = "SessionManagerItself"
      Effect   = "Allow"
      Action   = ["ssm:UpdateInstanceInformation"]
      Resource = "arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*"
      # From an instance, as far as can be said: that the target's ARN is in `aws:ARN` is EC2's own, and here no instance would match it.
      Condition = { Null = { "ec2:SourceInstanceARN" = "false" } }
    }],
    var.cache_bucket == "" ? [] : [{
      Sid      = "Cache"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
      Resource = "arn:${local.partition}:s3:::${var.cache_bucket}/*"
    }],
    var.boot_bundle == null ? [] : [{
      Sid      = "Bundle"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:GetObjectVersion"]
      Resource = "arn:${local.partition}:s3:::${try(var.boot_bundle.bucket, "")}/${try(var.boot_bundle.key, "")}"
    }],
  )

  # Those who look after the pool have credentials of their own: as `lightsout iam --operator --group NAME` prints it.
  operator_statements = concat(
    [
      {
        Sid      = "Look"
        Effect   = "Allow"
        Action   = ["autoscaling:DescribeAutoScalingGroups", "ec2:DescribeInstances", "ssm:DescribeInstanceInformation", "ssm:GetCommandInvocation"]
        Resource = "*"
      },
      {
        Sid      = "Document"
        Effect   = "Allow"
        Action   = ["ssm:SendCommand"]
        Resource = "arn:${local.partition}:ssm:${local.region}::document/AWS-RunShellScript"
      },
      {
        Sid       = "Members"
        Effect    = "Allow"
        Action    = ["ssm:SendCommand"]
        Resource  = "arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*"
        Condition = { StringEquals = { "aws:ResourceTag/aws:autoscaling:groupName" = local.group_name } }
      },
      {
        Sid      = "Orders"
        Effect   = "Allow"
        Action   = ["ec2:CreateTags", "ec2:DeleteTags"]
        Resource = "arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*"
        Condition = {
          "ForAllValues:StringEquals" = { "aws:TagKeys" = "lightsout:order" }
          StringEquals                = { "aws:ResourceTag/aws:autoscaling:groupName" = local.group_name }
        }
      },
    ],
    !var.logs ? [] : [{
      Sid      = "Logs"
      Effect   = "Allow"
      Action   = ["logs:FilterLogEvents"]
      Resource = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:lightsout/${var.name}:*"
    }],
  )
  agent_policy = jsonencode({ Version = "2012-10-17", Statement = local.agent_statements })
}

resource "aws_iam_role" "agent" {
  count                = local.create_role ? 1 : 0
  name_prefix          = substr("${var.name}-agent-", 0, 38)
  path                 = var.role_path
  description          = "CI instances of ${var.name}: look, end themselves, read their own secrets"
  permissions_boundary = var.permissions_boundary == "" ? null : var.permissions_boundary
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.${data.aws_partition.current.dns_suffix}" }
    }]
  })

  # Another path would be another role, and take this one from instances that run.
  lifecycle {
    ignore_changes = [path]
  }
}

resource "aws_iam_role_policy" "agent" {
  count  = local.create_role ? 1 : 0
  name   = "lightsout-agent"
  role   = aws_iam_role.agent[0].id
  policy = local.agent_policy
}

resource "aws_iam_role_policy" "extra" {
  for_each = local.create_role ? var.extra_policies : {}
  name     = each.key
  role     = aws_iam_role.agent[0].id
  policy   = each.value
}

resource "aws_iam_role_policy_attachment" "managed" {
  for_each   = local.create_role ? toset(var.managed_policy_arns) : []
  role       = aws_iam_role.agent[0].name
  policy_arn = each.value
}

resource "aws_iam_instance_profile" "agent" {
  count       = local.create_role ? 1 : 0
  name_prefix = "${var.name}-agent-"
  path        = var.role_path
  role        = aws_iam_role.agent[0].name
  tags        = local.tags

  lifecycle {
    ignore_changes = [path]
  }
}

# A key of the user's for volumes is used by Auto Scaling's service-linked role, not by the instances' own.
locals {
  service_linked_role_arn = "arn:${local.partition}:iam::${local.account}:role/aws-service-role/autoscaling.amazonaws.com/${var.service_linked_role}"

  volume_operations = [
    "CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo",
  ]
  kms_key_policy_statements = [
    {
      Sid       = "AutoScalingUses"
      Effect    = "Allow"
      Principal = { AWS = local.service_linked_role_arn }
      Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      Resource  = "*"
    },
    {
      Sid       = "AutoScalingGrantsToEc2"
      Effect    = "Allow"
      Principal = { AWS = local.service_linked_role_arn }
      Action    = ["kms:CreateGrant"]
      Resource  = "*"
      Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
    },
  ]
}

resource "aws_kms_grant" "volumes" {
  count             = (var.kms_grant == null ? var.kms_key_arn != "" : var.kms_grant) ? 1 : 0
  name              = replace("${var.name}-volumes", ".", "-")
  key_id            = var.kms_key_arn
  grantee_principal = local.service_linked_role_arn
  operations        = local.volume_operations
}
