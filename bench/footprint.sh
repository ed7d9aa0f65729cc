#!/usr/bin/env bash
# Memory of an idle service, memory of a check-in, time from exec to the first answer, size on disk.
#
#   bench/footprint.sh [--check]
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

must_be_built identity-service attendance-service
services='identity attendance'
check_ins=1000000

heading
for service in $services; do
    start "$service" "$bin/$service-service"
    curl -q -fsS --max-time 10 "http://${address[$service]}/health" >/dev/null
    idle=$(calculate "sprintf(\"%.1f\", $(kilobytes "$service") * 1024 / 1e6)")
    judge "$service-service, idle: resident memory" '<=' 9 "$idle" ' MB'
done

log_in identity
before=$(kilobytes attendance)
check_in attendance evt-bench1 1000000000 $check_ins
bytes=$(calculate "sprintf(\"%.0f\", ($(kilobytes attendance) - $before) * 1024 / $check_ins)")
judge "a check-in, ids of 10 characters, over 1,000,000: resident memory" '<=' 170 "$bytes" ' bytes'
for service in $services; do stop "$service"; done

for service in $services; do
    milliseconds=$(python3 "$bench/client.py" first-answer "$bin/$service-service" 20)
    judge "$service-service: from exec to the first 200 on /health, median of 20 runs" '<=' 20 "$milliseconds" ' ms'
done
for service in $services; do
    size=$(calculate "sprintf(\"%.1f\", $(wc -c <"$bin/$service-service") / 1e6)")
    printf '| %s-service: binary | | %s MB | |\n' "$service" "$size"
done

finish
