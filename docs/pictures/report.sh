#!/bin/sh
# Makes docs/report.png: the beginning of the page that `qvm-diag --html` writes about a
# simulated VM with a dump. `make pictures` runs this in the root of the checkout.
set -eu

checkout=$PWD
QVM_BUILD=${BUILD:-build}
case $QVM_BUILD in /*) ;; *) QVM_BUILD=$checkout/$QVM_BUILD ;; esac
work=$(mktemp -d)
vm=""
trap 'kill $vm 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
mkdir vms dumps
export QVM_BUILD QVM_ROOT=vms HOME="$work"

# Two blocks of RAM, for the map.
sed 's|^ram .*|ram 0x80000000,192M ram 0xa0000000,64M|' "$checkout/examples/linux1.qvmconf" \
    >linux1.qvmconf
"$QVM_BUILD/sim/qvm" @linux1.qvmconf 2>linux1.log </dev/null &
vm=$!
tries=0
until [ -e vms/linux1/env ]; do
    tries=$((tries + 1))
    [ $tries -le 100 ]
    sleep 0.05
done
"${LUA:-lua5.4}" "$checkout/examples/diag.lua" linux1 --dump dumps --html report.html

chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
    --user-data-dir="$work/browser" --hide-scrollbars --window-size="${SIZE:-720,1240}" \
    --screenshot="$work/report.png" "file://$work/report.html" 2>/dev/null
# Few colours and no metadata, to make the file small.
pngquant --force --strip --speed 1 --output "$checkout/docs/report.png" 32 report.png
