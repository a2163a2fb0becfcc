# What the pool is, planned and applied with nothing behind it.

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

run "a_pool_can_go_dark_and_is_protected_at_birth" {
  assert {
    condition     = aws_autoscaling_group.pool[0].min_size == 0 && aws_autoscaling_group.pool[0].protect_from_scale_in
    error_message = "min 0, protected from birth"
  }
  assert {
    condition     = one(aws_autoscaling_group.pool[0].initial_lifecycle_hook).name == "lightsout-drain"
    error_message = "one hook, and it is the termination hook"
  }
  assert {
    condition     = output.group_name == "ci-linux"
    error_message = "the group is called as it was said"
  }
}

run "on_ipv6_alone_the_metadata_service_answers_there" {
  command = plan
  override_data {
    target = data.aws_subnet.first
    values = { ipv6_native = true, vpc_id = "vpc-1" }
  }
  assert {
    condition     = one(aws_launch_template.pool.metadata_options).http_protocol_ipv6 == "enabled"
    error_message = "an agent there could not know who its instance is"
  }
}

run "secrets_are_named_and_each_side_may_read_its_own_alone" {
  command = plan
  assert {
    condition     = strcontains(output.agent_policy, "parameter/ci/runner-token") && !strcontains(output.agent_policy, "secret:ci")
    error_message = "the agent reads its own"
  }
  assert {
    condition     = strcontains(output.scaler.statements, "secret:ci-??????") && !strcontains(output.scaler.statements, "runner-token")
    error_message = "the scaler reads its own"
  }
  assert {
    condition     = strcontains(output.scaler.settings, "token = { secretsmanager = \"ci\", key = \"read\" }")
    error_message = "the scaler is told where its secret is"
  }
}

run "each_side_gets_the_settings_that_it_knows" {
  command = plan
  assert {
    condition     = strcontains(output.scaler.settings, "tags = [\"linux\"]") && !strcontains(local.agent_toml, "tags")
    error_message = "tags are the scaler's"
  }
  assert {
    condition     = strcontains(output.scaler.settings, "url =") && strcontains(local.agent_toml, "url =")
    error_message = "the address is both sides'"
  }
}

run "one_side_alone_may_be_told" {
  command = plan
  variables {
    platform          = "spacelift"
    platform_settings = { scaler = { url = "https://acme.app.spacelift.io", api_key_id = "01ABC", worker_pool = "01DEF" } }
    agent_secrets     = { token = { ssm = "/ci/pool" }, private_key = { ssm = "/ci/key" } }
    scaler_secrets    = { api_key_secret = { ssm = "/ci/api" } }
  }
  assert {
    condition     = !strcontains(local.agent_toml, "api_key_id") && strcontains(output.scaler.settings, "api_key_id = \"01ABC\"")
    error_message = "the agent is not told what is the scaler's alone"
  }
}

run "the_pools_own_settings_are_tags" {
  command = plan
  variables {
    slots             = 3
    idle_timeout      = "20m"
    jobs_per_instance = 1
    spare             = 2
    schedule          = ["mon-fri 07:30-18:00 spare 4", "sat,sun-mon spare 0", "22:00-24:00 spare 1", "fri 18:00-06:00 spare 10", "spare 3"]
    zone              = "<+02>-2"
    max_step          = 5
  }
  assert {
    condition = { for tag in aws_autoscaling_group.pool[0].tag : tag.key => tag.value if startswith(tag.key, "lightsout:") } == {
      "lightsout:slots" = "3", "lightsout:idle_timeout" = "20m", "lightsout:max_age" = "never", "lightsout:boot_deadline" = "10m", "lightsout:jobs_per_instance" = "1"
    }
    error_message = "agents read these in metadata"
  }
  assert {
    condition     = strcontains(output.scaler.settings, "slots = 3\nspare = 2\nschedule = [\"mon-fri 07:30-18:00 spare 4\",\"sat,sun-mon spare 0\",\"22:00-24:00 spare 1\",\"fri 18:00-06:00 spare 10\",\"spare 3\"]\nzone = ${jsonencode("<+02>-2")}\nmax_step = 5")
    error_message = "the scaler counts with the same slots"
  }
}

