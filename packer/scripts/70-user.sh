#!/usr/bin/env bash
# The user's own script, as root.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /tmp/lightsout-image/lib.sh

if [[ -f $stage/user-script ]]; then
    chmod 700 "$stage/user-script"
    (cd / && "$stage/user-script")
fi
