data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}

locals {
  # The version of the program that this module was made with; the function warns when it is another one.
  version = "0.1.0"

  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  account   = data.aws_caller_identity.current.account_id

  function_arn   = "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${var.name}"
  log_group_name = "/aws/lambda/${var.name}"

  settings = join("\n", concat(
    ["tick = ${jsonencode(var.tick)}", "deadline = ${jsonencode(var.deadline)}"],
    # Unless the settings say something of metrics themselves.
    var.monitoring && local.own_metrics == "" ? ["metrics.emf = true"] : [],
    var.settings == "" ? [] : [var.settings],
    var.pools[*].settings,
  ))
  own_metrics  = try(regex("(?ms)^\\s*\\[?metrics\\b.*", var.settings), "")
  settings_key = "${var.name}/scaler.toml"
  in_bucket    = var.settings_bucket != ""

  # How often it is invoked; of a schedule at fixed times, at least each hour.
  minutes          = can(regex("^rate\\(([0-9]+) minutes?\\)$", var.schedule)) ? tonumber(regex("^rate\\(([0-9]+) minutes?\\)$", var.schedule)[0]) : 60
  deadline_seconds = try(tonumber(regex("^[0-9]+", var.deadline)), 0) * (endswith(var.deadline, "ms") ? 0.001 : endswith(var.deadline, "m") ? 60 : 1)

  hooked = anytrue(var.pools[*].webhook)
  # https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html
  regions_without_urls = [
    "ap-east-2", "ap-south-2", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-west-1", "cn-north-1", "cn-northwest-1",
    "eu-central-2", "eu-south-2", "il-central-1", "me-central-1",
  ]
}

# A warning and no refusal: who moves on may take the two one after the other. What really runs the function says itself, and `lightsout doctor`.
check "version" {
  assert {
    condition     = var.package_s3 == null ? true : strcontains(var.package_s3.key, local.version)
    error_message = "The module is of version ${local.version}, and the key of package_s3 does not name it: it may be the package of another one. Put the package of ${local.version} there, under a key with its version, such as lightsout/${local.version}/lightsout-scaler-lambda-${var.architecture}.zip."
  }
}

resource "aws_lambda_function" "scaler" {
  function_name = var.name
  description   = "lightsout: raises Auto Scaling groups when CI jobs wait, and never lowers them"
  role          = var.role_arn == "" ? aws_iam_role.scaler[0].arn : var.role_arn
  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.architecture]
  memory_size   = var.memory_size
  timeout       = var.timeout

  filename          = var.package_path == "" ? null : var.package_path
  s3_bucket         = var.package_s3 == null ? null : var.package_s3.bucket
  s3_key            = var.package_s3 == null ? null : var.package_s3.key
  s3_object_version = var.package_s3 == null ? null : var.package_s3.version
  source_code_hash  = local.package_hash

  reserved_concurrent_executions = var.reserved_concurrency

  environment {
    variables = merge(
      {
        LIGHTSOUT_LOG            = var.log_level
        LIGHTSOUT_MODULE_VERSION = local.version
        LIGHTSOUT_SCALER_TICKS   = var.ticks
      },
      local.in_bucket ? {
        LIGHTSOUT_SCALER_CONFIG_S3 = "s3://${var.settings_bucket}/${local.settings_key}"
        # Nobody reads it: other settings are another environment, and so are read at once.
        LIGHTSOUT_MODULE_SETTINGS_SHA256 = sha256(local.settings)
      } : { LIGHTSOUT_SCALER_CONFIG_TOML = local.settings },
    )
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.scaler.name
  }

  dynamic "vpc_config" {
    for_each = length(var.subnet_ids) > 0 ? [1] : []
    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  tags = var.tags

  # Lambda's interfaces in a VPC take up to an hour to go.
  timeouts {
    delete = "70m"
  }

  lifecycle {
    precondition {
      condition     = (var.package_path == "") != (var.package_s3 == null)
      error_message = "Say where the function's zip is: package_path (packer/build makes dist/lightsout-scaler-lambda-${var.architecture}.zip) or package_s3, and not both."
    }
    precondition {
      condition     = local.in_bucket || length(local.settings) <= 3000
      error_message = "The settings have ${length(local.settings)} characters, and a function's variables may have 4 KiB together: name a settings_bucket."
    }
    precondition {
      condition     = !var.function_url || var.reserved_concurrency == null || coalesce(var.reserved_concurrency, 2) >= 2
      error_message = "With reserved_concurrency 1 the scheduled invocation, which runs for most of each minute, shuts the webhooks out: leave it out, or set 2 or more."
    }
    precondition {
      condition     = !var.function_url || !contains(local.regions_without_urls, local.region)
      error_message = "${local.region} has no function URLs: set function_url = false. The scaler then asks the platform every tick, which needs no address; or run it in another region, each pool has its region."
    }
    precondition {
      condition     = var.function_url || !local.hooked
      error_message = "A pool has a webhook, and the function has no address for it: set function_url = true, or leave the webhook out."
    }
    precondition {
      condition     = var.ticks == "one" || var.timeout <= 60 * local.minutes
      error_message = "timeout is ${var.timeout} s, and the function is invoked every ${local.minutes} min and looks until its time is used: several would look at once. Set timeout to ${60 * local.minutes} or less, or ticks = \"one\"."
    }
    precondition {
      condition     = var.timeout > local.deadline_seconds + 3
      error_message = "timeout is ${var.timeout} s, and a look may take deadline = ${var.deadline}: no look would be begun. Set timeout to more than ${local.deadline_seconds + 3}."
    }
    precondition {
      condition     = !var.monitoring || local.own_metrics == "" || can(regex("\\bemf\\s*=\\s*true\\b", local.own_metrics))
      error_message = "settings has metrics of its own, without the lines that the alarms read, which would be silent or alarmed for ever: add emf = true to them, or set monitoring = false."
    }
    precondition {
      condition     = alltrue([for pool in var.pools : coalesce(pool.name, "-") == try(regex("(?m)^\\s*name\\s*=\\s*[\"']([^\"']*)[\"']", split("[pool.", pool.settings)[0])[0], "-")])
      error_message = "A pool's name in its settings is not the one that pools names, so its alarms would look at metrics that nobody writes: give both, name = \"NAME\" beside group_arn and in the settings, or neither."
    }
    precondition {
      condition     = alltrue([for zone in regexall("(?m)^\\s*zone\\s*=\\s*[\"']([^\"']*)[\"']", local.settings) : zone[0] == "UTC" || (can(regex("[0-9]", zone[0])) && !can(regex("^[^,0-9]*/", zone[0])))])
      error_message = "A pool's zone is a name, and Lambda has no zone data: every tick would fail. Write its rule, such as \"CET-1CEST,M3.5.0,M10.5.0/3\"; tail -n1 /usr/share/zoneinfo/NAME prints it on a system that has the zone."
    }
    precondition {
      condition     = length(var.subnet_ids) == 0 || length(var.security_group_ids) > 0
      error_message = "subnet_ids without security_group_ids: name one that lets the function out by 443."
    }
  }

  depends_on = [aws_iam_role_policy.scaler, aws_s3_object.settings]
}

