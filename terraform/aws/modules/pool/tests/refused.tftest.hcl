# Values that cannot work are refused by the plan, each with a sentence that says what to write instead.

mock_provider "aws" {
  mock_data "aws_ami" {
    defaults = { architecture = "x86_64", root_device_name = "/dev/xvda" }
  }
}

variables {
  name              = "ci-linux"
  image_id          = "ami-0123456789abcdef0"
  subnet_ids        = ["subnet-0123456789abcdef0"]
  platform          = "gitlab"
  platform_settings = { url = "https://gitlab.example.com" }
}

run "name" {
  command = plan
  variables {
    name = "ci linux"
  }
  expect_failures = [var.name]
}

run "min_size" {
  command = plan
  variables {
    min_size = -1
  }
  expect_failures = [var.min_size]
}

run "max_size" {
  command = plan
  variables {
    max_size = 0
  }
  expect_failures = [var.max_size]
}

run "min_above_max" {
  command = plan
  variables {
    min_size = 11
  }
  expect_failures = [aws_autoscaling_group.pool]
}

run "delete_timeout" {
  command = plan
  variables {
    delete_timeout = "forever"
  }
  expect_failures = [var.delete_timeout]
}

run "platform" {
  command = plan
  variables {
    platform = "gitlib"
  }
  expect_failures = [var.platform]
}

run "platform_settings_that_is_a_list" {
  command = plan
  variables {
    platform_settings = ["url"]
  }
  expect_failures = [var.platform_settings]
}

run "a_map_in_platform_settings" {
  command = plan
  variables {
    platform_settings = { token = { ssm = "/ci" } }
  }
  expect_failures = [var.platform_settings]
}

run "a_misspelt_platform_setting" {
  command = plan
  variables {
    platform_settings = { url = "https://gitlab.example.com", run_untaged = true }
  }
  expect_failures = [aws_launch_template.pool]
}

run "a_setting_for_the_wrong_side" {
  command = plan
  variables {
    platform_settings = { agent = { projects = ["a/b"] } }
  }
  expect_failures = [aws_launch_template.pool]
}

run "a_secret_among_the_settings" {
  command = plan
  variables {
    platform_settings = { token = "glrt-not-here" }
  }
  expect_failures = [aws_launch_template.pool]
}

run "a_secret_that_is_nowhere" {
  command = plan
  variables {
    agent_secrets = { token = {} }
  }
  expect_failures = [var.agent_secrets]
}

run "a_secret_in_two_places" {
  command = plan
  variables {
    agent_secrets = { token = { ssm = "/ci", secretsmanager = "ci" } }
  }
  expect_failures = [var.agent_secrets]
}

run "a_key_in_a_parameter" {
  command = plan
  variables {
    agent_secrets = { token = { ssm = "/ci", key = "token" } }
  }
  expect_failures = [var.agent_secrets]
}

run "a_misspelt_agent_secret" {
  command = plan
  variables {
    agent_secrets = { tokn = { ssm = "/ci" } }
  }
  expect_failures = [aws_launch_template.pool]
}

run "a_scaler_secret_that_is_nowhere" {
  command = plan
  variables {
    scaler_secrets = { token = {} }
  }
  expect_failures = [var.scaler_secrets]
}

run "a_key_in_a_scalers_parameter" {
  command = plan
  variables {
    scaler_secrets = { token = { ssm = "/ci", key = "token" } }
  }
  expect_failures = [var.scaler_secrets]
}

run "a_misspelt_scaler_secret" {
  command = plan
  variables {
    scaler_secrets = { private_key = { ssm = "/ci" } }
  }
  expect_failures = [aws_launch_template.pool]
}

run "an_alias_for_a_key" {
  command = plan
  variables {
    secrets_kms_key_arns = ["alias/ci"]
  }
  expect_failures = [var.secrets_kms_key_arns]
}

run "slots" {
  command = plan
  variables {
    slots = 0
  }
  expect_failures = [var.slots]
}

run "idle_timeout" {
  command = plan
  variables {
    idle_timeout = "10"
  }
  expect_failures = [var.idle_timeout]
}

run "max_age" {
  command = plan
  variables {
    max_age = "1 day"
  }
  expect_failures = [var.max_age]
}

run "jobs_per_instance" {
  command = plan
  variables {
    jobs_per_instance = -1
  }
  expect_failures = [var.jobs_per_instance]
}

run "boot_deadline" {
  command = plan
  variables {
    boot_deadline = ""
  }
  expect_failures = [var.boot_deadline]
}

run "a_secret_in_agent_settings" {
  command = plan
  variables {
    agent_settings = "[platform.gitlab]\ntoken = \"glrt-not-here\"\n"
  }
  expect_failures = [var.agent_settings]
}

