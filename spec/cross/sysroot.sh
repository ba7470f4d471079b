#!/bin/sh
# sysroot.sh ARCH DIRECTORY: Debian's libraries, Lua and busted for another
# architecture, unpacked into a directory. apt is given an empty system of that
# architecture, so nothing is installed and this machine's own apt and dpkg know
# nothing of it. Needs no root.
set -eu
arch=$1 root=$2
packages="lua5.4 liblua5.4-dev zlib1g-dev lua-busted lua-cjson lua-argparse lua-readline
    lua-filesystem lua-socket"

[ ! -e "$root/.complete" ] || exit 0
work=$root.apt
rm -rf "$root" "$work"
mkdir -p "$root" "$work/lists/partial" "$work/archives/partial"
: >"$work/status"

apt() {
    apt-get -q -o APT::Architecture="$arch" -o APT::Architectures::="$arch" \
        -o APT::Architectures="$arch" -o Dir::State::Status="$PWD/$work/status" \
        -o Dir::State::Lists="$PWD/$work/lists" -o Dir::Cache="$PWD/$work" \
        -o Dir::Cache::Archives="$PWD/$work/archives" -o Debug::NoLocking=1 \
        -o APT::Sandbox::User="$(id -un)" "$@"
}

# A source that does not know the architecture is no reason to stop.
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
touch "$root/.complete"
