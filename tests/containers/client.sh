# What somebody at the gate does with both services, and whether they remember it. Sourced after lib.sh.
# shellcheck shell=bash
identity=http://127.0.0.1:18081 attendance=http://127.0.0.1:18082
siti='{"username":"siti","password":"gerbang-timur-7"}'
token=

# ask URL [CURL-OPTION...]: prints the body and the status.
ask() { curl -q -s --noproxy '*' --max-time 10 -w ' %{http_code}' -H 'Content-Type: application/json' -H "Authorization: Bearer $token" "${@:2}" "$1"; }
register() { ask $identity/auth/register --data "$siti"; }
log_in() { ask $identity/auth/login --data "$siti"; }
# check_in TICKET
check_in() { ask $attendance/checkins --data "{\"event_id\":\"evt\",\"ticket_id\":\"$1\"}"; }
accepts() { contains "$(check_in "$1")" '"status":"checked_in"'; }
# Their tickets, in the order they came.
came() { ask $attendance/attendance/evt | grep -o '"ticket_id":"[^"]*"' | cut -d '"' -f 4 | xargs; }
is_ready() { same "$(curl -q -s --noproxy '*' --max-time 10 -o /dev/null -w '%{http_code}' "$1/ready")" 200; }

# store TICKET: a user and a check-in.
store() {
    contains "$(register)" '"username":"siti"' || return 1
    token=$(log_in | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
    accepts "$1"
}
# remembers TICKETS: the user, and that these came, one after the other.
remembers() {
    is_ready $identity && is_ready $attendance &&
        same "$(register)" '{"detail":"User siti sudah terdaftar"} 400' &&
        contains "$(log_in)" access_token &&
        contains " $(came) " " $1 " &&
        same "$(check_in "${1##* }")" '{"detail":"Ticket sudah pernah check-in"} 400'
}
