#!/usr/bin/env bash
# What it costs attendance-service to be seen: metrics, an access log in JSON and clients told by a proxy, against
# none of it.
#
#   bench/telemetry.sh [--check]
#   ROUNDS=9 SECONDS_PER_ROUND=4 bench/telemetry.sh
set -eu
# shellcheck source-path=SCRIPTDIR source=load.sh
. "$(dirname -- "$0")/load.sh"

must_be_built identity-service attendance-service
start identity "$bin/identity-service"
log_in identity
stop identity

heading

start seen METRICS_ADDR=127.0.0.1:0 LOG_FORMAT=json TRUSTED_PROXIES=127.0.0.1 CLIENT_ADDRESS_HEADER=CF-Connecting-IP "$bin/attendance-service"
start unseen RUST_LOG=info,access=off "$bin/attendance-service"
compare 'POST /checkins, new tickets, 32 connections, with metrics and access log, of the same without' 0.93 \
    'load_check_ins seen 32' 'load_check_ins unseen 32'
must_hold_what_it_answered seen
stop seen
stop unseen
# One client: most of its lines are left out, and counted.
lines=$(grep -c '"route":"/checkins"' "$tmp/seen.log" || true)
left_out=$(sed -n 's/.*lines of the access log were left out.*"lines":\([0-9]*\).*/\1/p' "$tmp/seen.log" | awk '{ sum += $1 } END { print sum + 0 }')
[ $((lines + left_out)) -ge "${checked_in[seen]}" ] ||
    die "the access log has $lines lines, and says that it left $left_out out, about ${checked_in[seen]} check-ins."

finish
