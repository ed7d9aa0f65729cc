# Both services with metrics, and what clients do with them. Sourced by run.sh.
# shellcheck shell=bash disable=SC2034,SC2154  # what run.sh has

declare -A pid url metrics_url
clean_up() { kill "${pid[@]}" && wait "${pid[@]}"; }

# says FILE TEXT: sooner or later; shows the file if it does not.
says() { await grep -qs "$2" "$1" || { cat "$1" >&2; return 1; }; }

secret=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
# start SERVICE [NAME=VALUE...]: on any free ports, which it tells in its log.
start() {
    local service=$1 log=$work/$1.log
    shift
    mkdir "$work/$service"
    env "$@" PORT=0 METRICS_ADDR=127.0.0.1:0 LOG_FORMAT=json JWT_SECRET="$secret" \
        DATABASE_URL="sqlite://$work/$service/" "$bin/$service-service" 2>"$log" &
    pid[$service]=$!
    check "$service-service starts" says "$log" 'is ready'
    url[$service]=http://$(jq -r '.address // empty' "$log")
    metrics_url[$service]=$(jq -r '.metrics // empty' "$log")
}

### Using

# ask STATUS SERVICE PATH [CURL-OPTION...]
ask() {
    local wanted=$1 service=$2 path=$3
    shift 3
    checking="$service answers $wanted to $path $*"
    same "$(curl -q -s --max-time 10 -o "$work/answer" -w '%{http_code}' -H 'Content-Type: application/json' \
        "$@" "${url[$service]}$path")" "$wanted"
}
register() { ask "$1" identity /auth/register -d "{\"username\":\"$2\",\"password\":\"secret\",\"role\":\"${3-committee}\"}"; }
log_in() { ask "$1" identity /auth/login -d "{\"username\":\"$2\",\"password\":\"$3\"}"; }
# session STATUS ACTION: with the refresh token of the last login that asked for one.
session() { ask "$1" identity "/auth/$2" -d "{\"refresh_token\":\"$refresh_token\"}"; }
# check_in STATUS TICKET [CURL-OPTION...]
check_in() {
    local wanted=$1 ticket=$2
    shift 2
    ask "$wanted" attendance /checkins -H "Authorization: Bearer $token" -d "{\"event_id\":\"evt\",\"ticket_id\":\"$ticket\"}" "$@"
}

# go_round NAME: every outcome that one client after the other can cause; NAME is new each time.
go_round() {
    register 200 "$1-one"
    register 200 "$1-two"
    register 400 "$1-one"
    register 400 "$1-three" guest

    log_in 400 "$1-one" wrong
    log_in 400 "$1-nobody" secret
    log_in 200 "$1-two" secret
    log_in 200 "$1-one" secret
    token=$(jq -r .access_token "$work/answer")
    ask 200 identity /auth/me -H "Authorization: Bearer $token"
    ask 401 identity /auth/me
    ask 200 identity /auth/login -d "{\"username\":\"$1-one\",\"password\":\"secret\",\"remember\":true}"
    refresh_token=$(jq -r .refresh_token "$work/answer")
    session 200 refresh
    session 200 refresh
    session 200 logout
    session 401 refresh
    ask 405 identity /auth/me -X DELETE
    ask 405 identity /auth/me -X BREW
    ask 404 identity "/$1"

    check_in 200 "$1-a"
    check_in 200 "$1-b" -H "Idempotency-Key: $1"
    check_in 400 "$1-a"
    check_in 200 "$1-b" -H "Idempotency-Key: $1"
    check_in 422 "$1-c" -H "Idempotency-Key: $1"
    ask 401 attendance /checkins -d '{}'
    ask 422 attendance /checkins -H "Authorization: Bearer $token" -d '{}'
    ask 200 attendance /attendance/evt -H "Authorization: Bearer $token"
    ask 200 attendance "/attendance/evt/tickets/$1-a" -H "Authorization: Bearer $token"
    ask 404 attendance "/$1"
}

# Twelve gates' worth of scans, four at a time.
scan_together() {
    for i in {1..12}; do
        printf 'next\nurl = %s/checkins\nheader = "Authorization: Bearer %s"\n' "${url[attendance]}" "$token"
        printf 'json = "{\\"event_id\\":\\"evt\\",\\"ticket_id\\":\\"together-%d\\"}"\n' "$i"
        printf 'output = /dev/null\nwrite-out = "%%{http_code}\\n"\n'
    done >"$work/scans"
    checking='scans at the same time are accepted'
    same "$(curl -q --no-progress-meter --max-time 10 --parallel --parallel-max 4 -K "$work/scans" | sort | uniq -c | xargs)" '12 200'
}

# More passwords at once than identity-service takes: the workers, one core fewer than there are, and a queue of 16.
flood=$(($(nproc) + 16 + 16))
flood_passwords() {
    for ((i = 0; i < flood; i++)); do
        printf 'next\nurl = %s/auth/login\nheader = "CF-Connecting-IP: 10.%d.0.1"\n' "${url[identity]}" "$i"
        printf 'json = "{\\"username\\":\\"nobody-%d\\",\\"password\\":\\"wrong\\"}"\n' "$i"
        printf 'output = /dev/null\nwrite-out = "%%{http_code}\\n"\n'
    done >"$work/flood"
    curl -q --no-progress-meter --max-time 60 --parallel --parallel-immediate --parallel-max "$flood" -K "$work/flood" >"$work/flooded" &
    pid[flood]=$!
}
