#!/usr/bin/env bash
# What the image is, for `lightsout-agent doctor` and for whoever wonders: /usr/share/lightsout/image.json, as packer/README.md describes it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /tmp/lightsout-image/lib.sh

# GitHub gives no jobs to a runner that is 30 days older than a newer one; nobody knows when that one comes, so it counts from this one's date.
expires() {
    if [[ $LIGHTSOUT_PLATFORM == github && $1 != - ]]; then
        date --utc --date "$1 + 30 days" +%F
    fi
}

released=$(awk -v name="$LIGHTSOUT_RUNNER" '$1 == name { print $3 }' <<<"$LIGHTSOUT_PINS")
mkdir -p /usr/share/lightsout
jq --null-input --raw-input \
    --arg image "$LIGHTSOUT_IMAGE" --arg built "$(date --utc +%FT%TZ)" --arg commit "$LIGHTSOUT_COMMIT" --arg os "$PRETTY_NAME" \
    --arg architecture "$LIGHTSOUT_ARCHITECTURE" --arg platform "$LIGHTSOUT_PLATFORM" --arg agent "$(lightsout-agent --version | awk '{ print $NF }')" \
    --arg runner "$LIGHTSOUT_RUNNER" --argjson program "$LIGHTSOUT_RUNNER_PROGRAM" --arg version "$(version_of "$LIGHTSOUT_RUNNER")" \
    --arg released "${released/#-/}" --arg expires "$(expires "$released")" '
    def known: if . == "" then null else . end;
    {
        image: $image, built: $built, commit: $commit, os: $os, architecture: $architecture, platform: $platform,
        agent: { version: $agent },
        runner: { name: ($runner | known), program: $program, version: ($version | known), released: ($released | known), expires: ($expires | known) },
        pins: [inputs | split(" ") | select(length == 5) | { name: .[0], version: .[1], sha256: .[3], url: .[4] }]
    }' <<<"$LIGHTSOUT_PINS" >/usr/share/lightsout/image.json
cat /usr/share/lightsout/image.json