locals {
  # SHA256SUMS has hexadecimal digits, AWS base64: three digits are two characters of it.
  base64       = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  package_hex  = var.package_s3 == null ? "" : var.package_s3.sha256
  package_bits = var.package_s3 == null ? [] : [for at in range(0, 63, 3) : parseint(substr(local.package_hex, at, 3), 16)]
  package_hash = var.package_s3 == null ? (var.package_path == "" ? null : filebase64sha256(var.package_path)) : join("", concat(
    [for bits in local.package_bits : "${substr(local.base64, floor(bits / 64), 1)}${substr(local.base64, bits % 64, 1)}"],
    [substr(local.base64, parseint(substr(local.package_hex, 63, 1), 16) * 4, 1), "="],
  ))
}

# The next minute is the retry: what waited would only pile up.
resource "aws_lambda_function_event_invoke_config" "scaler" {
  function_name                = aws_lambda_function.scaler.function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}

resource "aws_scheduler_schedule" "scaler" {
  name                = var.name
  description         = "A tick of lightsout's scaler"
  schedule_expression = var.schedule

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.scaler.arn
    role_arn = aws_iam_role.schedule.arn
    retry_policy {
      maximum_retry_attempts       = 0
      maximum_event_age_in_seconds = 60
    }
  }

  depends_on = [aws_iam_role_policy.schedule]
}

resource "aws_cloudwatch_log_group" "scaler" {
  name              = local.log_group_name
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn == "" ? null : var.log_kms_key_arn
  tags              = var.tags
}

resource "aws_s3_object" "settings" {
  count        = local.in_bucket ? 1 : 0
  bucket       = var.settings_bucket
  key          = local.settings_key
  content      = local.settings
  content_type = "application/toml"
  # No tags: an object takes ten at most.
}

# ---- the address for webhooks

resource "aws_lambda_function_url" "webhooks" {
  count              = var.function_url ? 1 : 0
  function_name      = aws_lambda_function.scaler.function_name
  authorization_type = "NONE"
  invoke_mode        = "BUFFERED"
}

# Since October 2025 a public address needs both. The second without its condition would let every account invoke the function by itself.
resource "aws_lambda_permission" "url" {
  count                  = var.function_url ? 1 : 0
  statement_id           = "lightsout-webhooks-url"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = aws_lambda_function.scaler.function_name
  principal              = "*"
  function_url_auth_type = "NONE"
  depends_on             = [aws_lambda_function_url.webhooks]
}

resource "aws_lambda_permission" "url_invoke" {
  count                    = var.function_url ? 1 : 0
  statement_id             = "lightsout-webhooks-invoke"
  action                   = "lambda:InvokeFunction"
  function_name            = aws_lambda_function.scaler.function_name
  principal                = "*"
  invoked_via_function_url = true
  depends_on               = [aws_lambda_permission.url]
}