run "spot_and_on_demand_in_one_group_over_many_types" {
  command = plan
  variables {
    instance_types       = ["c7i.large", "c6i.large", "c6a.large", "m6i.large"]
    on_demand_base       = 1
    on_demand_percentage = 20
  }
  assert {
    condition     = one(one(aws_autoscaling_group.pool[0].mixed_instances_policy).instances_distribution).on_demand_percentage_above_base_capacity == 20
    error_message = "a fifth on demand"
  }
  assert {
    condition     = one(one(aws_autoscaling_group.pool[0].mixed_instances_policy).launch_template).override[*].instance_type == tolist(["c7i.large", "c6i.large", "c6a.large", "m6i.large"])
    error_message = "in the order that was said"
  }
}

run "a_refresh_replaces_protected_instances_behind_the_hook" {
  command = plan
  variables {
    instance_refresh = true
  }
  assert {
    condition     = one(one(aws_autoscaling_group.pool[0].instance_refresh).preferences).scale_in_protected_instances == "Refresh"
    error_message = "AWS's own default waits an hour and fails"
  }
}

run "graviton" {
  command = plan
  variables {
    architecture = "arm64"
  }
  override_data {
    target = data.aws_ami.image
    values = { id = "ami-0123456789abcdef0", architecture = "arm64", root_device_name = "/dev/xvda" }
  }
  assert {
    condition     = startswith(aws_launch_template.pool.instance_type, "m8g")
    error_message = "types of the image's architecture"
  }
}

run "egress_may_be_limited" {
  command = plan
  variables {
    egress_ports = [443, 22]
  }
  assert {
    condition     = sort([for way in aws_security_group.pool[0].egress : "${way.protocol} ${way.from_port}-${way.to_port} ${join(" ", concat(way.cidr_blocks, way.ipv6_cidr_blocks))}"]) == tolist(["tcp 22-22 0.0.0.0/0 ::/0", "tcp 443-443 0.0.0.0/0 ::/0"])
    error_message = "these ports in both families, and nothing else"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.rule) == 0
    error_message = "and nobody comes in"
  }
}

run "without_ports_everything_may_be_reached" {
  command = plan
  assert {
    condition     = [for way in aws_security_group.pool[0].egress : "${way.protocol} ${join(" ", concat(way.cidr_blocks, way.ipv6_cidr_blocks))}"] == ["-1 0.0.0.0/0 ::/0"]
    error_message = "one way, in both families"
  }
}

run "a_key_of_ones_own_is_granted_to_auto_scaling" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/0a1b"
  }
  assert {
    condition     = aws_kms_grant.volumes[0].grantee_principal == "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    error_message = "the service-linked role uses it, not the instances' own"
  }
  assert {
    condition     = contains(aws_kms_grant.volumes[0].operations, "CreateGrant") && strcontains(output.kms_key_policy_statements, "kms:GrantIsForAWSResource")
    error_message = "and hands it on to EC2 alone"
  }
}

run "a_profile_of_ones_own" {
  command = plan
  variables {
    instance_profile_name = "mine"
  }
  assert {
    condition     = length(aws_iam_role.agent) == 0 && one(aws_launch_template.pool.iam_instance_profile).name == "mine" && output.role_name == null
    error_message = "no role is made"
  }
  assert {
    condition     = strcontains(output.agent_policy, "autoscaling:TerminateInstanceInAutoScalingGroup")
    error_message = "and what it needs is said"
  }
}

run "an_existing_group_is_looked_at_and_left_alone" {
  command = plan
  variables {
    existing_group_name = "ci-old"
  }
  override_data {
    target = data.aws_autoscaling_group.existing[0]
    values = {
      name                                  = "ci-old", arn = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:0a1b:autoScalingGroupName/ci-old"
      new_instances_protected_from_scale_in = true, suspended_processes = ["AZRebalance"], health_check_type = "EC2", max_instance_lifetime = 0
    }
  }
  assert {
    condition     = length(aws_autoscaling_group.pool) == 0 && strcontains(output.scaler.settings, "group = \"ci-old\"")
    error_message = "the scaler raises it, and nothing makes it anew"
  }
}