run "spare" {
  command = plan
  variables {
    spare = 0.5
  }
  expect_failures = [var.spare]
}

run "a_schedule_without_a_number" {
  command = plan
  variables {
    schedule = ["mon-fri 07:30-18:00 spare"]
    zone     = "UTC"
  }
  expect_failures = [var.schedule]
}

run "a_schedule_of_a_day_that_is_none" {
  command = plan
  variables {
    schedule = ["mon-fri spare 4", "weekend spare 0"]
    zone     = "UTC"
  }
  expect_failures = [var.schedule]
}

run "a_schedule_of_hours_that_are_none" {
  command = plan
  variables {
    schedule = ["08:00-08:00 spare 4"]
    zone     = "UTC"
  }
  expect_failures = [var.schedule]
}

run "a_schedule_without_a_clock" {
  command = plan
  variables {
    schedule = ["mon-fri spare 4"]
  }
  expect_failures = [aws_launch_template.pool]
}

run "a_zone_that_says_its_opposite" {
  command = plan
  variables {
    schedule = ["mon-fri spare 4"]
    zone     = "UTC+2"
  }
  expect_failures = [var.zone]
}

run "threshold" {
  command = plan
  variables {
    threshold = 0
  }
  expect_failures = [var.threshold]
}

run "max_step" {
  command = plan
  variables {
    max_step = -1
  }
  expect_failures = [var.max_step]
}

run "cooldown" {
  command = plan
  variables {
    cooldown = "4"
  }
  expect_failures = [var.cooldown]
}

run "utilisation" {
  command = plan
  variables {
    utilisation = 101
  }
  expect_failures = [var.utilisation]
}

run "a_webhook_without_a_secret" {
  command = plan
  variables {
    webhook = {}
  }
  expect_failures = [var.webhook]
}

run "image_id" {
  command = plan
  variables {
    image_id = "lightsout-gitlab"
  }
  expect_failures = [var.image_id]
}

run "two_images" {
  command = plan
  variables {
    image_name = "lightsout-gitlab-*"
  }
  expect_failures = [data.aws_ami.image]
}

run "architecture" {
  command = plan
  variables {
    architecture = "aarch64"
  }
  expect_failures = [var.architecture]
}

run "a_type_twice" {
  command = plan
  variables {
    instance_types = ["m7i.large", "m7i.large"]
  }
  expect_failures = [var.instance_types]
}

run "what_is_no_type" {
  command = plan
  variables {
    instance_types = ["large"]
  }
  expect_failures = [var.instance_types]
}

run "a_type_of_the_other_architecture" {
  command = plan
  variables {
    instance_types = ["m7i.large", "m7g.large"]
  }
  expect_failures = [aws_launch_template.pool]
}

run "an_image_of_the_other_architecture" {
  command = plan
  variables {
    architecture = "arm64"
  }
  expect_failures = [aws_launch_template.pool]
}

run "on_demand_percentage" {
  command = plan
  variables {
    on_demand_percentage = 120
  }
  expect_failures = [var.on_demand_percentage]
}

run "on_demand_base" {
  command = plan
  variables {
    on_demand_base = -1
  }
  expect_failures = [var.on_demand_base]
}

run "spot_allocation_strategy" {
  command = plan
  variables {
    spot_allocation_strategy = "cheapest"
  }
  expect_failures = [var.spot_allocation_strategy]
}

run "volume_size" {
  command = plan
  variables {
    volume_size = 4
  }
  expect_failures = [var.volume_size]
}

run "volume_type" {
  command = plan
  variables {
    volume_type = "standard"
  }
  expect_failures = [var.volume_type]
}

run "an_alias_for_the_volumes_key" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/ci"
  }
  expect_failures = [var.kms_key_arn]
}

run "a_grant_on_no_key" {
  command = plan
  variables {
    kms_grant = true
  }
  expect_failures = [aws_launch_template.pool]
}

run "service_linked_role" {
  command = plan
  variables {
    service_linked_role = "AutoScaling"
  }
  expect_failures = [var.service_linked_role]
}

run "no_subnets" {
  command = plan
  variables {
    subnet_ids = []
  }
  expect_failures = [var.subnet_ids]
}

run "ipv6_address_count" {
  command = plan
  variables {
    ipv6_address_count = -1
  }
  expect_failures = [var.ipv6_address_count]
}

run "egress_ports" {
  command = plan
  variables {
    egress_ports = [443, 70000]
  }
  expect_failures = [var.egress_ports]
}

run "egress_without_https" {
  command = plan
  variables {
    egress_ports = [22]
  }
  expect_failures = [var.egress_ports]
}

run "an_ingress_rule_without_a_source" {
  command = plan
  variables {
    ingress_rules = { ssh = { port = 22 } }
  }
  expect_failures = [var.ingress_rules]
}

