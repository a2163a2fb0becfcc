#!/usr/bin/env bash
# What each part links, as `cargo tree` tells it: the scaler stays small enough for a Lambda, the core does no I/O, one crate knows the
# clouds, and there is one TLS stack.
set -euo pipefail
cd "$(dirname "$0")/.."

failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# crates ARGUMENTS...: the names of everything that is linked, one a line.
crates() {
    cargo tree --locked -e normal --prefix none --format '{p}' "$@" | awk '{ print $1 }' | sort -u
}

# without WHAT TREE CRATE...: none of these is in the tree.
without() {
    local what=$1 tree=$2 crate
    shift 2
    [[ -n $tree ]] || fail "$what: the tree is empty"
    for crate in "$@"; do
        if grep -qx "$crate" <<<"$tree"; then
            fail "$what must not link $crate"
        fi
    done
}

io=(tokio mio socket2 reqwest hyper hyper-util nix rustix libc signal-hook tracing-subscriber)
tls=(aws-lc-rs aws-lc-sys native-tls openssl openssl-sys)

scaler=$(crates -p lightsout-scaler)
without "the scaler" "$scaler" bollard aws-sdk-ec2 ratatui axum lightsout-localcloud lightsout-agent "${tls[@]}"
# That the names are right, the agent shows, which links some of them.
agent=$(crates -p lightsout-agent)
for crate in bollard aws-sdk-ec2; do
    grep -qx "$crate" <<<"$agent" || fail "the agent should link $crate: is this still its name?"
done
without "the agent" "$agent" ratatui axum lightsout-localcloud "${tls[@]}"

core=$(crates -p lightsout-core)
without "the core" "$core" "${io[@]}"
allowed=(base64 hmac http jiff lightsout-core percent-encoding secrecy serde serde_json sha2 strsim thiserror toml)
for crate in $(crates -p lightsout-core --depth 1); do
    [[ " ${allowed[*]} " == *" $crate "* ]] || fail "the core depends on $crate: does it do no I/O and read no clock? Then allow it in $0"
done

simulate=$(crates -p lightsout-simulate)
without "the simulator" "$simulate" "${io[@]}" lightsout-cloud lightsout-io

# A cloud is a folder of crates/cloud: nothing else speaks to one, not even in its tests.
members=$(cargo tree --locked --workspace --depth 0 --prefix none --format '{p}' | awk 'NF { print $1 }' | sort -u)
for member in $members; do
    sdks=$(cargo tree --locked -e all -p "$member" --depth 1 --prefix none --format '{p}' | awk '$1 ~ /^aws-/ { print $1 }' | sort -u)
    if [[ $member == lightsout-cloud ]]; then
        [[ -n $sdks ]] || fail "lightsout-cloud depends on no aws- crate: is this still their name?"
    else
        [[ -z $sdks ]] || fail "$member depends on ${sdks//$'\n'/ }: only lightsout-cloud may"
    fi
done
without "the core" "$core" lightsout-cloud lightsout-io

all=$(crates --workspace)
without "lightsout" "$all" "${tls[@]}"
for crate in ring rustls; do
    count=$(cargo tree --locked -e normal --workspace --prefix none --format '{p}' | awk -v crate="$crate" '$1 == crate { print $2 }' | sort -u | wc -l)
    [[ $count == 1 ]] || fail "there are $count versions of $crate, not one"
done

((failures == 0)) || exit 1
echo "the scaler links $(wc -l <<<"$scaler") crates, the agent $(wc -l <<<"$agent"), the core $(wc -l <<<"$core")"
