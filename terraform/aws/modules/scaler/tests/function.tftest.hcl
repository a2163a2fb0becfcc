# What the scaler's function is.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  name         = "ci-scaler"
  package_path = "tests/package.zip"
  pools = [{
    group_arn  = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-linux"
    settings   = "[[pool]]\ngroup = \"ci-linux\"\n"
    statements = "[{\"Sid\":\"Parameters\",\"Effect\":\"Allow\",\"Action\":[\"ssm:GetParameter\"],\"Resource\":[\"arn:aws:ssm:eu-central-1:123456789012:parameter/ci\"]}]"
    webhook    = false
  }]
}

run "a_function_without_a_public_address" {
  override_resource {
    target = aws_lambda_function.scaler
    values = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:ci-scaler" }
  }
  override_resource {
    target = aws_iam_role.schedule
    values = { arn = "arn:aws:iam::123456789012:role/schedule" }
  }
  assert {
    condition     = length(aws_lambda_function_url.webhooks) == 0 && length(aws_lambda_permission.url) == 0 && output.webhook_url == null
    error_message = "a URL only if asked for"
  }
  assert {
    condition     = aws_lambda_function.scaler.reserved_concurrent_executions == null || aws_lambda_function.scaler.reserved_concurrent_executions == -1
    error_message = "a young account's quota would not allow it"
  }
  assert {
    condition     = aws_lambda_function.scaler.source_code_hash == filebase64sha256("tests/package.zip")
    error_message = "another package is another hash"
  }
}

run "a_schedule_of_minutes_without_retries" {
  command = plan
  assert {
    condition     = aws_scheduler_schedule.scaler.schedule_expression == "rate(1 minute)" && one(one(aws_scheduler_schedule.scaler.target).retry_policy).maximum_retry_attempts == 0
    error_message = "the next minute is the retry"
  }
  assert {
    condition     = aws_lambda_function_event_invoke_config.scaler.maximum_retry_attempts == 0
    error_message = "the function's own, too"
  }
}

run "a_package_in_s3_by_version_and_hash" {
  command = plan
  variables {
    package_path = ""
    package_s3   = { bucket = "b", key = "0.1.0/scaler.zip", version = "v1", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }
  assert {
    condition     = aws_lambda_function.scaler.source_code_hash == base64sha256("")
    error_message = "sha256sum's digits are AWS's base64"
  }
  assert {
    condition     = aws_lambda_function.scaler.s3_object_version == "v1"
    error_message = "this object and no other"
  }
}

run "several_pools" {
  command = plan
  variables {
    pools = [
      {
        group_arn  = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-a"
        settings   = "[[pool]]\ngroup = \"ci-a\"\n"
        statements = "[{\"Sid\":\"Parameters\",\"Effect\":\"Allow\",\"Action\":[\"ssm:GetParameter\"],\"Resource\":[\"arn:aws:ssm:eu-central-1:123456789012:parameter/a\"]}]"
        webhook    = true
      },
      {
        group_arn  = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-b"
        settings   = "[[pool]]\ngroup = \"ci-b\"\n"
        statements = "[{\"Sid\":\"Parameters\",\"Effect\":\"Allow\",\"Action\":[\"ssm:GetParameter\"],\"Resource\":[\"arn:aws:ssm:eu-central-1:123456789012:parameter/b\"]}]"
        webhook    = false
      },
    ]
    function_url = true
  }
  assert {
    condition     = [for statement in jsondecode(output.scaler_policy).Statement : statement.Resource if statement.Sid == "Raise"][0] == ["arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-a", "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-b"]
    error_message = "these groups and no other"
  }
  assert {
    condition     = length(distinct(jsondecode(output.scaler_policy).Statement[*].Sid)) == length(jsondecode(output.scaler_policy).Statement)
    error_message = "each statement has a name of its own"
  }
  assert {
    condition     = aws_lambda_permission.url[0].action == "lambda:InvokeFunctionUrl" && aws_lambda_permission.url_invoke[0].invoked_via_function_url
    error_message = "a public address needs both permissions, the second with its condition"
  }
}

run "settings_in_a_bucket" {
  command = plan
  variables {
    settings_bucket = "my-settings"
    settings        = "# ${join("", [for number in range(1000) : "long"])}\n"
  }
  assert {
    condition     = one(aws_lambda_function.scaler.environment).variables["LIGHTSOUT_SCALER_CONFIG_S3"] == "s3://my-settings/ci-scaler/scaler.toml" && strcontains(aws_s3_object.settings[0].content, "ci-linux")
    error_message = "the function knows where they are"
  }
  assert {
    condition     = strcontains(output.scaler_policy, "arn:aws:s3:::my-settings/ci-scaler/scaler.toml")
    error_message = "and may read that object alone"
  }
}

run "alarms" {
  command = plan
  variables {
    alarm_actions = ["arn:aws:sns:eu-central-1:123456789012:ops"]
  }
  assert {
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.scaler : name => alarm.metric_name } == { errors = "Errors", throttles = "Throttles" }
    error_message = "it fails, it is throttled"
  }
  assert {
    condition = contains([for query in aws_cloudwatch_metric_alarm.pool["LightsoutScalerIsSilent-ci-linux"].metric_query : try(query.metric[0].metric_name, "")], "lightsout.ticks.held") && (
    aws_cloudwatch_metric_alarm.pool["LightsoutScalerIsSilent-ci-linux"].treat_missing_data == "breaching")
    error_message = "silent is who has no good tick, invoked or not, and who is not invoked has no metrics at all"
  }
  assert {
    condition = aws_cloudwatch_metric_alarm.pool["LightsoutScalerIsSilent-ci-linux"].evaluation_periods == 5 && (
    aws_cloudwatch_metric_alarm.pool["LightsoutScalerIsSilent-ci-linux"].datapoints_to_alarm == 5)
    error_message = "five minutes of a schedule of one"
  }
  assert {
    condition = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.scaler), values(aws_cloudwatch_metric_alarm.pool)) :
    can(regex("`(aws|lightsout) [^`]+`", alarm.alarm_description))])
    error_message = "each says what to run next"
  }
  assert {
    condition     = strcontains(aws_cloudwatch_metric_alarm.pool["LightsoutUnmetDemand-ci-linux"].alarm_description, "`lightsout explain ci-linux --log-group /aws/lambda/ci-scaler`")
    error_message = "with the log group, since the records are there"
  }
}

