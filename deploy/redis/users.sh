#!/bin/sh
# Writes the users of users.acl with hashes of their passwords in the environment's TALLY_COMMAND_PASSWORD, TALLY_PROJECTOR_PASSWORD and
# TALLY_QUERY_PASSWORD, as lines of redis.conf. With a command (valkey-server …) it becomes that server, which then has these users.
set -eu
: "${TALLY_COMMAND_PASSWORD:?}" "${TALLY_PROJECTOR_PASSWORD:?}" "${TALLY_QUERY_PASSWORD:?}"

hash() {
    printf %s "$1" | if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

users=$(sed -n \
    -e "s/>COMMAND_PASSWORD/#$(hash "$TALLY_COMMAND_PASSWORD")/" \
    -e "s/>PROJECTOR_PASSWORD/#$(hash "$TALLY_PROJECTOR_PASSWORD")/" \
    -e "s/>QUERY_PASSWORD/#$(hash "$TALLY_QUERY_PASSWORD")/" \
    -e '/^user /p' "$(dirname "$0")/users.acl")
if [ $# = 0 ]; then
    echo "$users"
    exit
fi
# By standard input, so that they are in no file and no list of processes.
exec "$@" - <<END
$users
END
