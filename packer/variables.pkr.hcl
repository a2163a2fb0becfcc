# What every image has, whatever the cloud. What is AWS's is in aws.pkr.hcl, what is Azure's in azure.pkr.hcl; README.md says more of each.

# ---- what is made

variable "commit" {
  type        = string
  description = "The commit that the image is built from: git rev-parse --short HEAD."
  validation {
    condition     = var.commit != ""
    error_message = "The commit is missing: git rev-parse --short HEAD tells it."
  }
}

variable "platform" {
  type        = string
  description = "The CI platform, as in [platform.NAME] of the agent's settings."
  validation {
    condition     = contains(["gitlab", "github", "buildkite", "circleci", "spacelift", "stackguardian", "command"], var.platform)
    error_message = "The platform is one of gitlab, github, buildkite, circleci, spacelift, stackguardian, command."
  }
}

variable "os" {
  type    = string
  default = "amazon-linux-2023"
  validation {
    condition     = contains(["amazon-linux-2023", "ubuntu-24.04", "debian-12"], var.os)
    error_message = "The os is amazon-linux-2023, ubuntu-24.04 or debian-12."
  }
}

variable "architecture" {
  type    = string
  default = "x86_64"
  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "The architecture is x86_64 or arm64."
  }
}

variable "name_prefix" {
  type        = string
  default     = "lightsout"
  description = "Images are called PREFIX-PLATFORM-OS-ARCHITECTURE-TIME."
}

variable "agent_package" {
  type        = string
  description = "The agent's package out of dist/: the deb for Ubuntu and Debian, the rpm for Amazon Linux, of this architecture."
}

# ---- versions, filled by packer/pin

variable "pins" {
  type = map(object({
    version  = string
    released = string
    url      = string
    sha256   = string
  }))
  default     = {}
  description = "What is downloaded, by NAME/ARCHITECTURE: versions.pkrvars.hcl, which packer/pin fills."
  validation {
    condition     = length([for name, pin in var.pins : name if pin.sha256 == "" || regex_replace(pin.sha256, "^[0-9a-f]{64}$", "") != ""]) == 0
    error_message = "A pin without its SHA-256: let packer/pin read or compute it."
  }
  validation {
    condition     = length([for name, pin in var.pins : name if pin.version == "" || regex_replace(pin.url, "^(https://|file:///).+$", "") != ""]) == 0
    error_message = "A pin without version, or whose address is neither https:// nor file:///: use packer/pin."
  }
}

variable "terraform_versions" {
  type        = list(string)
  default     = []
  description = "The first is terraform, each is terraformVERSION. Pinned as terraform-VERSION."
}

variable "opentofu_versions" {
  type        = list(string)
  default     = []
  description = "The first is tofu, each is tofuVERSION. Pinned as opentofu-VERSION."
}

# ---- settings of the agent

variable "platform_url" {
  type        = string
  default     = ""
  description = "Goes to [platform.NAME] url."
}

variable "token" {
  type        = map(string)
  default     = {}
  description = "Where the agent finds its token, such as { ssm = \"/ci/token\" }. Never the token itself: whoever may use the image could read it."
  validation {
    condition     = length([for key in keys(var.token) : key if contains(["ssm", "secretsmanager", "keyvault", "key", "file"], key) == false]) == 0
    error_message = "The token is a reference: { ssm = \"/parameter\" }, { secretsmanager = \"name\", key = \"name in it\" }, { keyvault = \"https://VAULT.vault.azure.net/secrets/NAME\" } or { file = \"/path\" }."
  }
}

variable "agent_settings" {
  type        = string
  default     = ""
  description = "A TOML file with more of the agent's settings. What differs by group comes from user data."
}

variable "runner_program" {
  type        = list(string)
  default     = []
  description = "The runner's program, if not where this image puts the platform's; for `command` the one to be tried."
}

variable "runner_check" {
  type        = list(string)
  default     = []
  description = "What is executed once in the built image as the runner's user, if not the program with --version."
}

# ---- the system

variable "update" {
  type        = bool
  default     = true
  description = "Whether all packages are brought up to date; on Amazon Linux within its release."
}

variable "releasever" {
  type        = string
  default     = ""
  description = "Amazon Linux's release, such as 2023.9.20251117: of the base image and of every package. Empty: the newest base image, and its release."
  validation {
    condition     = regex_replace(var.releasever, "^2023\\.[0-9]+\\.[0-9]{8}$", "") == ""
    error_message = "The release is one such as 2023.9.20251117; latest would be another one each day."
  }
}

variable "packages" {
  type        = list(string)
  default     = []
  description = "More packages of the system's."
}

variable "user_script" {
  type        = string
  default     = ""
  description = "A script of yours that runs as root, after everything was installed and before the image is cleaned and checked."
}

variable "proxy_url" {
  type        = string
  default     = ""
  description = "A proxy, for the build and on the instances: for the agent, the runner, its jobs and Docker."
}

variable "no_proxy" {
  type        = string
  default     = ""
  description = "What is asked without the proxy, beside this machine and its metadata service."
}

variable "ca_certificates" {
  type        = string
  default     = ""
  description = "A PEM file with more CAs that the machine trusts."
}

# ---- the docker source

variable "docker_base" {
  type        = string
  default     = "ubuntu:24.04"
  description = "An image of Debian or Ubuntu with systemd in it, already on this machine."
}

variable "docker_tag" {
  type    = string
  default = "lightsout/image:test"
}
