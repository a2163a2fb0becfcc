#!/bin/sh
# Written by lightsout-agent. Marks this process as a job, then becomes the job, which must run whatever happens here.
jobs=@FOLDER@
secret=@SECRET@

mark() {
    job=@JOB@
    case $job in
    .* | *[!A-Za-z0-9_.-]*) job=task ;;
    esac
    read -r stat <"/proc/$$/stat" || return
    # After the name, which may hold spaces: the state is the first field, the start time the 20th.
    fields=${stat##*") "}
    set -f
    # shellcheck disable=SC2086
    set -- $fields
    case ${20} in
    '' | *[!0-9]*) return 1 ;;
    esac
    (umask 077 && mkdir -p "$jobs" && printf '' >"$jobs/$job.$$.${20}")
}

mark || echo "lightsout: this job cannot be marked in $jobs; it is seen only as a child process of its runner" >&2
# The runner has read it, and its jobs have the same user.
[ -z "$secret" ] || rm -f "$secret" || echo "lightsout: $secret stays, which holds the runner's token" >&2
exec "$@"
