# A new group may be born with a launch hook, which the agent answers.

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
  mock_data "aws_subnet" {
    defaults = { vpc_id = "vpc-0123456789abcdef0" }
  }
}

variables {
  name              = "ci-linux"
  image_id          = "ami-0123456789abcdef0"
  subnet_ids        = ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"]
  platform          = "gitlab"
  platform_settings = { url = "https://gitlab.example.com", group = "my-team", tags = ["linux"] }
  agent_secrets     = { token = { ssm = "/ci/runner-token" } }
  scaler_secrets    = { token = { secretsmanager = "ci", key = "read" } }
}

run "an_agent_knows_the_hook_that_its_group_may_have_been_born_with" {
  command = plan
  variables {
    launch_hook = false
  }
  assert {
    condition     = strcontains(local.agent_toml, "launch_hook = \"lightsout-ready\"")
    error_message = "else every launch is abandoned once launch_hook is taken back"
  }
}

run "a_launch_hook_that_the_agent_answers" {
  command = plan
  variables {
    launch_hook = true
  }
  assert {
    condition     = sort([for hook in aws_autoscaling_group.pool[0].initial_lifecycle_hook : hook.name]) == tolist(["lightsout-drain", "lightsout-ready"])
    error_message = "born with both"
  }
  assert {
    condition     = strcontains(local.agent_toml, "launch_hook = \"lightsout-ready\"")
    error_message = "and the agent is told which to answer"
  }
}

run "a_group_that_was_born_with_a_launch_hook" {
  variables {
    launch_hook = true
  }
}

run "keeps_it_and_so_takes_no_instances_that_make_themselves" {
  command = plan
  variables {
    launch_hook = false
    boot_bundle = { bucket = "b", key = "k", version = "v1", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }
  expect_failures = [aws_autoscaling_group.pool]
}
