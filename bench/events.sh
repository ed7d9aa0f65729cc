#!/usr/bin/env bash
# What lists of tickets, batches and a live view cost attendance-service.
#
#   bench/events.sh [--check]
#   BEFORE=path/to/attendance-service ROUNDS=9 SECONDS_PER_ROUND=4 bench/events.sh
set -eu
# Files have to be on a disk, which /tmp need not be.
export TMPDIR=${TMPDIR:-/var/tmp}
# shellcheck source-path=SCRIPTDIR source=load.sh
. "$(dirname -- "$0")/load.sh"

must_be_built identity-service attendance-service
case $(stat -f -c %T "$tmp") in
    tmpfs | ramfs) die "$TMPDIR is in memory: set TMPDIR to a directory on a disk." ;;
esac
before=${BEFORE:-}
[ -z "$before" ] || [ -x "$before" ] || die "BEFORE=$before is no program."
list=50000

start identity "$bin/identity-service"
log_in identity admin1
stop identity

client() { python3 "$bench/client.py" "$@"; }

# start_durable NAME: on the file NAME.db, with room for all that batches check in.
start_durable() { start "$1" MAX_STORE_MB=8192 DATABASE_URL="sqlite://$tmp/$1.db" "$bin/attendance-service"; }

heading

# One list after the other, in a file: what memory holds besides is the same as without a file.
start_durable import
idle=$(kilobytes import)
: >"$tmp/seconds"
read -ra events <<<"$(client events "${address[import]}" 2)"
for event_id in "${events[@]}"; do
    client tickets "${address[import]}" "$event_id" 1000000000 $list >>"$tmp/seconds"
done
judge "an import of $list tickets, in a SQLite file: seconds" '<=' 2 "$(sort -n "$tmp/seconds" | tail -n 1)" ' s' 'the slower of two'
judge 'the same: the most memory that the service had, over an idle one' '<=' 64 \
    "$(calculate "sprintf(\"%.1f\", ($(kilobytes import VmHWM) - $idle) * 1024 / 1e6)")" ' MB'
stop import
start_durable import
judge 'a ticket on a list, a name of 20 characters: resident memory, after a start' '<=' 120 \
    "$(calculate "sprintf(\"%.0f\", ($(kilobytes import) - $idle) * 1024 / (2 * $list))")" ' bytes'
stop import

# New processes, for a list is used up after a second or two. Each round has tickets enough for it.
many=$((4 * seconds))
check_in_listed() {
    start listed "$bin/attendance-service"
    read -ra events <<<"$(client events "${address[listed]}" "$many")"
    for event_id in "${events[@]}"; do
        client tickets "${address[listed]}" "$event_id" 1000000000 $list >/dev/null
    done
    load listed /checkins 32 1000000000 $list "${events[@]}"
    stop listed
}
check_in_open() {
    start open "$bin/attendance-service"
    read -ra events <<<"$(for ((i = 0; i < many; i++)); do printf '%08x-1111-4111-8111-111111111111 ' "$i"; done)"
    load open /checkins 32 1000000000 $list "${events[@]}"
    stop open
}
compare "POST /checkins of events with a list of $list tickets, in memory, of the same without a list" 0.9 \
    check_in_listed check_in_open

start_durable batches
start_durable single
load_batches() {
    new_tickets
    load batches /checkins/batch 16 batch "$event" "$first" 50
    rate=$(calculate "$rate * 50")
}
take_turns load_batches 'load_check_ins single 64'
judge 'POST /checkins/batch of 50 scans, in a SQLite file, of POST /checkins: scans a second' '>=' 4 \
    "$(ratio "$ours" "$theirs")" '' "$(
        printf '%.0f/s against %.0f/s; core %.0f %% and %.0f %% busy' "$ours" "$theirs" "$busy_of_ours" "$busy_of_theirs"
    )"
stop batches
stop single

start watched "$bin/attendance-service"
start unwatched "$bin/attendance-service"
"${pin_load[@]}" python3 "$bench/client.py" look "${address[watched]}" "$event" 64 >"$tmp/look" &
pid[lookers]=$!
for ((i = 0; i < 100; i++)); do
    ! grep -q looking "$tmp/look" || break
    sleep 0.1
done
grep -q looking "$tmp/look" || die 'the lookers do not look.'
compare 'POST /checkins with 64 live lookers, of the same without' 0.95 \
    'load_check_ins watched 32' 'load_check_ins unwatched 32'
kill -0 "${pid[lookers]}" || die 'the lookers did not look to the end.'
stop lookers
stop watched
stop unwatched

if [ -n "$before" ]; then
    before=$(realpath "$before")
    # The rate of one program differs from start to start. So each round of a second starts a new process.
    on_new() {
        start "$1" "$2"
        load_check_ins "$1" 32
        stop "$1"
    }
    rounds_of_a_process=$rounds seconds_of_a_round=$seconds
    rounds=$((rounds * seconds)) seconds=1
    compare 'POST /checkins of an open event, in memory, of before there were events' 0.97 \
        "on_new now $bin/attendance-service" "on_new before $before"
    rounds=$rounds_of_a_process seconds=$seconds_of_a_round
else
    echo 'Skipped: check-ins against before there were events. Set BEFORE to the attendance-service of then.' >&2
fi

start_durable million
stop million
new_tickets
client write "$tmp/million.db" "$event" "$first" 1000000
client write-tickets "$tmp/million.db" 2 $list
: >"$tmp/starts"
for ((round = 0; round < rounds; round++)); do
    begin=$(date +%s.%N)
    start_durable million
    ready=$(sed -n 's/^\([^ ]*\) .* is ready address=.*/\1/p' "$tmp/million.log")
    calculate "$(date -d "$ready" +%s.%N) - $begin" >>"$tmp/starts"
    stop million
done
judge "1,000,000 check-ins and 100,000 tickets in a SQLite file: from exec until it listens" '<=' 2 \
    "$(calculate "sprintf(\"%.2f\", $(median 1 starts))")" ' s' "median of $rounds starts"

finish
