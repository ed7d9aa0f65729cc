#!/usr/bin/env bash
# Builds both services and runs them here on their development defaults until Ctrl-C or TERM.
#
#   ./run.sh
#   IDENTITY_PORT=28081 ATTENDANCE_PORT=28082 ./run.sh
#
# Once both are healthy it prints this line, ready to be waited for. The log of both services follows:
#   TixGo is ready. Press Ctrl-C to stop.
# Exit status: 0 stopped by Ctrl-C or TERM, 1 something failed, 130 interrupted before the services were started.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")"

identity_port=${IDENTITY_PORT:-18081}
attendance_port=${ATTENDANCE_PORT:-18082}
target=${CARGO_TARGET_DIR:-target}
bin=$target/release

die() { printf 'run.sh: %s\n' "$1" >&2; exit 1; }

kill_all() {
    for child in $(jobs -pr); do kill "-$1" -- "-$child" 2>/dev/null || true; done
}

# The services end their drain by themselves after SHUTDOWN_GRACE_SECONDS; 30 s is for one that hangs.
stop() {
    trap 'kill_all KILL' INT TERM HUP QUIT
    kill_all TERM
    for ((i = 0; i < 300; i++)); do
        [ -n "$(jobs -pr)" ] || return 0
        sleep 0.1 || true
    done
    kill_all KILL
}
stop_and_leave() {
    echo 'Stopping both services. Ctrl-C again ends them at once.' || true
    stop
    echo 'Both services stopped.' || true
    exit 0
}
trap stop EXIT
trap 'exit 130' INT TERM HUP QUIT
# With nobody left to read the output, an echo fails and the EXIT trap still runs.
trap '' PIPE

# A process group of its own for each: Ctrl-C reaches this script alone, which then stops both once,
# and stopping a build stops its compilers too.
start() {
    set -m
    "$@" </dev/null &
    set +m
}

must_live() {
    if kill -0 "$2" 2>/dev/null; then return; fi
    status=0
    wait "$2" || status=$?
    # Whoever is killed says nothing.
    ((status != 137)) || die "$1 was killed (signal 9), most often for lack of memory: sudo dmesg | tail. Stopping the other."
    ((status <= 128)) || die "$1 was ended by signal $((status - 128)). Stopping the other."
    die "$1 stopped by itself with exit status $status; its messages above say why. Stopping the other."
}

# Bash itself connects here: this needs no tool.
answers() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# Prints the landing page of the service on port $2 of $1.
page() { (exec 3<>"/dev/tcp/$1/$2" && printf 'GET / HTTP/1.0\r\nHost: %s\r\n\r\n' "$1" >&3 && cat <&3) 2>/dev/null || true; }

# Prints the addresses of this machine that others may reach, without those of networks inside it.
network_addresses() {
    if command -v ip >/dev/null; then
        ip -4 -oneline address show scope global up | awk '$2 !~ /^(docker|br-|veth|virbr|cni|podman)/ { sub("/.*", "", $4); print $4 }'
    else
        ifconfig 2>/dev/null | awk '$1 == "inet" && $2 !~ /^127\./ { print $2 }'
    fi
}

must_be_free() {
    ! answers 127.0.0.1 "$1" || die "port $1 is taken. See by whom (sudo ss -ltnp 'sport = :$1', on macOS sudo lsof -iTCP:$1) and stop that,
or choose other ports: IDENTITY_PORT=28081 ATTENDANCE_PORT=28082 ./run.sh"
}

await_health() {
    until PORT=$2 "$bin/$1" healthcheck >/dev/null 2>&1; do
        must_live "$1" "$3"
        ((SECONDS < 20)) || die "$1 is still not healthy after 20 seconds. Ask it yourself: PORT=$2 $bin/$1 healthcheck"
        sleep 0.2 || true
    done
}

[ $# -eq 0 ] || die 'takes no arguments. Usage: [IDENTITY_PORT=18081] [ATTENDANCE_PORT=18082] ./run.sh'
for port in "$identity_port" "$attendance_port"; do
    [[ $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] || die "'$port' is not a port. Choose 1 to 65535 for IDENTITY_PORT and ATTENDANCE_PORT."
done
[ "$identity_port" != "$attendance_port" ] || die "both services cannot have port $identity_port. Choose two for IDENTITY_PORT and ATTENDANCE_PORT."
command -v cargo >/dev/null || die 'cargo is missing. Install Rust from https://rustup.rs, open a new terminal and try again.'
command -v cc >/dev/null || die 'the C linker (cc) is missing. Install it: sudo apt install build-essential (Debian, Ubuntu), sudo dnf install gcc (Fedora), xcode-select --install (macOS).'
must_be_free "$identity_port"
must_be_free "$attendance_port"

echo 'Building identity-service and attendance-service. The first time takes some minutes.'
start cargo build --release --locked --package identity-service --package attendance-service
wait $! || die 'the build failed; the messages of cargo above say why.'

# A PORT in the environment would be the same for both; it counts for neither.
trap stop_and_leave INT TERM HUP QUIT
start env PORT="$identity_port" "$bin/identity-service"
identity=$!
start env PORT="$attendance_port" "$bin/attendance-service"
attendance=$!
SECONDS=0
await_health identity-service "$identity_port" "$identity"
await_health attendance-service "$attendance_port" "$attendance"

# localhost, unless HOST is an address of the network alone.
here=localhost
answers 127.0.0.1 "$identity_port" || here=
elsewhere=
for address in $(network_addresses); do
    answers "$address" "$identity_port" || continue
    here=${here:-$address}
    elsewhere="$elsewhere  http://$address:$identity_port  http://$address:$attendance_port
"
done
here=${here:-${HOST:-localhost}}

cat <<EOF

identity-service    http://$here:$identity_port    http://$here:$identity_port/docs
attendance-service  http://$here:$attendance_port    http://$here:$attendance_port/docs

EOF
[ -z "$elsewhere" ] || printf 'Others in your network reach both at:\n%s\n' "$elsewhere"
# Their names stand on the landing page where they can log in.
if page "$here" "$identity_port" | grep -q panitia1; then
    cat <<EOF
Log in (panitia1 and admin1, password secret; for development only):
  curl http://$here:$identity_port/auth/login -H 'Content-Type: application/json' -d '{"username":"panitia1","password":"secret"}'
EOF
fi
cat <<EOF
Try everything once:
  ./smoke-test.sh http://$here:$identity_port http://$here:$attendance_port

TixGo is ready. Press Ctrl-C to stop.
EOF

while true; do
    must_live identity-service "$identity"
    must_live attendance-service "$attendance"
    sleep 0.5 || true
done
