#!/usr/bin/env bash
# What both services count while they are used, and what Prometheus, the alerts and the dashboard make of it.
#
#   tests/metrics/run.sh [DIRECTORY]     where both binaries are; without it they are built
# shellcheck source-path=SCRIPTDIR source=../containers/lib.sh
source "$(dirname -- "$0")/../containers/lib.sh"
cd "$repository"

for tool in curl jq prometheus promtool; do
    checking="$tool is here: sudo apt install curl jq prometheus"
    command -v "$tool" >/dev/null
done
bin=${1-}
if [ -z "$bin" ]; then
    checking='both services are built'
    cargo build --locked --quiet --package identity-service --package attendance-service
    bin=${CARGO_TARGET_DIR:-target}/debug
fi

unset APP_ENV HOST RUST_LOG CORS_ALLOWED_ORIGINS DEMO_USERS JWT_SECRET_FILE TOKEN_EXPIRE_MINUTES
export no_proxy='*'

limit=90
SECONDS=0
await() { until_true $((limit - SECONDS)) "$@"; }

# shellcheck source-path=SCRIPTDIR source=clients.sh
source tests/metrics/clients.sh

# The loop-back is a proxy, so that every password of the flood below can come from somebody else. At this cost
# none is checked before the queue is full, and however slow the machine is, none is overdue.
start identity BCRYPT_COST=11 REQUEST_TIMEOUT_SECONDS=60 TRUSTED_PROXIES=127.0.0.1 CLIENT_ADDRESS_HEADER=CF-Connecting-IP
start attendance MAX_CONNECTIONS=8
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)

### Counting

look() { curl -q -s --max-time 5 "${metrics_url[$1]}" >"$work/$1.metrics"; }
# counted SERVICE SAMPLE: as it was when somebody looked last.
counted() { awk -v "sample=$2" '$1 == sample { printf "%.0f\n", $2 }' "$work/$1.metrics"; }
# shows SERVICE SAMPLE TEST NUMBER, such as -gt 0
shows() { look "$1" && test "$(counted "$1" "$2")" "$3" "$4"; }

ask 200 identity /health
ask 200 attendance /ready
go_round first
scan_together

checking='a connection can be opened'
exec {half}<>"/dev/tcp/127.0.0.1/${url[attendance]##*:}"
printf '%s\r\n' 'POST /checkins HTTP/1.1' 'Host: gate' "Authorization: Bearer $token" 'Content-Type: application/json' \
    'Content-Length: 2' '' >&"$half"
check 'a request is in flight' await shows attendance http_requests_in_flight -eq 1
check 'on an open connection' await shows attendance http_connections_open -eq 1
printf '{}' >&"$half"
check 'and is no longer when it is answered' await shows attendance http_requests_in_flight -eq 0
exec {half}>&-
check 'nor is the connection open' await shows attendance http_connections_open -eq 0

# Silent clients: one has to go for every one that comes to a full house.
checking='connections can be opened'
silent=()
for _ in {1..10}; do
    exec {connection}<>"/dev/tcp/127.0.0.1/${url[attendance]##*:}"
    silent+=("$connection")
done
check 'connections are refused' await shows attendance http_connections_refused_total -gt 0
for connection in "${silent[@]}"; do exec {connection}>&-; done
check 'and the others are closed' await shows attendance http_connections_open -eq 0

flood_passwords
check 'passwords wait' await shows identity tixgo_bcrypt_queue -gt 1
check 'the flood of passwords ends' wait "${pid[flood]}"
unset 'pid[flood]'
check 'none waits' await shows identity tixgo_bcrypt_queue -eq 0
check 'nor is anybody connected' await shows identity http_connections_open -eq 0
checked=$(grep -c '^400$' "$work/flooded" || true)
busy=$(grep -c '^503$' "$work/flooded" || true)
check "$checked passwords of the flood were checked, $busy turned away" [ "$((checked + busy))" = "$flood" ]
check 'some were turned away' [ "$busy" -gt 0 ]

