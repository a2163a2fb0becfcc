#!/usr/bin/env bash
# Docker, with logs that end somewhere, and with jobs that outlive a restart of the engine.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /tmp/lightsout-image/lib.sh

mkdir -p /etc/docker
cp "$stage/files/daemon.json" /etc/docker/daemon.json
case $family in
apt) install_packages docker.io ;;
dnf) install_packages docker ;;
esac
systemctl --quiet enable docker.service

if [[ -n ${LIGHTSOUT_PROXY:-} ]]; then
    mkdir -p /etc/systemd/system/docker.service.d
    printf '[Service]\nEnvironment="HTTPS_PROXY=%s" "HTTP_PROXY=%s" "NO_PROXY=%s"\n' "$https_proxy" "$http_proxy" "$no_proxy" \
        >/etc/systemd/system/docker.service.d/10-image.conf
fi
