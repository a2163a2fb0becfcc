#!/usr/bin/env bash
# Lets a third-party runner (gitlab-python-runner, from PyPI) take a good and a bad job from localcloud's GitLab and finish them.
#
#   tests/wire/gitlab_python_runner.sh SERVE
#
# SERVE is the built example `serve` of lightsout-localcloud. The runner is installed into
# ${LIGHTSOUT_VENV:-target/venv} when it is not there; it insists on cloning a repository, so it gets a small one.
set -euo pipefail

serve=$(realpath "${1:?usage: $0 SERVE (the built example serve)}")
cd "$(dirname "$0")/../.."
venv=${LIGHTSOUT_VENV:-target/venv}
if [[ ! -x $venv/bin/gitlab-runner.py ]]; then
    echo "installing gitlab-python-runner into $venv"
    [[ -x $venv/bin/python ]] || python3 -m venv "$venv"
    # Its last release does not work with later releases of the emulator that it runs jobs with.
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        gitlab-python-runner==14.3.20 gitlab-emulator==1.3.4
fi
runner=$(realpath "$venv/bin/gitlab-runner.py")

work=$(mktemp -d)
trap 'jobs -p | xargs --no-run-if-empty kill 2>/dev/null || true; rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $*" >&2
    cat "$work"/*.log >&2 || true
    exit 1
}

git init --quiet --initial-branch=main "$work/repo"
echo 'image: none' >"$work/repo/.gitlab-ci.yml"
git -C "$work/repo" add .gitlab-ci.yml
git -C "$work/repo" -c user.name=test -c user.email=test@localhost commit --quiet --message start

LIGHTSOUT_REPOSITORY="file://$work/repo,$(git -C "$work/repo" rev-parse HEAD)" "$serve" >"$work/url" 2>"$work/serve.log" &
for ((n = 0; n < 100; n++)); do
    [[ -s $work/url ]] && break
    sleep 0.1
done
url=$(cat "$work/url")
[[ $url == http://127.0.0.1:* ]] || fail "the cloud did not start"

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
    curl --silent --fail "$url/_lightsout/fleet" | grep --quiet "\"id\":$id,\"state\":\"$state\"" || fail "job $id is not $state"
    trace=$(curl --silent --fail -H 'private-token: glpat-lightsout-local' "$url/api/v4/projects/20/jobs/$id/trace")
    [[ $trace == *"hello from $id"* ]] || fail "the trace of job $id is: $trace"
}

job 1001 'done' 'echo hello from 1001'
job 1002 'failed' 'echo hello from 1002; exit 3'
curl --silent --fail --output /dev/null --request POST "$url/_lightsout/down" || fail "the cloud did not end"
wait
echo "ok: a third-party runner finished 2 jobs"
