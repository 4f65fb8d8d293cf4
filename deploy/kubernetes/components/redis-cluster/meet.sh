#!/bin/sh
# Tells the node $1 (host:port) where the others of $NODES are now. Pods that all come back with new addresses at once would not find each
# other again; who is known at the right address already is left alone, so this may run for ever.
set -eu
at=$1
client=$(command -v valkey-cli || command -v redis-cli)

ask() {
    node=$1
    shift
    "$client" -h "${node%:*}" -p "${node##*:}" "$@"
}

me=$(ask "$at" CLUSTER MYID)
for other in $NODES; do
    host=${other%:*} port=${other##*:}
    # One that is away now is met when it is back.
    id=$(ask "$other" CLUSTER MYID 2>/dev/null) || continue
    [ "$id" != "$me" ] || continue
    address=$(getent ahosts "$host" | awk 'NR == 1 { print $1 }')
    [ -n "$address" ] || continue
    if ask "$at" CLUSTER NODES | grep -F "$id $address:$port@" | grep -qw connected; then
        continue
    fi
    bus=$(ask "$other" CONFIG GET cluster-port | sed -n 2p)
    [ "${bus:-0}" != 0 ] || bus=$((port + 10000))
    ask "$at" CLUSTER MEET "$address" "$port" "$bus" >/dev/null
done
