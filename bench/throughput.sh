#!/usr/bin/env bash
# Requests a second of our services against those of a bare axum server, or of one that holds many
# records against one that holds few, in one run: the server on one core, wrk on another, and the
# rounds of both in turn, for what the machine does besides changes from minute to minute.
#
#   bench/throughput.sh [--check]
#   ROUNDS=9 SECONDS_PER_ROUND=4 SERVER_CORE=1 LOAD_CORE=0 bench/throughput.sh
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
must_be_built identity-service attendance-service bare-axum

pin=(taskset -c "$server_core")
event=evt-bench1
ticket=1000000000
ticks_per_second=$(getconf CLK_TCK)

# Sets $first to where the numbers of at most ten million new tickets begin.
new_tickets() { first=$ticket ticket=$((ticket + 10000000)); }

# The fields behind the name, which may contain anything, in user and in kernel mode.
cpu_ticks() { sed 's/.*) //' "/proc/${pid[$1]}/stat" | awk '{ print $12 + $13 }'; }

# load NAME PATH CONNECTIONS [ARGUMENT OF load.lua...]: one round. Sets $requests, $rate and $busy, the
# share of its core in percent that the server used.
load() {
    local name=$1 path=$2 connections=$3 before after microseconds failures
    shift 3
    before=$(cpu_ticks "$name")
    taskset -c "$load_core" wrk -t 1 -c "$connections" -d "${seconds}s" --timeout 10s -s "$bench/load.lua" \
        -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
        "http://${address[$name]}$path" -- "$@" >"$tmp/wrk" 2>&1 || die "wrk failed: $(cat "$tmp/wrk")"
    after=$(cpu_ticks "$name")
    read -r requests microseconds failures <<<"$(tail -n 1 "$tmp/wrk")"
    [ "$failures" = 0 ] || die "$failures of $requests requests for $path to $name failed:
$(cat "$tmp/wrk")"
    rate=$(calculate "$requests / $microseconds * 1e6")
    busy=$(calculate "($after - $before) / $ticks_per_second / $microseconds * 1e8")
}

declare -A checked_in=()
load_check_ins() {
    new_tickets
    load "$1" /checkins 32 "$event" "$first"
    checked_in[$1]=$((${checked_in[$1]:-0} + requests))
}

column() { cut -d ' ' -f "$1" "$2"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

# compare WHAT TARGET OURS THEIRS: both are commands that load a server for one round.
compare() {
    local side
    rm -f "$tmp/ours" "$tmp/theirs"
    for ((round = 0; round < rounds; round++)); do
        for side in ours theirs; do
            if [ $side = ours ]; then $3; else $4; fi
            printf '%s %s\n' "$rate" "$busy" >>"$tmp/$side"
        done
    done
    local ours theirs busy_of_ours busy_of_theirs
    ours=$(column 1 "$tmp/ours" | median) busy_of_ours=$(column 2 "$tmp/ours" | median)
    theirs=$(column 1 "$tmp/theirs" | median) busy_of_theirs=$(column 2 "$tmp/theirs" | median)
    judge "$1" '>=' "$2" "$(calculate "sprintf(\"%.2f\", $ours / $theirs)")" '' "$(
        printf '%.0f/s against %.0f/s; core %.0f %% and %.0f %% busy; in a second of CPU time %.2f' \
            "$ours" "$theirs" "$busy_of_ours" "$busy_of_theirs" \
            "$(calculate "($ours / $busy_of_ours) / ($theirs / $busy_of_theirs)")"
    )"
    [ "$(calculate "$busy_of_ours >= 90 && $busy_of_theirs >= 90")" = 1 ] ||
        echo "WARNING: a server had time to spare in '$1'; wrk or another process held it up." >&2
}

# get NAME PATH: the body.
get() { curl -q -fsS --max-time 60 -H "Authorization: Bearer $TOKEN" "http://${address[$1]}$2"; }

# total NAME: how many it has checked in. The rest of the list, hundreds of megabytes, is not taken.
total() { get "$1" "/attendance/$event" 2>/dev/null | head -c 200 | sed -n 's/.*"total_checked_in":\([0-9]*\).*/\1/p'; }

start identity "$bin/identity-service"
start attendance "$bin/attendance-service"
start bare "$bin/bare-axum" 127.0.0.1:0
log_in identity

heading

compare 'POST /checkins, new tickets, 32 connections, of bare axum' 0.80 \
    'load_check_ins attendance' 'load_check_ins bare'
# wrk counts what is 400 or more; that the others were check-ins, and new ones, the service itself knows.
held=$(total attendance)
[ "$held" -ge "${checked_in[attendance]}" ] ||
    die "wrk counted ${checked_in[attendance]} answers to check-ins, but the service holds $held records."
stop attendance

get identity /auth/me >/dev/null
compare 'GET /auth/me, 32 connections, of bare axum' 0.75 'load identity /auth/me 32' 'load bare /auth/me 32'
stop identity
stop bare

start attendance "$bin/attendance-service"
new_tickets
check_in attendance "$event" "$first" 100000
get attendance "/attendance/$event" >"$tmp/list"
[ "$(total attendance)" = 100000 ] || die 'the list does not have the 100,000 records that were checked in.'
start bare "$bin/bare-axum" 127.0.0.1:0 "$tmp/list"
get bare /bytes | cmp - "$tmp/list" || die 'bare axum does not serve the bytes that the service serves.'
compare "GET /attendance/{event} of 100,000 records ($(wc -c <"$tmp/list") bytes), 4 connections, of bare axum with the same bytes" \
    0.90 "load attendance /attendance/$event 4" 'load bare /bytes 4'
stop attendance
stop bare

# Rounds of one second, and a new service for each round on few records: it does not hold few for long.
rounds=$((rounds * seconds)) seconds=1
start many "$bin/attendance-service"
new_tickets
check_in many "$event" "$first" 1000000
load_check_ins_on_few() {
    start few "$bin/attendance-service"
    new_tickets
    check_in few "$event" "$first" 1000
    load_check_ins few
    stop few
}
compare 'POST /checkins with 1,000,000 records held, of the same with 1,000' 0.90 \
    'load_check_ins many' load_check_ins_on_few

finish
