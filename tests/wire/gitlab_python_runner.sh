#!/usr/bin/env bash
# Lets a third-party runner (gitlab-python-runner, from PyPI) take a good and a bad job from localcloud's GitLab and finish them.
#
#   tests/wire/gitlab_python_runner.sh [FOLDER]     with `examples/serve` in it; default: target/debug
#
# The runner is that of ${LIGHTSOUT_VENV:-target/venv}; exits with 77 where it is not. It insists on cloning a repository, so it gets a small one.
set -euo pipefail

cd "$(dirname "$0")/../.."
bin=$(realpath "${1:-target/debug}")
# shellcheck source=tests/common.sh
source tests/common.sh
runner=$(realpath "${LIGHTSOUT_VENV:-target/venv}/bin/gitlab-runner.py")
[[ -x $runner ]] || cannot "gitlab-python-runner is not installed: tests/run python-runner installs it"

work=$(mktemp -d)
trap 'end_cloud; rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $*" >&2
    cat "$work"/*.log >&2 || true
    exit 1
}

git init --quiet --initial-branch=main "$work/repo"
echo 'image: none' >"$work/repo/.gitlab-ci.yml"
git -C "$work/repo" add .gitlab-ci.yml
git -C "$work/repo" -c user.name=test -c user.email=test@localhost commit --quiet --message start

start_cloud gitlab LIGHTSOUT_REPOSITORY="file://$work/repo,$(git -C "$work/repo" rev-parse HEAD)"

mkdir "$work/runner"
cat >"$work/runner/config.yml" <<YAML
server: $url
token: glrt-lightsout-local
executor: shell
shell: /bin/sh
dir: $work/runner
YAML

# job ID STATE COMMAND: the job with this command ends in this state, and its trace is there.
job() {
    local id=$1 state=$2 command=$3 trace
    curl --silent --fail --output /dev/null -H 'content-type: application/json' "$url/_lightsout/jobs" \
        --data "{\"argv\": [\"sh\", \"-c\", \"$command\"]}" || fail "the job was not queued"
    (cd "$work/runner" && timeout 60 "$runner" --start config.yml --once) >"$work/runner.log" 2>&1 || true
    curl --silent --fail "$url/_lightsout/fleet" | like "\"id\":$id,\"state\":\"$state\"" || fail "job $id is not $state"
    trace=$(curl --silent --fail -H 'private-token: glpat-lightsout-local' "$url/api/v4/projects/20/jobs/$id/trace")
    [[ $trace == *"hello from $id"* ]] || fail "the trace of job $id is: $trace"
}

job 1001 'done' 'echo hello from 1001'
job 1002 'failed' 'echo hello from 1002; exit 3'
control down --output /dev/null --request POST
echo "ok: a third-party runner finished 2 jobs"
