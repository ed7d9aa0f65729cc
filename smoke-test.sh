#!/bin/sh
# Walks once through what a client does and checks every answer: health, login, check-in, attendance.
set -eu
# Bytes, not characters: what the services send is compared as it is.
export LC_ALL=C

usage() {
    cat <<'EOF'
Usage: ./smoke-test.sh [IDENTITY_URL] [ATTENDANCE_URL]

Defaults: http://localhost:18081 http://localhost:18082 (what ./run.sh starts).
Logs in as the demo user, or registers a throw-away user where that one is refused.
SMOKE_USERNAME and SMOKE_PASSWORD, set together, choose another user. Without them, where not everybody may
register, nobody logs in.
CURL_CA_BUNDLE names the certificate to trust where that of https:// is self-signed, such as data/tls/certificate.pem.
Exit status: 0 every answer right, 1 an answer wrong or missing, 2 used wrongly.
EOF
}
usage_error() { printf '%s\n\n' "$1" >&2; usage >&2; exit 2; }
die() { printf 'Smoke test FAILED: %s\n' "$1" >&2; exit 1; }

case ${1:-} in -h | --help) usage; exit ;; esac
[ $# -le 2 ] || usage_error "Two addresses at most, got $#."
identity=${1-http://localhost:18081}
attendance=${2-http://localhost:18082}
for url in "$identity" "$attendance"; do
    case $url in
        http://?* | https://?*) ;;
        -*) usage_error "Unknown option: $url" ;;
        *) usage_error "Not an address (it has to begin with http:// or https://): '$url'" ;;
    esac
done
identity=${identity%/} attendance=${attendance%/}

username=${SMOKE_USERNAME:-} password=${SMOKE_PASSWORD:-} user_is_given=yes
if [ -z "$username" ] && [ -z "$password" ]; then
    username=panitia1 password=secret user_is_given=no
elif [ -z "$username" ] || [ -z "$password" ]; then
    usage_error 'Set SMOKE_USERNAME and SMOKE_PASSWORD both, or neither.'
fi

command -v curl >/dev/null || die 'curl is missing. Install it (on Debian and Ubuntu: sudo apt install curl) and try again.'
jq=$(command -v jq || true)

umask 077
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# A proxy has no business between this machine and itself.
export no_proxy="localhost,127.0.0.1,::1,${no_proxy:-${NO_PROXY:-}}"
newline='
'

random() { od -An -N12 -tx1 /dev/urandom | tr -d ' \n'; }

json_string() {
    printf '%s\n' "$1" | awk '
        BEGIN {
            for (i = 1; i < 32; i++) escaped[sprintf("%c", i)] = sprintf("\\u%04x", i)
            escaped["\""] = "\\\""; escaped["\\"] = "\\\\"
            escaped["\b"] = "\\b"; escaped["\f"] = "\\f"; escaped["\r"] = "\\r"; escaped["\t"] = "\\t"
            printf "\""
        }
        NR > 1 { printf "\\n" }
        { for (i = 1; i <= length($0); i++) { c = substr($0, i, 1); printf "%s", c in escaped ? escaped[c] : c } }
        END { printf "\"" }'
}

# Passwords and tokens reach curl on stdin and in a private file: anybody may read a command line.
# -q: what ~/.curlrc says must not change what is tested.
request() {
    what="$1 $2"
    method=$1 url=$2
    shift 2
    answer=$(curl -q -sS -g --connect-timeout 5 --max-time 15 -w '\n%{http_code}' -X "$method" "$@" "$url") ||
        die "no answer from $url
  Start the services with ./run.sh, or give the addresses where they run (./smoke-test.sh --help)."
    status=${answer##*"$newline"}
    body=${answer%"$newline"*}
}
get() { url=$1; shift; request GET "$url" "$@"; }
post() { url=$1; shift; request POST "$url" -H 'Content-Type: application/json' --data-binary @- "$@"; }

# Whoever sees the terminal, or a log of it, must not be able to use the token.
body_with_token_cut() { printf '%s\n' "$body" | sed 's/\("access_token" *: *"[^"]\{0,7\}\)[^"]*/\1.../g'; }

wrong() {
    die "$what
  expected: $1
  got:      $status $(body_with_token_cut | cut -c 1-500)"
}

expect_json() {
    [ "$status" = "$1" ] || wrong "$1${2:+ $2}"
    [ -z "$jq" ] || printf '%s' "$body" | jq -e . >/dev/null 2>&1 || wrong "$1 and a JSON body"
}

# expect STATUS BODY: byte for byte.
expect() {
    expect_json "$1" "$2"
    [ "$body" = "$2" ] || wrong "$1 $2"
    show
}

# expect_fields STATUS FIELD...: each "name":value is somewhere in the body.
expect_fields() {
    wanted=$1
    shift
    expect_json "$wanted" "with $*"
    for field in "$@"; do
        case $body in *"$field"*) ;; *) wrong "$wanted with $field" ;; esac
    done
    show
}

