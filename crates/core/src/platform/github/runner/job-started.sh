#!/bin/sh
# Written by lightsout-agent. GitHub's runner runs this before each job (ACTIONS_RUNNER_HOOK_JOB_STARTED) as a child of the job's Runner.Worker,
# which lives exactly as long as the job; that process is marked. A failure here would fail the job, so there is none.
jobs=@FOLDER@

mark() {
    job=${GITHUB_RUN_ID:-task}-${GITHUB_JOB:-job}
    case $job in
    .* | *[!A-Za-z0-9_.-]*) job=task ;;
    esac
    read -r stat <"/proc/$PPID/stat" || return
    case $stat in
    *" (Runner.Worker) "*) ;;
    *) return 1 ;;
    esac
    # After the name: the state is the first field, the start time the 20th.
    fields=${stat##*") "}
    set -f
    # shellcheck disable=SC2086
    set -- $fields
    case ${20} in
    '' | *[!0-9]*) return 1 ;;
    esac
    (umask 077 && mkdir -p "$jobs" && printf '' >"$jobs/$job.$PPID.${20}")
}

mark || echo "lightsout: this job cannot be marked in $jobs; it is seen only by the process Runner.Worker" >&2
exit 0