run "alarms_follow_the_schedule" {
  command = plan
  variables {
    schedule = "rate(15 minutes)"
    ticks    = "one"
  }
  assert {
    condition     = alltrue(flatten([for alarm in aws_cloudwatch_metric_alarm.pool : [for query in alarm.metric_query : [for metric in query.metric : metric.period >= 900]]]))
    error_message = "a quarter of an hour without a tick is no silence then"
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.pool : alarm.evaluation_periods <= 2 && alarm.datapoints_to_alarm == alarm.evaluation_periods])
    error_message = "fewer of the longer periods are as long"
  }
}

run "what_nobody_counts_has_no_alarm" {
  command = plan
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.pool) == 4 && !contains(keys(aws_cloudwatch_metric_alarm.pool), "LightsoutSpotStorm-ci-linux")
    error_message = "departures are counted in the log group of the agents' records, and this pool has none"
  }
}

run "departures_are_the_groups_and_all_else_the_pools" {
  command = plan
  variables {
    pools = [{
      group_arn  = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-linux"
      settings   = "[[pool]]\nname = \"linux\"\ngroup = \"ci-linux\"\n[pool.platform.gitlab]\ngroup = \"my-team\"\n"
      statements = "[]"
      webhook    = false
      name       = "linux"
      log_group  = "lightsout/ci-linux"
    }]
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.pool) == 6
    error_message = "all six"
  }
  assert {
    condition = distinct(flatten([for query in aws_cloudwatch_metric_alarm.pool["LightsoutScalerIsSilent-linux"].metric_query : [for metric in query.metric : metric.dimensions["pool"]]])) == tolist(["linux"]) && (
    distinct(flatten([for query in aws_cloudwatch_metric_alarm.pool["LightsoutInstancesLeaveAsBroken-linux"].metric_query : [for metric in query.metric : metric.dimensions["pool"]]])) == tolist(["ci-linux"]))
    error_message = "as the metrics have it"
  }
  assert {
    condition     = strcontains(aws_cloudwatch_metric_alarm.pool["LightsoutSpotStorm-linux"].alarm_description, "--log-group /aws/lambda/ci-scaler lightsout/ci-linux`")
    error_message = "the records of instances are in their own log group, and the pool's name is in the scaler's"
  }
}

run "no_alarms" {
  command = plan
  variables {
    monitoring = false
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.scaler) + length(aws_cloudwatch_metric_alarm.pool) + length(aws_cloudwatch_dashboard.pool) == 0
    error_message = "one variable switches them off"
  }
  assert {
    condition     = !strcontains(output.settings, "metrics")
    error_message = "and what they would cost"
  }
}

run "each_pool_has_its_dashboard_and_alarms" {
  command = plan
  assert {
    condition     = keys(aws_cloudwatch_dashboard.pool) == ["ci-linux"] && aws_cloudwatch_dashboard.pool["ci-linux"].dashboard_name == "ci-scaler-ci-linux"
    error_message = "one for each"
  }
  assert {
    condition     = !strcontains(aws_cloudwatch_dashboard.pool["ci-linux"].dashboard_body, "$${") && strcontains(aws_cloudwatch_dashboard.pool["ci-linux"].dashboard_body, "ci-linux")
    error_message = "filled in"
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.pool) > 0 && alltrue([for name, alarm in aws_cloudwatch_metric_alarm.pool : endswith(name, "-ci-linux") && length([for query in alarm.metric_query : query if query.return_data]) == 1])
    error_message = "each alarm looks at one thing of this pool"
  }
  assert {
    condition     = strcontains(output.settings, "metrics.emf = true")
    error_message = "and the scaler writes what they look at"
  }
}

run "metrics_that_are_said_stay_as_they_are" {
  command = plan
  variables {
    settings = "[metrics]\nemf = true\nlisten = \"127.0.0.1:9464\"\n"
  }
  assert {
    condition     = !strcontains(output.settings, "metrics.emf")
    error_message = "a table said twice would be refused by the scaler"
  }
}
