#!/bin/sh
# Installs the Debian packages that a build (or the tests) need and that are missing. Usage: deps.sh build|test
set -eu
build="gcc make python3 liburing-dev libxxhash-dev libjansson-dev"
test="$build chromium libcmocka-dev spin redis-server redis-tools python3-redis python3-hypothesis python3-pytest"
test="$test nodejs npm tcl tcl-tls procps ca-certificates"
case "${1:-build}" in
build) want=$build ;;
test) want=$test ;;
*) echo "usage: deps.sh build|test" >&2; exit 2 ;;
esac
missing=""
for package in $want; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing="$missing $package"
done
# Compilers and Python that came another way than by Debian's packages count as well.
for pair in gcc:gcc make:make node:nodejs npm:npm; do
    if command -v "${pair%%:*}" >/dev/null 2>&1; then missing=$(echo "$missing " | sed "s/ ${pair##*:} / /"); fi
done
missing=$(echo "$missing" | xargs)
[ -z "$missing" ] && exit 0
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
echo "installing: $missing"
# redis-server's package starts a service on 6379; the tests want only its binary.
policy=/usr/sbin/policy-rc.d
made_policy=""
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod +x "$policy"
    made_policy=1
fi
trap '[ -z "$made_policy" ] || $sudo rm -f "$policy"' EXIT
$sudo apt-get update -q >/dev/null
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends $missing >/dev/null
