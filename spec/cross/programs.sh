#!/bin/sh
# programs.sh DIRECTORY BUILD: makes the programs that the specs start. Those that contain the
# library are run by $CROSS_RUN, the command that runs a program of the other architecture;
# the simulator and the bystander are this machine's.
set -eu
directory=$1 build=$2
here=$(pwd)

runner() { # runner NAME PROGRAM
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$CROSS_RUN" "$2" >"$directory/$1"
    chmod +x "$directory/$1"
}

runner lua5.4 "$here/$directory/root/usr/bin/lua5.4"
mkdir -p "$directory/sim"
ln -sf "$here/$build/sim/qvm" "$directory/sim/qvm"
ln -sf "$here/$build/helpers/bystander" "$directory/helpers/bystander"
