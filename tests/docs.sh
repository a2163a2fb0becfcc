#!/usr/bin/env bash
# Every file that a document names is there: the target of each relative link with its heading, and each path in backticks. `NAME` in a path
# stands for a platform or a cloud, and the first folders may be left out.
set -euo pipefail
cd "$(dirname "$0")/.."

# Named as examples of how files are called, or a vendor's.
examples="foo.rs foo run.sh"
mapfile -t documents < <(git ls-files -- '*.md')

git ls-files | awk -v examples="$examples" '
    function fail(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; failures++ }
    # FOLDER/../PATH without its dots.
    function resolve(folder, path,    parts, count, i, kept, at) {
        count = split((folder == "" ? "" : folder "/") path, parts, "/")
        for (i = 1; i <= count; i++) {
            if (parts[i] == "..") at--
            else if (parts[i] != "." && parts[i] != "") kept[++at] = parts[i]
        }
        path = kept[1]
        for (i = 2; i <= at; i++) path = path "/" kept[i]
        return path
    }
    # The anchor that a heading has on GitHub.
    function anchor(heading) {
        sub(/^#+ */, "", heading)
        heading = tolower(heading)
        gsub(/[^a-z0-9 _-]/, "", heading)
        gsub(/ /, "-", heading)
        return heading
    }
    function check_link(target,    parts, path) {
        if (target ~ /^[a-z]+:/) return
        split(target, parts, "#")
        path = parts[1] == "" ? FILENAME : resolve(folder, parts[1])
        if (!(path in whole)) fail("the link to " target " leads nowhere")
        else if (parts[2] != "" && !((path "#" parts[2]) in anchors)) fail(path " has no heading " parts[2])
        checked++
    }
    function check_path(path,    platform, cloud) {
        sub(/\/$/, "", path)
        if (path !~ /\.(rs|sh|md)$/ && path !~ /^(agent|scaler|crates|tests|docs|systemd|\.cargo)(\/|$)/) return
        if (path !~ /^[A-Za-z0-9_.\/-]+$/ || path in example) return
        platform = cloud = path
        sub(/NAME/, "github", platform)
        sub(/NAME/, "aws", cloud)
        if (!(platform in known) && !(cloud in known)) fail("there is no " path)
        checked++
    }
    BEGIN { split(examples, names, " "); for (i in names) example[names[i]] }
    # The names of all files and folders, and what they end with.
    FILENAME == "-" {
        count = split($0, parts, "/")
        for (first = 1; first <= count; first++) {
            path = ""
            for (last = first; last <= count; last++) {
                path = path (path == "" ? "" : "/") parts[last]
                known[path]
                if (first == 1) whole[path]
            }
        }
        next
    }
    FNR == 1 { folder = FILENAME; if (!sub(/\/[^\/]*$/, "", folder)) folder = ""; code = 0; seen[FILENAME]++ }
    /^```/ { code = !code; next }
    code { next }
    # The first time for the headings, the second for what points to them.
    seen[FILENAME] == 1 { if (/^#/) anchors[FILENAME "#" anchor($0)]; next }
    {
        rest = $0
        while (match(rest, /\]\([^)]*\)/)) {
            check_link(substr(rest, RSTART + 2, RLENGTH - 3))
            rest = substr(rest, RSTART + RLENGTH)
        }
        count = split($0, spans, "`")
        for (i = 2; i <= count; i += 2) check_path(spans[i])
    }
    END {
        if (!failures) print checked " links and paths in documents lead somewhere"
        exit failures || !checked
    }
' - "${documents[@]}" "${documents[@]}"
