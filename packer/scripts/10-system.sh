#!/usr/bin/env bash
# The system: up to date, what jobs and agent need, and nothing that changes packages by itself later on. A library that is patched under a
# running agent would have it restarted, which is its order to leave.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /tmp/lightsout-image/lib.sh

main() {
    [[ $(uname -m) == "${LIGHTSOUT_ARCHITECTURE/arm64/aarch64}" ]] || fail "this machine is $(uname -m), and the image is to be ${LIGHTSOUT_ARCHITECTURE}"
    certificates
    no_automatic_package_runs
    packages
    proxy
}

packages() {
    local wanted=(ca-certificates curl git jq nftables tar unzip)
    local -a more
    read -ra more <<<"${LIGHTSOUT_PACKAGES:-}"
    case $family in
    apt)
        wanted+=(cron iproute2)
        apt_get update
        [[ ${LIGHTSOUT_UPDATE:-false} != true ]] || apt_get upgrade --with-new-pkgs
        # GitHub's runner is .NET, which ends at once without ICU; its own script knows not every release's name for it.
        [[ $LIGHTSOUT_PLATFORM != github ]] || wanted+=("$(apt-cache --names-only search '^libicu[0-9]+$' | awk '{ print $1 }' | sort --version-sort | tail -1)")
        ;;
    dnf)
        wanted+=(cronie iproute)
        [[ ${LIGHTSOUT_UPDATE:-false} != true ]] || dnf_at_release upgrade
        [[ $LIGHTSOUT_PLATFORM != github ]] || wanted+=(libicu)
        # The base image has a smaller curl that the whole one would collide with.
        ! command -v curl >/dev/null || wanted=("${wanted[@]/curl/}")
        ;;
    esac
    # shellcheck disable=SC2068
    install_packages ${wanted[@]} "${more[@]}"
    systemctl --quiet enable cron.service 2>/dev/null || systemctl --quiet enable crond.service
}

no_automatic_package_runs() {
    mask apt-daily.service apt-daily.timer apt-daily-upgrade.service apt-daily-upgrade.timer unattended-upgrades.service \
        update-notifier-download.timer update-notifier-motd.timer motd-news.timer fwupd-refresh.timer ua-timer.timer apt-news.service esm-cache.service \
        packagekit.service dnf-makecache.timer dnf-automatic.timer dnf-automatic-install.timer dnf-automatic-download.timer dnf5-automatic.timer \
        yum-cron.service snapd.refresh.timer update-motd.timer
    if [[ $family == apt ]]; then
        printf 'APT::Periodic::%s "0";\n' Enable Update-Package-Lists Unattended-Upgrade Download-Upgradeable-Packages >/etc/apt/apt.conf.d/99lightsout
    fi
    if command -v snap >/dev/null; then
        mask snapd.snap-repair.timer
        snap refresh --hold || echo "snaps cannot be held here"
    fi
    mkdir -p /etc/cloud/cloud.cfg.d
    cp "$stage/files/cloud-init.cfg" /etc/cloud/cloud.cfg.d/90-lightsout.cfg
}

certificates() {
    [[ -f $stage/ca.pem ]] || return 0
    case $family in
    apt)
        command -v update-ca-certificates >/dev/null || { apt_get update && apt_get install ca-certificates; }
        # One certificate a file is what it reads.
        awk -v folder=/usr/local/share/ca-certificates '/-----BEGIN CERTIFICATE-----/ { file = folder "/lightsout-" ++n ".crt" } file { print > file } /-----END CERTIFICATE-----/ { file = "" }' "$stage/ca.pem"
        update-ca-certificates
        ;;
    dnf)
        cp "$stage/ca.pem" /etc/pki/ca-trust/source/anchors/lightsout.pem
        update-ca-trust
        ;;
    esac
}

# For the agent, from which runner and jobs have it. Docker's is in 20-docker.sh.
proxy() {
    [[ -n ${LIGHTSOUT_PROXY:-} ]] || return 0
    mkdir -p /etc/systemd/system/lightsout-agent.service.d
    printf '[Service]\nEnvironment="https_proxy=%s" "http_proxy=%s" "no_proxy=%s"\n' "$https_proxy" "$http_proxy" "$no_proxy" \
        >/etc/systemd/system/lightsout-agent.service.d/10-image.conf
}

main
