#!/usr/bin/env bash
# The agent's package, and the settings that every instance of this image has.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /tmp/lightsout-image/lib.sh

main() {
    local package
    package=$(echo "$stage"/agent/*)
    case $package in
    *.deb) [[ $family == apt ]] || fail "$(basename "$package") is for Debian and Ubuntu, and this is $ID" ;;
    *.rpm) [[ $family == dnf ]] || fail "$(basename "$package") is for Amazon Linux, and this is $ID" ;;
    *) fail "agent_package is $(basename "$package"), not one deb or rpm" ;;
    esac
    install_packages "$package"
    id lightsout-runner >/dev/null || fail "$(basename "$package") made no user lightsout-runner"
    settings
}

# 10 is made of the build's variables, 20 is the file that it named: user data has names behind these.
settings() {
    mkdir -p /etc/lightsout/agent.d
    {
        echo "# Made with the image; see packer/README.md of lightsout."
        echo "[platform.$LIGHTSOUT_PLATFORM]"
        [[ -z ${LIGHTSOUT_PLATFORM_URL:-} ]] || echo "url = $(text "$LIGHTSOUT_PLATFORM_URL")"
        [[ $(jq length <<<"${LIGHTSOUT_TOKEN:-{\}}") == 0 ]] ||
            echo "token = { $(jq --raw-output 'to_entries | map("\(.key) = \(.value | tojson)") | join(", ")' <<<"$LIGHTSOUT_TOKEN") }"
    } >/etc/lightsout/agent.d/10-image.toml
    [[ ! -f $stage/agent.toml ]] || cp "$stage/agent.toml" /etc/lightsout/agent.d/20-image.toml
    chmod 600 /etc/lightsout/agent.d/*.toml
}

# A JSON string is a TOML string.
text() {
    jq --null-input --arg text "$1" '$text'
}

main
