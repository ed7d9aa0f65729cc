#!/usr/bin/env bash
# What it costs attendance-service to keep check-ins: in a SQLite file against in memory, in PostgreSQL
# against PostgreSQL's own pgbench, in memory against the service before it could keep any.
#
#   bench/stores.sh [--check]
#   BEFORE=path/to/attendance-service ROUNDS=9 SECONDS_PER_ROUND=4 bench/stores.sh
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
postgres_bin=$(find /usr/lib/postgresql/*/bin -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)

# start_durable NAME: on the file NAME.db.
start_durable() { start "$1" DATABASE_URL="sqlite://$tmp/$1.db" "$bin/attendance-service"; }

# write_check_ins NAME FIRST COUNT [keys]: into the file NAME.db.
write_check_ins() {
    start_durable "$1"
    stop "$1"
    python3 "$bench/client.py" write "$tmp/$1.db" "$event" "${@:2}"
}

start identity "$bin/identity-service"
log_in identity
stop identity

heading

start durable DATABASE_URL="sqlite://$tmp/durable.db" "$bin/attendance-service"
start memory "$bin/attendance-service"
take_turns 'load_check_ins durable 64' 'load_check_ins memory 64'
must_hold_what_it_answered durable
judge 'POST /checkins, new tickets, 64 connections, in a SQLite file, of in memory' '>=' 0.64 \
    "$(ratio "$ours" "$theirs")" '' "$(
        printf '%.0f/s against %.0f/s; core %.0f %% and %.0f %% busy' "$ours" "$theirs" "$busy_of_ours" "$busy_of_theirs"
    )"
judge 'the same: 99th percentile of latency, of in memory' '<=' 4 "$(ratio "$p99_of_ours" "$p99_of_theirs")" '' \
    "$p99_of_ours ms against $p99_of_theirs ms"
stop durable
stop memory

new_tickets
write_check_ins list "$first" 100000
start_durable list
start memory "$bin/attendance-service"
check_in memory "$event" "$first" 100000
for server in list memory; do
    [ "$(total "$server")" = 100000 ] || die "the list of $server does not have the 100,000 records that were written."
done
compare 'GET /attendance/{event} of 100,000 records, 4 connections, with a SQLite file, of in memory' 0.95 \
    "load list /attendance/$event 4" "load memory /attendance/$event 4"
path=/attendance/$event/tickets/$((first + 50000))
compare 'GET /attendance/{event}/tickets/{ticket}, 64 connections, with a SQLite file, of in memory' 0.95 \
    "load list $path 64" "load memory $path 64"
stop list
stop memory

# bytes_each FIELD: of a million check-ins, over a service that has none.
bytes_each() {
    start_durable empty
    local idle
    idle=$(kilobytes empty "$1")
    stop empty
    calculate "sprintf(\"%.0f\", ($(kilobytes million "$1") - $idle) * 1024 / 1e6)"
}
for keys in '' keys; do
    what="1,000,000 check-ins in a SQLite file, with${keys:-out keys}"
    what=${what/withkeys/with idempotency keys}
    rm -f "$tmp"/million.db*
    new_tickets
    write_check_ins million "$first" 1000000 $keys
    : >"$tmp/starts"
    for ((round = 0; round < rounds; round++)); do
        begin=$(date +%s.%N)
        start_durable million
        ready=$(sed -n 's/^\([^ ]*\) .* is ready address=.*/\1/p' "$tmp/million.log")
        calculate "$(date -d "$ready" +%s.%N) - $begin" >>"$tmp/starts"
        [ "$round" = $((rounds - 1)) ] || stop million
    done
    [ "$(total million)" = 1000000 ] || die 'the service did not read all check-ins.'
    judge "$what: from exec until it listens" '<=' 1.5 "$(calculate "sprintf(\"%.2f\", $(median 1 starts))")" ' s' \
        "median of $rounds starts"
    judge "$what: resident memory of each" '<=' 250 "$(bytes_each VmRSS)" ' bytes'
    judge "$what: the same at its peak" '<=' 250 "$(bytes_each VmHWM)" ' bytes'
    stop million
done

if [ -n "$before" ]; then
    before=$(realpath "$before")
    start now "$bin/attendance-service"
    start before "$before"
    compare 'POST /checkins, new tickets, 64 connections, in memory, of before there were stores' 0.97 \
        'load_check_ins now 64' 'load_check_ins before 64'
    stop now
    stop before
else
    echo 'Skipped: in memory against before there were stores. Set BEFORE to the attendance-service of then.' >&2
fi

# Client, service and PostgreSQL share all cores, for pgbench has no service to be pinned elsewhere.
pin=() pin_load=()
as_owner=()
[ "$(id -u)" != 0 ] || as_owner=(setpriv --reuid postgres --regid postgres --clear-groups)
sql() { "${as_owner[@]}" "$postgres_bin/psql" -h "$tmp/postgres" -U postgres -Atqc "$1"; }
start_postgres() {
    mkdir "$tmp/postgres"
    if [ "$(id -u)" = 0 ]; then
        chmod 711 "$tmp"
        chown postgres "$tmp/postgres"
    fi
    "${as_owner[@]}" "$postgres_bin/initdb" -D "$tmp/postgres/data" -U postgres -A trust -E UTF8 --locale C >/dev/null
    "${as_owner[@]}" "$postgres_bin/postgres" -D "$tmp/postgres/data" -k "$tmp/postgres" -c listen_addresses= \
        -c synchronous_commit=on >"$tmp/postgres.log" 2>&1 &
    pid[postgres]=$!
    for ((i = 0; i < 100; i++)); do
        ! sql 'SELECT 1' >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    die "PostgreSQL did not get ready: $(cat "$tmp/postgres.log")"
}
# The row that the service writes. Its ids are new ones, and its digests are as random as ours.
cat >"$tmp/insert.sql" <<'SQL'
\set ticket random(1, 9000000000000000000)
INSERT INTO attendance.check_ins
    (ticket, attempt, event, event_id, ticket_id, checked_in_by, idempotency_key, checked_in_at, entry)
VALUES (sha256((:ticket || 'ticket')::bytea), sha256((:ticket || 'attempt')::bytea), sha256('evt-pgbench'),
    'evt-pgbench', :ticket::text, 'panitia1', NULL, now(), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
ON CONFLICT DO NOTHING;
SQL
load_pgbench() {
    local failures
    "${as_owner[@]}" "$postgres_bin/pgbench" -h "$tmp/postgres" -U postgres -n -M prepared -c 64 -j 2 \
        -T "$seconds" -f - postgres <"$tmp/insert.sql" >"$tmp/pgbench" 2>&1 ||
        die "pgbench failed: $(cat "$tmp/pgbench")"
    failures=$(sed -n 's/^number of failed transactions: \([0-9]*\) .*/\1/p' "$tmp/pgbench")
    [ "$failures" = 0 ] || die "pgbench failed: $(cat "$tmp/pgbench")"
    rate=$(sed -n 's/^tps = \([0-9.]*\) .*/\1/p' "$tmp/pgbench") busy=0 p99=0
}
if [ -n "$postgres_bin" ]; then
    start_postgres
    start shared DATABASE_URL="postgres://localhost/postgres?host=$tmp/postgres&user=postgres" "$bin/attendance-service"
    take_turns 'load_check_ins shared 64' load_pgbench
    must_hold_what_it_answered shared
    judge "POST /checkins, new tickets, 64 connections, in PostgreSQL, of pgbench with 64 clients" '>=' 1.0 \
        "$(ratio "$ours" "$theirs")" '' "$(printf '%.0f/s against %.0f/s' "$ours" "$theirs")"
    stop shared
else
    echo 'Skipped: check-ins in PostgreSQL. Install it (Debian, Ubuntu: sudo apt-get install postgresql) and try again.' >&2
fi

finish
