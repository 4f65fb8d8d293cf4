#!/bin/sh
# Makes one cluster of $NODES (host:port …): the first half are the masters, each of the others is a replica of one. May run again at any
# time, after it was cut off in the middle too: it does what is still to be done, and moves nothing. It waits for as long as its Job lets it.
set -eu
client=$(command -v valkey-cli || command -v redis-cli)
slots=16384
count=$(echo "$NODES" | wc -w)
masters=$((count / 2))
first=${NODES%% *}

ask() {
    node=$1
    shift
    "$client" -h "${node%:*}" -p "${node##*:}" "$@"
}

# Of CLUSTER INFO of a node, the value of a field.
info() {
    ask "$1" CLUSTER INFO | tr -d '\r' | sed -n "s/^$2://p"
}

until_so() {
    echo "waiting until $1"
    shift
    until "$@"; do sleep 1; done
}

answers() { [ "$(ask "$1" PING 2>/dev/null)" = PONG ]; }
knows_all() { [ "$(info "$1" cluster_known_nodes)" -ge "$count" ]; }
has_all_slots() { [ "$(info "$1" cluster_slots_assigned)" = "$slots" ]; }
is_ok() { [ "$(info "$1" cluster_state)" = ok ]; }
is_empty_master() { ask "$1" CLUSTER NODES | awk '$3 ~ /myself,master/ && NF == 8 { found = 1 } END { exit !found }'; }
is_replica() { ask "$first" CLUSTER NODES | awk -v id="$1" '$1 == id && $3 ~ /slave/ { found = 1 } END { exit !found }'; }
knows_master() { ask "$1" CLUSTER NODES | grep -q "^$2 .*master"; }

for node in $NODES; do
    until_so "$node answers" answers "$node"
done

# Before they have met: an epoch of its own for each spares them the quarrel about it.
epoch=0
for node in $NODES; do
    epoch=$((epoch + 1))
    if [ "$(info "$node" cluster_known_nodes)" = 1 ] && [ "$(info "$node" cluster_my_epoch)" = 0 ]; then
        ask "$node" CLUSTER SET-CONFIG-EPOCH "$epoch"
    fi
done

met_all() { sh "$(dirname "$0")/meet.sh" "$first" && knows_all "$first"; }
until_so "$first has met all" met_all
for node in $NODES; do
    until_so "$node knows all" knows_all "$node"
done

# Only what nobody has, and only to who has none: after a failover others are the masters.
number=0
for node in $NODES; do
    [ "$number" -lt "$masters" ] || break
    from=$((slots * number / masters)) to=$((slots * (number + 1) / masters - 1))
    number=$((number + 1))
    if ! has_all_slots "$first" && is_empty_master "$node"; then
        ask "$node" CLUSTER ADDSLOTSRANGE "$from" "$to"
    fi
done
for node in $NODES; do
    until_so "$node knows whose each slot is" has_all_slots "$node"
done

# Who has no slots follows the master that has the fewest replicas.
for node in $NODES; do
    if is_empty_master "$node"; then
        master=$(ask "$first" CLUSTER NODES | awk '
            $3 ~ /fail/ { next }
            $3 ~ /master/ && NF > 8 { replicas[$1] += 0 }
            $3 ~ /slave/ { replicas[$4] += 1 }
            END { for (id in replicas) print replicas[id], id }' | sort | awk 'NR == 1 { print $2 }')
        until_so "$node knows its master" knows_master "$node" "$master"
        ask "$node" CLUSTER REPLICATE "$master"
        until_so "$node is known as a replica" is_replica "$(ask "$node" CLUSTER MYID)"
    fi
done
for node in $NODES; do
    until_so "$node is of a cluster that is whole" is_ok "$node"
done
ask "$first" CLUSTER NODES
