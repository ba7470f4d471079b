#!/bin/sh
# run.sh FILE...: runs each spec file in a process of its own by the command in $BUSTED,
# four at a time, since most specs wait more than they work. Prints a line for each file,
# the whole output of a file that fails and the pending specs of the others, and at the end
# one summary of all in busted's form.
set -u

if [ "$1" = --one ]; then # --one DIRECTORY FILE
    log=$2/$(basename "$3" _spec.lua)
    $BUSTED "$3" >"$log" 2>&1
    status=$?
    summary=$(grep -aE '^[0-9]+ success(es)? / .* pending' "$log" | tail -n 1)
    [ -n "$summary" ] || status=1
    if [ "$status" -ne 0 ]; then
        echo "$3" >>"$2/failed"
        cat "$log"
    else
        sed -n '/^Pending ->/,$p' "$log"
    fi
    printf '%-18s %s\n' "$(basename "$log")" "${summary:-status $status: no summary}"
    exit 0
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM

# In reverse order, so that the longest specs do not come last and alone.
printf '%s\n' "$@" | sort -r | xargs -P 4 -n 1 sh "$0" --one "$logs" | tee "$logs/.output"

awk '/^[a-z0-9_]+ +[0-9]+ success(es)? \// { passed += $2; failed += $5; errors += $8; pending += $11 }
    END { printf "%d successes / %d failures / %d errors / %d pending\n", passed, failed, errors,
        pending }' "$logs/.output"
[ ! -e "$logs/failed" ] || { echo "failed:" $(cat "$logs/failed") >&2; exit 1; }
