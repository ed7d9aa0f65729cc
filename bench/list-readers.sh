#!/usr/bin/env bash
# What a gate notices while 50 clients read the list of an event again and again, compressed and as it is.
#
#   bench/list-readers.sh [--check]
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

must_be_built identity-service attendance-service
readers=50
records=40000
seconds=10

start identity "$bin/identity-service"
log_in identity
figure() { awk -v name="$1" -v field="$2" '$1 == name { print $field }' "$tmp/figures"; }

heading
for store in memory: "sqlite://$tmp/"; do
    start attendance DATABASE_URL="$store" "$bin/attendance-service"
    check_in attendance evt-bench1 1000000000 $records
    for encoding in gzip identity; do
        python3 "$bench/client.py" list-readers "${address[attendance]}" evt-bench1 $readers $seconds $encoding >"$tmp/figures"
        what="a check-in (${store%%:*}) while $readers read a list of $records records, ${encoding/identity/as it is}"
        judge "$what: median" '<=' 25 "$(figure median 2)" ' ms' \
            "of $(figure p98 3); $(figure lists 2) lists of $(figure list_bytes 2) bytes a second"
        judge "$what: 98th percentile" '<=' 150 "$(figure p98 2)" ' ms'
    done
    stop attendance
done

finish
