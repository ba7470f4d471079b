#!/bin/sh
# run.sh DIRECTORY SECONDS TARGET...: fuzzes the targets one after another. DIRECTORY contains
# bin and seeds; new inputs go to its corpus and crashes. Fails if an input breaks a target.
set -u
folder=$1 seconds=$2
shift 2
here=$(dirname "$0")

fuzz() { # fuzz TARGET
    target=$1 size=4096 leaks=1 saved=$here/corpus/$1
    case $target in
    gzip) size=8192 ;;
    btf) size=3000 ;;
    kallsyms | orc) size=12288 ;;
    gdb) size=20000 ;;
    pagetables | find | diff | envfile) size=2048 ;;
    esac
    [ -e "$saved" ] || saved=$folder/seeds/$target
    # Lua keeps memory between inputs; the other targets detect leaks of the core.
    [ ! -e "$here/lua/$target.lua" ] || leaks=0
    # The cost of an input is counted, not timed; the timeout is for endless loops on a busy
    # machine.
    set -- -max_total_time="$seconds" -max_len=$size -timeout=120 -malloc_limit_mb=64 -rss_limit_mb=1024 \
        -detect_leaks=$leaks -print_final_stats=1 -artifact_prefix="$folder/crashes/$target-"
    [ ! -e "$here/dict/$target.dict" ] || set -- "$@" -dict="$here/dict/$target.dict"
    "$folder/bin/$target" "$@" "$folder/corpus/$target" "$folder/seeds/$target" \
        "$saved" >"$folder/logs/$target" 2>&1
}

report() { # report TARGET
    awk -v target="$1" '
        / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
        / ft: / { for (i = 1; i < NF; i++) if ($i == "ft:") features = $(i + 1) }
        /number_of_executed_units/ { runs = $2 }
        /^Done / { seconds = $5 }
        END { printf "%-11s %9d executions in %d s: %d edges, %d features\n",
            target, runs, seconds, edges, features }' "$folder/logs/$1"
}

# Prints what broke the target, and what replays it: the seed, and the input as base64, which
# libFuzzer itself prints only for small ones.
show() { # show TARGET
    echo "$1: broken; more in $folder/logs/$1:"
    grep -aE '^INFO: Seed:|does not hold|raised:|ERROR:|runtime error|Test unit written' \
        "$folder/logs/$1"
    sed -n 's/.*Test unit written to //p' "$folder/logs/$1" | while read -r input; do
        echo "base64 of $input:"
        base64 "$input"
    done
}

failed=0
mkdir -p "$folder/crashes" "$folder/logs"
for one in "$@"; do
    mkdir -p "$folder/corpus/$one" "$folder/seeds/$one"
    if fuzz "$one"; then
        report "$one"
    else
        failed=1
        show "$one"
    fi
done
exit $failed
