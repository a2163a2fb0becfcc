# What agent and scaler are told. TOML's strings, numbers and lists are written as JSON's are.

locals {
  # docs/platforms.md as data: which side reads which key. The test that checks the tables there writes it.
  platforms = jsondecode(file("${path.module}/platforms.json"))
  keys      = local.platforms[var.platform]

  platforms_with_webhooks = ["buildkite", "github", "gitlab"]

  # What stands in a map of its own is one side's alone, the rest whose side knows it.
  common  = { for key, value in var.platform_settings : key => value if !contains(["agent", "scaler"], key) }
  of_side = { for side in ["agent", "scaler"] : side => merge({ for key, value in local.common : key => value if contains(local.keys[side], key) }, try(var.platform_settings[side], {})) }
  given   = distinct(concat(keys(local.common), keys(local.of_side.agent), keys(local.of_side.scaler)))
  unknown = concat(
    [for key in keys(local.common) : key if !contains(concat(local.keys.agent, local.keys.scaler), key)],
    flatten([for side, settings in local.of_side : [for key in keys(settings) : "${side}.${key}" if !contains(local.keys[side], key)]]),
  )
  agent_unknown  = [for key in keys(var.agent_secrets) : key if !contains(local.keys.agent_secrets, key)]
  scaler_unknown = [for key in keys(var.scaler_secrets) : key if !contains(local.keys.scaler_secrets, key)]

  sides = { agent = var.agent_secrets, scaler = var.scaler_secrets }
  platform_toml = {
    for side, secrets in local.sides : side => concat(
      [for key, value in local.of_side[side] : "${key} = ${jsonencode(value)}"],
      [for key, secret in secrets : "${key} = ${local.references[side][key]}"],
    )
  }
  # And the webhook's, which both scaler and platform have.
  secrets = merge(local.sides, { webhook = var.webhook == null ? {} : { secret = var.webhook } })
  references = {
    for side, secrets in local.secrets : side => {
      for key, secret in secrets : key => secret.ssm != null ? "{ ssm = ${jsonencode(secret.ssm)} }" : (
        secret.key == null ? "{ secretsmanager = ${jsonencode(secret.secretsmanager)} }" :
        "{ secretsmanager = ${jsonencode(secret.secretsmanager)}, key = ${jsonencode(secret.key)} }"
      )
    }
  }

  cache_toml = var.cache_bucket == "" ? [] : [
    "extra = '''",
    "[cache]",
    "Type = \"s3\"",
    "Shared = true",
    "[cache.s3]",
    "ServerAddress = \"s3.${data.aws_region.current.region}.${data.aws_partition.current.dns_suffix}\"",
    "BucketName = ${jsonencode(var.cache_bucket)}",
    "BucketLocation = ${jsonencode(data.aws_region.current.region)}",
    "AuthenticationType = \"iam\"",
    "'''",
  ]

  agent_toml = join("\n", concat(
    ["# Written by the Terraform module's user data."],
    # Also without launch_hook: the group may have been born with it, and an agent that does not know of it leaves each launch to be abandoned.
    local.create_group ? ["[agent]", "launch_hook = \"lightsout-ready\""] : [],
    var.logs ? ["[records]", "log_group = ${jsonencode(aws_cloudwatch_log_group.instances[0].name)}"] : [],
    ["[platform.${var.platform}]"],
    local.platform_toml.agent, local.cache_toml, [""],
  ))

  # What an operator may want to change for one instance or one group stands in tags, which the agent reads in its metadata.
  settings_tags = merge(
    {
      "lightsout:slots"         = tostring(var.slots)
      "lightsout:idle_timeout"  = var.idle_timeout
      "lightsout:max_age"       = var.max_age
      "lightsout:boot_deadline" = var.boot_deadline
    },
    var.jobs_per_instance > 0 ? { "lightsout:jobs_per_instance" = tostring(var.jobs_per_instance) } : {},
  )

  webhook_toml = var.webhook == null ? [] : concat(
    ["[pool.webhook]", "kind = ${jsonencode(var.platform)}", "secret = ${local.references.webhook.secret}"],
    var.webhook.path == null ? [] : ["path = ${jsonencode(var.webhook.path)}"],
  )

  # What is as the scaler's own default is left out.
  scaler_toml = join("\n", concat(
    ["[[pool]]", "group = ${jsonencode(local.group_name)}", "region = ${jsonencode(data.aws_region.current.region)}"],
    var.slots == 1 ? [] : ["slots = ${var.slots}"],
    var.spare == 0 ? [] : ["spare = ${var.spare}"],
    length(var.schedule) == 0 ? [] : ["schedule = ${jsonencode(var.schedule)}"],
    var.zone == "" ? [] : ["zone = ${jsonencode(var.zone)}"],
    var.threshold == 1 ? [] : ["threshold = ${var.threshold}"],
    var.max_step == 0 ? [] : ["max_step = ${var.max_step}"],
    var.cooldown == "0s" ? [] : ["cooldown = ${jsonencode(var.cooldown)}"],
    var.utilisation == 100 ? [] : ["utilisation = ${var.utilisation}"],
    var.count_running ? [] : ["count_running = false"],
    ["[pool.platform.${var.platform}]"], local.platform_toml.scaler, local.webhook_toml, [""],
  ))

  # Without a bundle nothing is run: the image has all, and user data says what differs.
  boot = var.boot_bundle == null ? null : ["python3", "/opt/lightsout/boot.py", var.boot_bundle.bucket, var.boot_bundle.key, var.boot_bundle.version, var.boot_bundle.sha256]
  user_data = "#cloud-config\n${jsonencode(merge(
    {
      write_files = concat(
        [{ path = "/etc/lightsout/agent.d/50-module.toml", permissions = "0600", content = local.agent_toml }],
        var.agent_settings == "" ? [] : [{ path = "/etc/lightsout/agent.d/60-module.toml", permissions = "0600", content = var.agent_settings }],
        local.boot == null ? [] : [{ path = "/opt/lightsout/boot.py", permissions = "0700", content = file("${path.module}/boot.py") }],
      )
    },
    local.boot == null ? {} : { bootcmd = [file("${path.module}/boot-deadline.sh")] },
    local.boot == null ? {} : { runcmd = [local.boot] },
  ))}\n"
}
