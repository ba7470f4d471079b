#!/bin/sh
# demo-guest.sh MACHINE DIRECTORY: boots the Linux kernel in DIRECTORY (kernel, initramfs) behind
# the simulator, lists the VM, asks for its status and a dump, and triages the dump. `make
# demo-guest` gets a kernel, builds everything and runs this.
set -u

machine=$1
guest=$2
lua=${LUA:-lua5.4}
examples=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-build}
case $build in /*) ;; *) build=$(dirname "$examples")/$build ;; esac

work=$(mktemp -d)
QVM_ROOT=$work/dev/qvm
export QVM_ROOT
mkdir -p "$QVM_ROOT" "$work/dumps"
vm=
trap '[ -z "$vm" ] || kill -QUIT "$vm" 2>/dev/null; wait; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 1

show() { printf '\n$ %s\n' "$*"; }
diag() { QVM_BUILD=$build "$lua" "$examples/diag.lua" "$@"; }

if [ "$machine" = x86_64 ]; then
    console="ttyS0 no_timer_check" serial="ser8250 loc io:0x3f8"
else
    console=ttyAMA0 serial="pl011 loc 0x9000000"
fi
cat >linux1.qvmconf <<TEXT
system linux1
set sim-machine $machine
set sim-guest qemu                  # the simulator's own: QEMU runs the guest
ram 256M
cpu
cpu
load $guest/kernel
initrd load $guest/initramfs
cmdline "console=$console printk.devkmsg=on qvm_stay=1"
vdev $serial hostdev >console.log
dump dumps
TEXT
show "cat linux1.qvmconf"
cat linux1.qvmconf

show "qvm @linux1.qvmconf 2>linux1.log &      # simulated: no QNX here; a real guest"
"$build/sim/qvm" @linux1.qvmconf 2>linux1.log </dev/null &
vm=$!
seconds=0
until grep -q "qvm: ready" console.log 2>/dev/null; do
    if [ $seconds -ge 300 ] || ! kill -0 "$vm" 2>/dev/null; then
        cat linux1.log >&2
        tail -n 20 console.log >&2
        echo "the guest is not ready after $seconds s" >&2
        exit 1
    fi
    [ $((seconds % 5)) -ne 0 ] || echo "the guest boots, $seconds s ..."
    sleep 1
    seconds=$((seconds + 1))
done
grep "Linux version" console.log | cut -c 1-79

show "lua examples/diag.lua --list"
diag --list || exit 1
show "lua examples/diag.lua linux1 --status linux1.log --dump dumps"
diag linux1 --status linux1.log --dump dumps || exit 1
set -- dumps/*
show "lua examples/explore.lua -e 'for task in qvm.open(\"$1\"):tasks() do ...'"
QVM_BUILD=$build "$lua" "$examples/explore.lua" -e "
    for task in qvm.open('$1'):tasks() do
        if task.state == 'S' and not task.kernel then
            print(task)
            for frame in task:backtrace() do print('', frame) end
        end
    end" | head -n 25

show "kill %1                               # the power button"
kill -TERM "$vm"
seconds=0
while kill -0 "$vm" 2>/dev/null && [ $seconds -lt 20 ]; do
    sleep 1
    seconds=$((seconds + 1))
done
if kill -0 "$vm" 2>/dev/null; then
    echo "the guest ignores it; SIGQUIT cuts the power"
    kill -QUIT "$vm"
fi
wait "$vm"
echo "qvm ended with status $?"
vm=
tail -n 2 linux1.log
