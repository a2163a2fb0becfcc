terraform {
  # OpenTofu from 1.6 on as well: nothing here is newer, which tests/terraform/floors.py holds. The tests need 1.7, and of OpenTofu 1.8 (mock_provider).
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # The permission of a function URL's second kind came with 6.29.
      version = ">= 6.29"
    }
  }
}
