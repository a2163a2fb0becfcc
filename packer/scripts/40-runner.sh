#!/usr/bin/env bash
# The platform's runner, exactly as it was pinned, and executed once as the user that it will run as.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /tmp/lightsout-image/lib.sh

main() {
    mapfile -t program < <(elements "$LIGHTSOUT_RUNNER_PROGRAM")
    [[ -z $LIGHTSOUT_RUNNER ]] || put "$(pinned "$LIGHTSOUT_RUNNER")"
    no_service_of_its_own
    try
}

# What was pinned is a package, an archive or the program itself.
put() {
    local file=$1 folder name found
    case $file in
    *.deb | *.rpm) install_packages "$file" ;;
    *.tar.gz | *.tgz | *.tar.xz | *.zip)
        # A whole folder of its own; else the one program in it.
        if [[ $LIGHTSOUT_PLATFORM == github ]]; then
            folder=$(dirname "${program[0]}")
        else
            folder=$(mktemp -d)
        fi
        mkdir -p "$folder"
        case $file in
        *.zip) unzip -q "$file" -d "$folder" ;;
        *) tar --extract --file "$file" --directory "$folder" --no-same-owner ;;
        esac
        if [[ $LIGHTSOUT_PLATFORM == github ]]; then
            # It writes its logs and its registration beside itself.
            chown -R lightsout-runner: "$folder"
        else
            name=$(basename "${program[0]}")
            # That is how StackGuardian's repository calls it.
            [[ $LIGHTSOUT_RUNNER != sg-runner ]] || name=main.sh
            found=$(find "$folder" -type f -name "$name" | sed -n 1p)
            [[ -n $found ]] || fail "there is no $name in $(basename "$file")"
            install -D -m 755 "$found" "${program[0]}"
            rm -rf "$folder"
        fi
        ;;
    *) install -D -m 755 "$file" "${program[0]}" ;;
    esac
}

# The agent starts the runner: one that begins by itself would take jobs that nobody watches.
no_service_of_its_own() {
    local unit
    for unit in gitlab-runner buildkite-agent circleci-runner spacelift-launcher spacelift sg-runner actions-runner; do
        systemctl --quiet disable --now "$unit.service" 2>/dev/null || true
        mask "$unit.service"
    done
}

try() {
    local check output code=0
    mapfile -t check < <(elements "$LIGHTSOUT_RUNNER_CHECK")
    output=$(cd / && timeout 60 runuser --user lightsout-runner -- env --ignore-environment HOME=/tmp PATH=/usr/local/bin:/usr/bin:/bin "${check[@]}" 2>&1) || code=$?
    ((code != 124)) || fail "${check[*]}, as lightsout-runner, did not end within 60 s; correct runner_check: $output"
    ((code == 0)) || fail "${check[*]}, as lightsout-runner, ended with $code: $output"
    echo "$output"
    # What says another version is another program than the one that was pinned.
    [[ -z $LIGHTSOUT_RUNNER || ${check[*]: -1} != --version || $output == *"$(version_of "$LIGHTSOUT_RUNNER")"* ]] ||
        fail "$LIGHTSOUT_RUNNER was pinned as $(version_of "$LIGHTSOUT_RUNNER"), and says: $output"
}

main
