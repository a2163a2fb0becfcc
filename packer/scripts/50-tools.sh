#!/usr/bin/env bash
# Terraform and OpenTofu: each version as PROGRAMVERSION, the first as PROGRAM.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /tmp/lightsout-image/lib.sh

# tool PIN PROGRAM VERSION...
tool() {
    local pin=$1 program=$2 version folder said first=true
    shift 2
    for version in "$@"; do
        folder=$(mktemp -d)
        unzip -q "$(pinned "$pin-$version")" -d "$folder"
        install -m 755 "$folder/$program" "/usr/local/bin/$program$version"
        # Its first line; whoever reads no further ends a program that still writes, and the build with it.
        said=$("/usr/local/bin/$program$version" version | sed -n 1p)
        [[ $said == *"$version"* ]] || fail "$pin-$version is another version: $said"
        ! $first || ln --symbolic --force "$program$version" "/usr/local/bin/$program"
        first=false
        rm -rf "$folder"
    done
}

read -ra terraform <<<"${LIGHTSOUT_TERRAFORM:-}"
read -ra opentofu <<<"${LIGHTSOUT_OPENTOFU:-}"
tool terraform terraform "${terraform[@]}"
tool opentofu tofu "${opentofu[@]}"
