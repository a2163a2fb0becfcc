# Values that cannot work are refused by the plan, each with a sentence that says what to write instead.

mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
}

variables {
  name         = "ci-scaler"
  package_path = "tests/package.zip"
  pools = [{
    group_arn  = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-linux"
    settings   = "[[pool]]\ngroup = \"ci-linux\"\n"
    statements = "[]"
    webhook    = false
  }]
}

run "name" {
  command = plan
  variables {
    name = "ci.scaler"
  }
  expect_failures = [var.name]
}

run "no_pools" {
  command = plan
  variables {
    pools = []
  }
  expect_failures = [var.pools]
}

run "every_group" {
  command = plan
  variables {
    pools = [{ group_arn = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/*", settings = "", statements = "[]", webhook = false }]
  }
  expect_failures = [var.pools]
}

run "a_zone_by_its_name" {
  command = plan
  variables {
    pools = [{ group_arn = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-linux", settings = "[[pool]]\ngroup = \"ci-linux\"\nzone = \"Europe/Berlin\"\n", statements = "[]", webhook = false }]
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "a_zone_by_its_short_name" {
  command = plan
  variables {
    pools = [{ group_arn = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-linux", settings = "[[pool]]\ngroup = \"ci-linux\"\nzone = \"CET\"\n", statements = "[]", webhook = false }]
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "a_zone_by_its_rule" {
  command = plan
  variables {
    pools = [{ group_arn = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-linux", settings = "[[pool]]\ngroup = \"ci-linux\"\nzone = \"CET-1CEST,M3.5.0,M10.5.0/3\"\n", statements = "[]", webhook = false }]
  }
}

run "statements_that_are_none" {
  command = plan
  variables {
    pools = [{ group_arn = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-linux", settings = "", statements = "s3:*", webhook = false }]
  }
  expect_failures = [var.pools]
}

run "tick" {
  command = plan
  variables {
    tick = "10"
  }
  expect_failures = [var.tick]
}

run "deadline" {
  command = plan
  variables {
    deadline = "soon"
  }
  expect_failures = [var.deadline]
}

run "no_package" {
  command = plan
  variables {
    package_path = ""
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "two_packages" {
  command = plan
  variables {
    package_s3 = { bucket = "b", key = "0.1.0.zip", version = "v", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "a_package_without_its_version" {
  command = plan
  variables {
    package_path = ""
    package_s3   = { bucket = "b", key = "0.1.0.zip", version = "", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
  }
  expect_failures = [var.package_s3]
}

run "a_package_of_another_version" {
  command = plan
  variables {
    package_path = ""
    package_s3   = { bucket = "b", key = "0.0.9/scaler.zip", version = "v", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
  }
  expect_failures = [check.version]
}

run "a_hash_in_base64" {
  command = plan
  variables {
    package_path = ""
    package_s3   = { bucket = "b", key = "0.1.0.zip", version = "v", sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }
  expect_failures = [var.package_s3]
}

run "architecture" {
  command = plan
  variables {
    architecture = "amd64"
  }
  expect_failures = [var.architecture]
}

run "a_schedule_of_seconds" {
  command = plan
  variables {
    schedule = "rate(30 seconds)"
  }
  expect_failures = [var.schedule]
}

run "a_schedule_that_is_none" {
  command = plan
  variables {
    schedule = "1m"
  }
  expect_failures = [var.schedule]
}

run "ticks" {
  command = plan
  variables {
    ticks = "many"
  }
  expect_failures = [var.ticks]
}

run "timeout" {
  command = plan
  variables {
    timeout = 5
  }
  expect_failures = [var.timeout]
}

run "memory_size" {
  command = plan
  variables {
    memory_size = 64
  }
  expect_failures = [var.memory_size]
}

run "reserved_concurrency_that_switches_it_off" {
  command = plan
  variables {
    reserved_concurrency = 0
  }
  expect_failures = [var.reserved_concurrency]
}

run "one_slot_and_webhooks" {
  command = plan
  variables {
    reserved_concurrency = 1
    function_url         = true
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "a_webhook_without_an_address" {
  command = plan
  variables {
    pools = [{ group_arn = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-linux", settings = "", statements = "[]", webhook = true }]
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "settings_that_are_too_long" {
  command = plan
  variables {
    settings = "# ${join("", [for number in range(1000) : "long"])}"
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "a_vpc_without_security_groups" {
  command = plan
  variables {
    subnet_ids = ["subnet-1"]
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "a_region_without_function_urls" {
  command = plan
  variables {
    function_url = true
  }
  override_data {
    target = data.aws_region.current
    values = { region = "eu-south-2" }
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "alarms_that_tell_nobody" {
  command = plan
  variables {
    alarm_actions = ["ops@example.com"]
  }
  expect_failures = [var.alarm_actions]
}

run "many_that_look_at_once" {
  command = plan
  variables {
    timeout = 900
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "a_look_that_is_never_begun" {
  command = plan
  variables {
    timeout  = 30
    deadline = "27s"
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "metrics_without_what_the_alarms_read" {
  command = plan
  variables {
    settings = "[metrics]\nemf = false\n"
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "a_pools_name_that_its_alarms_do_not_know" {
  command = plan
  variables {
    pools = [{
      group_arn  = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-linux"
      settings   = "[[pool]]\nname = \"linux\"\ngroup = \"ci-linux\"\n"
      statements = "[]"
      webhook    = false
    }]
  }
  expect_failures = [aws_lambda_function.scaler]
}

run "a_secret_in_the_settings" {
  command = plan
  variables {
    settings = "[platforms.mine.gitlab]\ntoken = \"text\"\n"
  }
  expect_failures = [var.settings]
}

run "a_secret_in_a_pools_settings" {
  command = plan
  variables {
    pools = [{
      group_arn  = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci-linux"
      settings   = "[[pool]]\ngroup = \"ci-linux\"\npool.platform.github.token = \"text\"\n"
      statements = "[]"
      webhook    = false
    }]
  }
  expect_failures = [var.pools]
}
