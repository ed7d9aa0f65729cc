# shellcheck shell=bash
# Sourced by the scripts beside it, with their arguments: servers on free ports, a token, verdicts.
set -eu

# A proxy has no business between this machine and itself.
export no_proxy='*' LC_ALL=C

die() { printf '%s: %s\n' "${0##*/}" "$1" >&2; exit 1; }

check=no missed=0
case "$#${1:-}" in
    0) ;;
    1--check) check=yes ;;
    *)
        printf 'Usage: %s [--check]\n\n  --check   exit status 1 when a target is missed\n' "$0" >&2
        exit 2
        ;;
esac

# need COMMAND PACKAGE
need() {
    command -v "$1" >/dev/null || die "$1 is missing. Install it (Debian, Ubuntu: sudo apt-get install $2) and try again."
}
need curl curl
need python3 python3
[ -r /proc/self/status ] || die 'reads memory and CPU time from /proc: run it on Linux.'

bench=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd "$bench/.."
bin=${CARGO_TARGET_DIR:-target}/release

# must_be_built BINARY...
must_be_built() {
    for binary in "$@"; do
        [ -x "$bin/$binary" ] ||
            die "$bin/$binary is missing. Build first: cargo build --release && cargo build --release -p bare-axum"
    done
    bin=$(cd "$bin" && pwd)
}

tmp=$(mktemp -d)
declare -A pid=() address=()
clean_up() {
    # All at once, for a database waits for its clients to go.
    kill "${pid[@]}" 2>/dev/null || true
    for server in "${!pid[@]}"; do stop "$server"; done
    rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# What goes before the command of every server; a script may set it.
pin=()

# start NAME COMMAND...: returns once it listens; then ${pid[NAME]} and ${address[NAME]} are known.
start() {
    local name=$1 log=$tmp/$1.log
    shift
    : >"$log"
    # An empty environment and directory: no setting and no .env of the caller may change what is measured.
    (cd "$tmp" && exec "${pin[@]}" env -i PORT=0 "$@") </dev/null >>"$log" 2>&1 &
    pid[$name]=$!
    for ((i = 0; i < 100; i++)); do
        address[$name]=$(sed -nE 's/.* is ready(","address":"| address=)([0-9.:]+).*/\2/p' "$log")
        [ -z "${address[$name]}" ] || return 0
        kill -0 "${pid[$name]}" 2>/dev/null || break
        sleep 0.1
    done
    die "$* did not get ready:
$(cat "$log")"
}

# stop NAME
stop() {
    kill "${pid[$1]}" 2>/dev/null || true
    wait "${pid[$1]}" 2>/dev/null || true
    unset "pid[$1]"
}

# log_in NAME [USER]: sets TOKEN, for the clients to find in their environment.
log_in() {
    local answer user=${2:-panitia1}
    answer=$(curl -q -sS --max-time 10 -H 'Content-Type: application/json' \
        -d "{\"username\":\"$user\",\"password\":\"secret\"}" "http://${address[$1]}/auth/login")
    TOKEN=$(printf '%s' "$answer" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
    [ -n "$TOKEN" ] || die "$user could not log in: $answer"
    export TOKEN
}

# check_in NAME EVENT FIRST COUNT: COUNT tickets, counted up from the ten-digit number FIRST.
check_in() { python3 "$bench/client.py" check-in "${address[$1]}" "$2" "$3" "$4"; }

# kilobytes NAME [FIELD]: the resident memory of a server; with VmHWM, the most that it ever had.
kilobytes() { awk -v field="${2:-VmRSS}:" '$1 == field { print $2 }' "/proc/${pid[$1]}/status"; }

# calculate EXPRESSION
calculate() { awk "BEGIN { print ($1) }"; }

heading() { printf '| what | target | measured | |\n|---|---|---|---|\n'; }

# judge WHAT RELATION TARGET FIGURE UNIT REMARK: a row of the table; RELATION is >=, <=, < or ==.
judge() {
    local verdict=ok
    if [ "$(calculate "$4 $2 $3")" != 1 ]; then verdict=MISSED missed=$((missed + 1)); fi
    local relation=${2/>=/at least}
    relation=${relation/<=/at most} relation=${relation/</under} relation=${relation/==/exactly}
    printf '| %s | %s %s%s | %s%s%s | %s |\n' "$1" "$relation" "$3" "$5" "$4" "$5" "${6:+ ($6)}" "$verdict"
}

# The last command of every script.
finish() {
    [ "$missed" = 0 ] || printf '%s missed.\n' "$missed" >&2
    [ "$check" = no ] || [ "$missed" = 0 ] || exit 1
}
