# Installs the Debian packages that are its arguments, and nothing that comes with them is left running or starts at the next boot: the
# programs are wanted, not the services. What was there before is not touched.
set -eu
export DEBIAN_FRONTEND=noninteractive
PATH=$PATH:/usr/sbin:/sbin
apt="apt-get -q -y -o DPkg::Lock::Timeout=300"
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.conf
our_policy= our_cluster=

undo() {
    status=$?
    [ -z "$our_policy" ] || rm -f "$policy"
    [ -z "$our_cluster" ] || mv -f "$our_cluster" "$cluster"
    exit "$status"
}
trap undo EXIT
trap 'exit 143' TERM INT HUP

installed() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q ' installed$'
}

# Debian starts a service as soon as it is installed, unless this script says no.
if [ ! -e "$policy" ]; then
    our_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

$apt update || echo "apt-get update failed: going on with the package lists that are there"

for package in "$@"; do
    case $package in
    postgresql)
        # Without a cluster of its own, Debian's service has nothing to start, now or at the next boot.
        if ! installed postgresql-common; then
            $apt install --no-install-recommends postgresql-common
            cp -p "$cluster" "$cluster.before-tally"
            our_cluster=$cluster.before-tally
            echo 'create_main_cluster = false' >>"$cluster"
        fi
        $apt install --no-install-recommends postgresql
        ;;
    redis-server | prometheus)
        $apt install --no-install-recommends "$package"
        if command -v systemctl >/dev/null; then
            systemctl disable "$package.service" || true
        fi
        ;;
    *)
        $apt install --no-install-recommends "$package"
        ;;
    esac
done
