# Machines for tests: a container with systemd as its first process stands for an instance, the embedded cloud for the rest. To be sourced, with
# `bin` (the folder of the programs) and `work` (a folder to work in) set; `name` is the container that the functions are about.
# shellcheck shell=bash disable=SC2154

# shellcheck source=tests/common.sh
source tests/common.sh

image=lightsout/systemd:1

# need PROGRAM...: the programs of ours that a test runs, below `bin`.
need() {
    local program
    for program in "$@"; do
        [[ -x $bin/$program ]] || cannot "$bin/$program is not there: cargo build, and cargo build -p lightsout-localcloud --example serve"
    done
    for program in docker curl ss; do
        command -v "$program" >/dev/null || cannot "$program is not installed"
    done
    timeout 10 docker version >/dev/null 2>&1 || cannot "no Docker engine answers"
}

# stripped PROGRAM...: in `$work/bin`, without what nobody reads: they are packed in a quarter of the time.
stripped() {
    local program
    mkdir -p "$work/bin"
    for program in "$@"; do strip -o "$work/bin/$program" "$bin/$program"; done
}

# A Debian with systemd in it, made once.
image() {
    docker image inspect "$image" >/dev/null 2>&1 && return
    { ((EUID == 0)) && command -v debootstrap >/dev/null; } || cannot "the image $image is made by debootstrap, as root"
    echo "making the image $image"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm "$work/root" >"$work/debootstrap.log" 2>&1 ||
        cannot "debootstrap failed: $(tail -1 "$work/debootstrap.log")"
    tar -C "$work/root" -c . | docker import - "$image" >/dev/null
    rm -rf "$work/root"
}

# Which commit a machine image is of, and a short hash of all that goes into one here: images from elsewhere, or from before, are told by it.
image_version() {
    local content
    content=$({
        git ls-files --cached --others --exclude-standard -- packer systemd ':!*.md' | sort | xargs sha256sum
        sha256sum <"$bin/lightsout-agent"
        sha256sum <"$bin/lightsout-doctor"
    } | sha256sum)
    echo "$(git rev-parse --short HEAD)-${content:0:12}"
}

# boot OPTION...: starts the machine `name`.
boot() {
    docker run --detach --name "$name" --network host --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined \
        --cgroupns=host --volume /sys/fs/cgroup:/sys/fs/cgroup:rw --tmpfs /run --tmpfs /run/lock "$@" "$image" /lib/systemd/systemd >/dev/null
}

inside() {
    docker exec "$name" "$@"
}

systemd_is_up() {
    [[ $(inside systemctl is-system-running 2>/dev/null || true) =~ running|degraded ]]
}

# ---- the embedded cloud ----------------------------------------------------------------------------------------------------

# cloud N: the embedded cloud, with N instances in the group `g`; no machine of its own is behind them.
cloud() {
    start_cloud gitlab
    aws CreateLaunchTemplate 2016-11-15 LaunchTemplateName=t LaunchTemplateData.ImageId=ami-0123456789abcdef0 \
        LaunchTemplateData.InstanceType=c7i.large LaunchTemplateData.IamInstanceProfile.Name=lightsout-agent \
        LaunchTemplateData.MetadataOptions.InstanceMetadataTags=enabled
    aws CreateAutoScalingGroup 2011-01-01 AutoScalingGroupName=g MinSize=0 MaxSize="$1" DesiredCapacity="$1" \
        LaunchTemplate.LaunchTemplateName=t AvailabilityZones.member.1=eu-central-1a NewInstancesProtectedFromScaleIn=true \
        LifecycleHookSpecificationList.member.1.LifecycleHookName=drain \
        LifecycleHookSpecificationList.member.1.LifecycleTransition=autoscaling:EC2_INSTANCE_TERMINATING
    wait_for "$1 instances" there_are "$1" InService
}

# The ids of the instances in this state.
instances_in() {
    fleet | grep --only-matching --extended-regexp "\"id\":\"i-[0-9a-f]+\"[^{}]*\"state\":\"$1\"" | grep --only-matching --extended-regexp 'i-[0-9a-f]+' || true
}

there_are() {
    (($(instances_in "$2" | wc -l) == $1))
}

# Where the instances' metadata services listen.
metadata_services() {
    ss --listening --tcp --numeric --processes --no-header | grep "pid=$serve," | awk '{ print $4 }' | grep -v ":${url##*:}$"
}

enqueue() {
    local answer
    answer=$(curl --silent --show-error --fail "$url/_lightsout/jobs" --header 'content-type: application/json' --data "{\"seconds\": $1}")
    [[ $answer =~ ([0-9]+) ]] && echo "${BASH_REMATCH[1]}"
}

job_is() {
    fleet | like "\"id\":$1,\"state\":\"$2\""
}
