# What the tests that are shell scripts share: the embedded cloud, a Python that has what they need, and small things. To be sourced, with `bin` (the
# folder of the programs) and `work` (a folder to work in) set.
# shellcheck shell=bash disable=SC2154

serve='' url='' python=''

# ---- the embedded cloud ----------------------------------------------------------------------------------------------------

# start_cloud PLATFORM [VARIABLE=VALUE...]: an empty one with this CI platform, and with these variables of the environment; `url` is its address.
start_cloud() {
    local platform=$1
    # An earlier one's address is not this one's.
    rm -f "$work/url"
    env "${@:2}" "$bin/examples/serve" 0 "$platform" >"$work/url" 2>"$work/serve.log" &
    serve=$!
    wait_for "the embedded cloud" test -s "$work/url"
    url=$(<"$work/url")
    [[ $url == http://* ]] || fail "the embedded cloud says $url"
}

end_cloud() {
    [[ -n $serve ]] || return 0
    kill "$serve" 2>/dev/null || true
    wait "$serve" 2>/dev/null || true
    serve=''
}

aws() {
    local action=$1 version=$2 arguments=() pair
    shift 2
    for pair in "$@"; do arguments+=(--data-urlencode "$pair"); done
    curl --silent --show-error --fail --output /dev/null "$url/" --data "Action=$action&Version=$version" "${arguments[@]}"
}

fleet() {
    curl --silent --show-error --fail "$url/_lightsout/fleet"
}

# control PATH CURL-OPTION...: asks the embedded cloud itself for something.
control() {
    local path=$1
    shift
    curl --silent --show-error --fail-with-body --max-time 10 "$@" "$url/_lightsout/$path" || fail "the embedded cloud refuses $path"
}

# ---- what they need --------------------------------------------------------------------------------------------------------

# find_python MODULE...: sets `python` to one that has these modules: that of ${LIGHTSOUT_VENV:-target/venv}, where tests/run installs them, or python3.
find_python() {
    local modules
    modules=$(IFS=, && echo "$*")
    for python in "${LIGHTSOUT_VENV:-target/venv}/bin/python" python3; do
        ! "$python" -c "import $modules" 2>/dev/null || return 0
    done
    cannot "there is no Python with $modules: tests/run installs what it has not"
}

# free_port: one that nobody uses now and the kernel gives to nobody by itself, as it does for each connection (ip(7), "ip_local_port_range").
free_port() {
    python3 - <<'PYTHON'
import random, socket

given = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
for port in [*random.sample(range(10_000, given), min(100, given - 10_000)), 0] if given > 10_000 else [0]:
    with socket.socket() as held:
        try:
            held.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(held.getsockname()[1])
        break
PYTHON
}

# ---- small things ----------------------------------------------------------------------------------------------------------

cannot() {
    echo "$*"
    exit 77
}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

said() {
    echo "ok: $*"
}

# like GREP-ARGUMENT...: whether a line of the input is like it. The input is read to its end: `grep -q` leaves at the first such line, and who still
# writes then dies of it, which `pipefail` takes for the answer no. For the same reason it is `sed -n 1p` here and never `head -1`.
like() {
    local input
    input=$(cat)
    grep -q "$@" <<<"$input"
}

# equal WANTED COMMAND...: the command prints this.
equal() {
    local wanted=$1 got
    shift
    got=$("$@") || true
    [[ $got == "$wanted" ]] || fail "$*: wanted '$wanted', got '$got'"
}

# wait_for WHAT COMMAND...: until the command succeeds, for a minute and more, or `patience` times as long.
wait_for() {
    local what=$1 n
    shift
    for ((n = 0; n < 300 * ${patience:-1}; n++)); do
        "$@" && return
        sleep 0.2
    done
    fail "waited in vain for $what"
}
