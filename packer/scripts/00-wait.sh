#!/usr/bin/env bash
# Waits until the base image's own first start is over: until then lists of packages are half written and locks are held.
set -euo pipefail

if command -v cloud-init >/dev/null && [[ -d /run/systemd/system ]]; then
    code=0
    timeout 600 cloud-init status --wait || code=$?
    # 2: it ended, with something that it could recover from.
    case $code in
    0 | 2) ;;
    124) echo "cloud-init is not over after 10 minutes" >&2 && exit 1 ;;
    *) cloud-init status --long >&2 || true && exit "$code" ;;
    esac
fi

rm -rf /tmp/lightsout-image
mkdir /tmp/lightsout-image
# Packer copies into it as the user that it came as.
[[ -z ${SUDO_USER:-} ]] || chown "$SUDO_USER" /tmp/lightsout-image
