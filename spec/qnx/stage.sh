#!/bin/sh
# stage.sh STAGE MODULE HELP_TEXT STATE: copies the files for a QNX target to the directory
# STAGE, which is created anew. STATE is a line about the module for the README there.
set -eu
stage=$1 module=$2 help=$3 state=$4

# STAGE is removed, so a mistyped directory must not be lost.
if [ -n "$(ls -A "$stage" 2>/dev/null)" ] && [ ! -f "$stage/FILES" ]; then
    echo "$stage: not empty, and nothing was staged there: remove it, or name another STAGE" >&2
    exit 1
fi
rm -rf "$stage"
mkdir -p "$stage/share/lua/5.4" "$stage/lib/lua/5.4/qvm" "$stage/bin"
cp -R lua/qvm "$stage/share/lua/5.4"
cp "$help" "$stage/share/lua/5.4/qvm"
cp "$module" "$stage/lib/lua/5.4/qvm/core.so"
for command in diag dumpdiff explore firstcontact gdbserve watchdog; do
    cp "examples/$command.lua" "$stage/bin/qvm-$command"
    chmod 755 "$stage/bin/qvm-$command"
done
cp LICENSE "$stage"
sed "s|@STATE@|$state|" spec/qnx/stage.md >"$stage/README.md"

# Checksum, size and name of each file, as POSIX's cksum prints them.
(cd "$stage" && find . -type f ! -name FILES | sort | xargs cksum) >"$stage.files"
mv "$stage.files" "$stage/FILES"
echo "$stage: $(wc -l <"$stage/FILES") files, $(du -sk "$stage" | cut -f 1) KiB; $state"
