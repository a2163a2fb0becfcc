# shellcheck shell=bash
# What the numbered scripts share. They run as root, in order, on Amazon Linux 2023, Ubuntu 24.04 and Debian 12; with Packer, or by hand with
# the folder that packer/stage fills at /tmp/lightsout-image and the variables that lightsout.pkr.hcl sets.
stage=/tmp/lightsout-image
export HISTFILE=/dev/null DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

# shellcheck source=/dev/null
. /etc/os-release
case $ID in
amzn) family=dnf ;;
debian | ubuntu) family=apt ;;
*) echo "this is $ID, and an image is made from Amazon Linux 2023, Ubuntu 24.04 or Debian 12" >&2 && exit 1 ;;
esac
export family

fail() {
    echo "WRONG: $*" >&2
    exit 1
}

if [[ -n ${LIGHTSOUT_PROXY:-} ]]; then
    export http_proxy=$LIGHTSOUT_PROXY https_proxy=$LIGHTSOUT_PROXY no_proxy=localhost,127.0.0.1,169.254.169.254,${LIGHTSOUT_NO_PROXY:-}
fi

# How long what else runs at a machine's first start (apt-daily, cloud-init) may hold a package manager's locks, in seconds.
locks=600

# For dpkg's lock apt waits by itself, for those of its lists and of its downloads it does not.
apt_get() {
    local end=$((SECONDS + locks)) log
    log=$(mktemp)
    until LC_ALL=C apt-get --option DPkg::Lock::Timeout="$locks" --option Acquire::Retries=3 --yes --no-install-recommends "$@" 2>&1 | tee "$log"; do
        grep -q '^E: Could not get lock' "$log" || fail "apt-get $*"
        ((SECONDS < end)) || fail "apt-get $*: the lock was not free within $locks s; see what holds it: fuser -v /var/lib/dpkg/lock* /var/lib/apt/lists/lock"
        echo "waiting for the lock"
        sleep 2
    done
    rm "$log"
}

# At Amazon Linux's release that was asked for, else at the base image's. It waits for its lock by itself, whatever the base image's settings say;
# somebody must end the wait.
dnf_at_release() {
    local code=0
    timeout 3600 dnf --assumeyes --setopt=exit_on_lock=False --setopt=install_weak_deps=False ${LIGHTSOUT_RELEASEVER:+--releasever="$LIGHTSOUT_RELEASEVER"} "$@" || code=$?
    ((code != 124)) || fail "dnf $*: it did not end within an hour; see what holds its lock, and whether its mirrors answer"
    return "$code"
}

# Names, or files with a path.
install_packages() {
    case $family in
    apt) apt_get install "$@" ;;
    dnf) dnf_at_release install "$@" ;;
    esac
}

# pinned NAME: the path of what was pinned under this name; not a byte of it may be another.
pinned() {
    local name version _ hash url path
    while read -r name version _ hash url; do
        [[ $name == "$1" ]] || continue
        path=${url##*/}
        path=$stage/pinned/$name/${path%%\?*}
        [[ $hash =~ ^[0-9a-f]{64}$ ]] || fail "$name $version has no SHA-256"
        [[ $(sha256sum "$path") == "$hash "* ]] || fail "$name $version is not what was pinned: its SHA-256 is not $hash"
        echo "$path"
        return
    done <<<"${LIGHTSOUT_PINS:-}"
    fail "nothing is pinned as $1"
}

is_pinned() {
    [[ $'\n'${LIGHTSOUT_PINS:-} == *$'\n'"$1 "* ]]
}

version_of() {
    awk -v name="$1" '$1 == name { print $2 }' <<<"${LIGHTSOUT_PINS:-}"
}

# mask UNIT...: those that are there and those that a later package may bring.
mask() {
    systemctl --quiet mask "$@"
}

# A list in JSON, an element a line.
elements() {
    jq --raw-output '.[]' <<<"$1"
}
