#!/bin/sh
# sysroot.sh PORT DIRECTORY: unpacks the libraries, Lua and busted of another Debian
# port (arm64, s390x, armhf) into a directory. apt works on an empty system of that
# port: nothing is installed, and the state of this machine's apt and dpkg does not
# change. Needs no root.
set -eu
port=$1 root=$2
packages="lua5.4 liblua5.4-dev zlib1g-dev lua-busted lua-cjson lua-cjson-dev lua-argparse
    lua-readline lua-filesystem lua-socket"

[ "$(cat "$root/.complete" 2>/dev/null)" != "$packages" ] || exit 0
work=$root.apt
rm -rf "$root" "$work"
mkdir -p "$root" "$work/lists/partial" "$work/archives/partial"
: >"$work/status"

apt() {
    apt-get -q -o APT::Architecture="$port" -o APT::Architectures::="$port" \
        -o APT::Architectures="$port" -o Dir::State::Status="$PWD/$work/status" \
        -o Dir::State::Lists="$PWD/$work/lists" -o Dir::Cache="$PWD/$work" \
        -o Dir::Cache::Archives="$PWD/$work/archives" -o Debug::NoLocking=1 \
        -o APT::Sandbox::User="$(id -un)" "$@"
}

# Package sources that lack the port are skipped.
apt update >"$work/log" 2>&1 || true
# shellcheck disable=SC2086
if ! apt install --download-only -y --no-install-recommends $packages >>"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
fi
for file in "$work"/archives/*.deb; do
    dpkg-deb -x "$file" "$root"
done
rm -rf "$work"
echo "$packages" >"$root/.complete"
