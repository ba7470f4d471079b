#!/bin/sh
# run.sh FILE...: runs each test in a process of its own, $AT_ONCE or four at a time, since most
# specs wait more than they work. A FILE is a spec file (NAME_spec.lua), run by the command in
# $BUSTED, or a program of unit tests, run under the command in $UNDER if that is set.
# Prints one line for each file, with its pending specs, then all output of the files that failed,
# and at the end one summary in busted's form.
set -u

log_of() { # log_of DIRECTORY FILE: two files may have the same name, but not the same path
    echo "$1/$(echo "$2" | tr / _)"
}

if [ "$1" = --one ]; then # --one DIRECTORY FILE
    log=$(log_of "$2" "$3")
    case $3 in
    *_spec.lua) command=$BUSTED ;;
    *) command=${UNDER:-} ;;
    esac
    $command "$3" >"$log" 2>&1
    status=$?
    summary=$(grep -aE '^[0-9]+ success(es)? / .* pending' "$log" | tail -n 1)
    [ -n "$summary" ] || status=1
    if [ "$status" -ne 0 ]; then
        echo "$3" >>"$2/failed"
    else
        sed -n '/^Pending ->/,$p' "$log"
    fi
    printf '%-18s %s\n' "$(basename "$3" _spec.lua)" "${summary:-status $status: no summary}"
    exit 0
fi

# The files that take longest, longest first. They start first: one that starts last runs
# alone at the end.
slow="gdb/gdb firstcontact/firstcontact host/vm_dump docs/docs host/status scan/find diag/diag
    diag/diag_reports host/state prompt/explore host/survey prompt/help dump/gzip_dump
    paging/address_space guest/types guest/orc dump/gzip_index host/slog2 host/watch
    guest/symbols dump/hostile_dump docs/build scan/diff cli/watchdog_slow util/load_slow
    host/served_env_slow host/dump_problems_slow diag/diag_terminal_slow"

slow_first() { # slow_first FILE...: prints the files in the order in which they start
    for name in $slow; do
        for file in "$@"; do
            [ "$file" != "spec/${name}_spec.lua" ] || echo "$file"
        done
    done
    printf '%s\n' "$@"
}

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM

slow_first "$@" | awk '!seen[$0]++' | xargs -P "${AT_ONCE:-4}" -n 1 sh "$0" --one "$logs" |
    tee "$logs/.output"

if [ -e "$logs/failed" ]; then
    while read -r file; do
        cat "$(log_of "$logs" "$file")"
    done <"$logs/failed"
fi
awk '/^[a-z0-9_]+ +[0-9]+ success(es)? \// { passed += $2; failed += $5; errors += $8; pending += $11 }
    END { printf "%d successes / %d failures / %d errors / %d pending\n", passed, failed, errors,
        pending }' "$logs/.output"
[ ! -e "$logs/failed" ] || { echo "failed:" $(cat "$logs/failed") >&2; exit 1; }
