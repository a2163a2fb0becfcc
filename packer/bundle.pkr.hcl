# The same without an image: what the build would send to its machine, and the scripts that it would run there, in one file for instances of the
# vendor's own image, which run it when they start.
#   packer build -only=null.bundle ...

variable "bundle" {
  type        = string
  default     = ""
  description = "The file; dist/PREFIX-PLATFORM-OS-ARCHITECTURE.tar.gz if not said."
}

locals {
  bundle = var.bundle != "" ? var.bundle : "${path.root}/../dist/${var.name_prefix}-${var.platform}-${var.os}-${var.architecture}.tar.gz"
}

source "null" "bundle" {
  communicator = "none"
}

build {
  sources = ["source.null.bundle"]

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

  provisioner "shell-local" {
    script = "${path.root}/bundle"
    environment_vars = concat(local.environment, local.aws_environment, [
      "LIGHTSOUT_STAGED=${local.staged}",
      "LIGHTSOUT_PACKER=${path.root}",
      "LIGHTSOUT_BUNDLE=${local.bundle}",
    ])
  }
}
