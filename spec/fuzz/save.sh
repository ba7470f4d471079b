#!/bin/sh
# save.sh DIRECTORY TARGET...: keeps the smallest inputs of build/fuzz/corpus that together have
# the coverage of all of them, beyond that of the seeds.
set -u
folder=$1
shift
mkdir -p "$folder/logs"
here=$(dirname "$0")

for target in "$@"; do
    new=$folder/merged/$target saved=$here/corpus/$target
    rm -rf "$new" && mkdir -p "$new" "$folder/corpus/$target" "$saved"
    # The seeds come first, so that no saved input repeats their coverage.
    cp "$folder/seeds/$target"/* "$new"
    "$folder/bin/$target" -merge=1 -set_cover_merge=1 -use_counters=0 -max_len=4096 -detect_leaks=0 \
        -timeout=10 "$new" "$saved" "$folder/corpus/$target" >"$folder/logs/merge" 2>&1 ||
        { tail -n 5 "$folder/logs/merge" >&2; exit 1; }
    rm -f "$new"/seed-* "$saved"/*
    cp "$new"/* "$saved" 2>/dev/null
    echo "$target: $(ls "$saved" | wc -l) inputs, $(cat "$saved"/* /dev/null 2>/dev/null | wc -c) bytes"
done
