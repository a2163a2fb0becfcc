#!/usr/bin/env bash
# Whether the image has all that an instance needs at its first start, asked of the agent itself.
set -euo pipefail

lightsout-agent doctor --image
