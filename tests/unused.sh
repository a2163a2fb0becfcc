#!/usr/bin/env bash
# Public items that nothing but their definition, or nothing but a test, names: the compiler does not look for them, since somebody else might.
# A rough look at words, so that what it lists is unused, but not all that is unused is listed.
set -euo pipefail
cd "$(dirname "$0")/.."

# What may be public all the same, and why.
allowed=(
    # What must hold where a simulated world has nothing alike (a full disk, a launch hook, an end at which nothing is pending), and the cloud in
    # memory: both are for tests.
    makes_room launch_given_up settled break_all
    remember_failure remember_after_raise show_members
)

mapfile -t sources < <(git ls-files -- 'agent/src/*.rs' 'scaler/src/*.rs' 'crates/*/src/*.rs' 'crates/*/examples/*.rs' 'tests/bench/src/*.rs' |
    grep -vE '/(tests|testing)(/|\.rs$)')
unused=$(awk '
    FNR == 1 { test = 0 }
    # An item that is for tests only ends where its indentation comes back: with its line, or with its block.
    /^ *#\[cfg\(test\)\]/ { test = 1; match($0, /^ */); indent = substr($0, 1, RLENGTH); next }
    test && index($0, indent) == 1 && substr($0, length(indent) + 1) ~ /^(}|[^ ].*[;}])$/ { test = 0; next }
    test { next }
    {
        sub(/\/\/.*/, "")
        if (match($0, /^ *pub (async |const |unsafe )*(fn|struct|enum|trait|type|static|const|union) [A-Za-z_0-9]+/)) {
            name = substr($0, RSTART, RLENGTH)
            sub(/.* /, "", name)
            if (FILENAME ~ /^crates\/(core|io|cloud|localcloud)\//) { defined[name]++; where[name] = FILENAME ":" FNR }
        }
        count = split($0, words, /[^A-Za-z_0-9]+/)
        for (i = 1; i <= count; i++) seen[words[i]]++
    }
    END { for (name in defined) if (seen[name] <= defined[name]) print where[name] ": " name }
' "${sources[@]}" | sort)

failures=0
while IFS= read -r line; do
    [[ -n $line && " ${allowed[*]-} " != *" ${line##*: } "* ]] || continue
    echo "unused: $line"
    failures=$((failures + 1))
done <<<"$unused"
for name in ${allowed[@]+"${allowed[@]}"}; do
    grep -q ": $name\$" <<<"$unused" || { echo "no longer unused, take it from the list in $0: $name" && failures=$((failures + 1)); }
done
((failures == 0)) || { echo "$failures public items to delete, to make private, or to allow in $0 with a reason" && exit 1; }
echo "no public item of ${#sources[@]} files is unused"
