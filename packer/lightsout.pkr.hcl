# One build for every cloud: the same numbered scripts, in the same order. A cloud is a file of its own with its source, which the build names:
#   packer build -only='amazon-ebs.*' ...
#   packer build -only='azure-arm.*' ...
#   packer build -only='docker.*' ...

locals {
  image_name          = "${var.name_prefix}-${var.platform}-${var.os}-${var.architecture}-${formatdate("YYYYMMDD-hhmmss", timestamp())}"
  debian              = var.os != "amazon-linux-2023"
  debian_architecture = var.architecture == "arm64" ? "arm64" : "amd64"
  staged              = "${path.root}/../target/image/${local.image_name}"

  # Each platform's runner: the name of its pin, where it is put, and what is executed to see that it runs here.
  runners = {
    gitlab        = { pin = "gitlab-runner", program = ["/usr/local/bin/gitlab-runner"], check = ["/usr/local/bin/gitlab-runner", "--version"] }
    github        = { pin = "actions-runner", program = ["/opt/actions-runner/run.sh"], check = ["/opt/actions-runner/bin/Runner.Listener", "--version"] }
    buildkite     = { pin = "buildkite-agent", program = ["/usr/local/bin/buildkite-agent"], check = ["/usr/local/bin/buildkite-agent", "--version"] }
    circleci      = { pin = "circleci-runner", program = ["/usr/bin/circleci-runner"], check = ["/usr/bin/circleci-runner", "--version"] }
    spacelift     = { pin = "spacelift-launcher", program = ["/usr/local/bin/spacelift-launcher"], check = ["/usr/local/bin/spacelift-launcher", "--version"] }
    stackguardian = { pin = "sg-runner", program = ["/usr/local/bin/sg-runner"], check = ["/usr/local/bin/sg-runner", "--help"] }
    command       = { pin = "", program = [], check = [] }
  }
  runner         = local.runners[var.platform]
  runner_program = length(var.runner_program) > 0 ? var.runner_program : local.runner.program
  runner_check   = length(var.runner_check) > 0 ? var.runner_check : (length(var.runner_program) > 0 ? concat(var.runner_program, ["--version"]) : local.runner.check)
  no_pin         = { version = "", released = "", url = "", sha256 = "" }
  runner_pin     = lookup(var.pins, "${local.runner.pin}/${var.architecture}", local.no_pin)

  wanted = concat(
    compact([local.runner.pin]),
    [for version in var.terraform_versions : "terraform-${version}"],
    [for version in var.opentofu_versions : "opentofu-${version}"],
    local.debian && var.cloudwatch_agent ? ["amazon-cloudwatch-agent"] : [],
  )
  # Without the agent's package where the base image has it, which cannot be known before.
  optional = local.debian && var.ssm_agent && can(var.pins["amazon-ssm-agent/${var.architecture}"]) ? ["amazon-ssm-agent"] : []
  missing  = [for name in local.wanted : "${name}/${var.architecture}" if can(var.pins["${name}/${var.architecture}"]) == false]

  problems = compact([
    length(local.missing) > 0 ? "pins has no ${join(", ", local.missing)}: packer/pin NAME ARCHITECTURE VERSION URL, and -var-file=packer/versions.pkrvars.hcl" : "",
    var.platform == "github" && length(local.missing) == 0 && (local.runner_pin.released == "" || regex_replace(local.runner_pin.released, "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "") != "") ? "actions-runner has no release date, and it expires 30 days after: packer/pin ... --released YYYY-MM-DD" : "",
    var.platform == "command" && length(local.runner_check) == 0 ? "platform is command, and runner_check does not say what shows that your runner works: name a program that ends with 0" : "",
  ])
  checked = length(local.problems) == 0 ? 0 : parseint("wrong variables: ${join("; ", local.problems)}", 10)

  # One line each: NAME VERSION RELEASED SHA256 URL, with - for what is not known. Read by packer/stage here and scripts/lib.sh there.
  pin_lines = [
    for name in concat(local.wanted, local.optional) :
    format("%s %s %s %s %s",
      name,
      var.pins["${name}/${var.architecture}"].version,
      var.pins["${name}/${var.architecture}"].released == "" ? "-" : var.pins["${name}/${var.architecture}"].released,
      var.pins["${name}/${var.architecture}"].sha256,
      var.pins["${name}/${var.architecture}"].url,
    ) if can(var.pins["${name}/${var.architecture}"])
  ]

  environment = [
    "LIGHTSOUT_IMAGE=${local.image_name}",
    "LIGHTSOUT_COMMIT=${var.commit}",
    "LIGHTSOUT_PLATFORM=${var.platform}",
    "LIGHTSOUT_ARCHITECTURE=${var.architecture}",
    "LIGHTSOUT_PINS=${join("\n", local.pin_lines)}",
    "LIGHTSOUT_RUNNER=${local.runner.pin}",
    "LIGHTSOUT_RUNNER_PROGRAM=${jsonencode(local.runner_program)}",
    "LIGHTSOUT_RUNNER_CHECK=${jsonencode(local.runner_check)}",
    "LIGHTSOUT_PLATFORM_URL=${var.platform_url}",
    "LIGHTSOUT_TOKEN=${jsonencode(var.token)}",
    "LIGHTSOUT_TERRAFORM=${join(" ", var.terraform_versions)}",
    "LIGHTSOUT_OPENTOFU=${join(" ", var.opentofu_versions)}",
    "LIGHTSOUT_UPDATE=${var.update}",
    "LIGHTSOUT_RELEASEVER=${var.releasever}",
    "LIGHTSOUT_PACKAGES=${join(" ", var.packages)}",
    "LIGHTSOUT_PROXY=${var.proxy_url}",
    "LIGHTSOUT_NO_PROXY=${var.no_proxy}",
  ]
  aws_environment = [
    "LIGHTSOUT_SSM_AGENT=${var.ssm_agent}",
    "LIGHTSOUT_CLOUDWATCH_AGENT=${var.cloudwatch_agent}",
  ]

  # As root, with or without sudo.
  as_root = "$(test \"$(id -u)\" = 0 || echo sudo) env {{ .Vars }} bash {{ .Path }}"
}

source "docker" "lightsout" {
  image  = var.docker_base
  pull   = false
  commit = true
  # Packer leaves its own shell as the entry point otherwise.
  changes = [
    "ENTRYPOINT [\"/lib/systemd/systemd\"]",
    "CMD []",
    "ENV container=docker",
    "LABEL lightsout.commit=${var.commit}",
  ]
}

build {
  sources = [
    "source.amazon-ebs.lightsout",
    "source.azure-arm.lightsout",
    "source.docker.lightsout",
  ]

  # Everything is fetched here and compared with its hash, so that the build's machine needs no way to the vendors.
  provisioner "shell-local" {
    script = "${path.root}/stage"
    environment_vars = [
      "LIGHTSOUT_STAGED=${local.staged}",
      "LIGHTSOUT_PINS=${join("\n", local.pin_lines)}",
      "LIGHTSOUT_PACKER=${path.root}",
      "LIGHTSOUT_AGENT_PACKAGE=${var.agent_package}",
      "LIGHTSOUT_AGENT_SETTINGS=${var.agent_settings}",
      "LIGHTSOUT_USER_SCRIPT=${var.user_script}",
      "LIGHTSOUT_CA_CERTIFICATES=${var.ca_certificates}",
      "LIGHTSOUT_CLOUDWATCH_SETTINGS=${var.cloudwatch_settings}",
    ]
  }

  provisioner "shell" {
    script          = "${path.root}/scripts/00-wait.sh"
    execute_command = local.as_root
  }

  provisioner "file" {
    source      = "${local.staged}/"
    destination = "/tmp/lightsout-image"
    generated   = true
  }

  provisioner "shell-local" {
    inline = ["rm -r '${local.staged}'"]
  }

  provisioner "shell" {
    scripts = [
      "${path.root}/scripts/10-system.sh",
      "${path.root}/scripts/20-docker.sh",
      "${path.root}/scripts/30-agent.sh",
      "${path.root}/scripts/40-runner.sh",
      "${path.root}/scripts/50-tools.sh",
    ]
    environment_vars = local.environment
    execute_command  = local.as_root
  }

  provisioner "shell" {
    only             = ["amazon-ebs.lightsout"]
    script           = "${path.root}/scripts/60-aws.sh"
    environment_vars = concat(local.environment, local.aws_environment)
    execute_command  = local.as_root
  }

  provisioner "shell" {
    scripts = [
      "${path.root}/scripts/70-user.sh",
      "${path.root}/scripts/80-facts.sh",
      "${path.root}/scripts/90-clean.sh",
      "${path.root}/scripts/99-doctor.sh",
    ]
    environment_vars = local.environment
    execute_command  = local.as_root
  }

  # The last of all, since it takes away the user that the build came as.
  provisioner "shell" {
    only            = ["azure-arm.lightsout"]
    inline          = ["waagent -force -deprovision+user && sync"]
    execute_command = local.as_root
  }

  post-processors {
    post-processor "docker-tag" {
      only       = ["docker.lightsout"]
      repository = split(":", var.docker_tag)[0]
      tags       = [split(":", var.docker_tag)[1]]
    }
  }

  post-processor "manifest" {
    output = "${path.root}/../target/image/manifest.json"
    custom_data = {
      image    = local.image_name
      commit   = var.commit
      platform = var.platform
      runner   = local.runner_pin.version
    }
  }
}
