#!/bin/sh
# Real servers to compare weft with, unpacked privately.
#
#   tools/peers.sh redis8|valkey9|redis7     prints the path of that server's start script; exit 1 and a
#                                            sentence on stderr if it is not to be had
#   tools/peers.sh                           all of them, one "name path" line each (those to be had)
#   tools/peers.sh check                     starts each of them and asks for a PING
#
# What it does: makes a root of its own under ${WEFT_PEERS:-~/.cache/weft-peers}/<peer>, with its own apt state
# (sources, lists, cache), resolves and downloads the server, its tools and the shared libraries they need from
# the Debian mirror that this machine already uses, unpacks them with dpkg -x, and writes start scripts into
# <cache>/bin that run each program through its own dynamic loader and C library. The system's own apt and dpkg
# state, services and libraries are never touched, and no root rights are needed.
#
#   <cache>/bin/redis8-server  redis8-cli  redis8-benchmark  redis8-check-rdb  redis8-check-aof
#   <cache>/bin/valkey9-server ...       redis7-server ...
#   <cache>/<peer>/root                  the unpacked packages (etc/redis/redis.conf is Debian's stock file)
#
# Where from: redis7 is Debian 12's (or, without a mirror, an installed redis-server 7.0), redis8 is Debian 13's
# (trixie), valkey9 Debian forky's, else sid's. Delete <cache>/<peer> to fetch a newer build.
# Test: `tools/peers.sh check` pings each one that is to be had.

set -eu

cache=${WEFT_PEERS:-${HOME:-/root}/.cache/weft-peers}
bin=$cache/bin

say() { printf 'peers.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The mirror this machine uses for its main archive ($1 = debian) or for security updates ($1 = debian-security).
mirror() {
    {
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
            sed -n 's/^deb[[:space:]]\+\(\[[^]]*\][[:space:]]*\)\?\([^[:space:]]\+\).*/\2/p'
        cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs:[[:space:]]*//p' | tr ' \t' '\n\n'
    } | sed 's,/*$,,' | grep -E "/$1\$" | head -n 1
}

# Runs an apt program with the private configuration of root $1.
private_apt() {
    apt_dir=$1
    shift
    APT_CONFIG=$apt_dir/apt.conf LC_ALL=C "$@"
}

# Writes into $1 an apt configuration for the suites $3...; $2 is "signed" or "trusted".
write_apt_config() {
    dir=$1
    trust=$2
    shift 2
    mkdir -p "$dir/etc/apt/apt.conf.d" "$dir/etc/apt/preferences.d" "$dir/etc/apt/sources.list.d" \
        "$dir/etc/apt/trusted.gpg.d" "$dir/var/lib/apt/lists/partial" "$dir/var/cache/apt/archives/partial" \
        "$dir/var/lib/dpkg"
    : >"$dir/var/lib/dpkg/status"
    # Proxies and the like carry over from the system; hooks, pins and sources do not.
    apt-config dump 2>/dev/null | grep '^Acquire::' >"$dir/etc/apt/apt.conf.d/00acquire" || :
    {
        printf 'Dir "%s/";\nDir::State::status "%s/var/lib/dpkg/status";\n' "$dir" "$dir"
        printf 'APT::Sandbox::User "root";\nAPT::Install-Recommends "false";\nAcquire::Languages "none";\n'
    } >"$dir/apt.conf"
    opts="trusted=yes"
    [ "$trust" = signed ] && opts="signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
    : >"$dir/etc/apt/sources.list"
    for suite in "$@"; do
        case $suite in
            *-security) uri=$(mirror debian-security) ;;
            *) uri=$(mirror debian) ;;
        esac
        [ -n "$uri" ] && printf 'deb [%s] %s %s main\n' "$opts" "$uri" "$suite" >>"$dir/etc/apt/sources.list"
    done
    [ -s "$dir/etc/apt/sources.list" ]
}

# Package lists of the suites into $1: with signatures if the system's keyring knows them, else without.
update_lists() {
    dir=$1
    shift
    write_apt_config "$dir" signed "$@" || { say "no Debian mirror in /etc/apt/sources.list*"; return 1; }
    if private_apt "$dir" apt-get -qq update >"$dir/update.log" 2>&1 && ! grep -q '^[WE]:' "$dir/update.log"; then
        return 0
    fi
    if ! grep -qE 'NO_PUBKEY|not signed|GPG error|signatures' "$dir/update.log"; then
        say "cannot read $* from the mirror: $(grep -m 1 '^[WE]:' "$dir/update.log" || echo 'see update.log')"
        return 1
    fi
    say "warning: this system's Debian keyring does not know the keys of $*; going on without checking signatures"
    write_apt_config "$dir" trusted "$@"
    private_apt "$dir" apt-get -qq update >"$dir/update.log" 2>&1 && return 0
    say "cannot read $* from the mirror: $(grep -m 1 '^[WE]:' "$dir/update.log" || echo 'see update.log')"
    return 1
}

