#!/usr/bin/env bash
# Requests a second of our services against those of a bare axum server, or of one that holds many
# records against one that holds few, in one run: the server on one core, wrk on another.
#
#   bench/throughput.sh [--check]
#   ROUNDS=9 SECONDS_PER_ROUND=4 SERVER_CORE=1 LOAD_CORE=0 bench/throughput.sh
set -eu
# shellcheck source-path=SCRIPTDIR source=load.sh
. "$(dirname -- "$0")/load.sh"

must_be_built identity-service attendance-service bare-axum

start identity "$bin/identity-service"
log_in identity
stop identity

# The rate of one program differs by up to a fifth from start to start. So each round of a second starts a new process.
# on_new NAME LOAD ARGUMENTS...
on_new() {
    local name=$1
    shift
    checked_in[$name]=0
    case $name in
        bare) start bare "$bin/bare-axum" 127.0.0.1:0 ;;
        *) start "$name" "$bin/$name-service" ;;
    esac
    "$@"
    stop "$name"
}
check_in_all() {
    load_check_ins attendance 32
    must_hold_what_it_answered attendance
}

heading

rounds_of_a_process=$rounds seconds_of_a_round=$seconds
rounds=$((rounds * seconds)) seconds=1
compare 'POST /checkins, new tickets, 32 connections, of bare axum' 0.87 \
    'on_new attendance check_in_all' 'on_new bare load_check_ins bare 32'
compare 'GET /auth/me, 32 connections, of bare axum' 0.89 \
    'on_new identity load identity /auth/me 32' 'on_new bare load bare /auth/me 32'
rounds=$rounds_of_a_process seconds=$seconds_of_a_round

start attendance "$bin/attendance-service"
new_tickets
check_in attendance "$event" "$first" 100000
get attendance "/attendance/$event" >"$tmp/list"
[ "$(total attendance)" = 100000 ] || die 'the list does not have the 100,000 records that were checked in.'
start bare "$bin/bare-axum" 127.0.0.1:0 "$tmp/list"
get bare /bytes | cmp - "$tmp/list" || die 'bare axum does not serve the bytes that the service serves.'
compare "GET /attendance/{event} of 100,000 records ($(wc -c <"$tmp/list") bytes), 4 connections, of bare axum with the same bytes" \
    0.95 "load attendance /attendance/$event 4" 'load bare /bytes 4'
stop attendance
stop bare

# Rounds of one second, and a new service for each round on few records: it does not hold few for long.
rounds=$((rounds * seconds)) seconds=1
# A fast machine would fill a store of the size that is the default.
start many MAX_STORE_MB=1024 "$bin/attendance-service"
new_tickets
check_in many "$event" "$first" 1000000
load_check_ins_on_few() {
    start few "$bin/attendance-service"
    new_tickets
    check_in few "$event" "$first" 1000
    load_check_ins few 32
    stop few
}
compare 'POST /checkins with 1,000,000 records held, of the same with 1,000' 0.90 \
    'load_check_ins many 32' load_check_ins_on_few

finish