# What was asked for above, and nothing else: SERVICE SAMPLE VALUE.
expected() {
    cat <<END
identity tixgo_build_info{service="identity-service",version="$version"} 1
identity http_request_duration_seconds_count{method="GET",route="/health",status="200"} 1
identity http_request_duration_seconds_count{method="POST",route="/auth/register",status="200"} 2
identity http_request_duration_seconds_count{method="POST",route="/auth/register",status="400"} 2
identity http_request_duration_seconds_count{method="POST",route="/auth/login",status="200"} 3
identity http_request_duration_seconds_count{method="POST",route="/auth/login",status="400"} $((2 + checked))
identity http_request_duration_seconds_count{method="POST",route="/auth/login",status="503"} $busy
identity http_request_duration_seconds_bucket{le="+Inf",method="POST",route="/auth/login",status="503"} $busy
identity http_request_duration_seconds_count{method="POST",route="/auth/refresh",status="200"} 2
identity http_request_duration_seconds_count{method="POST",route="/auth/refresh",status="401"} 1
identity http_request_duration_seconds_count{method="POST",route="/auth/logout",status="200"} 1
identity http_request_duration_seconds_count{method="GET",route="/auth/me",status="200"} 1
identity http_request_duration_seconds_count{method="GET",route="/auth/me",status="401"} 1
identity http_request_duration_seconds_count{method="DELETE",route="/auth/me",status="405"} 1
identity http_request_duration_seconds_count{method="other",route="/auth/me",status="405"} 1
identity http_request_duration_seconds_count{method="GET",route="none",status="404"} 1
identity http_requests_in_flight 0
identity http_connections_open 0
identity http_connections_refused_total 0
identity tixgo_registrations_total{outcome="accepted"} 2
identity tixgo_registrations_total{outcome="refused"} 2
identity tixgo_registrations_total{outcome="throttled"} 0
identity tixgo_registrations_total{outcome="busy"} 0
identity tixgo_registrations_total{outcome="failed"} 0
identity tixgo_logins_total{outcome="accepted"} 3
identity tixgo_logins_total{outcome="refused"} $((2 + checked))
identity tixgo_logins_total{outcome="throttled"} 0
identity tixgo_logins_total{outcome="busy"} $busy
identity tixgo_logins_total{outcome="failed"} 0
identity tixgo_sessions_total{outcome="opened"} 1
identity tixgo_sessions_total{outcome="refreshed"} 1
identity tixgo_sessions_total{outcome="repeated"} 1
identity tixgo_sessions_total{outcome="reused"} 0
identity tixgo_sessions_total{outcome="expired"} 0
identity tixgo_sessions_total{outcome="unknown"} 1
identity tixgo_sessions_total{outcome="logged_out"} 1
identity tixgo_sessions_total{outcome="throttled"} 0
identity tixgo_sessions_total{outcome="failed"} 0
identity tixgo_bcrypt_queue 0
identity tixgo_bcrypt_wait_seconds_count $((7 + checked))
identity tixgo_bcrypt_refusals_total $busy
identity tixgo_store_commit_seconds_count 6
identity tixgo_store_commit_records_sum 6
identity tixgo_records 4
attendance tixgo_build_info{service="attendance-service",version="$version"} 1
attendance http_request_duration_seconds_count{method="GET",route="/ready",status="200"} 1
attendance http_request_duration_seconds_count{method="POST",route="/checkins",status="200"} 15
attendance http_request_duration_seconds_count{method="POST",route="/checkins",status="400"} 1
attendance http_request_duration_seconds_count{method="POST",route="/checkins",status="401"} 1
attendance http_request_duration_seconds_count{method="POST",route="/checkins",status="422"} 3
attendance http_request_duration_seconds_bucket{le="+Inf",method="POST",route="/checkins",status="200"} 15
attendance http_request_duration_seconds_count{method="GET",route="/attendance/{event_id}",status="200"} 1
attendance http_request_duration_seconds_count{method="GET",route="/attendance/{event_id}/tickets/{ticket_id}",status="200"} 1
attendance http_request_duration_seconds_count{method="GET",route="none",status="404"} 1
attendance http_requests_in_flight 0
attendance http_connections_open 0
attendance tixgo_check_ins_total{outcome="accepted"} 14
attendance tixgo_check_ins_total{outcome="replayed"} 1
attendance tixgo_check_ins_total{outcome="duplicate"} 1
attendance tixgo_check_ins_total{outcome="conflict"} 0
attendance tixgo_check_ins_total{outcome="key_reused"} 1
attendance tixgo_check_ins_total{outcome="unavailable"} 0
attendance tixgo_check_ins_total{outcome="full"} 0
attendance tixgo_check_ins_total{outcome="failed"} 0
attendance tixgo_undone_check_ins_total 0
attendance tixgo_live_subscribers 0
attendance tixgo_store_commit_records_sum 14
attendance tixgo_records 14
attendance tixgo_store_limit_bytes 268435456
END
}
expected >"$work/expected"
all_counted() {
    look identity
    look attendance
    while read -r service sample _; do
        printf '%s %s %s\n' "$service" "$sample" "$(counted "$service" "$sample")"
    done <"$work/expected" >"$work/counted"
    cmp -s "$work/expected" "$work/counted" || { diff "$work/expected" "$work/counted" | grep '^[<>]' >&2; return 1; }
}
check 'everything is counted (< expected, > counted)' all_counted

