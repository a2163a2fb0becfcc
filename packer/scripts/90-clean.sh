#!/usr/bin/env bash
# What must not be the same on two instances, or must not be known to whoever may use the image: identities, keys, histories, journals, caches.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /tmp/lightsout-image/lib.sh

main() {
    local unit
    # One by one: those that are not there keep none of the others.
    for unit in lightsout-agent.service lightsout-dead-man.timer docker.service docker.socket rsyslog.service amazon-ssm-agent.service \
        snap.amazon-ssm-agent.amazon-ssm-agent.service; do
        systemctl stop "$unit" 2>/dev/null || true
    done
    packages
    identities
    keys
    traces
    systemd_journal
    # The last of all: a dead-man's switch that began while the image is built would end the build.
    systemctl --quiet enable lightsout-agent.service lightsout-dead-man.timer
}

packages() {
    case $family in
    apt)
        apt_get autoremove
        apt_get clean
        rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
        ;;
    dnf)
        dnf clean all
        rm -rf /var/cache/dnf
        ;;
    esac
}

# Empty, not missing: systemd makes a new one, and does not take the instance for one that was never set up.
identities() {
    : >/etc/machine-id
    rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /boot/efi/loader/random-seed
    rm -f /etc/docker/key.json /var/lib/docker/engine-id
    rm -rf /var/lib/amazon/ssm /var/snap/amazon-ssm-agent/common/* /var/snap/amazon-ssm-agent/current/var/lib/amazon
    rm -f /var/lib/dhcp/*.leases /var/lib/NetworkManager/*.lease /var/lib/NetworkManager/secret_key
    rm -f /etc/netplan/50-cloud-init.yaml
    ! command -v cloud-init >/dev/null || cloud-init clean --logs --seed
    rm -rf /var/lib/cloud
}

keys() {
    rm -f /etc/ssh/ssh_host_*
    find /root /home -maxdepth 3 -path '*/.ssh/*' -name 'authorized_keys*' -delete
    rm -rf /root/.aws /root/.docker /home/*/.aws /home/*/.docker
}

traces() {
    rm -f /root/.*_history /home/*/.*_history /root/.lesshst /root/.wget-hsts /home/*/.wget-hsts
    find /var/lib/lightsout -mindepth 1 -delete 2>/dev/null || true
    find /run/lightsout -mindepth 1 -delete 2>/dev/null || true
    find /var/log -type f ! -path '/var/log/journal/*' -exec truncate --size 0 {} +
    find /var/log -type f \( -name '*.gz' -o -name '*.[0-9]' -o -name '*.old' \) -delete
    find /tmp /var/tmp -mindepth 1 -maxdepth 1 ! -name 'script_*.sh' ! -name 'packer*' -exec rm -rf {} +
}

# The journal goes on in memory: what is written from here on must not come back to the disk.
systemd_journal() {
    journalctl --relinquish-var >/dev/null 2>&1 || true
    journalctl --rotate --vacuum-time=1s >/dev/null 2>&1 || true
    find /var/log/journal -mindepth 1 -delete 2>/dev/null || true
}

main