show() { if [ -n "$jq" ]; then body_with_token_cut | jq .; else body_with_token_cut; fi; }

count() { printf '%s\n' "$body" | grep -oF -e "$1" | wc -l | tr -d ' '; }

is_local() {
    host=${1#*://} host=${host%%[/?#]*} host=${host##*@}
    case $host in
        '[::1]' | '[::1]':* | localhost | localhost:*) return 0 ;;
    esac
    host=${host%:*}
    # 127.example.org is anywhere.
    case $host in *[!0-9.]*) return 1 ;; 127.*) return 0 ;; *) return 1 ;; esac
}

log_in() {
    post "$identity/auth/login" <<EOF
{"username":$(json_string "$username"),"password":$(json_string "$password")}
EOF
}

echo 'Checking health endpoints...'
get "$identity/health"
expect 200 '{"status":"ok","service":"identity-service"}'
get "$attendance/health"
expect 200 '{"status":"ok","service":"attendance"}'

if [ $user_is_given = yes ]; then
    printf 'Logging in as %s\n' "$username"
    log_in
else
    echo 'Logging in as demo user (panitia1 / secret)'
    log_in
    # 429 instead, where this script was refused a few times before.
    if [ "$status" = 400 ] || [ "$status" = 429 ]; then
        [ "$status" = 429 ] || expect 400 '{"detail":"Username atau password salah"}'
        username=smoke-$(random) password=$(random)
        echo "The demo user is refused here. Registering the throw-away user $username"
        post "$identity/auth/register" <<EOF
{"username":"$username","password":"$password"}
EOF
        case $status in
            401 | 403)
                expect_fields "$status" '"detail":'
                echo 'Not everybody may register here. Asking without a token'
                get "$identity/auth/me"
                expect 401 '{"detail":"Missing Authorization header"}'
                get "$attendance/attendance/evt-smoke"
                expect 401 '{"detail":"Missing Authorization header"}'
                echo 'Smoke test finished. Every answer was right, but nobody logged in: set SMOKE_USERNAME and SMOKE_PASSWORD.'
                exit
                ;;
        esac
        expect 200 "{\"username\":\"$username\",\"role\":\"committee\"}"
        echo "Logging in as $username"
        log_in
    fi
fi
expect_fields 200 '"token_type":"bearer"' '"access_token":"'
token=$(printf '%s' "$body" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
case $token in
    # Nothing but these characters may go into curl's configuration below.
    *[!A-Za-z0-9._-]* | .* | *. | *..* | *.*.*.*) wrong '200 with an access_token of three parts' ;;
    *.*.*) ;;
    *) wrong '200 with an access_token of three parts' ;;
esac
printf 'Token: %.7s...\n' "$token"
printf 'header = "Authorization: Bearer %s"\n' "$token" >"$tmp/bearer"

if [ "$username/$password" = panitia1/secret ] && ! is_local "$identity"; then
    echo "WARNING: $identity lets the demo user panitia1 / secret in, and its password is published." \
        'Start identity-service with DEMO_USERS=false (or APP_ENV=production).' >&2
fi

get "$identity/auth/me" -K "$tmp/bearer"
expect_fields 200 "\"username\":$(json_string "$username")"

echo 'Creating checkin...'
ticket=smoke-$(random)
check_in() {
    post "$attendance/checkins" -K "$tmp/bearer" <<EOF
{"event_id":"evt-smoke","ticket_id":"$ticket"}
EOF
}
check_in
if [ "$status" = 401 ]; then
    echo "attendance-service refuses identity-service's token: do both have the same JWT_SECRET?" >&2
fi
expect_fields 200 '"status":"checked_in"' '"event_id":"evt-smoke"' "\"ticket_id\":\"$ticket\"" \
    "\"checked_in_by\":$(json_string "$username")"
check_in
expect 400 '{"detail":"Ticket sudah pernah check-in"}'

echo 'Fetching attendance...'
get "$attendance/attendance/evt-smoke" -K "$tmp/bearer"
expect_fields 200 '"event_id":"evt-smoke"' '"total_checked_in":' '"records":['
if [ -n "$jq" ]; then
    counts=$(printf '%s' "$body" | jq -r --arg ticket "$ticket" \
        '"\(.total_checked_in | tojson) \(.records | length) \([.records[] | select(.ticket_id == $ticket)] | length)"' 2>&1) || true
else
    # A quote inside a value is escaped, so only a real field matches.
    total=$(printf '%s' "$body" | sed -n 's/.*"total_checked_in":\([0-9]*\).*/\1/p')
    counts="$total $(count '"ticket_id":') $(count "\"ticket_id\":\"$ticket\"")"
fi
records=${counts#* } records=${records% *}
what="$what (total_checked_in, records, records of this ticket: $counts)"
[ "$counts" = "$records $records 1" ] ||
    wrong "200 with ticket $ticket once and total_checked_in equal to the number of records"

get "$attendance/attendance/evt-smoke"
expect 401 '{"detail":"Missing Authorization header"}'

echo 'Smoke test finished. Every answer was right.'
