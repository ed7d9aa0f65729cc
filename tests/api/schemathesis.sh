#!/usr/bin/env bash
# Sends both services what their OpenAPI documents allow and much that they forbid, with a token and without, and
# holds every answer against the document. Needs schemathesis (https://schemathesis.readthedocs.io), curl and jq:
#
#   python3 -m venv target/schemathesis && target/schemathesis/bin/pip install 'schemathesis>=4.32,<5'
#   tests/api/schemathesis.sh target/schemathesis/bin/st
set -euo pipefail
st=$(realpath -- "${1:?Usage: tests/api/schemathesis.sh PATH_OF_st}")
cd "$(dirname -- "$0")/../.."

die() { printf 'schemathesis.sh: %s\n' "$1" >&2; exit 1; }

cargo build --release --locked --package identity-service --package attendance-service
bin=$(realpath -- "${CARGO_TARGET_DIR:-target}")/release
config=$(realpath -- tests/api/schemathesis.toml)
# Hypothesis and schemathesis leave their notes here.
directory=$(mktemp -d)
stop() {
    local pids
    pids=$(jobs -pr)
    # shellcheck disable=SC2086  # one argument a process
    [ -z "$pids" ] || kill $pids
    wait
    rm -rf "$directory"
}
trap stop EXIT
cd "$directory"

# start SERVICE: on a free port; $address is where it listens.
start() {
    env -i PORT=0 BCRYPT_COST=4 DATABASE_URL=memory: LOGIN_GUARD=off REGISTRATIONS_PER_HOUR=0 "$bin/$1" 2>"$1.log" &
    local pid=$!
    until address=$(grep -o 'address=[0-9.:]*' "$1.log"); do
        kill -0 $pid 2>/dev/null || die "$1 did not start: $(cat "$1.log")"
        sleep 0.1
    done
    address=${address#address=}
}

examples=300
# check SERVICE ADDRESS [OPTION...]: with the same cases at every run. The live state is left out, for it has no end.
check() {
    local service=$1 address=$2
    shift 2
    timeout 300 "$st" --config-file "$config" --no-color run "http://$address/openapi.json" --checks all --max-examples "$examples" \
        --generation-deterministic --continue-on-failure --warnings off --exclude-path-regex '/live$' "$@" ||
        die "$service and its OpenAPI document disagree, or five minutes were not enough; it says so above."
}

start identity-service
identity=$address
start attendance-service
attendance=$address
log_in() {
    curl -fsS "http://$identity/auth/login" -H 'Content-Type: application/json' \
        -d "{\"username\":\"$1\",\"password\":\"secret\"}" | jq -r .access_token
}
token=$(log_in panitia1)
admin=$(log_in admin1)

for options in '' "--header=Authorization: Bearer $token"; do
    check identity-service "$identity" ${options:+"$options"}
    check attendance-service "$attendance" ${options:+"$options"}
done
# An admin makes events and thousands of tickets, which all that comes after has to list.
examples=50
check attendance-service "$attendance" "--header=Authorization: Bearer $admin"
# Last, for it may delete both.
check identity-service "$identity" "--header=Authorization: Bearer $admin"