# One start script $1 that runs program $3 (as argv[0] $4) of root $2 through that root's own loader.
write_wrapper() {
    loader=$(find "$2/lib64/" "$2/usr/lib64/" "$2/lib/" "$2/usr/lib/" -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
    [ -n "$loader" ] || { say "no dynamic loader in $2"; return 1; }
    libs=
    for dir in "$2"/usr/lib/*-linux-gnu* "$2"/lib/*-linux-gnu* "$2"/usr/lib "$2"/lib; do
        [ -d "$dir" ] && libs=$libs${libs:+:}$dir
    done
    argv0=
    # Debian 12's loader and later know --argv0; redis-check-rdb is redis-server looking at its name.
    [ "$3" = "$4" ] || argv0="--argv0 $4"
    printf '#!/bin/sh\nexec "%s" --inhibit-cache --library-path "%s" %s "%s" "$@"\n' \
        "$loader" "$libs" "$argv0" "$2/usr/bin/$3" >"$1.new"
    chmod 755 "$1.new"
    mv "$1.new" "$1"
}

# unpack <peer> <version prefix> <redis|valkey> <suites>...: 0 if <cache>/bin/<peer>-server runs afterwards.
unpack() {
    peer=$1
    want=$2
    kind=$3
    shift 3
    top=$cache/$peer
    rm -rf "$top"
    mkdir -p "$top/apt" "$top/debs" "$top/root" "$bin"
    update_lists "$top/apt" "$@" || return 1

    version=$(private_apt "$top/apt" apt-cache policy $kind-server | sed -n 's/^  Candidate: \([0-9]*:\)\?//p')
    case $version in
        $want*) ;;
        *) say "$* offers $kind-server ${version:-(none)}, wanted $want"; return 1 ;;
    esac
    # Of all that an installation would bring, the libraries are what the programs need.
    private_apt "$top/apt" apt-get -s --no-install-recommends install $kind-server $kind-tools \
        >"$top/resolve.log" 2>&1 || { say "cannot resolve $kind-server: $(tail -n 1 "$top/resolve.log")"; return 1; }
    packages=$(sed -n "s/^Inst \(lib[^ ]*\|$kind-[^ ]*\) (\([^ ]*\) .*/\1=\2/p" "$top/resolve.log" | sort -u)
    (cd "$top/debs" && private_apt "$top/apt" apt-get -qq download $packages) >"$top/download.log" 2>&1 ||
        { say "cannot download $kind-server: $(tail -n 1 "$top/download.log")"; return 1; }
    for deb in "$top"/debs/*.deb; do
        dpkg-deb -x "$deb" "$top/root" || return 1
    done
    rm -rf "$top/debs" "$top/apt/var" # lists and packages are of no more use

    for tool in server cli benchmark; do
        write_wrapper "$bin/$peer-$tool" "$top/root" "$kind-$tool" "$kind-$tool" || return 1
    done
    for tool in check-rdb check-aof; do
        write_wrapper "$bin/$peer-$tool" "$top/root" "$kind-server" "$kind-$tool" || return 1
    done
    runs "$peer" "$want"
}

# The same start scripts for the <kind>-server that is installed on this machine, if its version is the one wanted.
use_installed() {
    "$3-server" --version 2>/dev/null | grep -q "v=$2" || return 1
    say "using the installed $3-server"
    for tool in server cli benchmark check-rdb check-aof; do
        path=$(command -v "$3-$tool") || continue
        printf '#!/bin/sh\nexec "%s" "$@"\n' "$path" >"$bin/$1-$tool"
        chmod 755 "$bin/$1-$tool"
    done
}

# Does <cache>/bin/<peer>-server start, and is it the version wanted?
runs() {
    [ -x "$bin/$1-server" ] && "$bin/$1-server" --version 2>/dev/null | grep -q "v=$2"
}

# Provides one peer; its path on stdout.
provide() {
    case $1 in
        redis7) want=7.0 ;;
        redis8) want=8.0 ;;
        valkey9) want=9. ;;
        *) die "unknown peer '$1' (redis7, redis8 and valkey9 are known)" ;;
    esac
    mkdir -p "$bin" || die "cannot write to $cache"
    (
        flock 9
        if ! runs "$1" $want; then
            command -v apt-get >/dev/null || die "no apt-get here: $1 comes from Debian's packages"
            case $1 in
                redis7)
                    unpack redis7 $want redis bookworm bookworm-security || use_installed redis7 $want redis || exit 1
                    ;;
                redis8) unpack redis8 $want redis trixie trixie-security || exit 1 ;;
                valkey9) unpack valkey9 $want valkey forky || unpack valkey9 $want valkey sid || exit 1 ;;
            esac
            runs "$1" $want || die "$1 was unpacked but does not run: $("$bin/$1-server" --version 2>&1 | tail -n 1)"
        fi
    ) 9>"$cache/$1.lock" || return 1
    echo "$bin/$1-server"
}

# Starts one peer on a socket of its own, asks it for a PING and its version, stops it.
check() {
    dir=$(mktemp -d)
    "$bin/$1-server" --port 0 --unixsocket "$dir/s" --save '' --dir "$dir" >"$dir/log" 2>&1 &
    pid=$!
    tries=0
    until [ -S "$dir/s" ] || [ $tries -ge 50 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    answer=$("$bin/$1-cli" -s "$dir/s" ping 2>&1) || :
    version=$("$bin/$1-cli" -s "$dir/s" info server 2>&1 | tr -d '\r' |
        sed -n 's/^\(redis\|valkey\)_version:\(.*\)/\2/p' | tail -n 1)
    kill $pid 2>/dev/null || :
    wait $pid 2>/dev/null || :
    rm -rf "$dir"
    echo "$1 $version: $answer"
    [ "$answer" = PONG ]
}

if [ $# -gt 1 ]; then
    die "usage: tools/peers.sh [redis7|redis8|valkey9|check]"
elif [ "${1-}" = check ]; then
    failed=0
    for name in redis7 redis8 valkey9; do
        provide $name >/dev/null && { check $name || failed=1; }
    done
    exit $failed
elif [ $# -eq 1 ]; then
    provide "$1"
else
    found=1
    for name in redis7 redis8 valkey9; do
        if path=$(provide $name); then
            echo "$name $path"
            found=0
        fi
    done
    exit $found
fi
