# shellcheck shell=bash
# Sourced, with their arguments, by the scripts that compare rates: rounds of load on one server and
# another in turn, for what the machine does besides changes from minute to minute.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

need wrk wrk
need taskset util-linux
rounds=${ROUNDS:-5}
seconds=${SECONDS_PER_ROUND:-4}
server_core=${SERVER_CORE:-1}
load_core=${LOAD_CORE:-0}
for number in "$rounds" "$seconds"; do
    [[ $number =~ ^[1-9][0-9]?$ ]] || die "ROUNDS and SECONDS_PER_ROUND are 1 to 99, not '$number'."
done
[ "$server_core" != "$load_core" ] || die 'server and wrk need a core each: set SERVER_CORE and LOAD_CORE.'
for core in "$server_core" "$load_core"; do
    taskset -c "$core" true 2>/dev/null || die "core $core cannot be used here: set SERVER_CORE and LOAD_CORE to two of $(taskset -cp $$)."
done

pin=(taskset -c "$server_core")
pin_load=(taskset -c "$load_core")
event=evt-bench1
ticket=1000000000
ticks_per_second=$(getconf CLK_TCK)

# Sets $first to where the numbers of at most ten million new tickets begin.
new_tickets() { first=$ticket ticket=$((ticket + 10000000)); }

# The fields behind the name, which may contain anything, in user and in kernel mode.
cpu_ticks() { sed 's/.*) //' "/proc/${pid[$1]}/stat" | awk '{ print $12 + $13 }'; }

# load NAME PATH CONNECTIONS [ARGUMENT OF load.lua...]: one round. Sets $requests, $rate, $p99 in
# milliseconds, and $busy, the share of its core in percent that the server used.
load() {
    local name=$1 path=$2 connections=$3 before after microseconds failures
    shift 3
    before=$(cpu_ticks "$name")
    "${pin_load[@]}" wrk -t 1 -c "$connections" -d "${seconds}s" --timeout 10s -s "$bench/load.lua" \
        -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
        "http://${address[$name]}$path" -- "$@" >"$tmp/wrk" 2>&1 || die "wrk failed: $(cat "$tmp/wrk")"
    after=$(cpu_ticks "$name")
    read -r requests microseconds failures p99 <<<"$(tail -n 1 "$tmp/wrk")"
    [ "$failures" = 0 ] || die "$failures of $requests requests for $path to $name failed:
$(cat "$tmp/wrk")"
    rate=$(calculate "$requests / $microseconds * 1e6")
    busy=$(calculate "($after - $before) / $ticks_per_second / $microseconds * 1e8")
}

declare -A checked_in=()
# load_check_ins NAME CONNECTIONS
load_check_ins() {
    new_tickets
    load "$1" /checkins "$2" "$event" "$first"
    checked_in[$1]=$((${checked_in[$1]:-0} + requests))
}

# get NAME PATH: the body.
get() { curl -q -fsS --max-time 60 -H "Authorization: Bearer $TOKEN" "http://${address[$1]}$2"; }

# total NAME: how many it has checked in. The rest of the list, hundreds of megabytes, is not taken.
total() { get "$1" "/attendance/$event" 2>/dev/null | head -c 200 | sed -n 's/.*"total_checked_in":\([0-9]*\).*/\1/p'; }

# wrk counts what is 400 or more; that the others were check-ins, and new ones, the service itself knows.
must_hold_what_it_answered() {
    local held
    held=$(total "$1")
    [ "$held" -ge "${checked_in[$1]}" ] ||
        die "wrk counted ${checked_in[$1]} answers to check-ins, but $1 holds $held records."
}

# median COLUMN SIDE
median() {
    cut -d ' ' -f "$1" "$tmp/$2" | sort -n |
        awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# take_turns OURS THEIRS: both are commands that set $rate, $p99 and $busy in one round. Sets the medians:
# $ours and $theirs are rates.
# shellcheck disable=SC2034  # not every script is interested in all of them
take_turns() {
    local side
    rm -f "$tmp/ours" "$tmp/theirs"
    for ((round = 0; round < rounds; round++)); do
        for side in ours theirs; do
            if [ $side = ours ]; then $1; else $2; fi
            printf '%s %s %s\n' "$rate" "$p99" "$busy" >>"$tmp/$side"
        done
    done
    ours=$(median 1 ours) p99_of_ours=$(median 2 ours) busy_of_ours=$(median 3 ours)
    theirs=$(median 1 theirs) p99_of_theirs=$(median 2 theirs) busy_of_theirs=$(median 3 theirs)
}

# ratio OURS THEIRS
ratio() { calculate "sprintf(\"%.2f\", $1 / $2)"; }

# compare WHAT TARGET OURS THEIRS: a row of the table, of two servers that have nothing to wait for.
compare() {
    take_turns "$3" "$4"
    judge "$1" '>=' "$2" "$(ratio "$ours" "$theirs")" '' "$(
        printf '%.0f/s against %.0f/s; core %.0f %% and %.0f %% busy; in a second of CPU time %s' \
            "$ours" "$theirs" "$busy_of_ours" "$busy_of_theirs" \
            "$(ratio "$ours / $busy_of_ours" "($theirs / $busy_of_theirs)")"
    )"
    [ "$(calculate "$busy_of_ours >= 90 && $busy_of_theirs >= 90")" = 1 ] ||
        echo "WARNING: a server had time to spare in '$1'; wrk or another process held it up." >&2
}
