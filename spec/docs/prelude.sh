# For the shell of a chapter: functions for hidden sessions. All files are below $SANDBOX,
# like the documents' /dumps and /var/log.

until_true() { # COMMAND...: waits until it succeeds, 20 seconds at most
    tries=0
    until "$@" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 1000 ] || return 1
        sleep 0.02
    done
}

# simulate NAME [on|off]: starts a simulated VM like that of examples/linux1.qvmconf, with
# erratum 843419 on or off, and waits until it is up.
simulate() {
    cat >"$SANDBOX/$1.qvmconf" <<CONF
system $1
set sim-erratum-843419 ${2:-on}
set sim-erratum-1530923 auto
ram 0x80000000,256M
cpu
cpu
    set sim-erratum-1286807 off
dump $SANDBOX/dumps
vdev pl011 loc 0x1c090000 intr gic:37 name console
vdev virtio-net loc 0x1c0c0000 intr gic:40 name guest_to_host peer /dev/vdevpeers/vp0
CONF
    [ -p "$SANDBOX/$1.in" ] || mkfifo "$SANDBOX/$1.in"
    build/sim/qvm "@$SANDBOX/$1.qvmconf" <>"$SANDBOX/$1.in" >"$SANDBOX/$1.out" \
        2>>"$SANDBOX/var/log/$1.log" &
    until_true test -e "$QVM_ROOT/$1/env"
}

# tell NAME COMMAND: sends a command to the simulator and waits until it has taken effect.
tell() {
    echo "$2" >"$SANDBOX/$1.in"
    until_true grep -qx "ok $2" "$SANDBOX/$1.out"
}

shut_down() { # NAME
    tell "$1" shutdown
    until_true test ! -e "$QVM_ROOT/$1"
}

# take_dump NAME FILE: requests a dump from the VM and moves it to FILE.
take_dump() {
    qvm-diag "$1" --dump "$SANDBOX/dumps" >/dev/null &&
        mv "$SANDBOX/dumps/$1"-*.gcore "$2"
}

# stand_in NAME COMMAND...: replaces a program that only QNX has.
stand_in() {
    name=$1
    shift
    printf '#!/bin/sh\nexec %s\n' "$*" >"$SANDBOX/bin/$name"
    chmod 755 "$SANDBOX/bin/$name"
}
