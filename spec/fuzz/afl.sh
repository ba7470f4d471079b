#!/bin/sh
# afl.sh DIRECTORY SECONDS: runs AFL++ on the target elf. Fails if an input breaks it.
set -u
folder=$1 seconds=$2

export AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 \
    AFL_NO_AFFINITY=1 AFL_MAP_SIZE=65536
afl-fuzz -V "$seconds" -t 5000 -m none -x "$(dirname "$0")/dict/elf.dict" \
    -i "$folder/seeds/elf" -o "$folder/afl/out" -- "$folder/afl/elf" \
    >"$folder/afl/log" 2>&1
stats=$folder/afl/out/default/fuzzer_stats
if [ ! -e "$stats" ]; then
    tail -n 20 "$folder/afl/log" >&2
    exit 1
fi
grep -E '^(run_time|execs_done|corpus_count|bitmap_cvg|saved_crashes|saved_hangs) ' "$stats"
grep -Eq '^saved_crashes +: 0$' "$stats"