run "gitlabs_cache" {
  command = plan
  variables {
    cache_bucket = "my-cache"
  }
  assert {
    condition     = strcontains(output.agent_policy, "arn:aws:s3:::my-cache/*") && strcontains(local.agent_toml, "BucketName = \"my-cache\"")
    error_message = "the role may, and the runner knows"
  }
}

run "without_an_image_the_instance_runs_one_file_and_no_other" {
  command = plan
  variables {
    boot_bundle = { bucket = "b", key = "k", version = "v1", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }
  assert {
    condition     = yamldecode(base64decode(aws_launch_template.pool.user_data)).runcmd == [["python3", "/opt/lightsout/boot.py", "b", "k", "v1", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]]
    error_message = "by its version and hash"
  }
  assert {
    condition     = yamldecode(base64decode(aws_launch_template.pool.user_data)).bootcmd == [file("boot-deadline.sh")]
    error_message = "and before all else a deadline is set, after which the machine is off whatever became of that"
  }
  assert {
    condition     = strcontains(output.agent_policy, "arn:aws:s3:::b/k\"")
    error_message = "which it may read, and nothing else there"
  }
}

run "a_group_keeps_the_hooks_that_it_was_born_with" {
  command = plan
  variables {
    launch_hook = true
  }
  assert {
    condition     = [for hook in aws_autoscaling_group.pool[0].initial_lifecycle_hook : hook.name] == ["lightsout-drain"]
    error_message = "another hook would replace the group, and end its instances"
  }
}

run "a_role_keeps_the_path_that_it_was_made_with" {
  command = plan
  variables {
    role_path = "/ci/"
  }
  assert {
    condition     = aws_iam_role.agent[0].path == "/" && aws_iam_instance_profile.agent[0].path == "/"
    error_message = "another path would replace the role, and take it from instances that run"
  }
}

run "an_image_that_is_named_may_be_deprecated" {
  command = plan
  assert {
    condition     = data.aws_ami.image.include_deprecated
    error_message = "it can still be started from, and a destroy reads it, too"
  }
}

run "a_grants_name_has_no_dots" {
  command = plan
  variables {
    name        = "ci.linux"
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/0a1b"
  }
  assert {
    condition     = aws_kms_grant.volumes[0].name == "ci-linux-volumes"
    error_message = "KMS takes none"
  }
}

run "departures_are_counted_where_the_agents_write_them" {
  command = plan
  assert {
    condition = alltrue([for reason in ["broken", "spot", "rebalance", "idle"] :
      one(aws_cloudwatch_log_metric_filter.departures[reason].metric_transformation).name == "lightsout.departures.${reason}" &&
      one(aws_cloudwatch_log_metric_filter.departures[reason].metric_transformation).dimensions == tomap({ pool = "$.group" })
    ])
    error_message = "as the alarms have them"
  }
  assert {
    condition     = output.scaler.log_group == "lightsout/ci-linux"
    error_message = "and the scaler's module knows"
  }
}

run "without_logs_nobody_counts_them" {
  command = plan
  variables {
    logs = false
  }
  assert {
    condition     = length(aws_cloudwatch_log_metric_filter.departures) == 0 && output.scaler.log_group == null
    error_message = "and the scaler's module knows that, too"
  }
}

run "session_manager_is_asked_for_and_may_say_that_it_is_there" {
  command = plan
  variables {
    session_manager = true
  }
  assert {
    condition     = [for statement in jsondecode(output.agent_policy).Statement : statement.Condition if statement.Sid == "SessionManagerItself"] == [{ Null = { "ec2:SourceInstanceARN" = "false" } }]
    error_message = "by a condition that Systems Manager meets"
  }
}

run "without_session_manager_no_right_of_it" {
  command = plan
  assert {
    condition     = !strcontains(output.agent_policy, "ssmmessages") && !strcontains(output.agent_policy, "UpdateInstanceInformation")
    error_message = "it is off unless it is asked for"
  }
}

run "a_webhooks_secret_is_written_as_the_platforms" {
  command = plan
  variables {
    webhook = { secretsmanager = "ci", key = "hook", path = "linux" }
  }
  assert {
    condition     = strcontains(output.scaler.settings, "[pool.webhook]\nkind = \"gitlab\"\nsecret = { secretsmanager = \"ci\", key = \"hook\" }\npath = \"linux\"")
    error_message = "by its reference"
  }
}
