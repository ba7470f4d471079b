#!/bin/busybox sh
# The init of the guest that guest.lua dumps: prints addresses and then "ready" on the
# serial console, then keeps changing the memory.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs -o size=95% tmpfs /work

# Loading this module gives VMCOREINFO to QEMU.
[ ! -e /qemu_fw_cfg.ko ] || insmod /qemu_fw_cfg.ko

# A guest that stays (qvm_stay in the kernel command line) handles the power button.
if [ -n "$qvm_stay" ]; then
    for module in button evdev; do
        [ ! -e /$module.ko ] || insmod /$module.ko
    done
    mkdir -p /etc/acpi/PWRF
    printf '#!/bin/sh\npoweroff -f\n' >/etc/acpi/PWRF/00000080
    chmod 755 /etc/acpi/PWRF/00000080
    acpid -l /dev/null -p /work/acpid.pid 2>/dev/null
fi

# Writes each line as a whole, through the kernel's log.
tell() {
    while read -r line; do
        echo "$1: $line" >/dev/kmsg
    done
}

# KASLR moves these at each boot. Some kernels list only code, no data.
grep -E 'System RAM|Kernel (code|data|bss)' /proc/iomem | tell iomem
grep -E ' (_stext|_etext|schedule|linux_banner|init_task)$' /proc/kallsyms | tell symbol

while :; do
    head -c 65536 /dev/urandom >/work/noise
    count=$((count + 1))
    echo "tick $count" >/work/tick
done &

while :; do
    cat /proc/uptime >/work/uptime
    sleep 1
done &

# Processes that stay as they are: asleep, stopped, a zombie, and one whose program is deleted.
sleep 100001 &
sh -c 'kill -STOP $$' sh two "words here" &
sh -c 'sleep 1 & exec sleep 100003' & # its child ends later: a shell would ask for it
parent=$!
cp /bin/busybox /work/busybox
/work/busybox sleep 100004 &
deleted=$!
# And one in an uninterruptible sleep: frozen, by a control group of version 1. Kernels before
# 6.1 freeze only what runs. Its pid comes from its own program: frozen earlier it would be one
# more shell of /init.
mkdir /freezer
mount -t cgroup -o freezer freezer /freezer && mkdir /freezer/one
mkfifo /work/spins
sh -c 'echo $$ >/work/spins; while :; do :; done' &
read -r spins </work/spins
echo "$spins" >/freezer/one/tasks
echo FROZEN >/freezer/one/freezer.state
until grep -q ') T ' /proc/[0-9]*/stat && grep -q ") Z $parent " /proc/[0-9]*/stat &&
    [ "$(readlink /proc/$deleted/exe)" = /work/busybox ] &&
    [ "$(cat /freezer/one/freezer.state)" = FROZEN ]; do
    sleep 1
done 2>/dev/null # grep complains of processes that are gone meanwhile
rm /work/busybox

# The kernel command line sets qvm_tasks: so many more tasks, which sleep.
left=${qvm_tasks:-0}
while [ "$left" -gt 0 ]; do
    sleep 100005 &
    left=$((left - 1))
done

# What the guest says of itself, line by line: "FILE:LINE". Of many tasks that takes hours.
[ -n "$qvm_stay" ] || [ "${qvm_tasks:-0}" -gt 0 ] || {
    grep -H . /proc/[0-9]*/stat /proc/[0-9]*/stack /proc/[0-9]*/maps /proc/modules
    for cmdline in /proc/[0-9]*/cmdline; do
        tr '\0' '\n' <$cmdline | sed "s,^,$cmdline:,"
    done
    grep '\[' /proc/kallsyms | sed 's,^,/proc/kallsyms:,'
} >/dev/console 2>/dev/null
sleep 1 # the console is still writing

echo ready | tell qvm

# The last dump is of a panic, which a line on the console asks for.
while [ -n "$qvm_stay" ]; do
    sleep 1000
done
read -r line </dev/console
echo c >/proc/sysrq-trigger
