#!/bin/sh
# Starts two simulated VMs, lists them, and reports on one of them, as on a QNX Hypervisor
# host. `make demo` builds everything and runs this.
set -u

lua=${LUA:-lua5.4}
examples=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-build}
case $build in /*) ;; *) build=$(dirname "$examples")/$build ;; esac

work=$(mktemp -d)
QVM_ROOT=$work/dev/qvm
export QVM_ROOT
mkdir -p "$QVM_ROOT" "$work/dumps"
vms=""
# shellcheck disable=SC2086
trap 'kill $vms 2>/dev/null; wait; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

show() { printf '\n$ %s\n' "$*"; }

cd "$work" || exit 1
for name in linux1 qnx1; do
    show "qvm @$name.qvmconf 2>$name.log &      # simulated: no QNX here"
    "$build/sim/qvm" "@$examples/$name.qvmconf" 2>"$name.log" </dev/null &
    vms="$vms $!"
done
for name in linux1 qnx1; do
    tries=0
    until [ -e "$QVM_ROOT/$name/env" ]; do
        tries=$((tries + 1))
        if [ $tries -gt 100 ]; then
            cat "$name.log" >&2
            exit 1
        fi
        sleep 0.05
    done
done

diag() { QVM_BUILD=$build "$lua" "$examples/diag.lua" "$@"; }

show "lua examples/diag.lua --list"
diag --list || exit 1
show "lua examples/diag.lua linux1 --status linux1.log --dump dumps"
diag linux1 --status linux1.log --dump dumps
