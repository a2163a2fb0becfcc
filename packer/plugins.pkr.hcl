# In a file of its own: Packer 1.6.6, the last that Debian has, knows none of it and has the builders built in.
packer {
  required_version = ">= 1.9.0"
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.4, < 2.0.0" # deregistration_protection
    }
    azure = {
      source  = "github.com/hashicorp/azure"
      version = ">= 2.0.0, < 3.0.0"
    }
    docker = {
      source  = "github.com/hashicorp/docker"
      version = ">= 1.1.0, < 2.0.0"
    }
  }
}
