#!/bin/sh
# Registers this machine with StackGuardian and lives as long as its ECS agent does. lightsout writes this file anew at each start.
# SIGTERM: ends the ECS tasks that still run and the ECS agent, then exits.
# Arguments: register or adopt, the journal, the instance's id, sg-runner, the organization, the runner group, seconds for the registration,
# and to register, the file that the token is in, which is removed. Variable: SG_BASE_API.
# shellcheck disable=SC2317 # functions that a trap or await calls

mode=$1 journal=$2 instance=$3 program=$4 organization=$5 group=$6 limit=$7 file=$8
config=${ECS_CONFIG_DIR:-/etc/ecs}/ecs.config
export HOME="${HOME:-/root}"
umask 077
child=

# For whoever reads why this ended. The ECS agent writes to its own log.
last_words() {
    docker logs --tail 10 ecs-agent 2>&1
}

note() {
    printf '%s\n' "$*" >>"$journal"
}

# The runner's id is in there.
note_attributes() {
    if [ "$mode" = register ]; then
        grep '^ECS_INSTANCE_ATTRIBUTES=' "$config" >>"$journal" 2>/dev/null
    fi
}

agent_runs() {
    [ "$(docker inspect --type container --format '{{.State.Running}}' ecs-agent 2>/dev/null)" = true ]
}

# In the background, because a shell hears a signal only between two commands or while it waits.
await() {
    "$@" &
    child=$!
    wait "$child"
    ended=$?
    child=
    return "$ended"
}

# One look that finds none proves nothing: it may be started anew in that moment, with a task on its way to it.
appears() {
    looks=0
    until agent_runs; do
        looks=$((looks + 1))
        [ "$looks" -lt 10 ] || return 1
        await sleep 1
    done
}

stop() {
    trap '' TERM INT
    [ -z "$child" ] || kill "$child" 2>/dev/null
    note_attributes
    note gone
    # The tasks first, while the ECS agent can still tell how they ended. They have the time that is left, which lightsout-agent knows: it ends
    # those that do not heed this, and what is here is no more than the longest notice.
    tasks=$(docker ps --quiet --filter label=com.amazonaws.ecs.task-arn 2>/dev/null)
    if [ -n "$tasks" ]; then
        # shellcheck disable=SC2086 # one word for each id
        docker stop -t 120 $tasks
        sleep 2
    fi
    systemctl stop ecs 2>/dev/null || docker stop -t 3 ecs-agent
    exit 0
}
trap stop TERM INT

# Any user may read the arguments of a process, so the token is in none: the vendor's script, which wants it as one, is read by a bash
# of ours. Anything else than a bash script finds the token in SG_NODE_TOKEN. This process itself never has it in its environment, which
# could be read for as long as the machine serves.
vendor() {
    path=$(command -v "$program") || exit 127
    export SG_NODE_TOKEN="$token"
    if head -n 1 "$path" | grep -q '^#!.*bash'; then
        # shellcheck disable=SC2016 # expanded by that bash
        exec timeout "$limit" bash -c 'source "$0" "$@" --sg-node-token "$SG_NODE_TOKEN"' "$path" "$@"
    fi
    exec timeout "$limit" "$path" "$@"
}

if [ "$mode" = register ]; then
    token=$(cat "$file")
    rm -f "$file"
    note "begin $instance"
    # What an image or an earlier registration left behind is not this registration's.
    systemctl stop ecs 2>/dev/null
    docker rm --force ecs-agent >/dev/null 2>&1
    rm -f "$config"
    await vendor register --organization "$organization" --runner-group "$group"
    code=$?
    token=
    note_attributes
    case $code in
    0) appears || { last_words; note "failed $program register said that it is done, but no ecs-agent container runs"; exit 1; } ;;
    124) note "failed $program register did not end within $limit s and was ended: see what it waits for; register_timeout gives it longer"; exit 1 ;;
    127) note "failed $program cannot be found"; exit 1 ;;
    *) note "failed $program register ended with status $code"; exit 1 ;;
    esac
    note registered
fi

# The ECS agent is started anew when it updates itself, and after a reboot: only its absence for a minute is an end.
absent=0
while [ "$absent" -lt 12 ]; do
    if agent_runs; then
        absent=0
        await docker wait ecs-agent >/dev/null 2>&1
    else
        absent=$((absent + 1))
        await sleep 5
    fi
done
last_words
note gone
exit 1
