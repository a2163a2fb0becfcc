#!/usr/bin/env bash
# What only AWS's instances have: the agents of Systems Manager and of CloudWatch.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /tmp/lightsout-image/lib.sh

if [[ ${LIGHTSOUT_SSM_AGENT:-true} == true ]]; then
    if [[ $family == dnf ]]; then
        install_packages amazon-ssm-agent
    elif ! { command -v snap >/dev/null && snap list amazon-ssm-agent >/dev/null 2>&1; }; then
        is_pinned amazon-ssm-agent || fail "this base image has no amazon-ssm-agent: pin it (packer/pin amazon-ssm-agent ...), or set ssm_agent = false"
        install_packages "$(pinned amazon-ssm-agent)"
    fi
    systemctl --quiet enable amazon-ssm-agent.service 2>/dev/null || systemctl --quiet enable snap.amazon-ssm-agent.amazon-ssm-agent.service
else
    # The base images have it. It is not stopped here, where the build may go through it.
    systemctl --quiet disable amazon-ssm-agent.service snap.amazon-ssm-agent.amazon-ssm-agent.service 2>/dev/null || true
fi

if [[ ${LIGHTSOUT_CLOUDWATCH_AGENT:-false} == true ]]; then
    if [[ $family == dnf ]]; then
        install_packages amazon-cloudwatch-agent
    else
        install_packages "$(pinned amazon-cloudwatch-agent)"
    fi
    install -D -m 644 "$stage/files/cloudwatch-agent.json" /opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.json
    systemctl --quiet enable amazon-cloudwatch-agent.service
fi
