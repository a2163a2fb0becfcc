# The root module: a pool and its scaler know each other.

mock_provider "aws" {
  mock_data "aws_ami" {
    defaults = { architecture = "x86_64", root_device_name = "/dev/xvda" }
  }
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
  name                = "ci-linux"
  image_id            = "ami-0123456789abcdef0"
  subnet_ids          = ["subnet-0123456789abcdef0"]
  platform            = "buildkite"
  platform_settings   = { queue = "default" }
  agent_secrets       = { token = { ssm = "/ci/token" } }
  scaler_secrets      = { token = { ssm = "/ci/token" } }
  scaler_package_path = "modules/scaler/tests/package.zip"
}

run "a_pool_and_its_scaler" {
  command = plan
  assert {
    condition     = output.group_name == "ci-linux" && output.scaler_function_name == "ci-linux-scaler"
    error_message = "named after the pool"
  }
  assert {
    condition     = strcontains(output.scaler_policy, "autoScalingGroupName/ci-linux") && strcontains(output.scaler_settings, "queue = \"default\"")
    error_message = "the scaler may raise this pool, and knows its queue"
  }
}

run "what_is_left_out_is_the_modules_default" {
  command = plan
  variables {
    min_size          = null
    idle_timeout      = null
    scaler_ticks      = null
    egress_ports      = null
    platform_settings = { queue = "default" }
  }
  assert {
    condition     = strcontains(output.scaler_settings, "group = \"ci-linux\"")
    error_message = "null is no value of its own"
  }
}

run "a_scaler_that_may_ask_nobody" {
  command = plan
  variables {
    scaler_secrets = {}
  }
  expect_failures = [output.scaler_function_name]
}