check 'no route is counted that was not asked for' same "$(sed -n 's/^http_request_duration_seconds_count.*route="\([^"]*\)".*/\1/p' \
    "$work"/{identity,attendance}.metrics | sort -u | xargs)" \
    '/attendance/{event_id} /attendance/{event_id}/tickets/{ticket_id} /auth/login /auth/logout /auth/me /auth/refresh /auth/register /checkins /health /ready none'
check 'a commit has a time and a size' [ "$(counted attendance tixgo_store_commit_seconds_count)" = "$(counted attendance tixgo_store_commit_records_count)" ]
for service in identity attendance; do
    resident=$(awk '$1 == "VmRSS:" { print $2 * 1024 }' "/proc/${pid[$service]}/status")
    ratio=$((100 * $(counted $service process_resident_memory_bytes) / resident))
    check "$service: its memory is what the kernel says ($ratio%)" test $ratio -gt 80 -a $ratio -lt 125
    check "$service: it has file descriptors" [ "$(counted $service process_open_fds)" -gt 5 ]
    check "$service: and may have so many" same "$(counted $service process_max_fds)" \
        "$(awk '/^Max open files/ { print $4 }' "/proc/${pid[$service]}/limits")"
    check "$service: it has used CPU time" [ -n "$(counted $service process_cpu_seconds_total)" ]
done

### Prometheus

check 'the alerts are well-formed' promtool check rules ops/alerts.yml
check 'they fire when they have to' promtool test rules ops/alerts_test.yml
check 'the configuration is well-formed' promtool check config ops/prometheus.yml

# The repository's own, but for addresses and patience.
cp ops/alerts.yml "$work"
sed -e "s/identity:9100/$(cut -d / -f 3 <<<"${metrics_url[identity]}")/" \
    -e "s/attendance:9100/$(cut -d / -f 3 <<<"${metrics_url[attendance]}")/" -e 's/15s/1s/' ops/prometheus.yml >"$work/prometheus.yml"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/prometheus" --web.listen-address=127.0.0.1:0 \
    >"$work/prometheus.log" 2>&1 &
pid[prometheus]=$!
check 'Prometheus starts' says "$work/prometheus.log" 'msg="Listening on"'
prometheus_url=http://$(sed -n 's/.*msg="Listening on".* address=\([0-9.:]*\).*/\1/p' "$work/prometheus.log")

api() { curl -q -s --max-time 5 -G "$prometheus_url/api/v1/$1" "${@:2}"; }
# has_data QUERY: at least one figure that is a number.
has_data() {
    api query --data-urlencode "query=$1" >"$work/answer" &&
        jq -e '[.data.result[]?.value[1] | select(. != "NaN")] | length > 0' "$work/answer" >/dev/null
}
check 'Prometheus scrapes both services' await has_data 'count(up == 1) == 2'
go_round second

dashboard=ops/grafana/dashboards/tixgo.json
queries=0
while IFS=$'\t' read -r title query; do
    query=${query//\$job/.+}
    query=${query//\$__rate_interval/1m}
    check "the dashboard has data: $title: $query" await has_data "$query"
    queries=$((queries + 1))
done < <(jq -r '.panels[] | .title as $title | .targets[]? | [$title, .expr] | @tsv' "$dashboard")
check "these were all queries of the dashboard ($queries)" same $queries "$(jq '[.. | objects | select(has("expr"))] | length' "$dashboard")"
while read -r metric; do
    check "the dashboard shows $metric" grep -q "\b$metric" "$dashboard"
done < <(awk '$1 == "#" && $2 == "TYPE" { print $3 }' "$work"/{identity,attendance}.metrics | sort -u)

api rules >"$work/rules"
check 'Prometheus can evaluate every rule' same "$(jq -r '.data.groups[].rules[] | select(.health != "ok") | .name, .lastError' "$work/rules")" ''
check 'every alert says what to do' same "$(jq -r '.data.groups[].rules[] | select(.type == "alerting") |
    select((.annotations.summary and .annotations.description) | not) | .name' "$work/rules")" ''
for service in identity attendance; do
    megabytes=$(sed -n "/^  $service:/,/mem_limit/s/^    mem_limit: \([0-9]*\)m$/\1/p" docker-compose.prod.yml)
    check "$service: its limit of memory is that of the Compose file" \
        await has_data "tixgo_memory_limit_bytes{job=\"$service\"} == $megabytes * 1024 * 1024"
done

kill "${pid[attendance]}"
check 'an alert notices that a service is gone' await has_data 'ALERTS{alertname="ServiceDown", job="attendance"}'

printf 'Metrics, alerts and dashboard are right (%d s).\n' "$SECONDS"