run "the_whole_internet" {
  command = plan
  variables {
    ingress_rules = { ssh = { port = 22, cidr_ipv4 = "0.0.0.0/0" } }
  }
  expect_failures = [var.ingress_rules]
}

run "two_ssh_keys" {
  command = plan
  variables {
    ssh_key_name   = "mine"
    ssh_public_key = "ssh-ed25519 AAAA"
  }
  expect_failures = [aws_launch_template.pool]
}

run "no_security_group" {
  command = plan
  variables {
    create_security_group = false
  }
  expect_failures = [aws_launch_template.pool]
}

run "ingress_rules_for_no_group" {
  command = plan
  variables {
    create_security_group = false
    security_group_ids    = ["sg-1"]
    ingress_rules         = { ssh = { port = 22, cidr_ipv4 = "10.0.0.0/8" } }
  }
  expect_failures = [aws_launch_template.pool]
}

run "what_is_no_policy" {
  command = plan
  variables {
    extra_policies = { mine = "s3:*" }
  }
  expect_failures = [var.extra_policies]
}

run "a_tag_that_metadata_cannot_tell" {
  command = plan
  variables {
    tags = { "cost centre" = "1" }
  }
  expect_failures = [aws_launch_template.pool]
}

run "a_cache_for_another_platform" {
  command = plan
  variables {
    platform          = "buildkite"
    platform_settings = { queue = "default" }
    cache_bucket      = "my-cache"
  }
  expect_failures = [aws_launch_template.pool]
}

run "an_existing_group_that_does_not_protect" {
  command = plan
  variables {
    existing_group_name = "ci-old"
  }
  override_data {
    target = data.aws_autoscaling_group.existing[0]
    values = { new_instances_protected_from_scale_in = false, suspended_processes = ["AZRebalance"], health_check_type = "EC2", max_instance_lifetime = 0 }
  }
  expect_failures = [data.aws_autoscaling_group.existing]
}

run "an_existing_group_that_rebalances" {
  command = plan
  variables {
    existing_group_name = "ci-old"
  }
  override_data {
    target = data.aws_autoscaling_group.existing[0]
    values = { new_instances_protected_from_scale_in = true, suspended_processes = [], health_check_type = "EC2", max_instance_lifetime = 0 }
  }
  expect_failures = [data.aws_autoscaling_group.existing]
}

run "an_existing_group_with_another_health_check" {
  command = plan
  variables {
    existing_group_name = "ci-old"
  }
  override_data {
    target = data.aws_autoscaling_group.existing[0]
    values = { new_instances_protected_from_scale_in = true, suspended_processes = ["AZRebalance"], health_check_type = "ELB", max_instance_lifetime = 0 }
  }
  expect_failures = [data.aws_autoscaling_group.existing]
}

run "an_existing_group_that_ends_the_old" {
  command = plan
  variables {
    existing_group_name = "ci-old"
  }
  override_data {
    target = data.aws_autoscaling_group.existing[0]
    values = { new_instances_protected_from_scale_in = true, suspended_processes = ["AZRebalance"], health_check_type = "EC2", max_instance_lifetime = 86400 }
  }
  expect_failures = [data.aws_autoscaling_group.existing]
}

run "github_on_ipv6_alone" {
  command = plan
  variables {
    platform          = "github"
    platform_settings = { organization = "acme" }
  }
  override_data {
    target = data.aws_subnet.first
    values = { ipv6_native = true, vpc_id = "vpc-1" }
  }
  expect_failures = [aws_launch_template.pool]
}

run "a_bundle_without_its_version" {
  command = plan
  variables {
    boot_bundle = { bucket = "b", key = "k", version = "", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }
  expect_failures = [var.boot_bundle]
}

run "a_name_too_long_for_the_instance_profile" {
  command = plan
  variables {
    name = join("", [for number in range(12) : "ci-linux"])
  }
  expect_failures = [var.name]
}

run "a_webhook_of_a_platform_that_has_none" {
  command = plan
  variables {
    platform          = "circleci"
    platform_settings = { resource_classes = ["acme/linux"] }
    webhook           = { ssm = "/ci/webhook" }
  }
  expect_failures = [aws_launch_template.pool]
}

run "a_launch_hook_that_nobody_extends" {
  command = plan
  variables {
    launch_hook = true
    boot_bundle = { bucket = "b", key = "k", version = "v1", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }
  expect_failures = [aws_autoscaling_group.pool]
}

run "a_secret_by_how_it_begins" {
  command = plan
  variables {
    agent_settings = "[agent]\nrunner_env = { A = \"glrt-abcdefgh\" }\n"
  }
  expect_failures = [var.agent_settings]
}
