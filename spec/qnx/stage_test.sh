#!/bin/sh
# stage_test.sh STAGE BUILD: tests that a stage is complete and works, on Linux, with the Linux
# module in place of the staged one. Prints TAP.
stage=$1 build=$2
count=0 failed=0
work=$(mktemp -d)
vm=
trap '[ -z "$vm" ] || kill $vm 2>/dev/null; rm -rf "$work"' EXIT
unset LUA_PATH LUA_CPATH QVM_BUILD

check() { # check NAME COMMAND...
    name=$1
    shift
    count=$((count + 1))
    if "$@" >"$work/result" 2>&1; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        sed 's/^/# /' "$work/result"
        failed=1
    fi
}

listed() { (cd "$stage" && cut -d ' ' -f 3 FILES | xargs cksum | cmp - FILES); }

calls() { # the module uses these calls of QNX, and none that only Linux has
    nm -D --undefined-only "$stage/lib/lua/5.4/qvm/core.so" >"$work/symbols"
    for symbol in ConnectServerInfo TimerTimeout slog2_parse_all kill; do
        grep -qw "$symbol" "$work/symbols" || { echo "no $symbol"; return 1; }
    done
    ! grep -wE 'inotify_init1|syscall' "$work/symbols"
}

says() { # says TEXT COMMAND...
    text=$1
    shift
    (cd / && "$@" 2>&1) >"$work/said"
    cat "$work/said"
    grep -q -- "$text" "$work/said"
}

check "FILES has the checksum of each file" listed
check "every file is in FILES" sh -c \
    '[ "$(cd "$0" && find . -type f | wc -l)" -eq $(($(wc -l <"$0/FILES") + 1)) ]' "$stage"
check "the README has no placeholder left" sh -c '! grep "@" "$0/README.md"' "$stage"
check "the module is built from the QNX files" calls

mkdir "$work/mine"
echo text >"$work/mine/file"
check "a directory that was not staged is left alone" sh -c \
    '! sh spec/qnx/stage.sh "$0/mine" "$0/none" "$0/none" "" && [ -s "$0/mine/file" ]' "$work"

cp -R "$stage" "$work/qvm"
cp "$build/qvm/core.so" "$work/qvm/lib/lua/5.4/qvm/core.so"
mkdir "$work/root"
export QVM_ROOT="$work/root"
check "qvm-diag finds its library" says 'no VMs, or none' lua5.4 "$work/qvm/bin/qvm-diag" --list
check "qvm-diag has all parts of its reports" says '"vms"' \
    lua5.4 "$work/qvm/bin/qvm-diag" --all --json
check "qvm-dumpdiff finds its library" says 'none: No such file' \
    lua5.4 "$work/qvm/bin/qvm-dumpdiff" "$work/none" "$work/none"
check "qvm-gdbserve finds its library" says 'none: No such file' \
    lua5.4 "$work/qvm/bin/qvm-gdbserve" "$work/none"
check "qvm-explore finds its library" sh -c \
    'echo "qvm.help(\"VM:dump\")" | lua5.4 "$0/bin/qvm-explore" | grep -q "VM:dump("' "$work/qvm"

# The README's steps, run next to a simulated VM, except those that need slogger2 or pidin.
steps() {
    printf 'set -e\nexport QVM_ROOT="%s/root"\npidin() { :; }\n' "$work"
    awk '/^```$/ { if (text !~ /slog2/) printf "%s", text; inside = 0 }
        inside { text = text $0 "\n" }
        /^```sh$/ { inside = 1; text = "" }' "$stage/README.md" |
        sed -e "s|/data/qvm|$work/qvm|g" -e "s|/dumps|$work/dumps|g" \
            -e "s|linux1-20261122-101500.gcore|before.gcore|"
}

mkdir "$work/dumps"
QVM_ROOT="$work/root" "$build/sim/qvm" system linux1 ram 1M cpu cpu dump "$work/dumps" \
    </dev/null 2>"$work/log" &
vm=$!
until [ -e "$work/root/linux1/env" ] || ! kill -0 $vm; do sleep 0.1; done
kill -USR2 $vm
until ls "$work/dumps" | grep -q . || ! kill -0 $vm; do sleep 0.1; done
sleep 1
mv "$work/dumps"/*.gcore "$work/dumps/before.gcore"
(cd "$work/qvm" && find . -type f ! -name FILES | sort | xargs cksum >../FILES && mv ../FILES .)
steps >"$work/steps"
check "the README's steps run next to a simulated VM" \
    sh -c 'sh "$0/steps" >"$0/out" 2>&1 || { cat "$0/out"; false; }' "$work"
check "and have the described effect" sh -c 'grep -q "^all there$" "$0/out" &&
    grep -q "^qvm .*, VMs below" "$0/out" && grep -q "^linux1  *running" "$0/out" &&
    [ "$(grep -c "^Dump \|^  qnx aarch64" "$0/out")" -eq 2 ] &&
    tar -tzf "$0"/qvm/firstcontact-linux1-*.tar.gz | grep -q "/env.json$"' "$work"
kill $vm
wait $vm 2>/dev/null
vm=
echo "1..$count"
exit $failed
