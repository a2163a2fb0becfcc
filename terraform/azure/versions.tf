terraform {
  # OpenTofu from 1.9 on as well: both have had validation by more than the variable itself since then.
  required_version = ">= 1.9"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.73"
    }
  }
}
